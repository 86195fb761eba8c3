package lock

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/workloads"
	"github.com/capstan-dev/capstan/workloads/gen"
)

// memory has locks with leases, on the clock of the simulation.
type memory struct {
	now    time.Duration
	owner  map[int]string
	until  map[int]time.Duration
	lists  map[int][]int
	token  map[int]int64 // the last one given
	seen   map[int]int64 // the greatest that came with a save
	fenced bool
	broken bool // everybody gets every lock
}

func newMemory() *memory {
	return &memory{owner: map[int]string{}, until: map[int]time.Duration{}, lists: map[int][]int{}, token: map[int]int64{}, seen: map[int]int64{}}
}

func (*memory) Close() error { return nil }

func (m *memory) Acquire(_ context.Context, key int, owner string, lease time.Duration) (int64, bool, error) {
	if m.owner[key] != "" && m.until[key] > m.now && !m.broken {
		return 0, false, nil
	}
	m.owner[key], m.until[key] = owner, m.now+lease
	if m.token[key]++; m.fenced {
		return m.token[key], true, nil
	}
	return 0, true, nil
}

func (m *memory) Release(_ context.Context, key int, owner string) error {
	if m.owner[key] == owner {
		m.owner[key] = ""
	}
	return nil
}

func (m *memory) Load(_ context.Context, key int) ([]int, error) { return m.lists[key], nil }

func (m *memory) Save(_ context.Context, key int, list []int, token int64) (bool, error) {
	if token != 0 && token < m.seen[key] {
		return false, nil
	}
	m.seen[key], m.lists[key] = token, list
	return true, nil
}

// run plays the workload for so long on a store, in which nothing takes time
// but the call itself, and judges what came of it.
func run(t *testing.T, o Options, m *memory, d time.Duration) (exclusion, protected checker.Result, events []history.Event) {
	t.Helper()
	w := New(o)
	c, err := w.Bind(m)
	if err != nil {
		t.Fatal(err)
	}
	p := workloads.Params{Seed: 5, Concurrency: 10, Nodes: 3}
	r := &recorder{t: t, m: m, c: c}
	r.drive(gen.TimeLimit(d, w.Source(p)), 10)
	r.drive(w.Final(p), 10)
	checks, err := w.Checks()
	if err != nil {
		t.Fatal(err)
	}
	h := &history.History{Events: r.events}
	return checker.Run(t.Context(), checks[0], h), checker.Run(t.Context(), checks[1], h), r.events
}

// recorder runs a source one call after the other, a millisecond each, on the
// store's clock.
type recorder struct {
	t      *testing.T
	m      *memory
	c      workloads.Client
	events []history.Event
}

func (r *recorder) drive(src gen.Source, workers int) {
	var v gen.View
	for w := range workers {
		v.All, v.Free, v.Processes = append(v.All, w), append(v.Free, w), append(v.Processes, w)
	}
	for {
		v.Now = r.m.now
		step, st := src.Next(v)
		switch {
		case st == gen.Done:
			return
		case st == gen.Wait && step.At == history.Forever:
			r.t.Fatal("the source waits for nothing")
		case st == gen.Wait:
			r.m.now = max(step.At, r.m.now+time.Microsecond)
			continue
		}
		e := history.Event{Index: len(r.events), Time: r.m.now, Process: step.Worker, F: step.F, Value: step.Value}
		r.events = append(r.events, e)
		src.Observe(step.Worker, e)
		r.m.now += time.Millisecond
		value, err := r.c.Invoke(context.Background(), step.Op)
		e.Kind, e.Index, e.Time = history.OK, e.Index+1, r.m.now
		if value != nil {
			e.Value = value
		}
		if err != nil {
			if !errors.Is(err, history.ErrUnmet) {
				r.t.Fatalf("%s %s: %v", step.F, step.Value, err)
			}
			e.Kind, e.Err = history.Fail, err.Error()
		}
		r.events = append(r.events, e)
		src.Observe(step.Worker, e)
		v.Free = append(slices.DeleteFunc(v.Free, func(w int) bool { return w == step.Worker }), step.Worker)
	}
}

func TestLocksThatAreKept(t *testing.T) {
	ex, lists, events := run(t, Options{}, newMemory(), 20*time.Second)
	if ex.Verdict != checker.Valid || lists.Verdict != checker.Valid {
		t.Errorf("%v: %s; %v: %s", ex.Verdict, ex.Reason, lists.Verdict, lists.Reason)
	}
	keys := map[int]bool{}
	for _, e := range events {
		key, _, err := gen.SplitKeyed(e.Value)
		if err != nil {
			t.Fatal(err)
		}
		keys[key] = true
	}
	if len(keys) < 5 {
		t.Errorf("only %d locks were used: they do not rotate", len(keys))
	}
}

func TestAPauseLongerThanTheLease(t *testing.T) {
	o := Options{Pause: 3 * time.Second}
	ex, lists, _ := run(t, o, newMemory(), 30*time.Second)
	if ex.Verdict != checker.Invalid || lists.Verdict != checker.Invalid || lists.Anomalies[0].Kind != "lost-update" {
		t.Errorf("%v: %s; %v: %s", ex.Verdict, ex.Reason, lists.Verdict, lists.Reason)
	}
	m := newMemory()
	m.fenced, o.Fenced = true, true
	ex, lists, _ = run(t, o, m, 30*time.Second)
	var d struct{ Overlaps, Tokens int }
	if err := json.Unmarshal(ex.Data, &d); err != nil {
		t.Fatal(err)
	}
	if ex.Verdict != checker.Valid || lists.Verdict != checker.Valid || d.Overlaps == 0 {
		t.Errorf("fenced: %v: %s; %v: %s; %s", ex.Verdict, ex.Reason, lists.Verdict, lists.Reason, ex.Data)
	}
	// A pause within the lease does no harm.
	ex, lists, _ = run(t, Options{Pause: time.Second}, newMemory(), 30*time.Second)
	if ex.Verdict != checker.Valid || lists.Verdict != checker.Valid {
		t.Errorf("%v: %s; %v: %s", ex.Verdict, ex.Reason, lists.Verdict, lists.Reason)
	}
}

func TestALockThatEverybodyGets(t *testing.T) {
	m := newMemory()
	m.broken = true
	ex, lists, _ := run(t, Options{}, m, 5*time.Second)
	if ex.Verdict != checker.Invalid || lists.Verdict != checker.Invalid {
		t.Errorf("%v: %s; %v: %s", ex.Verdict, ex.Reason, lists.Verdict, lists.Reason)
	}
}
