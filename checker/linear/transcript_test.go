package linear_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/linear"
	"github.com/capstan-dev/capstan/history"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata")

// TestTranscripts reads testdata: cases of "check MODEL [init=V] [nil=…] [failed-cas=…]", a line for
// each event "MS PROCESS[@NODE] TYPE F [VALUE]", a line of dashes, and the
// verdict with its explanation.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, c := range strings.Split(strings.TrimSpace(string(content)), "\n\n") {
			question, want, _ := strings.Cut(c+"\n", "\n----\n")
			got := answer(t, question)
			if strings.TrimSpace(want) != got && !*update {
				t.Errorf("%s:\n%s\n---- got\n%s\n---- want\n%s", file, question, got, want)
			}
			out = append(out, question+"\n----\n"+got)
		}
		if *update {
			if err := os.WriteFile(file, []byte(strings.Join(out, "\n\n")+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func answer(t *testing.T, question string) string {
	t.Helper()
	var model string
	var o linear.Options
	h := &history.History{}
	for line := range strings.Lines(question) {
		f := strings.Fields(line)
		switch {
		case len(f) == 0 || strings.HasPrefix(f[0], "#"):
		case f[0] == "check":
			model = f[1]
			for _, opt := range f[2:] {
				name, v, _ := strings.Cut(opt, "=")
				switch name {
				case "init":
					o.Init = raw(v)
				case "nil":
					o.Nil = v
				case "failed-cas":
					o.FailedCAS = v
				default:
					t.Fatal(opt)
				}
			}
		default:
			h.Events = append(h.Events, parseEvent(t, len(h.Events), f))
		}
	}
	c, err := linear.New(model, o)
	if err != nil {
		return err.Error()
	}
	res := checker.Run(t.Context(), c, h)
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", res.Verdict, res.Reason)
	for _, a := range res.Anomalies {
		fmt.Fprintf(&b, "\n%s %s%v", a.Kind, a.Key, a.Events)
		if a.Cascade {
			b.WriteString(" cascade")
		}
	}
	return b.String()
}

func parseEvent(t *testing.T, index int, f []string) history.Event {
	t.Helper()
	ms, err := strconv.ParseFloat(f[0], 64)
	if err != nil {
		t.Fatal(f, err)
	}
	e := history.Event{Index: index, Time: time.Duration(ms * 1e6), F: f[3], Value: raw("null")}
	who, node, _ := strings.Cut(f[1], "@")
	e.Node = node
	if e.Process = history.Nemesis; who != "nemesis" {
		if e.Process, err = strconv.Atoi(who); err != nil {
			t.Fatal(f, err)
		}
	}
	if err := e.Kind.UnmarshalText([]byte(f[2])); err != nil {
		t.Fatal(f, err)
	}
	if len(f) > 4 {
		e.Value = raw(f[4])
	}
	return e
}
