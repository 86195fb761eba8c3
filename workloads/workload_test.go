package workloads_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/checker"
	counters "github.com/capstan-dev/capstan/checker/counter"
	"github.com/capstan-dev/capstan/checker/linear"
	growing "github.com/capstan-dev/capstan/checker/monotonic"
	"github.com/capstan-dev/capstan/checker/sets"
	transactions "github.com/capstan-dev/capstan/checker/txn"
	"github.com/capstan-dev/capstan/checker/txn/infer/wr"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/workloads"
	"github.com/capstan-dev/capstan/workloads/bank"
	"github.com/capstan-dev/capstan/workloads/counter"
	"github.com/capstan-dev/capstan/workloads/gen"
	"github.com/capstan-dev/capstan/workloads/ids"
	"github.com/capstan-dev/capstan/workloads/lock"
	"github.com/capstan-dev/capstan/workloads/longfork"
	"github.com/capstan-dev/capstan/workloads/monotonic"
	"github.com/capstan-dev/capstan/workloads/register"
	"github.com/capstan-dev/capstan/workloads/sequential"
	"github.com/capstan-dev/capstan/workloads/set"
	"github.com/capstan-dev/capstan/workloads/txn"
	"github.com/capstan-dev/capstan/workloads/watch"
	"github.com/capstan-dev/capstan/workloads/writeskew"
)

func all() []workloads.Workload {
	return []workloads.Workload{register.New(linear.Options{}), set.New(sets.Options{}), counter.New(counters.Options{}), bank.New(), lock.New(lock.Options{}),
		monotonic.New(func() (checker.Checker, error) { return growing.New("") }), writeskew.New(), longfork.New(), sequential.New(), ids.New(), watch.New(),
		txn.Append(func() (checker.Checker, error) { return transactions.NewListAppend("") }),
		txn.WR(func() (checker.Checker, error) { return transactions.NewRWRegister("", wr.Options{}) })}
}

// memory implements every verb, in one place.
type memory struct {
	kv       map[int]int
	set      []int
	count    int
	balances []int
	owners   map[int]string
	lists    map[int][]int
	rows     map[int]bool
	written  []int
}

func (m *memory) Close() error { return nil }
func (m *memory) Read(_ context.Context, k int) (int, bool, error) {
	v, ok := m.kv[k]
	return v, ok, nil
}
func (m *memory) Write(_ context.Context, k, v int) error { m.kv[k] = v; return nil }
func (m *memory) CAS(_ context.Context, k, old, v int) (register.Swap, error) {
	if now, ok := m.kv[k]; !ok || now != old {
		return register.Found(now, ok), nil
	}
	m.kv[k] = v
	return register.Swap{Done: true}, nil
}
func (m *memory) Add(_ context.Context, x int) error     { m.set = append(m.set, x); return nil }
func (m *memory) ReadAll(context.Context) ([]int, error) { return m.set, nil }
func (m *memory) AddTo(_ context.Context, d int) error   { m.count += d; return nil }
func (m *memory) Get(context.Context) (int, error)       { return m.count, nil }

func (m *memory) OpenAccounts(_ context.Context, n, balance int) error {
	if m.balances == nil {
		m.balances = slices.Repeat([]int{balance}, n)
	}
	return nil
}
func (m *memory) Transfer(_ context.Context, from, to, amount int) (bool, error) {
	if m.balances[from] < amount {
		return false, nil
	}
	m.balances[from] -= amount
	m.balances[to] += amount
	return true, nil
}
func (m *memory) Balances(context.Context) ([]int, error) { return m.balances, nil }

func (m *memory) Acquire(_ context.Context, key int, owner string, _ time.Duration) (int64, bool, error) {
	if m.owners[key] != "" {
		return 0, false, nil
	}
	m.owners[key] = owner
	return 0, true, nil
}
func (m *memory) Release(_ context.Context, key int, owner string) error {
	if m.owners[key] == owner {
		delete(m.owners, key)
	}
	return nil
}
func (m *memory) Load(_ context.Context, key int) ([]int, error) { return m.lists[key], nil }
func (m *memory) Save(_ context.Context, key int, list []int, _ int64) (bool, error) {
	m.lists[key] = list
	return true, nil
}

func (m *memory) Increment(_ context.Context, key int) (int, error) {
	m.kv[key]++
	return m.kv[key], nil
}
func (m *memory) ReadMany(_ context.Context, keys []int) ([]int, error) {
	var out []int
	for _, k := range keys {
		out = append(out, m.kv[k])
	}
	return out, nil
}

func (m *memory) InsertUnless(_ context.Context, key, _, _ int) (bool, error) {
	done := !m.rows[key]
	m.rows[key] = true
	return done, nil
}

func (m *memory) NextID(context.Context) (string, error) {
	m.count++
	return fmt.Sprint("id", m.count), nil
}

func (m *memory) WriteWatched(_ context.Context, v int) error {
	m.written = append(m.written, v)
	return nil
}
func (m *memory) Watch(_ context.Context, after int64) ([]int, int64, error) {
	return m.written[after:], int64(len(m.written)), nil
}

func (m *memory) AppendTxn(_ context.Context, mops []txn.Mop) ([]txn.Mop, error) {
	for i := range mops {
		if o := &mops[i]; o.F == "append" {
			m.lists[o.Key] = append(m.lists[o.Key], o.Value)
		} else {
			o.List = slices.Clone(m.lists[o.Key])
		}
	}
	return mops, nil
}
func (m *memory) WriteTxn(_ context.Context, mops []txn.Mop) ([]txn.Mop, error) {
	for i := range mops {
		if o := &mops[i]; o.F == "w" {
			m.kv[o.Key] = o.Value
		} else {
			o.Value, o.Known = m.kv[o.Key]
		}
	}
	return mops, nil
}

func newMemory() *memory {
	return &memory{kv: map[int]int{}, owners: map[int]string{}, lists: map[int][]int{}, rows: map[int]bool{}}
}

// bound is a workload's client of a memory of its own, prepared.
func bound(t *testing.T, w workloads.Workload) workloads.Client {
	t.Helper()
	m := newMemory()
	if p, ok := w.(workloads.Preparer); ok {
		for range 2 { // again is fine
			if err := p.Prepare(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
	}
	client, err := w.Bind(m)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// TestOfAMemoryNothingIsWrong runs every workload on a store that does one thing
// after the other.
func TestOfAMemoryNothingIsWrong(t *testing.T) {
	for _, w := range all() {
		client := bound(t, w)
		p := workloads.Params{Seed: 1, Concurrency: 6, Nodes: 3}
		r := &run{Workload: w, client: client, t: t, kinds: map[history.Kind]int{}}
		r.drive(gen.Limit(1000, w.Source(p)))
		main := len(r.events)
		r.drive(w.Final(p))
		// Of two inserts for a key one is refused, and of several who want a
		// lock all but one.
		least := map[string]int{"write-skew": 500, "lock": 200}
		if ok := r.kinds[history.OK]; main != 2000 || ok < cmp.Or(least[w.Name()], 700) || len(r.events) == main {
			t.Errorf("%s: %d events and %d final ones, %v", w.Name(), main, len(r.events)-main, r.kinds)
		}
		checks, err := w.Checks()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range checks {
			if res := checker.Run(t.Context(), c, &history.History{Events: r.events}); res.Verdict != checker.Valid {
				t.Errorf("%s: %s: %s", w.Name(), c.Name(), res.Reason)
			}
		}
	}
}

// run plays a workload against a client, one call after the other behind those
// that are in flight.
type run struct {
	workloads.Workload
	client workloads.Client
	t      *testing.T
	events []history.Event
	kinds  map[history.Kind]int
}

func (r *run) drive(src gen.Source) {
	before := len(r.events)
	var last time.Duration
	if before > 0 {
		last = r.events[before-1].Time
	}
	for _, e := range gen.Simulate(src, gen.Imaginary{Workers: 6, Until: time.Hour, Answer: r.answer}) {
		e.Index += before
		e.Time += last
		r.events = append(r.events, e)
	}
}

func (r *run) answer(op gen.Op, _ int) (history.Kind, json.RawMessage) {
	value, err := r.client.Invoke(context.Background(), op)
	if value == nil {
		value = op.Value
	}
	kind := history.OK
	switch {
	case errors.Is(err, history.ErrUnmet):
		kind = history.Fail
	case err != nil:
		r.t.Errorf("%s: %s %s: %v", r.Name(), op.F, op.Value, err)
		kind = history.Info
	}
	r.kinds[kind]++
	return kind, value
}

func TestBindSaysWhatIsMissing(t *testing.T) {
	for _, w := range all() {
		if _, err := w.Bind(io.NopCloser(strings.NewReader(""))); err == nil {
			t.Errorf("%s binds to a connection without verbs", w.Name())
		}
		if cs, err := w.Checks(); err != nil || len(cs) == 0 {
			t.Errorf("%s has checks %v, %v", w.Name(), cs, err)
		}
	}
	// A typed nil is enough to ask.
	for _, w := range all() {
		if _, err := w.Bind((*memory)(nil)); err != nil {
			t.Error(err)
		}
	}
}

func TestUnknownOrMalformedOperationsHaveNoEffect(t *testing.T) {
	for _, w := range all() {
		client := bound(t, w)
		for _, op := range []gen.Op{{F: "nonsense", Value: json.RawMessage("[1,2]")}, {F: "add", Value: json.RawMessage(`"x"`)},
			{F: "write", Value: json.RawMessage("[1,null,2]")}, {F: "cas", Value: json.RawMessage("[1,3]")}} {
			if _, err := client.Invoke(context.Background(), op); !errors.Is(err, history.ErrNotApplied) {
				t.Errorf("%s: %s %s: %v", w.Name(), op.F, op.Value, err)
			}
		}
	}
}

func TestRegisterValuesAreUniquePerKey(t *testing.T) {
	w := all()[0]
	seen := map[string]bool{}
	events := gen.Simulate(gen.Limit(5000, w.Source(workloads.Params{Seed: 3, Concurrency: 10, Nodes: 5})),
		gen.Imaginary{Workers: 10, Until: time.Hour})
	for _, e := range events {
		if e.Kind != history.Invoke || e.F == "read" {
			continue
		}
		key, v, err := gen.SplitKeyed(e.Value)
		if err != nil {
			t.Fatal(err)
		}
		var pair [2]int
		if e.F == "cas" && json.Unmarshal(v, &pair) == nil {
			v = fmt.Append(nil, pair[1])
		}
		id := fmt.Sprint(key, "=", string(v))
		if seen[id] {
			t.Fatalf("value %s is written twice", id)
		}
		seen[id] = true
	}
}

func TestRegisterFinalReadsEveryKeyThroughEveryNode(t *testing.T) {
	w := all()[0]
	p := workloads.Params{Seed: 3, Concurrency: 10, Nodes: 5}
	keys := map[string]bool{}
	for _, e := range gen.Simulate(gen.Limit(1050, w.Source(p)), gen.Imaginary{Workers: 10, Until: time.Hour}) {
		key, _, _ := gen.SplitKeyed(e.Value)
		keys[fmt.Sprint(key)] = true
	}
	reads := map[string]int{}
	for _, e := range gen.Simulate(w.Final(p), gen.Imaginary{Workers: 10, Until: time.Hour}) {
		if e.Kind == history.Invoke {
			key, _, _ := gen.SplitKeyed(e.Value)
			reads[fmt.Sprint(key, " by node ", e.Process%5)]++
		}
	}
	if len(keys) < 5 || len(reads) != 5*len(keys) {
		t.Errorf("%d keys, %d reads of key and node", len(keys), len(reads))
	}
}
