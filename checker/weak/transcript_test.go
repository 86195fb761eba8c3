package weak

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/history"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata")

// TestTranscripts reads testdata: cases of a line for each operation,
// "PROCESS[@NODE] VERB KEY VALUES [info]" with the verbs write, read, cas and
// failed (a cas, with what it found, or without), 1 ms each, one after the
// other; a line of dashes; and the report in words.
func TestTranscripts(t *testing.T) {
	const file = "testdata/models.txt"
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range strings.Split(strings.TrimSpace(string(content)), "\n\n") {
		question, want, _ := strings.Cut(c+"\n", "----\n")
		h := parse(t, question)
		got := answer(t, h)
		if strings.TrimSpace(want) != got && !*update {
			t.Errorf("%s\n---- got\n%s\n---- want\n%s", question, got, want)
		}
		out = append(out, strings.TrimSpace(question)+"\n----\n"+got)
		in, err := FromHistory(h, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if len(in.Ops) <= 12 {
			decided(t, in.Ops, in.Init)
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(strings.Join(out, "\n\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func parse(t testing.TB, question string) *history.History {
	t.Helper()
	h := &history.History{}
	for line := range strings.Lines(question) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		var process int
		who, node, _ := strings.Cut(f[0], "@")
		if _, err := fmt.Sscan(who, &process); err != nil {
			t.Fatal(err)
		}
		kind := history.OK
		if f[len(f)-1] == "info" {
			kind, f = history.Info, f[:len(f)-1]
		}
		verb, key, v := f[1], f[2], f[3:]
		asked, answered := "null", "null"
		switch verb {
		case "read":
			answered = v[0]
		case "write":
			asked, answered = v[0], v[0]
		case "cas":
			asked = "[" + v[0] + "," + v[1] + "]"
			answered = asked
		case "failed":
			verb, kind = "cas", history.Fail
			asked, answered = "["+v[0]+","+v[1]+"]", "["+strings.Join(v, ",")+"]"
		}
		for _, e := range []history.Event{{Kind: history.Invoke, Value: json.RawMessage(asked)}, {Kind: kind, Value: json.RawMessage(answered)}} {
			e.Index, e.Process, e.Node, e.F = len(h.Events), process, node, verb
			e.Time = time.Duration(len(h.Events)) * time.Millisecond
			e.Value = json.RawMessage(fmt.Sprintf(`["%s",%s]`, key, e.Value))
			h.Events = append(h.Events, e)
		}
	}
	return h
}

func answer(t testing.TB, h *history.History) string {
	t.Helper()
	r, err := Classify(context.Background(), h, Options{})
	if err != nil {
		return err.Error()
	}
	var s strings.Builder
	fmt.Fprintln(&s, "strongest:", strings.Join(r.Strongest, ", "))
	for _, f := range r.Refuted {
		fmt.Fprintf(&s, "not %s (%d) %v: %s\n", f.Model, f.Count, f.Events, f.Text)
	}
	if len(r.AlsoRefuted) > 0 {
		fmt.Fprintln(&s, "also not:", strings.Join(r.AlsoRefuted, ", "))
	}
	if len(r.Refuted) > 0 {
		fmt.Fprintln(&s, "not refuted:", strings.Join(r.NotRefuted, ", "))
	}
	for _, u := range r.Undecided {
		fmt.Fprintf(&s, "undecided: %s: %s\n", u.Model, u.Reason)
	}
	for _, c := range r.Sessions {
		if c.Violations > 0 {
			fmt.Fprintf(&s, "%s: processes %v, nodes %v\n", c.Model, c.Processes, c.Nodes)
		}
	}
	for _, n := range r.Nodes {
		if n.MonotonicReads+n.ReadYourWrites > 0 {
			fmt.Fprintf(&s, "node %s: monotonic-reads %d, read-your-writes %d\n", n.Node, n.MonotonicReads, n.ReadYourWrites)
		}
	}
	return strings.TrimSpace(s.String())
}
