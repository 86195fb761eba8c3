package converge_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/checker/converge"
	"github.com/capstan-dev/capstan/history"
)

// events reads lines of "MS PROCESS NODE TYPE F VALUE".
func events(t *testing.T, text string) *history.History {
	t.Helper()
	h := &history.History{}
	for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
		f := strings.Fields(line)
		at, err := time.ParseDuration(f[0] + "ms")
		if err != nil {
			t.Fatal(err)
		}
		kind := map[string]history.Kind{"invoke": history.Invoke, "ok": history.OK, "info": history.Info, "fail": history.Fail}[f[3]]
		h.Events = append(h.Events, history.Event{Index: i, Time: at, Process: int(f[1][0] - '0'), Node: f[2], Kind: kind, F: f[4], Value: json.RawMessage(f[5])})
	}
	return h
}

func TestMeasure(t *testing.T) {
	const write = `0 0 n1 invoke write 1
1 0 n1 ok write 1
`
	for name, c := range map[string]struct {
		text                        string
		converged, diverged, unread int
		slowest                     time.Duration
	}{
		"agree at once": {write + `2 1 n1 invoke read null
3 1 n1 ok read 1
4 2 n2 invoke read null
5 2 n2 ok read 1`, 1, 0, 0, 4 * time.Millisecond},
		"agree after a while": {write + `2 1 n1 invoke read null
3 1 n1 ok read 1
4 2 n2 invoke read null
5 2 n2 ok read null
6 2 n2 invoke read null
9 2 n2 ok read 1`, 1, 0, 0, 8 * time.Millisecond},
		"never agree": {write + `2 1 n1 invoke read null
3 1 n1 ok read 1
4 2 n2 invoke read null
5 2 n2 ok read null`, 0, 1, 0, 0},
		"not read through all": {write + `2 1 n1 invoke read null
3 1 n1 ok read 1
3 2 n2 invoke write 1
3 2 n2 fail write 1`, 0, 0, 1, 0},
		"a read that began too early": {`0 1 n2 invoke read null
0 0 n1 invoke write 1
1 0 n1 ok write 1
2 1 n2 ok read null
2 2 n1 invoke read null
3 2 n1 ok read 1`, 0, 0, 1, 0},
	} {
		r, ok, err := converge.Measure(t.Context(), events(t, c.text))
		if err != nil || !ok {
			t.Fatalf("%s: %v %v", name, ok, err)
		}
		if r.Converged != c.converged || r.Diverged != c.diverged || r.Unread != c.unread || r.Slowest != c.slowest {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestSetsAreReadInAnyOrder(t *testing.T) {
	text := `0 0 n1 invoke add 1
1 0 n1 ok add 1
2 1 n1 invoke read null
3 1 n1 ok read [2,1]
4 2 n2 invoke read null
5 2 n2 ok read [1,2]`
	if r, _, err := converge.Measure(t.Context(), events(t, text)); err != nil || r.Converged != 1 {
		t.Errorf("%+v %v", r, err)
	}
	// The order of a list matters.
	if r, _, err := converge.Measure(t.Context(), events(t, strings.ReplaceAll(text, "add", "append"))); err != nil || r.Diverged != 1 {
		t.Errorf("%+v %v", r, err)
	}
}
