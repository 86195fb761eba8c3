package workloads_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	counters "github.com/capstan-dev/capstan/checker/counter"
	"github.com/capstan-dev/capstan/checker/linear"
	"github.com/capstan-dev/capstan/checker/sets"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/workloads"
	"github.com/capstan-dev/capstan/workloads/counter"
	"github.com/capstan-dev/capstan/workloads/gen"
	"github.com/capstan-dev/capstan/workloads/register"
	"github.com/capstan-dev/capstan/workloads/set"
)

func all() []workloads.Workload {
	return []workloads.Workload{register.New(linear.Options{}), set.New(sets.Options{}), counter.New(counters.Options{})}
}

// memory implements every verb, in one place.
type memory struct {
	kv    map[int]int
	set   []int
	count int
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
func (m *memory) ReadAll(context.Context) ([]int, error) { return m.set, nil }

// setMemory and countMemory give Add its two meanings.
type setMemory struct{ *memory }

func (m setMemory) Add(_ context.Context, x int) error { m.set = append(m.set, x); return nil }

type countMemory struct{ *memory }

func (m countMemory) AddTo(_ context.Context, d int) error { m.count += d; return nil }
func (m countMemory) Get(context.Context) (int, error)   { return m.count, nil }
func newMemory() *memory                                 { return &memory{kv: map[int]int{}} }
func conns() map[string]io.Closer {
	return map[string]io.Closer{"register": newMemory(), "set": setMemory{newMemory()}, "counter": countMemory{newMemory()}}
}

func TestEveryGeneratedOperationIsUnderstood(t *testing.T) {
	for _, w := range all() {
		client, err := w.Bind(conns()[w.Name()])
		if err != nil {
			t.Fatal(err)
		}
		p := workloads.Params{Seed: 1, Concurrency: 6, Nodes: 3}
		ok := 0
		im := gen.Imaginary{Workers: 6, Until: time.Hour, Outcome: func(op gen.Op, _ int) history.Kind {
			_, err := client.Invoke(context.Background(), op)
			switch {
			case err == nil:
				ok++
				return history.OK
			case errors.Is(err, history.ErrUnmet):
				return history.Fail
			}
			t.Errorf("%s: %s %s: %v", w.Name(), op.F, op.Value, err)
			return history.Info
		}}
		gen.Simulate(gen.Limit(1000, w.Source(p)), im)
		finals := gen.Simulate(w.Final(p), im)
		if ok < 700 || len(finals) == 0 {
			t.Errorf("%s: %d of 1000 operations ok, %d final events", w.Name(), ok, len(finals))
		}
	}
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
	if _, err := all()[0].Bind((*memory)(nil)); err != nil {
		t.Error(err)
	}
}

func TestUnknownOrMalformedOperationsHaveNoEffect(t *testing.T) {
	for _, w := range all() {
		client, err := w.Bind(conns()[w.Name()])
		if err != nil {
			t.Fatal(err)
		}
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
