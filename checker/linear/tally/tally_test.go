package tally_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/checker/linear/spec"
	"github.com/capstan-dev/capstan/checker/linear/spec/spectest"
	"github.com/capstan-dev/capstan/checker/linear/tally"
	"github.com/capstan-dev/capstan/checker/linear/wgl"
)

type op = spec.Op[tally.In, int64]

func decide(ops []op) spec.Finding[int64] { return tally.Decide(ops, spec.Budget{}) }

// adds draws as many adds as reads, of one of the amounts.
func adds(amounts ...int64) func(*rand.Rand, int) tally.In {
	return func(r *rand.Rand, _ int) tally.In {
		if r.IntN(2) == 0 {
			return tally.In{}
		}
		return tally.In{Verb: tally.Add, Delta: amounts[r.IntN(len(amounts))]}
	}
}

func subject(amounts ...int64) spectest.Subject[int64, tally.In, int64] {
	return spectest.Subject[int64, tally.In, int64]{
		Model: tally.Model(),
		In:    adds(amounts...),
		Mutate: func(r *rand.Rand, in tally.In, out int64) int64 {
			if in.Verb == tally.Read {
				out += amounts[r.IntN(len(amounts))] * (r.Int64N(5) - 2)
				if r.IntN(50) == 0 {
					out++
				}
			}
			return out
		},
		Decide: decide,
	}
}

func TestDiffer(t *testing.T) {
	for k, c := range []struct {
		amounts      []int64
		inapplicable float64
	}{
		{[]int64{1}, 0},
		{[]int64{1, 0}, 0},
		{[]int64{-3}, 0},
		{[]int64{1, 2, 5}, .05},
		{[]int64{-1, -2}, .05},
		{[]int64{1, -1, 2}, .2},
	} {
		t.Run(fmt.Sprint(c.amounts), func(t *testing.T) {
			t.Parallel()
			s := subject(c.amounts...)
			s.Inapplicable = c.inapplicable
			s.Differ(t, spectest.Histories(t), uint64(k))
		})
	}
}

// TestNeeds: parts of legal histories that are closed under Needs are legal.
func TestNeeds(t *testing.T) {
	s, r := subject(1, 2, -1), rand.New(rand.NewPCG(7, 7))
	for range spectest.Histories(t) / 10 {
		ops := s.Random(r)
		if !spectest.Brute(s.Model, ops) {
			continue
		}
		needs, keep := tally.Needs(ops), make([]bool, len(ops))
		for i := range ops {
			if r.IntN(6) > 0 {
				continue
			}
			keep[i] = true
			for _, j := range needs[i] {
				keep[j] = true
			}
		}
		var part []op
		for i := range ops {
			if keep[i] {
				part = append(part, ops[i])
			}
		}
		if !spectest.Brute(s.Model, part) {
			t.Fatalf("legal:\n%sbut not the part:\n%s", spectest.Format(ops), spectest.Format(part))
		}
	}
}

// TestLaws: what leaves more room never makes a legal history illegal.
func TestLaws(t *testing.T) {
	for _, amounts := range [][]int64{{1}, {1, 3}, {1, -1}} {
		s, r := subject(amounts...), rand.New(rand.NewPCG(9, 7))
		for range spectest.Histories(t) / 10 {
			ops := s.Random(r)
			if decide(ops).Outcome != spec.Legal {
				continue
			}
			later := slices.Clone(ops)
			if o := &later[r.IntN(len(ops))]; !o.Crashed {
				o.Return += r.Int64N(20)
			}
			crashed := append(slices.Clone(ops), op{In: tally.In{Verb: tally.Add, Delta: amounts[0]}, Call: r.Int64N(20), Return: spec.Never, Crashed: true})
			for name, changed := range map[string][]op{"completed later": later, "one more crashed": crashed} {
				if got := decide(changed).Outcome; got == spec.Illegal {
					t.Fatalf("%s: legal became illegal:\n%s", name, spectest.Format(changed))
				}
			}
		}
	}
}

// TestSimulated decides longer histories, and the same with one wrong read.
func TestSimulated(t *testing.T) {
	for _, amounts := range [][]int64{{1}, {-7}, {1, 2, 3}} {
		for seed := range uint64(10) {
			r := rand.New(rand.NewPCG(seed, 7))
			shape := spectest.Shape{Ops: 2000, Clients: 1 + int(seed), Crash: .01 * float64(seed%3)}
			ops := spectest.Simulate(r, tally.Model(), adds(amounts...), shape)
			f := decide(ops)
			if f.Outcome == spec.Inapplicable && len(amounts) > 1 {
				if f = wgl.Decide(tally.Model(), ops, spec.Budget{Steps: 1e7}); f.Outcome != spec.Legal {
					t.Errorf("%v, seed %d: the search finds %v %s", amounts, seed, f.Outcome, f.Why)
				}
				continue
			}
			if f.Outcome != spec.Legal {
				t.Fatalf("%v, seed %d: %v %s %+v", amounts, seed, f.Outcome, f.Why, f.Conflicts)
			}
			if err := spec.Verify(ops, f.Order, f.Assumed, tally.Model().Object()); err != nil {
				t.Fatal(err)
			}
			i := len(ops) / 2
			for ops[i].In.Verb == tally.Add || ops[i].Crashed {
				i++
			}
			ops[i].Out += amounts[0] * []int64{40, -40}[seed%2] * int64(1+seed)
			if f = decide(ops); f.Outcome != spec.Illegal || len(f.Conflicts) == 0 {
				t.Fatalf("%v, seed %d, planted: %v %s", amounts, seed, f.Outcome, f.Why)
			}
			for _, c := range f.Conflicts {
				var part []op
				for _, i := range c.Ops {
					part = append(part, ops[i])
				}
				if got := wgl.Decide(tally.Model(), part, spec.Budget{}); got.Outcome != spec.Illegal {
					t.Fatalf("conflict %q is %v", c.Say, got)
				}
				if len(part) > 10 { // too many for porcupine
					continue
				}
				if got := spec.Porcupine(tally.Model(), part, time.Minute); got != spec.Illegal {
					t.Fatalf("conflict %q is %v", c.Say, got)
				}
			}
			t.Logf("%v, seed %d: %d conflicts, the first of %d operations: %s", amounts, seed, len(f.Conflicts), len(f.Conflicts[0].Ops), f.Conflicts[0].Say)
		}
	}
}

// TestFew: of many adds a conflict names those that refute the read.
func TestFew(t *testing.T) {
	add := func(delta, call, ret int64) op {
		return op{In: tally.In{Verb: tally.Add, Delta: delta}, Call: call, Return: ret}
	}
	for name, c := range map[string]struct {
		ops  []op
		want []int32
	}{
		"too low":  {[]op{add(1, 0, 1), add(5, 0, 2), add(5, 0, 3), {Out: 3, Call: 4, Return: 5}, add(1, 6, 7)}, []int32{1, 3}},
		"too high": {[]op{add(1, 0, 1), add(1, 0, 9), {Out: 9, Call: 4, Return: 5}, add(9, 6, 7)}, []int32{0, 1, 2}},
		"mixed":    {[]op{add(3, 0, 1), add(-1, 0, 1), add(-2, 0, 1), add(-2, 2, 9), {Out: 2, Call: 4, Return: 5}}, []int32{0, 2, 4}},
	} {
		f := decide(c.ops)
		if f.Outcome != spec.Illegal || !slices.Equal(f.Conflicts[0].Ops, c.want) {
			t.Errorf("%s: %v %+v, want %v", name, f.Outcome, f.Conflicts, c.want)
		}
	}
}

func TestBudgets(t *testing.T) {
	ops := spectest.Simulate(rand.New(rand.NewPCG(1, 7)), tally.Model(), adds(1), spectest.Shape{Ops: 100, Clients: 3})
	stop := &atomic.Bool{}
	stop.Store(true)
	for _, c := range []struct {
		budget spec.Budget
		why    string
	}{
		{spec.Budget{Stop: stop}, spec.OutOfTime},
		{spec.Budget{Bytes: 100}, spec.OutOfMemory},
		{spec.Budget{Steps: 10}, spec.OutOfSteps},
	} {
		if f := tally.Decide(ops, c.budget); f.Outcome != spec.Undecided || f.Why != c.why {
			t.Errorf("got %v, %q, want %q", f.Outcome, f.Why, c.why)
		}
	}
}

func TestOddInputs(t *testing.T) {
	huge := op{In: tally.In{Verb: tally.Add, Delta: math.MaxInt64}}
	if f := decide([]op{huge}); f.Outcome != spec.Inapplicable {
		t.Errorf("overflow: %v", f.Outcome)
	}
	some := op{In: tally.In{Verb: tally.Add, Delta: math.MaxInt64 / 5}}
	if f := decide([]op{some, some}); f.Outcome != spec.Inapplicable {
		t.Errorf("overflow of the sum: %v", f.Outcome)
	}
	if f := decide([]op{{Call: 2, Return: 1}}); f.Outcome != spec.Inapplicable {
		t.Errorf("an interval that ends before it begins: %v", f.Outcome)
	}
	for _, out := range []int64{math.MinInt64, math.MaxInt64} {
		ops := []op{{Out: 0, Return: 1}, {Out: out, Call: 2, Return: 3}, {Out: 0, Call: 4, Return: 5}, {In: tally.In{Verb: tally.Add, Delta: 1}, Return: 9}}
		f := decide(ops)
		if f.Outcome != spec.Illegal {
			t.Errorf("%d: %v", out, f.Outcome)
		}
		if err := subject(1).Confirm(ops, f); err != nil {
			t.Error(err)
		}
	}
}

// FuzzDecide reads operations from bytes: verb, amount or sum, call, length.
func FuzzDecide(f *testing.F) {
	f.Add([]byte{1, 1, 0, 9, 0, 1, 2, 4, 1, 3, 1, 9})
	f.Fuzz(func(t *testing.T, data []byte) {
		var ops []op
		for ; len(data) >= 4 && len(ops) < 12; data = data[4:] {
			o := op{In: tally.In{Verb: tally.Verb(data[0] % 2)}, Call: int64(data[2] % 32)}
			if o.In.Verb == tally.Add {
				o.In.Delta = int64(data[1]%4) - 1
			} else {
				o.Out = int64(data[1]%8) - 2
			}
			o.Return = o.Call + int64(data[3]%32)
			if o.Crashed = data[0] >= 200; o.Crashed {
				o.Return, o.Out = spec.Never, 0
			}
			ops = append(ops, o)
		}
		found := decide(ops)
		if found.Outcome == spec.Inapplicable {
			return
		}
		if legal := spectest.Brute(tally.Model(), ops); legal != (found.Outcome == spec.Legal) {
			t.Fatalf("found %v, but brute force says legal=%v:\n%s", found.Outcome, legal, spectest.Format(ops))
		}
		if err := subject(1).Confirm(ops, found); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkDecide(b *testing.B) {
	for _, wrong := range []bool{false, true} {
		for _, n := range []int{1e3, 1e4, 1e5, 1e6} {
			b.Run(fmt.Sprintf("wrong=%v/n=%d", wrong, n), func(b *testing.B) {
				ops := spectest.Simulate(rand.New(rand.NewPCG(1, 7)), tally.Model(), adds(1), spectest.Shape{Ops: n, Clients: 10, Crash: .01})
				want := spec.Legal
				if wrong {
					want = spec.Illegal
					for i := n / 2; i < n/2+20; i++ {
						ops[i].Out = 0
					}
				}
				b.ReportAllocs()
				for b.Loop() {
					if f := decide(ops); f.Outcome != want {
						b.Fatal(f.Outcome, f.Why, len(f.Conflicts))
					}
				}
			})
		}
	}
}
