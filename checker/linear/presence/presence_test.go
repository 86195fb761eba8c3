package presence

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/checker/linear/spec"
	"github.com/capstan-dev/capstan/checker/linear/spec/spectest"
)

// subject is a set with elements 1 to n; a share of the answers is unknown.
func subject(n int, unknown float64) spectest.Subject[[]int32, In, Out] {
	s := spectest.Subject[[]int32, In, Out]{
		Model: Model(),
		In: func(r *rand.Rand, _ int) In {
			return In{Verb: Verb(r.IntN(5) % 3), V: int32(1 + r.IntN(n))}
		},
		Mutate: func(r *rand.Rand, _ In, out Out) Out {
			return Out{OK: !out.OK, Known: true}
		},
		Prepare: func(ops []op) []op {
			return slices.DeleteFunc(ops, func(o op) bool { return o.Crashed && o.In.Verb == Contains })
		},
		Decide: func(ops []op) spec.Finding[Out] { return Decide(ops, spec.Budget{}) },
	}
	if unknown > 0 {
		known := s.Model.Outs
		s.Model.Outs = func(there []int32, in In) []Out {
			return append(known(there, in), make([]Out, int(unknown*4))...)
		}
	}
	return s
}

var subjects = []struct {
	name    string
	n       int
	unknown float64
}{{"one", 1, 0}, {"three", 3, 0}, {"blind", 1, .5}, {"blinder", 1, .75}, {"two blind", 2, .5}}

func each(t *testing.T, f func(t *testing.T, s spectest.Subject[[]int32, In, Out])) {
	for _, c := range subjects {
		t.Run(c.name, func(t *testing.T) { f(t, subject(c.n, c.unknown)) })
	}
}

func TestDiffer(t *testing.T) {
	each(t, func(t *testing.T, s spectest.Subject[[]int32, In, Out]) { s.Differ(t, spectest.Histories(t), 1) })
}

// TestReach shows that random histories reach each kind of conflict.
func TestReach(t *testing.T) {
	each(t, func(t *testing.T, s spectest.Subject[[]int32, In, Out]) {
		r, said, sizes := rand.New(rand.NewPCG(5, 6)), map[string]int{}, map[int]int{}
		parts := []string{"not there", "} there", "had added", "had removed", "but nothing", "again"}
		for range 20_000 {
			ops := s.Random(r)
			for _, c := range s.Decide(ops).Conflicts {
				placeholders(t, ops, c)
				sizes[len(c.Ops)]++
				for _, p := range parts {
					if strings.Contains(c.Say, p) {
						said[p]++
					}
				}
			}
		}
		t.Log(said, "sizes", sizes)
		for _, p := range parts {
			if said[p] < 8 {
				t.Errorf("%q came up %d times only", p, said[p])
			}
		}
	})
}

// TestLaws: of a legal history each part that has what it needs is legal, and
// so it is if an operation returns later or one more crashed.
func TestLaws(t *testing.T) {
	each(t, func(t *testing.T, s spectest.Subject[[]int32, In, Out]) {
		r := rand.New(rand.NewPCG(8, 9))
		for range spectest.Histories(t) / 5 {
			ops := s.Random(r)
			if len(ops) == 0 || s.Decide(ops).Outcome != spec.Legal {
				continue
			}
			sub := closed(r, ops, Needs(ops))
			if f := s.Decide(sub); f.Outcome != spec.Legal {
				t.Fatalf("legal:\n%sbut not its part:\n%s%+v", spectest.Format(ops), spectest.Format(sub), f)
			}
			if o := &ops[r.IntN(len(ops))]; !o.Crashed {
				o.Return += r.Int64N(5)
			}
			ops = append(ops, op{In: In{Verb: Add, V: int32(1 + r.IntN(2))}, Call: r.Int64N(20), Return: spec.Never, Crashed: true})
			if f := s.Decide(ops); f.Outcome != spec.Legal {
				t.Fatalf("no longer legal:\n%s%+v", spectest.Format(ops), f)
			}
		}
	})
}

func closed(r *rand.Rand, ops []op, needs [][]int32) (sub []op) {
	keep := make([]bool, len(ops))
	var add func(i int32)
	add = func(i int32) {
		if !keep[i] {
			keep[i] = true
			for _, j := range needs[i] {
				add(j)
			}
		}
	}
	for i := range ops {
		if r.IntN(4) == 0 {
			add(int32(i))
		}
	}
	for i, o := range ops {
		if keep[i] {
			sub = append(sub, o)
		}
	}
	return sub
}

// simulate runs n operations of a correct set of some elements with c clients.
func simulate(r *rand.Rand, n, c, elements int, crash, unknown float64) []op {
	ops, free := make([]op, 0, n), make([]int64, c)
	there := map[int32]bool{}
	type effect struct {
		at int64
		op int
	}
	var due []effect
	now := int64(0)
	apply := func(until int64) {
		for len(due) > 0 && due[0].at <= until {
			o := &ops[due[0].op]
			due = due[1:]
			if !o.Crashed && r.Float64() >= unknown {
				o.Out = Out{OK: there[o.In.V], Known: true}
			}
			if o.In.Verb != Contains {
				there[o.In.V] = o.In.Verb == Add
			}
		}
	}
	for i := range n {
		k := slices.Index(free, slices.Min(free)) // all are busy
		now = max(now, free[k]) + 1 + r.Int64N(20)
		apply(now)
		o := op{In: In{Verb: Verb(r.IntN(3)), V: int32(r.IntN(elements))}, Call: now, Return: now + 1 + r.Int64N(int64(40*c))}
		at := now + r.Int64N(o.Return-now+1)
		free[k] = o.Return
		if o.Crashed = o.In.Verb != Contains && r.Float64() < crash; o.Crashed {
			o.Return, free[k] = spec.Never, now
		}
		ops = append(ops, o)
		if !o.Crashed || r.IntN(2) == 0 {
			j := len(due)
			for j > 0 && due[j-1].at > at {
				j--
			}
			due = slices.Insert(due, j, effect{at, i})
		}
	}
	apply(spec.Never)
	return ops
}

// TestMedium compares with porcupine on histories of 25 operations on one
// element.
func TestMedium(t *testing.T) {
	r, count := rand.New(rand.NewPCG(14, 15)), map[spec.Outcome]int{}
	s := subject(1, 0)
	for i := range spectest.Histories(t) / 10 {
		ops := simulate(r, 25, 1+r.IntN(6), 1, []float64{0, .1, .2}[i%3], []float64{0, .3, .6}[i/3%3])
		for range r.IntN(3) {
			if o := &ops[r.IntN(len(ops))]; !o.Crashed && o.Out.Known {
				o.Out.OK = !o.Out.OK
			}
		}
		f := s.Decide(ops)
		count[f.Outcome]++
		if got := spec.Porcupine(s.Model, ops, 20*time.Millisecond); got != spec.Undecided && got != f.Outcome {
			t.Fatalf("history %d: porcupine says %v, found %v\n%s%+v", i, got, f.Outcome, spectest.Format(ops), f)
		}
		if err := s.Confirm(ops, f); err != nil {
			t.Fatalf("history %d: %v\n%s%+v", i, err, spectest.Format(ops), f)
		}
	}
	t.Log(count)
}

// TestLarge finds long histories of a correct set legal, and a planted
// violation with conflicts that porcupine confirms.
func TestLarge(t *testing.T) {
	r, sizes := rand.New(rand.NewPCG(12, 13)), map[int]int{}
	for i := range 90 {
		elements := []int{1, 20, 300}[i/9%3]
		ops := simulate(r, 2000, 1+r.IntN(20), elements, []float64{0, .01, .1}[i%3], []float64{0, .1, .5}[i/3%3])
		f := Decide(ops, spec.Budget{})
		if f.Outcome != spec.Legal {
			t.Fatalf("history %d of a correct set: %v %s %v", i, f.Outcome, f.Why, f.Conflicts)
		}
		if err := spec.Verify(ops, f.Order, f.Assumed, Model().Object()); err != nil {
			t.Fatal(err)
		}
		v := int32(elements + 1) // an element of its own, so that it must be found
		ops = append(ops,
			op{In: In{Add, v}, Call: 100, Return: 200, Out: Out{Known: true}},
			op{In: In{Verb: Contains, V: v}, Call: 300, Return: 400, Out: Out{Known: true}})
		for _, o := range ops {
			if n := r.IntN(100); n < 1 && o.In.Verb == Contains && o.Out.Known {
				ops = append(ops, op{In: o.In, Call: o.Call, Return: o.Call, Out: Out{OK: true, Known: true}},
					op{In: o.In, Call: o.Call, Return: o.Call, Out: Out{Known: true}})
			}
		}
		f = Decide(ops, spec.Budget{})
		if f.Outcome != spec.Illegal {
			t.Fatalf("history %d: planted violation not found: %v", i, f.Outcome)
		}
		for _, c := range f.Conflicts {
			sizes[len(c.Ops)]++
			var sub []op
			for _, i := range c.Ops {
				sub = append(sub, ops[i])
			}
			if len(sub) < 20 && spec.Porcupine(Model(), sub, time.Second) == spec.Legal {
				t.Fatalf("porcupine finds the conflict legal: %s\n%s", c.Say, spectest.Format(sub))
			}
		}
	}
	t.Log("conflicts by size:", sizes)
}

func TestSay(t *testing.T) {
	do := func(v Verb, ok bool, call, ret int64) op {
		return op{In: In{v, 7}, Out: Out{ok, true}, Call: call, Return: ret}
	}
	for _, c := range []struct {
		ops  []op
		want string
	}{
		{[]op{do(Contains, true, 0, 1)}, "{0} found {=7} there, but nothing that began before {0} returned can have added it"},
		{[]op{do(Add, false, 0, 1), do(Contains, false, 2, 3)},
			"{1} found {=7} not there, but {0} had added it and returned {0<1} before, and nothing that began before {1} returned can have removed it since"},
		{[]op{do(Add, false, 0, 1), do(Remove, true, 2, 3), do(Contains, true, 4, 5)},
			"{2} found {=7} there, but {1} had removed it and returned {1<2} before, and nothing that began before {2} returned can have added it again since"},
		{[]op{do(Add, false, 0, 1), do(Add, false, 2, 3)},
			"{1} found {=7} not there, but {0} had added it and returned {0<1} before, and nothing that began before {1} returned can have removed it since"},
	} {
		f := Decide(c.ops, spec.Budget{})
		if len(f.Conflicts) != 1 || f.Conflicts[0].Say != c.want {
			t.Errorf("said %+v, want %q", f.Conflicts, c.want)
		}
	}
}

func TestBudget(t *testing.T) {
	ops := []op{{In: In{Add, 1}, Return: 1}, {In: In{Add, 1}, Return: 1}}
	if f := Decide(ops, spec.Budget{Bytes: 1}); f.Outcome != spec.Undecided || f.Why != spec.OutOfMemory {
		t.Errorf("got %+v", f)
	}
	if f := Decide(ops, spec.Budget{Steps: 1}); f.Outcome != spec.Undecided || f.Why != spec.OutOfSteps {
		t.Errorf("got %+v", f)
	}
}

func FuzzDecide(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, a, b uint64) {
		s := subject(1, .5)
		ops := s.Random(rand.New(rand.NewPCG(a, b)))
		got := s.Decide(ops)
		if (got.Outcome == spec.Legal) != spectest.Brute(s.Model, ops) {
			t.Fatalf("%+v\n%s", got, spectest.Format(ops))
		}
		if err := s.Confirm(ops, got); err != nil {
			t.Fatal(err)
		}
	})
}

func bench(b *testing.B, elements func(n int) int, unknown float64) {
	for n := 1000; n <= 1_000_000; n *= 10 {
		ops := simulate(rand.New(rand.NewPCG(1, 1)), n, 10, elements(n), .01, unknown)
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if f := Decide(ops, spec.Budget{}); f.Outcome != spec.Legal {
					b.Fatal(f.Outcome, f.Why)
				}
			}
		})
	}
}

func BenchmarkSet(b *testing.B)   { bench(b, func(n int) int { return n / 20 }, 0) }
func BenchmarkHot(b *testing.B)   { bench(b, func(int) int { return 1 }, 0) }
func BenchmarkBlind(b *testing.B) { bench(b, func(n int) int { return n / 20 }, .5) }
func BenchmarkHotBlind(b *testing.B) {
	bench(b, func(int) int { return 1 }, .5)
}

// placeholders shows that the words name operations of the conflict only, and
// times between them only where there are any.
func placeholders(t *testing.T, ops []op, c spec.Conflict) {
	t.Helper()
	for _, m := range regexp.MustCompile(`\{(\d+)(?:<(\d+))?\}`).FindAllStringSubmatch(c.Say, -1) {
		i, _ := strconv.Atoi(m[1])
		j, err := strconv.Atoi(m[2])
		if !slices.Contains(c.Ops, int32(i)) || err == nil && !slices.Contains(c.Ops, int32(j)) {
			t.Fatalf("%q names an operation outside of %v", c.Say, c.Ops)
		}
		if err == nil && ops[i].Return >= ops[j].Call {
			t.Fatalf("%q: %s does not exist in\n%s", c.Say, m[0], spectest.Format(ops))
		}
	}
}

// TestBusy has so many blind operations in flight that the search must hash
// its states; what is more than 64 it does not take.
func TestBusy(t *testing.T) {
	r, count := rand.New(rand.NewPCG(3, 4)), map[spec.Outcome]int{}
	for i := range 40 {
		ops := simulate(r, 300, 20+60*(i%4), 1, .02, .5)
		for k := range ops {
			if i%2 == 1 && !ops[k].Crashed {
				ops[k].Return += 3000
			}
		}
		f := Decide(ops, spec.Budget{Steps: 1_000_000})
		if count[f.Outcome]++; f.Outcome == spec.Illegal || f.Outcome == spec.Undecided && f.Why == "" {
			t.Fatalf("a correct set is %v", f)
		}
		if f.Outcome != spec.Legal {
			continue
		}
		if err := spec.Verify(ops, f.Order, f.Assumed, Model().Object()); err != nil {
			t.Fatal(err)
		}
	}
	if t.Log(count); count[spec.Legal] == 0 || count[spec.Undecided] == 0 {
		t.Error("one-sided")
	}
}

func TestStop(t *testing.T) {
	var stop atomic.Bool
	stop.Store(true)
	ops := simulate(rand.New(rand.NewPCG(3, 4)), 100, 3, 3, 0, .5)
	if f := Decide(ops, spec.Budget{Stop: &stop}); f.Outcome != spec.Undecided || f.Why != spec.OutOfTime {
		t.Errorf("got %+v", f)
	}
}
