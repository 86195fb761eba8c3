package wgl_test

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/checker/linear/objects"
	"github.com/capstan-dev/capstan/checker/linear/spec"
	"github.com/capstan-dev/capstan/checker/linear/spec/spectest"
	"github.com/capstan-dev/capstan/checker/linear/wgl"
)

func decide(ops []spec.Op[in, out]) spec.Finding[out] {
	return wgl.Decide(register(), ops, spec.Budget{})
}

func TestDiffer(t *testing.T) {
	s := subject()
	s.Decide = decide
	s.Differ(t, spectest.Histories(t), 1)
}

// TestDifferDistinct has writes of distinct values, on which the search for
// blind writes goes back most often.
func TestDifferDistinct(t *testing.T) {
	s := subject()
	s.In = func(r *rand.Rand, i int) in {
		if r.IntN(5) == 0 {
			return in{verb: cas, old: r.Int32N(int32(i + 1)), new: int32(i + 1)}
		}
		return distinct(r, i)
	}
	s.Mutate = func(r *rand.Rand, i in, o out) out {
		o.seen = r.Int32N(12)
		return o
	}
	s.Decide = decide
	s.Differ(t, spectest.Histories(t), 2)
}

func TestOrderOfOperationsDoesNotMatter(t *testing.T) {
	s := subject()
	r := rand.New(rand.NewPCG(5, 7))
	s.Decide = func(ops []spec.Op[in, out]) spec.Finding[out] {
		r.Shuffle(len(ops), func(i, j int) { ops[i], ops[j] = ops[j], ops[i] })
		f := decide(ops)
		if f.Outcome == spec.Legal {
			if err := spec.Verify(ops, f.Order, f.Assumed, object()); err != nil {
				t.Fatal(err)
			}
		}
		return spec.Finding[out]{Outcome: spec.Undecided, Why: f.Outcome.String()}
	}
	for range spectest.Histories(t) / 10 {
		ops := s.Random(r)
		want := decide(ops).Outcome
		if got := s.Decide(slices.Clone(ops)).Why; got != want.String() {
			t.Fatalf("%v, but %v if shuffled:\n%s", want, got, spectest.Format(ops))
		}
	}
}

// prefix is the history up to a moment.
func prefix[In, Out any](ops []spec.Op[In, Out], until int64) []spec.Op[In, Out] {
	var kept []spec.Op[In, Out]
	for _, o := range ops {
		if o.Call > until {
			continue
		}
		if o.Return > until {
			var none Out
			o.Return, o.Crashed, o.Out = spec.Never, true, none
		}
		kept = append(kept, o)
	}
	return kept
}

// frontier checks what Decide promises of Frontier, for n random histories.
// exact: unfinished operations can do but what they turn out to do.
func frontier[S, In, Out any](t *testing.T, s spectest.Subject[S, In, Out], n int, exact bool) {
	r := rand.New(rand.NewPCG(11, 7))
	seen := 0
	for range n {
		ops := s.Random(r)
		f := wgl.Decide(s.Model, ops, spec.Budget{})
		if f.Outcome != spec.Illegal {
			continue
		}
		seen++
		var returns []int64
		next, last := int64(spec.Never), int64(0)
		for _, o := range ops {
			if !o.Crashed {
				returns = append(returns, o.Return)
			}
			if o.Call > f.Frontier {
				next = min(next, o.Call)
			} else if !o.Crashed {
				last = max(last, o.Return)
			}
		}
		slices.Sort(returns)
		end, ok := slices.BinarySearchFunc(returns, 0, func(at int64, _ int) int {
			if spectest.Brute(s.Model, prefix(ops, at)) {
				return -1
			}
			return 1
		})
		if ok || end == len(returns) {
			t.Fatalf("no prefix is illegal:\n%s", spectest.Format(ops))
		}
		if e := returns[end]; e < f.Frontier || e > last || exact && e >= next {
			t.Fatalf("frontier %d, but the shortest illegal prefix ends at %d:\n%s", f.Frontier, e, spectest.Format(ops))
		}
		called := slices.DeleteFunc(slices.Clone(ops), func(o spec.Op[In, Out]) bool { return o.Call > f.Frontier })
		if spectest.Brute(s.Model, called) {
			t.Fatalf("what was called by %d is legal:\n%s", f.Frontier, spectest.Format(ops))
		}
	}
	if seen < n/20 {
		t.Errorf("only %d of %d histories are illegal", seen, n)
	}
}

func TestFrontier(t *testing.T) {
	n := spectest.Histories(t) / 10
	plain := subject()
	plain.Prepare = func(ops []spec.Op[in, out]) []spec.Op[in, out] {
		return slices.DeleteFunc(ops, func(o spec.Op[in, out]) bool {
			return o.In.verb == read && o.Crashed || o.In.verb == cas && !o.Crashed && !o.Out.ok
		})
	}
	t.Run("no failed cas", func(t *testing.T) { frontier(t, plain, n, true) })
	t.Run("register", func(t *testing.T) { frontier(t, subject(), n, false) })
	t.Run("queue", func(t *testing.T) {
		frontier(t, queue(objects.Queue()), n, false)
	})
}

// queue makes a subject of a model whose states only its package knows.
func queue[S any](m spec.Model[S, objects.In, int32]) spectest.Subject[S, objects.In, int32] {
	return spectest.Subject[S, objects.In, int32]{
		Model: m,
		In: func(r *rand.Rand, i int) objects.In {
			return objects.In{Verb: objects.Verb(r.IntN(2)), Value: int32(i)}
		},
		Mutate: func(r *rand.Rand, i objects.In, o int32) int32 {
			if i.Verb == objects.Take {
				o = r.Int32N(8)
			}
			return o
		},
	}
}

// TestSimulated decides longer histories, with crashes.
func TestSimulated(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 7))
		shape := spectest.Shape{Ops: 2000, Clients: 2 + int(seed)%7, Crash: float64(seed%3) / 100}
		ops := spectest.Simulate(r, register(), repeated, shape)
		f := decide(ops)
		if f.Outcome != spec.Legal {
			t.Fatalf("seed %d: %v %s", seed, f.Outcome, f.Why)
		}
		if err := spec.Verify(ops, f.Order, f.Assumed, object()); err != nil {
			t.Fatal(err)
		}
		ops = spectest.Simulate(r, register(), repeated, spectest.Shape{Ops: 300, Clients: 2 + int(seed)%4})
		spoil(ops)
		f = decide(ops)
		if f.Outcome != spec.Illegal {
			t.Fatalf("seed %d, spoiled: %v %s", seed, f.Outcome, f.Why)
		}
		called := slices.DeleteFunc(ops, func(o spec.Op[in, out]) bool { return o.Call > f.Frontier })
		if got := spec.Porcupine(register(), called, time.Minute); got != spec.Illegal {
			t.Fatalf("seed %d: what was called by the frontier is %v", seed, got)
		}
	}
}

// TestLaws: what leaves more room for an order never makes a legal history
// illegal.
func TestLaws(t *testing.T) {
	s, r := subject(), rand.New(rand.NewPCG(13, 7))
	for range spectest.Histories(t) / 10 {
		ops := s.Random(r)
		if decide(ops).Outcome != spec.Legal {
			continue
		}
		later := slices.Clone(ops)
		if o := &later[r.IntN(len(ops))]; !o.Crashed {
			o.Return += r.Int64N(20)
		}
		more := append(slices.Clone(ops), spec.Op[in, out]{In: few(r, 0), Call: r.Int64N(20), Return: spec.Never, Crashed: true})
		for name, changed := range map[string][]spec.Op[in, out]{"completed later": later, "one more crashed": more} {
			if got := decide(changed).Outcome; got != spec.Legal {
				t.Fatalf("%s: legal became %v:\n%s", name, got, spectest.Format(changed))
			}
		}
	}
}

// hard takes exponential time: many writes at once, and a read of none of them.
func hard(writes int) []spec.Op[in, out] {
	var ops []spec.Op[in, out]
	for k := range writes {
		ops = append(ops, spec.Op[in, out]{In: in{verb: write, new: int32(k + 1)}, Call: int64(k), Return: 1000 + int64(k)})
	}
	return append(ops, spec.Op[in, out]{In: in{verb: read}, Out: out{seen: -7}, Call: 100, Return: 2000})
}

func TestBudgets(t *testing.T) {
	stop := &atomic.Bool{}
	stop.Store(true)
	for _, c := range []struct {
		budget spec.Budget
		why    string
	}{
		{spec.Budget{Stop: stop}, spec.OutOfTime},
		{spec.Budget{Bytes: 1 << 20}, spec.OutOfMemory},
		{spec.Budget{Steps: 10_000}, spec.OutOfSteps},
	} {
		f := wgl.Decide(register(), hard(30), c.budget)
		if f.Outcome != spec.Undecided || f.Why != c.why {
			t.Errorf("got %v, %q, want %q", f.Outcome, f.Why, c.why)
		}
	}
	if f := wgl.Decide(register(), hard(8), spec.Budget{Stop: &atomic.Bool{}, Bytes: 1 << 20, Steps: 1e6}); f.Outcome != spec.Illegal {
		t.Errorf("got %v, %q", f.Outcome, f.Why)
	}
}

// TestBytesCountStates: a stack's states refer to memory.
func TestBytesCountStates(t *testing.T) {
	var ops []spec.Op[objects.In, int32]
	for k := range int32(20) {
		ops = append(ops, spec.Op[objects.In, int32]{In: objects.In{Verb: objects.Put, Value: k}, Return: 10})
	}
	ops = append(ops, spec.Op[objects.In, int32]{In: objects.In{Verb: objects.Take}, Out: 77, Return: 10})
	if f := wgl.Decide(objects.Stack(), ops, spec.Budget{Bytes: 1 << 20}); f.Why != spec.OutOfMemory {
		t.Errorf("got %v, %q", f.Outcome, f.Why)
	}
}

func TestOddInputs(t *testing.T) {
	if f := decide(nil); f.Outcome != spec.Legal || len(f.Order) > 0 {
		t.Errorf("no operations: %+v", f)
	}
	crashed := []spec.Op[in, out]{{In: in{verb: write, new: 1}, Return: spec.Never, Crashed: true}}
	if f := decide(crashed); f.Outcome != spec.Legal || len(f.Order) > 0 {
		t.Errorf("only a crashed operation: %+v", f)
	}
	if f := decide([]spec.Op[in, out]{{Call: 2, Return: 1}}); f.Outcome != spec.Inapplicable {
		t.Errorf("an interval that ends before it begins: %+v", f)
	}
}

// TestTwins: of many equal operations at once each order is as good as any
// other, so that their number does not matter.
func TestTwins(t *testing.T) {
	var ops []spec.Op[objects.Permits, bool]
	for k := range int64(200) {
		ops = append(ops, spec.Op[objects.Permits, bool]{In: 1, Out: true, Return: 1000 + k})
	}
	f := wgl.Decide(objects.Semaphore(199), ops, spec.Budget{Steps: 1e6})
	if f.Outcome != spec.Illegal {
		t.Errorf("got %v, %q", f.Outcome, f.Why)
	}
	for k := range ops { // crashed ones too
		ops[k].Crashed, ops[k].Return = true, spec.Never
	}
	ops = append(ops, spec.Op[objects.Permits, bool]{In: 100, Out: true, Return: 7}, spec.Op[objects.Permits, bool]{In: 200, Out: false, Call: 8, Return: 9})
	f = wgl.Decide(objects.Semaphore(301), ops, spec.Budget{Steps: 1e6})
	if f.Outcome != spec.Legal || len(f.Order) != 4 {
		t.Errorf("got %v, %q, %v", f.Outcome, f.Why, f.Order)
	}
}

func byCall(a, b spec.Op[in, out]) int { return cmp.Compare(a.Call, b.Call) }

// FuzzDecide reads operations from bytes: verb, values, call, length.
func FuzzDecide(f *testing.F) {
	f.Add([]byte{1, 3, 0, 9, 0, 3, 2, 4, 2, 0, 1, 9})
	f.Fuzz(func(t *testing.T, data []byte) {
		var ops []spec.Op[in, out]
		for ; len(data) >= 4 && len(ops) < 12; data = data[4:] {
			o := spec.Op[in, out]{In: in{verb: verb(data[0] % 3), old: int32(data[1] % 4), new: int32(data[1] / 4 % 4)}, Call: int64(data[2] % 32)}
			o.Return = o.Call + int64(data[3]%32)
			o.Out = out{ok: data[0]&4 > 0, seen: int32(data[1] / 16 % 4)}
			if o.Crashed = data[0] >= 200; o.Crashed {
				o.Return, o.Out = spec.Never, out{}
			}
			ops = append(ops, o)
		}
		slices.SortStableFunc(ops, byCall)
		found := decide(ops)
		if legal := spectest.Brute(register(), ops); legal != (found.Outcome == spec.Legal) {
			t.Fatalf("found %v, but brute force says legal=%v:\n%s", found.Outcome, legal, spectest.Format(ops))
		}
		if err := subject().Confirm(ops, found); err != nil {
			t.Fatal(err)
		}
	})
}
