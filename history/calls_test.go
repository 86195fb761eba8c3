package history_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/capstan-dev/capstan/history"
)

// short reads lines like "0 invoke write [1,2] !error", nemesis as process -1.
// The time is the line's number in milliseconds.
func short(t *testing.T, text string) *history.History {
	t.Helper()
	h := &history.History{}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		n := len(h.Events)
		e := history.Event{Index: n, Time: time.Duration(n) * time.Millisecond, F: f[2], Value: raw("null")}
		if _, err := fmt.Sscan(f[0], &e.Process); err != nil {
			t.Fatal(err)
		}
		if err := e.Kind.UnmarshalText([]byte(f[1])); err != nil {
			t.Fatal(err)
		}
		for _, w := range f[3:] {
			if err, ok := strings.CutPrefix(w, "!"); ok {
				e.Err = err
			} else {
				e.Value = raw(w)
			}
		}
		h.Events = append(h.Events, e)
	}
	return h
}

func TestPairsMalformed(t *testing.T) {
	for text, want := range map[string]string{
		"0 invoke read\n0 invoke read":               "event 1 (process 0, invoke read): the process invokes again while its call of event 0 is in flight",
		"0 invoke read\n0 ok write":                  "event 1 (process 0, ok write): completes read, which was invoked at event 0",
		"0 invoke read\n1 ok read":                   "event 1 (process 1, ok read): the process has no call in flight",
		"0 invoke read\n0 ok read\n0 ok read":        "event 2 (process 0, ok read): the process has no call in flight",
		"0 invoke read\n0 info read\n0 info read":    "event 2",
		"-1 invoke start-x\n0 invoke read\n1 info x": "event 2",
	} {
		_, err := history.Pairs(short(t, text))
		var m *history.MalformedError
		if !errors.As(err, &m) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

func TestCalls(t *testing.T) {
	calls, err := history.Calls[int, *int](short(t, `
		0 invoke write 3
		1 invoke read
		-1 invoke start-partition
		0 info write 3 !timeout
		1 ok read 3
		2 invoke read
		1 invoke write 4
		1 fail write 4 !refused`))
	if err != nil {
		t.Fatal(err)
	}
	three := 3
	ms := time.Millisecond
	want := []history.Call[int, *int]{
		{Process: 0, F: "write", In: 3, Start: 0, End: history.Forever, Outcome: history.Info, Invoke: 0, Complete: 3, Err: "timeout"},
		{Process: 1, F: "read", Out: &three, Start: ms, End: 4 * ms, Outcome: history.OK, Invoke: 1, Complete: 4},
		{Process: 2, F: "read", Start: 5 * ms, End: history.Forever, Outcome: history.Info, Invoke: 5, Complete: -1},
		{Process: 1, F: "write", In: 4, Start: 6 * ms, End: 7 * ms, Outcome: history.Fail, Invoke: 6, Complete: 7, Err: "refused"},
	}
	if diff := cmp.Diff(want, calls); diff != "" {
		t.Error(diff)
	}
	keyed, err := history.Calls[int, int](short(t, "0 invoke write [7,3]\n0 ok write [7,3]\n1 invoke read [\"a\",null]\n1 ok read [\"a\",5]"))
	if err != nil || keyed[0].Key != "7" || keyed[0].In != 3 || keyed[1].Key != `"a"` || keyed[1].Out != 5 {
		t.Errorf("keyed: %+v, %v", keyed, err)
	}
	if _, err := history.Calls[int, int](short(t, `0 invoke write "x"`)); err == nil || !strings.Contains(err.Error(), "event 0 (invoke write)") {
		t.Errorf("got %v", err)
	}
	back := short(t, "0 invoke write 1\n0 info write 1\n0 invoke read\n0 ok read 1")
	if p, err := history.Pairs(back); err != nil || len(p) != 2 || p[0].Outcome() != history.Info || p[1].Outcome() != history.OK {
		t.Errorf("a process that comes back: %v, %v", p, err)
	}
	only := short(t, "0 ok txn [[\"r\",1,[1]]]\n0 ok txn []")
	if p, err := history.Pairs(only); err != nil || len(p) != 2 || p[0].Invoke != nil || !history.CompletionOnly(only) {
		t.Errorf("completion-only: %v, %v", p, err)
	}
}

func TestKeyed(t *testing.T) {
	for text, want := range map[string]bool{
		"0 invoke write [1,2]\n0 ok write [1,2]\n1 invoke read [1,null]": true,
		"0 invoke cas [1,[2,3]]":                         true,
		"0 invoke cas [2,3]":                             false,
		"0 invoke cas [2,3]\n1 invoke read":              false,
		"0 invoke add 1\n1 invoke read\n1 ok read [1,2]": false,
		"0 invoke txn [[\"r\",1,null],[\"r\",2,null]]":   false,
		"0 ok write [1,2]":                               true,
		"0 ok read [1,2]\n0 ok add 3":                    false,
		"":                                               false,
		"-1 info x [1,2]":                                false,
		"0 invoke acquire [\"k\",null]":                  true,
		"0 invoke write [[1],2]":                         false,
		"0 invoke write [[1],2]\n0 ok write [[1],2]\n0 invoke read [[3],null]": true,
		"0 invoke txn [[\"r\",1,null],[\"w\",2,3]]":                            false,
		"0 invoke write [1,2,3]":                                               false,
	} {
		if got := history.Keyed(short(t, text)); got != want {
			t.Errorf("%q: keyed is %v", text, got)
		}
	}
	for text, mixed := range map[string]bool{
		"0 invoke read [1,null]\n1 invoke read":             true,
		"0 invoke read [1,null]\n1 invoke cas [1,2]":        true,
		"0 invoke read [1,null]\n1 invoke write [1,null]":   false,
		"0 invoke read\n1 invoke cas [1,2]\n1 ok cas [1,2]": false,
	} {
		if err := history.CheckKeys(short(t, text)); (err != nil) != mixed {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestSplitKeys(t *testing.T) {
	h := short(t, `
		0 invoke write [5,1]
		1 invoke read ["a",null]
		-1 info start
		0 ok write [5,1]
		1 ok read ["a",[1,2]]
		0 invoke read [5,null]
		0 info read !timeout`)
	h.Events[0].Value = raw("[ 5, 1 ]")
	var got []string
	for _, k := range history.SplitKeys(h) {
		for _, e := range k.History.Events {
			got = append(got, fmt.Sprintf("%s: %d %v %s", k.Key, e.Index, e.Kind, e.Value))
		}
	}
	want := []string{"5: 0 invoke 1", "5: 3 ok 1", "5: 5 invoke null", "5: 6 info null", `"a": 1 invoke null`, `"a": 4 ok [1,2]`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func detail(t *testing.T, d history.FaultDetail) json.RawMessage {
	t.Helper()
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWindows(t *testing.T) {
	var h history.History
	add := func(at int, k history.Kind, f, err string, d history.FaultDetail) {
		h.Events = append(h.Events, history.Event{
			Index: len(h.Events), Time: time.Duration(at), Process: history.Nemesis, Kind: k, F: f, Err: err, Value: detail(t, d),
		})
	}
	one := history.FaultDetail{ID: 1, Fault: "partition:primary"}
	in := one
	in.Proven, in.Sides = true, map[string]string{"n1": "minority"}
	last := one
	last.Proven, last.State, last.Proof = true, history.InForce, "still cut"
	gone := one
	gone.Proven, gone.State = true, history.Healed
	two := history.FaultDetail{ID: 2, Fault: "kill"}
	add(10, history.Invoke, "start-partition", "", one)
	add(12, history.Info, "start-partition", "", in)
	add(15, history.Invoke, "start-kill", "", two)
	add(16, history.Info, "start-kill", "no such process", two)
	add(20, history.Invoke, "stop-partition", "", last)
	add(25, history.Info, "stop-partition", "", gone)
	add(30, history.Invoke, "start-pause", "", history.FaultDetail{ID: 3, Fault: "pause"})
	want := []history.Window{
		{FaultDetail: in, Begin: 10, Start: 12, Stop: 20, End: 25, Events: []int{0, 1, 4, 5}, Healed: true, Started: true, Stopped: true,
			Last: last, After: gone},
		{FaultDetail: two, Begin: 15, Start: 16, Stop: 30, End: 30, Events: []int{2, 3}, StartErr: "no such process", Started: true},
		{FaultDetail: history.FaultDetail{ID: 3, Fault: "pause"}, Begin: 30, Start: 30, Stop: 30, End: 30, Events: []int{6}},
	}
	if diff := cmp.Diff(want, history.Windows(&h)); diff != "" {
		t.Error(diff)
	}
	cut := history.History{Events: h.Events[:5]} // killed before the heal was done
	for i := range h.Events {                    // as it comes back from EDN
		h.Events[i].Kind = history.Info
	}
	if diff := cmp.Diff(want, history.Windows(&h)); diff != "" {
		t.Errorf("without Invoke: %s", diff)
	}
	if w := history.Windows(&cut)[0]; w.Healed || !w.Stopped || w.Last.Proof != "still cut" {
		t.Errorf("a heal that was only begun: %+v", w)
	}
}

func TestForeignWindows(t *testing.T) {
	h := short(t, `
		-1 info start
		-1 info start [:isolated]
		-1 info stop
		-1 info stop
		-1 info kill
		-1 info kill
		-1 info start
		-1 info start
		-1 info start-partition
		-1 info stop-partition
		-1 info pause
		-1 info pause
		-1 info check-offsets`)
	var got []string
	for _, w := range history.Windows(h) {
		got = append(got, fmt.Sprint(w.Fault, " ", int(w.Begin/1e6), int(w.Start/1e6), int(w.Stop/1e6), int(w.End/1e6), " ", w.Foreign, w.Proven, w.Stopped))
	}
	want := []string{
		"start 0 1 2 3 true false true", "kill 4 5 6 7 true false true",
		"partition 8 8 9 9 true false true", "pause 10 11 12 12 true false false",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
