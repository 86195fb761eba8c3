package weak

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/history"
)

// TestSequentialStore: stores with one order of writes are sequential whatever
// their replicas' lag, as long as nobody reads his own writes late.
func TestSequentialStore(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 3))
		s := shape{ops: 2000, processes: 2 + 2*r.IntN(6), keys: 1 + r.IntN(30), lag: int64(r.IntN(900)), crash: []float64{0, .01}[r.IntN(2)]}
		ops, init := simulate(r, s)
		c := judged(t, ops, init)
		if c.states[Sequential] != holds {
			t.Fatalf("seed %d, %+v: sequential is %d (%s): %+v", seed, s, c.states[Sequential], c.why[Sequential], c.found)
		}
	}
}

// TestPlanted plants one violation each of a session guarantee; the witness
// has to stand by itself.
func TestPlanted(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 4))
		ops, init := simulate(r, shape{ops: 2000, processes: 10, keys: 1 + r.IntN(5), lag: 100, crash: .005})
		planted := plant(r, ops)
		if planted == "" {
			continue
		}
		c := judged(t, ops, init)
		if c.states[planted] != refuted {
			t.Fatalf("seed %d: planted not %s: %v", seed, planted, c.states)
		}
		for m, v := range c.found {
			var sub []Op
			for _, i := range v.ops {
				sub = append(sub, c.t.ops[i])
			}
			alone := judged(t, sub, init)
			if alone.states[m] != refuted && alone.states[MonotonicReads] != refuted {
				t.Fatalf("seed %d: the witness against %s is allowed by itself: %q\n%s", seed, m, v.say, show(sub))
			}
			if len(v.ops) > 16 {
				t.Errorf("seed %d: a witness of %d operations against %s", seed, len(v.ops), m)
			}
		}
	}
}

// plant makes a reader see an old value again, or a value of the same writer
// that is older than the last one seen.
func plant(r *rand.Rand, ops []Op) string {
	type place struct{ process, key int32 }
	seen := map[place][]int32{}
	writer := map[int32]int32{}
	for i := range ops {
		o := &ops[i]
		if o.Set != None {
			writer[o.Set] = o.Process
		}
		if o.See == None || o.Crashed {
			continue
		}
		p := place{o.Process, o.Key}
		values := seen[p]
		if n := len(values); i > len(ops)/2 && n > 3 && r.IntN(3) == 0 {
			last := values[n-1]
			for _, v := range slices.Backward(values[:n-1]) {
				if v != last && v != 0 {
					o.See = v
					return MonotonicReads
				}
			}
		}
		seen[p] = append(values, o.See)
	}
	return ""
}

func judged(t *testing.T, ops []Op, init []int32) *court {
	t.Helper()
	c, err := judge(context.Background(), ops, init, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestLaws: a crash instead of the last completion, a crashed write of a fresh
// value, and a read left out at the end refute nothing.
func TestLaws(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 3000 {
		ops, init := random(r)
		before := judged(t, ops, init)
		less := slices.Clone(ops)
		less[len(less)-1].Crashed, less[len(less)-1].Return = true, Never
		more := append(slices.Clone(ops), Op{Process: 99, See: None, Set: 777, Call: ops[len(ops)-1].Call, Return: Never, Crashed: true})
		changes := map[string][]Op{"the last operation crashed": less, "a crashed write of a fresh value": more}
		if ops[len(ops)-1].Set == None {
			changes["one read less"] = ops[:len(ops)-1]
		}
		for name, changed := range changes {
			after := judged(t, changed, init)
			for _, m := range Models() {
				if before.states[m] == holds && after.states[m] != holds {
					t.Fatalf("%s: with %s it is %d\n%s", m, name, after.states[m], show(changed))
				}
			}
		}
	}
}

// TestLaggingReplica is the example of the literature on session guarantees:
// writers ask the primary, readers a replica that is behind.
func TestLaggingReplica(t *testing.T) {
	ops, init := simulate(rand.New(rand.NewPCG(7, 7)), shape{ops: 20000, processes: 10, keys: 1, lag: 500})
	r, err := Classify(context.Background(), recorded(ops, init), Options{Linearizable: "invalid"})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.Strongest, []string{Sequential}) || !slices.Equal(r.AlsoRefuted, []string{Linearizable}) {
		t.Errorf("strongest %v, refuted %v, also %v", r.Strongest, r.Refuted, r.AlsoRefuted)
	}
	for _, s := range r.Sessions {
		if s.Violations != 0 {
			t.Errorf("%+v", s)
		}
	}
}

// recorded is the history of operations.
func recorded(ops []Op, init []int32) *history.History {
	type event struct {
		at   int64
		end  bool
		op   int
		kind history.Kind
	}
	var events []event
	for i, o := range ops {
		events = append(events, event{o.Call, false, i, history.Invoke})
		if !o.Crashed {
			events = append(events, event{o.Return, true, i, history.OK})
		}
	}
	slices.SortStableFunc(events, func(a, b event) int {
		if a.at != b.at {
			return int(a.at - b.at)
		}
		if a.end != b.end && !a.end {
			return -1
		}
		return 0
	})
	h := &history.History{Events: make([]history.Event, 0, len(events))}
	text := func(v int32) string {
		if v == 0 {
			return "null"
		}
		return fmt.Sprint(v)
	}
	for _, e := range events {
		o := &ops[e.op]
		f, v := "read", "null"
		switch {
		case o.See != None && o.Set != None:
			f, v = "cas", "["+text(o.See)+","+text(o.Set)+"]"
		case o.Set != None:
			f, v = "write", text(o.Set)
		case e.end:
			v = text(o.See)
		}
		if len(init) > 1 {
			v = fmt.Sprintf("[%d,%s]", o.Key, v)
		}
		h.Events = append(h.Events, history.Event{Index: len(h.Events), Time: time.Duration(e.at) * time.Microsecond, Process: int(o.Process), Node: fmt.Sprint("n", o.Node+1), Kind: e.kind, F: f, Value: json.RawMessage(v)})
	}
	return h
}

func TestCheckers(t *testing.T) {
	h := parse(t, "0@n1 write x 1\n0@n1 write x 2\n1@n2 read x 2\n1@n3 read x 1\n")
	want := map[string]checker.Verdict{Sequential: checker.Invalid, CausalMemory: checker.Invalid, CausalConvergence: checker.Invalid, Causal: checker.Invalid, PRAM: checker.Invalid, MonotonicWrites: checker.Invalid}
	for _, m := range Models() {
		c, err := New(m, Options{})
		if err != nil {
			t.Fatal(err)
		}
		res := checker.Run(context.Background(), c, h)
		if res.Verdict != want[m] || res.Name != m || Describe(m) == "" {
			t.Errorf("%s: %+v", m, res)
		}
	}
	if _, err := New("sequentail", Options{}); err == nil {
		t.Error("an unknown model")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	ops, init := simulate(rand.New(rand.NewPCG(1, 1)), shape{ops: 5000, processes: 4, keys: 50, lag: 300, local: true})
	c, err := judge(ctx, ops, init, Options{})
	if err != nil || c.states[Sequential] != open || c.why[Sequential] == "" {
		t.Errorf("without time: %v, %v, %v", c.states, c.why, err)
	}
	if c, err = judge(context.Background(), ops, init, Options{Memory: 1000}); err != nil || c.states[Causal] != open {
		t.Errorf("without memory: %v, %v, %v", c.states, c.why, err)
	}
}

func FuzzAgainstBruteForce(f *testing.F) {
	for seed := range uint64(5) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		ops, init := random(rand.New(rand.NewPCG(seed, 9)))
		decided(t, ops, init)
	})
}

func BenchmarkClassify(b *testing.B) {
	for _, n := range []int{1e3, 1e4, 1e5, 1e6} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			h := recorded(simulate(rand.New(rand.NewPCG(1, 2)), shapes(n)["stray-keys"]))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Classify(context.Background(), h, Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
