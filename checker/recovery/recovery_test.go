package recovery_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/checker/linear/spec/spectest"
	"github.com/capstan-dev/capstan/checker/recovery"
	"github.com/capstan-dev/capstan/history"
)

// call is one call as the tests know it.
type call struct {
	process            int
	node, f            string
	begin, end, due    time.Duration
	kind               history.Kind
	err                string
	value              int
	invoked, completed int // indexes
}

func (c call) answered() bool {
	return c.kind == history.OK || strings.HasPrefix(c.err, history.ErrUnmet.Error())
}

type fault struct{ begin, end time.Duration }

func record(calls []call, faults []fault) *history.History {
	h := &history.History{}
	type mark struct {
		event history.Event
		to    *int
	}
	var all []mark
	for i := range calls {
		c := &calls[i]
		in, out := "null", "null"
		if c.f == "write" {
			in = fmt.Sprint(c.value)
			out = in
		} else {
			out = fmt.Sprint(c.value)
		}
		e := history.Event{Time: c.begin, Due: c.due, Process: c.process, Node: c.node, F: c.f, Value: []byte(in)}
		all = append(all, mark{e, &c.invoked})
		e.Time, e.Due, e.Kind, e.Err, e.Value = c.end, 0, c.kind, c.err, []byte(out)
		all = append(all, mark{e, &c.completed})
	}
	for i, f := range faults {
		d, _ := json.Marshal(history.FaultDetail{ID: i + 1, Fault: "partition:one", Proven: true,
			Sides: map[string]string{"n1": "minority", "n2": "majority"}})
		for _, v := range []struct {
			at   time.Duration
			verb string
		}{{f.begin, "start-partition"}, {f.end, "stop-partition"}} {
			for _, k := range []history.Kind{history.Invoke, history.Info} {
				all = append(all, mark{history.Event{Time: v.at, Process: history.Nemesis, Kind: k, F: v.verb, Value: d}, new(int)})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b mark) int { return cmp.Compare(a.event.Time, b.event.Time) })
	for i, m := range all {
		*m.to, m.event.Index = i, i
		h.Events = append(h.Events, m.event)
	}
	return h
}

func random(r *rand.Rand) ([]call, []fault) {
	var calls []call
	for p := range 4 {
		now := time.Duration(r.IntN(5))
		c := call{process: p, node: fmt.Sprint("n", 1+p%2)}
		for range 6 + r.IntN(8) {
			c.f = []string{"read", "read", "write"}[r.IntN(3)]
			c.begin = now + 1 + time.Duration(r.IntN(6))
			c.end = c.begin + 1 + time.Duration(r.IntN(8))
			c.due = max(0, c.begin-time.Duration(r.IntN(3)))
			c.kind, c.err, c.value = history.OK, "", r.IntN(3)
			switch r.IntN(12) {
			case 0:
				c.kind = history.Info
			case 1:
				c.kind, c.err = history.Fail, "refused"
			case 2:
				c.kind, c.err = history.Fail, "open connection to n: refused"
			case 3:
				c.kind, c.err = history.Fail, history.ErrUnmet.Error()
			}
			calls = append(calls, c)
			now = c.end
			if c.kind == history.Info {
				c.process += 4
			}
		}
	}
	var faults []fault
	at := time.Duration(10 + r.IntN(20))
	for range 1 + r.IntN(2) {
		f := fault{at, at + time.Duration(r.IntN(25))}
		faults = append(faults, f)
		at = f.end + 1 + time.Duration(r.IntN(40))
	}
	slices.SortStableFunc(calls, func(a, b call) int { return cmp.Compare(a.begin, b.begin) })
	return calls, faults
}

// times are a row's moments after the heal; -1 is absent.
type times struct {
	Calls, Errors                                  int
	First, Pooled, Fresh, Last, Steady, Back, Base time.Duration
}

func after(t *testing.T, m recovery.Moment) time.Duration {
	t.Helper()
	if (m.After == nil) != (m.Absent != "") || (m.After == nil) != (m.Event == nil) {
		t.Fatalf("neither told nor explained: %+v", m)
	}
	if m.After == nil {
		return -1
	}
	return *m.After
}

// twin computes a row from the definitions; in says which calls are of it.
func twin(calls []call, before, heal, until time.Duration, begin time.Duration, run, window int, in func(call) bool) times {
	out := times{First: -1, Pooled: -1, Fresh: -1, Last: -1, Steady: -1, Back: -1}
	var base []time.Duration
	var list []call
	for _, c := range calls {
		switch {
		case !in(c):
		case c.begin >= before && c.begin < begin && c.end <= begin && c.answered():
			base = append(base, c.latency())
		case c.begin >= heal && c.begin < until:
			if c.end > until {
				c.end, c.kind, c.err = until, history.Info, ""
			}
			list = append(list, c)
		}
	}
	slices.SortStableFunc(list, func(a, b call) int { return cmp.Compare(a.end, b.end) })
	out.Calls = len(list)
	first := func(to *time.Duration, c call) {
		if *to < 0 {
			*to = c.end - heal
		}
	}
	for i, c := range list {
		if c.answered() {
			first(&out.First, c)
			if opened(calls, c) < heal {
				first(&out.Pooled, c)
			} else {
				first(&out.Fresh, c)
			}
		}
		if out.Steady < 0 && i+run <= len(list) && !slices.ContainsFunc(list[i:i+run], func(c call) bool { return !c.answered() }) {
			out.Steady = c.end - heal
			if i > 0 {
				out.Last = list[i-1].end - heal
			}
			for _, e := range list[:i] {
				if !e.answered() {
					out.Errors++
				}
			}
		}
	}
	if out.Steady < 0 {
		for _, c := range list {
			if !c.answered() {
				out.Errors++
			}
		}
	}
	if len(base) < window {
		return out
	}
	slices.Sort(base)
	out.Base = base[(len(base)-1)/2]
	for i := 0; i+window <= len(list) && out.Back < 0; i++ {
		part := list[i : i+window]
		if slices.ContainsFunc(part, func(c call) bool { return !c.answered() }) {
			continue
		}
		var l []time.Duration
		for _, c := range part {
			l = append(l, c.latency())
		}
		slices.Sort(l)
		if l[(window-1)/2] > 2*out.Base {
			continue
		}
		out.Back = part[slices.IndexFunc(part, func(c call) bool { return c.latency() <= 2*out.Base })].end - heal
	}
	return out
}

func (c call) latency() time.Duration {
	if c.due > 0 {
		return c.end - c.due
	}
	return c.end - c.begin
}

// opened is when the connection of a call was.
func opened(calls []call, of call) time.Duration {
	at := time.Duration(-1)
	for _, c := range calls {
		if c.process != of.process || c.begin > of.begin {
			continue
		}
		if at < 0 {
			at = c.begin
		}
		if c.begin < of.begin && strings.HasPrefix(c.err, "open connection") {
			at = -1
		}
	}
	return at
}

// replicasTwin computes the agreement on the one key from the definitions.
func replicasTwin(calls []call, f fault, until time.Duration) (out struct {
	Keys, Agree, Differ, Unread int
	Agreed, Disagreed           time.Duration
}) {
	out.Agreed, out.Disagreed = -1, -1
	quiet, next := f.end, history.Forever
	for _, c := range calls {
		if c.f != "write" || c.kind == history.Fail {
			continue
		}
		if c.begin >= f.end {
			next = min(next, c.begin)
			continue
		}
		if c.begin >= f.begin {
			out.Keys = 1
		}
		if quiet = max(quiet, c.begin); c.kind == history.OK {
			quiet = max(quiet, c.end)
		}
	}
	if out.Keys == 0 {
		return out
	}
	var reads []call
	for _, c := range calls {
		if c.f == "read" && c.kind == history.OK && c.begin > quiet && c.end < next && c.end <= until {
			reads = append(reads, c)
		}
	}
	last := map[string]call{}
	for _, c := range reads {
		last[c.node] = c
	}
	a, b := last["n1"], last["n2"]
	switch {
	case len(last) < 2:
		out.Unread = 1
		return out
	case a.value != b.value:
		out.Differ = 1
		return out
	}
	out.Agree = 1
	for n := range last {
		since := time.Duration(-1)
		for i, c := range reads {
			if c.node == n && !slices.ContainsFunc(reads[i:], func(x call) bool { return x.node == n && x.value != a.value }) && (since < 0 || c.end < since) {
				since = c.end
			}
		}
		out.Agreed = max(out.Agreed, since-f.end)
	}
	for _, c := range reads {
		if c.value != a.value {
			out.Disagreed = max(out.Disagreed, c.end-f.end)
		}
	}
	return out
}

func TestTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	some := map[string]int{}
	for i := range spectest.Histories(t) / 5 {
		calls, faults := random(r)
		h := record(calls, faults)
		rep, ok, err := recovery.Measure(t.Context(), h, recovery.Options{Run: 3, Window: 4})
		if err != nil || !ok || len(rep.Faults) != len(faults) {
			t.Fatal(ok, err, rep)
		}
		end := h.Events[len(h.Events)-1].Time
		for k, f := range rep.Faults {
			before, until := time.Duration(0), end+1 // what is invoked at the end is of the last phase
			if k > 0 {
				before = faults[k-1].end
			}
			if k+1 < len(faults) {
				until = faults[k+1].begin
			}
			if f.Absent != "" {
				some["absent"]++
				continue
			}
			for _, row := range f.Rows {
				got := times{row.Calls, row.Errors, after(t, row.First), after(t, row.Pooled), after(t, row.Fresh),
					after(t, row.LastError), after(t, row.Steady), after(t, row.Latency), row.Baseline}
				want := twin(calls, before, faults[k].end, until, faults[k].begin, 3, 4, func(c call) bool {
					return row.By == recovery.All || row.Name == c.node || row.Name == c.f ||
						row.Name == map[string]string{"n1": "minority", "n2": "majority"}[c.node]
				})
				if got != want {
					t.Fatalf("history %d, fault %d, %s %s: got %+v, want %+v\n%+v %+v", i, k, row.By, row.Name, got, want, calls, faults)
				}
				v := reflect.ValueOf(got)
				for j := range v.NumField() {
					if v.Field(j).Int() > 0 {
						some[v.Type().Field(j).Name]++
					}
				}
			}
			want := replicasTwin(calls, faults[k], until)
			got := want
			p := f.Replicas
			got.Keys, got.Agree, got.Differ, got.Unread = p.Keys, p.Agree, p.Differ, p.Unread
			got.Agreed, got.Disagreed = after(t, p.Agreed), after(t, p.Disagreed)
			if got != want {
				t.Fatalf("history %d, fault %d: got %+v, want %+v\n%+v %+v", i, k, got, want, calls, faults)
			}
			some["agree"] += p.Agree
			some["differ"] += p.Differ
			some["unread"] += p.Unread
			some["late"] += p.Late
		}
	}
	t.Log(some)
	for _, what := range []string{"First", "Pooled", "Fresh", "Last", "Steady", "Back", "agree", "differ", "unread", "late"} {
		if some[what] < spectest.Histories(t)/500 {
			t.Errorf("%s was reached %d times", what, some[what])
		}
	}
}

func TestNeverHealedIsAbsent(t *testing.T) {
	calls, _ := random(rand.New(rand.NewPCG(1, 1)))
	h := record(calls, []fault{{5, 100_000}})
	h.Events = h.Events[:len(h.Events)-2]
	rep, ok, err := recovery.Measure(t.Context(), h, recovery.Options{})
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	f := rep.Faults[0]
	if f.Absent != "the fault was never healed" || len(f.Rows) != 0 || f.Replicas.Agreed.Absent == "" || f.Proven {
		t.Errorf("%+v", f)
	}
	b, err := json.Marshal(f)
	if err != nil || strings.Contains(string(b), "after_ns") {
		t.Errorf("%s %v", b, err)
	}
}

func TestWithoutFaults(t *testing.T) {
	calls, _ := random(rand.New(rand.NewPCG(1, 1)))
	if _, ok, err := recovery.Measure(t.Context(), record(calls, nil), recovery.Options{}); ok || err != nil {
		t.Error(ok, err)
	}
}

// Whatever the history, there is an answer, and each moment is told or explained.
func FuzzMeasure(f *testing.F) {
	f.Add([]byte("calls and faults in any order"))
	f.Fuzz(func(t *testing.T, data []byte) {
		h := &history.History{}
		open := map[int]bool{}
		for i, b := range data {
			e := history.Event{Index: i, Time: time.Duration(i / 2), Process: int(b%5) - 1, Node: []string{"", "n1", "n2"}[b/5%3], F: "read", Value: []byte{'0' + b%3}}
			switch {
			case e.Process < 0:
				e.F = []string{"start-partition", "stop-partition", "kill", "start"}[b/16%4]
				e.Kind = []history.Kind{history.Invoke, history.Info}[b/64%2]
				e.Value = fmt.Appendf(nil, `{"id":%d,"proven":true}`, b/128)
			case open[e.Process]:
				e.Kind = history.Kind(1 + b/16%3)
				delete(open, e.Process)
			default:
				open[e.Process] = true
			}
			h.Events = append(h.Events, e)
		}
		rep, _, err := recovery.Measure(t.Context(), h, recovery.Options{Run: 2, Window: 2})
		if err != nil {
			return
		}
		for _, x := range rep.Faults {
			for _, r := range x.Rows {
				for _, m := range []recovery.Moment{r.First, r.Pooled, r.Fresh, r.LastError, r.Steady, r.Latency, x.Replicas.Agreed, x.Replicas.Disagreed} {
					if d := after(t, m); d < -1 {
						t.Errorf("%+v", r)
					}
				}
			}
		}
	})
}

func BenchmarkMeasure(b *testing.B) {
	for _, n := range []int{1e3, 1e4, 1e5, 1e6} {
		r := rand.New(rand.NewPCG(1, 1))
		var calls []call
		for i := range n {
			c := call{process: i % 10, node: fmt.Sprint("n", 1+i%2), f: []string{"read", "write"}[r.IntN(2)], begin: time.Duration(10 * i), kind: history.OK, value: i}
			c.end = c.begin + 1 + time.Duration(r.IntN(95))
			if r.IntN(10) == 0 {
				c.kind = history.Fail
			}
			calls = append(calls, c)
		}
		span := time.Duration(n)
		h := record(calls, []fault{{span, 2 * span}, {4 * span, 5 * span}, {7 * span, 8 * span}})
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, ok, err := recovery.Measure(b.Context(), h, recovery.Options{}); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}
