// Package transcript writes small histories and the verdicts on them as text,
// for the tests of checkers.
package transcript

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/history"
)

// Parse reads lines "PROCESS TYPE F [VALUE]", PROCESS a number or nemesis. The
// line's number is the index and the time in milliseconds; process P is on
// node nP.
func Parse(t testing.TB, text string) *history.History {
	t.Helper()
	h := &history.History{}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		n := len(h.Events)
		e := history.Event{Index: n, Time: time.Duration(n) * time.Millisecond, F: f[2], Value: json.RawMessage("null"), Process: history.Nemesis}
		if f[0] != "nemesis" {
			p, err := strconv.Atoi(f[0])
			if err != nil {
				t.Fatal(err)
			}
			e.Process, e.Node = p, fmt.Sprint("n", p)
		}
		if err := e.Kind.UnmarshalText([]byte(f[1])); err != nil {
			t.Fatal(err)
		}
		if len(f) > 3 {
			e.Value = json.RawMessage(f[3])
		}
		h.Events = append(h.Events, e)
	}
	return h
}

// Kinds lists the anomalies of a result with their events, as in
// "lost[0 1 4 5] stale[2 3]".
func Kinds(res checker.Result) string {
	var out []string
	for _, a := range res.Anomalies {
		out = append(out, a.Kind+fmt.Sprint(a.Events))
	}
	return strings.Join(out, " ")
}
