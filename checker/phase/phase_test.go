package phase_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/checker/phase"
	"github.com/capstan-dev/capstan/history"
)

// faulty makes a history of faults: [begin, end] in seconds, with sides.
func faulty(faults ...history.Window) *history.History {
	var h history.History
	add := func(w history.Window, at time.Duration, kind history.Kind, verb string, proven bool) {
		d := w.FaultDetail
		d.Proven = proven
		b, err := json.Marshal(d)
		if err != nil {
			panic(err)
		}
		h.Events = append(h.Events, history.Event{Time: at, Process: history.Nemesis, Kind: kind, F: verb + "-x", Value: b})
	}
	for _, w := range faults {
		add(w, w.Begin, history.Invoke, "start", false)
		add(w, w.Begin+1, history.Info, "start", true)
		add(w, w.End-1, history.Invoke, "stop", false)
		add(w, w.End, history.Info, "stop", true)
	}
	h.Events = append(h.Events, history.Event{Time: 100 * time.Second, Kind: history.Invoke, F: "read"})
	slices.SortStableFunc(h.Events, func(a, b history.Event) int { return int(a.Time - b.Time) })
	for i := range h.Events {
		h.Events[i].Index = i
	}
	return &h
}

func fault(id int, from, to int, sides map[string]string) history.Window {
	return history.Window{FaultDetail: history.FaultDetail{ID: id, Fault: fmt.Sprint("f", id), Sides: sides},
		Begin: time.Duration(from) * time.Second, End: time.Duration(to) * time.Second}
}

func TestFaultsThatOverlapAreOne(t *testing.T) {
	l := phase.Of(faulty(
		fault(1, 10, 20, map[string]string{"n1": "minority", "n2": "majority", "n3": "majority"}),
		fault(2, 15, 30, map[string]string{"n1": "majority", "n2": "minority", "n3": "bridge"}),
		fault(3, 40, 50, nil),
	))
	var got []string
	for _, p := range l.Phases {
		got = append(got, fmt.Sprintf("%s %v-%v", p.Name, p.From, p.To))
	}
	want := []string{"before 0s-10s", "fault 1 f1 + f2 10s-30s", "after fault 1 30s-40s", "fault 3 f3 40s-50s", "after fault 3 50s-1m40s"}
	if !slices.Equal(got, want) {
		t.Errorf("phases %q, want %q", got, want)
	}
	in := l.At(12 * time.Second)
	for n, side := range map[string]string{"n1": "minority", "n2": "minority", "n3": "bridge", "": "all"} {
		if s := l.Side(in, n); s != side {
			t.Errorf("%q is on side %s, want %s", n, s, side)
		}
	}
	if !l.Windows[0].Proven || !l.Windows[0].Healed {
		t.Errorf("both were proven: %+v", l.Windows[0])
	}
}

func TestOneUnprovenFaultMakesBothUnproven(t *testing.T) {
	h := faulty(fault(1, 10, 20, nil), fault(2, 15, 30, nil))
	for i := range h.Events {
		if e := &h.Events[i]; e.Kind == history.Info && e.Time == 15*time.Second+1 {
			e.Value = json.RawMessage(`{"id":2,"fault":"f2","proven":false,"proof":"open"}`)
			e.Err = "did not bite"
		}
	}
	if w := phase.Of(h).Windows[0]; w.Proven || !w.Healed {
		t.Errorf("proven %v, healed %v", w.Proven, w.Healed)
	}
}
