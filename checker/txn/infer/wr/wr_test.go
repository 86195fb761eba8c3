package wr_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/capstan-dev/capstan/checker/txn/graph"
	"github.com/capstan-dev/capstan/checker/txn/infer"
	"github.com/capstan-dev/capstan/checker/txn/infer/wr"
	"github.com/capstan-dev/capstan/checker/txn/log"
	"github.com/google/go-cmp/cmp"
)

// history reads one transaction a line: "PROCESS OUTCOME [FROM TO] MOPS", like
// "0 ok 1 4 rx1 wy2 rz_"; without positions they follow each other.
func history(t testing.TB, text string) *log.Log {
	t.Helper()
	l := &log.Log{Nodes: []string{""}}
	keys := map[string]int32{}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		n := int32(len(l.Txns))
		x := log.Txn{Process: number(t, f[0]), Outcome: map[string]log.Outcome{"ok": log.OK, "info": log.Info, "fail": log.Fail}[f[1]], Invoke: 2 * n, Complete: 2*n + 1, First: int32(len(l.Mops))}
		f = f[2:]
		if len(f) > 1 && f[0][0] >= '0' && f[0][0] <= '9' {
			x.Invoke, x.Complete = number(t, f[0]), number(t, f[1])
			f = f[2:]
		}
		x.InvokeIndex, x.CompleteIndex = x.Invoke, x.Complete
		for _, mop := range f {
			k, ok := keys[mop[1:2]]
			if !ok {
				k = int32(len(l.Keys))
				keys[mop[1:2]] = k
				l.Keys = append(l.Keys, mop[1:2])
				l.Longest = append(l.Longest, nil)
			}
			m := log.Mop{Key: k, Fun: log.Write, Value: log.Nil}
			if mop[0] == 'r' {
				m.Fun = log.Read
				if x.Outcome != log.OK {
					m.Fun = log.Blind
				}
			}
			if mop[2:] != "_" {
				m.Value = log.Value(number(t, mop[2:]))
			}
			l.Mops = append(l.Mops, m)
		}
		x.Last = int32(len(l.Mops))
		l.Txns = append(l.Txns, x)
	}
	slices.SortStableFunc(l.Txns, func(a, b log.Txn) int { return int(a.Complete - b.Complete) })
	return l
}

func number(t testing.TB, s string) int32 {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return int32(n)
}

// edges are as "rw 3 5 x 1 2", by names of transactions.
func edges(l *log.Log, in *infer.Inference) []string {
	out := []string{}
	for _, e := range in.Edges {
		ev := in.Evidence(e.From, e.Head.To(), e.Head.Class())
		key := "?"
		if ev.Key != infer.None {
			key = l.Keys[ev.Key]
		}
		out = append(out, fmt.Sprintf("%s %s %s %s %s %s", e.Head.Class(), l.Name(e.From), l.Name(e.Head.To()), key, l.Text(ev.Value), l.Text(ev.Next)))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func found(l *log.Log, in *infer.Inference) []string {
	out := []string{}
	for _, f := range in.Found.All {
		names := []string{}
		for _, x := range f.Txns {
			names = append(names, l.Name(x))
		}
		values := []string{}
		for _, v := range f.Values {
			values = append(values, l.Text(v))
		}
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s: %s %s", f.Kind, l.Keys[f.Key], strings.Join(names, " "), strings.Join(values, " "), f.Why)))
	}
	return out
}

func TestAnomalies(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", ""},
		{"reads own", "0 ok wx1 rx1 wx2 rx2", ""},
		{"internal after write", "0 ok wx1\n0 ok wx2 rx1", "internal x T3 T3: 2 1"},
		{"internal after read", "0 ok wx1\n0 ok wx2\n1 ok rx1 rx2", "internal x T5 T5: 1 2"},
		{"internal after nil", "0 ok wx1\n1 ok rx_ rx1", "internal x T3 T3: null 1"},
		{"internal, of what it writes again", "0 ok wx1 wx2 rx1 wx1", "internal x T1 T1: 2 1"},
		{"G1a", "0 fail wx1\n1 ok rx1", "G1a x T3 T1: 1"},
		{"of info", "0 info wx1\n1 ok rx1", ""},
		{"of fail then ok", "0 fail wx1\n0 ok wx1\n1 ok rx1", ""},
		{"G1b", "0 ok wx1 wx2\n1 ok rx1", "G1b x T3 T1: 1"},
		{"no G1b of itself", "0 ok wx1 rx1 wx2\n1 ok rx2", ""},
		{"garbage", "0 ok rx1", "garbage-read x T1: 1"},
		{"future", "0 ok rx1 wx1", "future-read x T1 T1: 1"},
		{"lost update", "0 ok wx1\n1 ok rx1 wx2\n2 ok rx1 wx3\n3 ok rx1 wx4", "lost-update x T3 T5 T7: 1"},
		{"lost update of nil", "1 ok rx_ wx2\n2 ok rx_ wx3", "lost-update x T1 T3: null"},
		{"updates in turn", "1 ok rx_ wx2\n2 ok rx2 wx3", ""},
		{"an update and a blind write", "1 ok rx_ wx2\n2 ok wx3", ""},
		{"an update that may have been", "1 ok rx_ wx2\n2 info rx_ wx3", ""},
	} {
		l := history(t, c.text)
		in, err := wr.Infer(l, wr.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(found(l, in), "; "); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestEdges(t *testing.T) {
	for _, c := range []struct {
		name, text string
		o          wr.Options
		want       []string
	}{
		{"wr", "0 ok wx1\n1 ok rx1", wr.Options{}, []string{"wr T1 T3 x 1 null"}},
		{"wr of info", "0 info wx1\n1 ok rx1", wr.Options{}, []string{"wr T1 T3 x 1 null"}},
		{"rw of nil", "0 ok wx1\n1 ok rx_", wr.Options{}, []string{"rw T3 T1 x null 1"}},
		{"rw of nil to info", "0 info wx1\n1 ok rx_", wr.Options{}, []string{"rw T3 T1 x null 1"}},
		{"not to fail", "0 fail wx1\n1 ok rx_", wr.Options{}, []string{}},
		{"not of an inner write", "0 ok wx1 wx2\n1 ok rx1", wr.Options{}, []string{}},
		{"no order", "0 ok wx1\n1 ok wx2", wr.Options{}, []string{}},
		{"wfr", "0 ok wx1\n1 ok rx1 wx2\n2 ok rx1", wr.Options{WritesFollowReads: true},
			[]string{"rw T5 T3 x 1 2", "wr T1 T3 x 1 null", "wr T1 T5 x 1 null", "ww T1 T3 x 1 2"}},
		{"not by default", "0 ok wx1\n1 ok rx1 wx2", wr.Options{}, []string{"wr T1 T3 x 1 null"}},
		{"sequential", "0 ok wx1\n0 ok wy1\n0 ok wx2\n1 ok wx3", wr.Options{Sequential: true}, []string{"ww T1 T5 x 1 2"}},
		{"sequential reads", "0 ok 0 1 wx1\n1 ok 2 3 wx2\n2 ok 4 5 rx1\n2 ok 6 7 rx2", wr.Options{Sequential: true},
			[]string{"rw T5 T3 x 1 2", "wr T1 T5 x 1 null", "wr T3 T7 x 2 null", "ww T1 T3 x 1 2"}},
		{"sequential, but crashed", "0 info wx1\n0 ok wx2\n0 info wx3", wr.Options{Sequential: true}, []string{}},
		{"linearizable", "0 ok wx1\n1 ok wx2", wr.Options{Linearizable: true}, []string{"ww T1 T3 x 1 2"}},
		{"concurrent", "0 ok 0 3 wx1\n1 ok 1 2 wx2", wr.Options{Linearizable: true}, []string{}},
		{"after info", "0 info 0 1 wx1\n1 ok 2 3 wx2", wr.Options{Linearizable: true}, []string{}},
		{"before info", "0 ok 0 1 wx1\n1 info 2 3 wx2", wr.Options{Linearizable: true}, []string{"ww T1 T3 x 1 2"}},
		{"given", "0 ok wx1\n0 ok wx2\n1 ok wx3", wr.Options{Orders: map[string][]string{"x": {"2", "7", "1", "3"}}}, []string{"ww T1 T5 x 1 3", "ww T3 T1 x 2 1"}},
	} {
		l := history(t, c.text)
		in, err := wr.Infer(l, c.o)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, edges(l, in)); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

func TestCyclicVersions(t *testing.T) {
	for _, c := range []struct {
		name, text string
		o          wr.Options
		want       string
	}{
		{"linearizable", "0 ok wx1\n0 ok rx2\n0 ok rx1", wr.Options{Linearizable: true}, "garbage-read x T3: 2; cyclic-versions x T1 T3 T5: 1 2 " +
			"linearizable-keys: T1, which met 1, was completed before T3, which met 2, was invoked; linearizable-keys: T3, which met 2, was completed before T5, which met 1, was invoked"},
		{"back to nil", "0 ok wx1\n1 ok rx_", wr.Options{Linearizable: true}, "cyclic-versions x T1 T3: null 1 " +
			"initial-state: nil comes first; linearizable-keys: T1, which met 1, was completed before T3, which met nil, was invoked"},
		{"back to nil elsewhere", "0 ok wx1\n1 ok rx_", wr.Options{Sequential: true}, ""},
		{"sequential", "0 ok wx1\n1 ok wx2\n2 ok rx2\n2 ok rx1\n3 ok rx1\n3 ok rx2", wr.Options{Sequential: true}, "cyclic-versions x T9 T11 T5 T7 T1 T3: 1 2 " +
			"sequential-keys: one process met 1 in T9 and then 2 in T11; sequential-keys: one process met 2 in T5 and then 1 in T7"},
		{"wfr", "0 ok rx2 wx1\n1 ok rx1 wx2", wr.Options{WritesFollowReads: true}, "cyclic-versions x T1 T3: 2 1 " +
			"wfr-keys: T1 read 2 before it wrote 1; wfr-keys: T3 read 1 before it wrote 2"},
		{"given", "0 ok wx1\n1 ok rx1 wx2", wr.Options{WritesFollowReads: true, Orders: map[string][]string{"x": {"2", "1"}}}, "cyclic-versions x T3 T1: 1 2 " +
			"wfr-keys: T3 read 1 before it wrote 2; version-order: the database says 2, 1"},
		{"reads while concurrent", "0 ok 0 5 wx1\n1 ok 1 4 rx1\n2 ok 2 3 rx_", wr.Options{Linearizable: true}, ""},
	} {
		l := history(t, c.text)
		in, err := wr.Infer(l, c.o)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(found(l, in), "; "); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		"0 ok wx1\n1 ok wx1":   "both T1 and T3 write 1",
		"0 ok wx1\n1 info wx1": "both T1 and T3 write 1",
		"0 ok wx_":             "T1 writes nil",
	} {
		if _, err := wr.Infer(history(t, text), wr.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// TestWideInitialVersions: many stale reads of a hot key cost no more than they
// must, and what is left out is said.
func TestWideInitialVersions(t *testing.T) {
	var text strings.Builder
	const n = 3000
	var order []string
	for i := range n {
		order = append(order, strconv.Itoa(i+1))
		fmt.Fprintf(&text, "0 ok wx%d\n1 ok rx_\n", i+1)
	}
	in, err := wr.Infer(history(t, text.String()), wr.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(in.Edges) > 60*n || len(in.Open) != 1 {
		t.Errorf("%d edges, open: %q", len(in.Edges), in.Open)
	}
	in, err = wr.Infer(history(t, text.String()), wr.Options{Orders: map[string][]string{"x": order}})
	if err != nil {
		t.Fatal(err)
	}
	rw := 0
	for _, e := range in.Edges {
		if e.Head.Class() == graph.RW {
			rw++
		}
	}
	if rw > 2*n || len(in.Open) != 0 {
		t.Errorf("in order: %d rw edges, open: %q", rw, in.Open)
	}
}
