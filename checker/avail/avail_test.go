package avail_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/checker/avail"
	"github.com/capstan-dev/capstan/history"
)

// builder makes histories: every call takes 10 ms.
type builder struct{ h history.History }

func (b *builder) event(at time.Duration, process int, k history.Kind, f, node, value string) {
	b.h.Events = append(b.h.Events, history.Event{Index: len(b.h.Events), Time: at, Process: process,
		Kind: k, F: f, Node: node, Value: json.RawMessage(value)})
}

func (b *builder) call(at time.Duration, process int, node string, k history.Kind) {
	b.event(at, process, history.Invoke, "read", node, "null")
	b.event(at+10*time.Millisecond, process, k, "read", node, "1")
}

func (b *builder) fault(at time.Duration, verb string) {
	d, _ := json.Marshal(history.FaultDetail{ID: 1, Fault: "partition:one", Proven: true,
		Sides: map[string]string{"n1": "minority", "n2": "majority"}})
	b.event(at, history.Nemesis, history.Invoke, verb+"-partition", "", string(d))
	b.event(at+time.Millisecond, history.Nemesis, history.Info, verb+"-partition", "", string(d))
}

const s = time.Second

func example() *history.History {
	b := &builder{}
	b.call(1*s, 0, "n1", history.OK)
	b.call(1*s+20*time.Millisecond, 1, "n2", history.OK)
	b.fault(2*s, "start")
	b.call(3*s, 0, "n1", history.Info)
	b.call(3*s+20*time.Millisecond, 1, "n2", history.OK)
	b.call(4*s, 10, "n1", history.Fail)
	b.call(4*s+20*time.Millisecond, 1, "n2", history.OK)
	b.fault(6*s, "stop")
	b.call(7*s, 10, "n1", history.Fail)
	b.call(8*s, 10, "n1", history.OK)
	b.call(9*s, 1, "n2", history.OK)
	return &b.h
}

func TestMeasure(t *testing.T) {
	r, err := avail.Measure(example())
	if err != nil {
		t.Fatal(err)
	}
	want := []avail.Rate{
		{"before", "all", "read", avail.Counts{OK: 2}},
		{"during faults", "majority", "read", avail.Counts{OK: 2}},
		{"during faults", "minority", "read", avail.Counts{Fail: 1, Info: 1}},
		{"after heals", "all", "read", avail.Counts{OK: 2, Fail: 1}},
	}
	if len(r.Totals) != len(want) {
		t.Fatalf("totals %+v", r.Totals)
	}
	for i := range want {
		if r.Totals[i] != want[i] {
			t.Errorf("total %d: got %+v, want %+v", i, r.Totals[i], want[i])
		}
	}
	rec := r.Recovery[0].Nodes
	heal := 6*s + time.Millisecond
	if rec["n1"] != 8*s+10*time.Millisecond-heal || rec["n2"] != 9*s+10*time.Millisecond-heal {
		t.Errorf("recovery %v", rec)
	}
	for _, x := range r.Silences {
		if x.Phase == "fault 1 partition:one" && x.Side == "minority" && (x.From != 3*s || x.Length != heal-3*s) {
			t.Errorf("the minority was silent from 3s to the heal, got %+v", x)
		}
		if x.Side == "majority" && x.Length != 10*time.Millisecond {
			t.Errorf("nobody asked the majority between its calls, got %+v", x)
		}
	}
	for _, l := range r.Latency {
		if !near(l.P50, 10*time.Millisecond) || !near(l.Max, 10*time.Millisecond) || l.Service != l.Quantiles {
			t.Errorf("latency %+v", l)
		}
	}
}

// near allows for the three digits of a histogram.
func near(a, b time.Duration) bool { return max(a-b, b-a) <= b/1000 }

// The time that a call waited for a free client counts.
func TestLatencyFromTheIntendedStart(t *testing.T) {
	h := &history.History{Events: []history.Event{
		{Index: 0, Time: 5 * time.Second, Due: time.Second, Process: 0, F: "read"},
		{Index: 1, Time: 6 * time.Second, Process: 0, Kind: history.OK, F: "read"},
	}}
	r, err := avail.Measure(h)
	if err != nil || len(r.Latency) != 1 {
		t.Fatal(r.Latency, err)
	}
	if l := r.Latency[0]; !near(l.P99, 5*time.Second) || !near(l.Service.P99, time.Second) {
		t.Errorf("latency %+v", l)
	}
}

func TestHistoryWithoutFaultsIsOnePhase(t *testing.T) {
	b := &builder{}
	b.call(s, 0, "", history.OK)
	r, err := avail.Measure(&b.h)
	if err != nil || len(r.Rates) != 1 || r.Rates[0] != (avail.Rate{Phase: "run", Side: "all", F: "read", Counts: avail.Counts{OK: 1}}) {
		t.Errorf("got %+v, %v", r.Rates, err)
	}
}

func TestEveryCallIsCountedOnce(t *testing.T) {
	r, err := avail.Measure(example())
	if err != nil {
		t.Fatal(err)
	}
	for name, rates := range map[string][]avail.Rate{"rates": r.Rates, "totals": r.Totals} {
		n := 0
		for _, x := range rates {
			n += x.Total()
		}
		if n != 9 {
			t.Errorf("%s count %d of 9 calls", name, n)
		}
	}
}

func TestMeasureRefusesWhatDoesNotPairUp(t *testing.T) {
	b := &builder{}
	b.event(s, 0, history.Invoke, "read", "n1", "null")
	b.event(2*s, 0, history.Invoke, "read", "n1", "null")
	if _, err := avail.Measure(&b.h); err == nil {
		t.Error("two calls of a process at a time gave no error")
	}
	b = &builder{}
	b.event(s, 0, history.OK, "read", "n1", "1")
	if _, err := avail.Measure(&b.h); err == nil {
		t.Error("completions without invocations gave no error")
	}
}
