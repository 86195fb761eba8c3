package fifo

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

func subject(ordered bool) spectest.Subject[[]int32, In, Out] {
	return spectest.Subject[[]int32, In, Out]{
		Model: Model(ordered),
		In: func(r *rand.Rand, i int) In {
			if r.IntN(9) < 5 {
				return In{Deq: true}
			}
			return In{V: int32(i + 1)}
		},
		Mutate: func(r *rand.Rand, in In, _ Out) Out {
			switch {
			case !in.Deq:
				return Out{}
			case r.IntN(3) == 0:
				return Out{Empty: true}
			}
			return Out{V: int32(1 + r.IntN(12))}
		},
		Decide: func(ops []op) spec.Finding[Out] { return Decide(ops, ordered, spec.Budget{}) },
	}
}

func each(t *testing.T, f func(t *testing.T, ordered bool)) {
	for _, ordered := range []bool{true, false} {
		t.Run(Model(ordered).Name, func(t *testing.T) { f(t, ordered) })
	}
}

func TestDiffer(t *testing.T) {
	each(t, func(t *testing.T, ordered bool) { subject(ordered).Differ(t, spectest.Histories(t), 1) })
}

// TestReach shows that the random histories reach each kind of conflict, and
// legal histories each of the hard parts.
func TestReach(t *testing.T) {
	each(t, func(t *testing.T, ordered bool) {
		s, r := subject(ordered), rand.New(rand.NewPCG(5, 6))
		said, parts := map[string]int{}, []string{"nobody ever", "both", "to enqueue it", "found the queue empty", "one of", "are as many"}
		if ordered {
			parts = append(parts, "began, so", "had taken")
		}
		for range 40_000 {
			ops := s.Random(r)
			f := s.Decide(ops)
			for _, c := range f.Conflicts {
				placeholders(t, ops, c)
				for _, p := range parts {
					if strings.Contains(c.Say, p) {
						said[p]++
					}
				}
			}
			if len(f.Assumed) > 0 {
				said["assumed"]++
			}
		}
		t.Log(said)
		for _, p := range append(parts, "assumed") {
			if said[p] < 5 {
				t.Errorf("%q came up %d times only", p, said[p])
			}
		}
	})
}

// TestNeeds removes parts of legal histories and finds them legal.
func TestNeeds(t *testing.T) {
	each(t, func(t *testing.T, ordered bool) {
		s, r := subject(ordered), rand.New(rand.NewPCG(8, 9))
		for range spectest.Histories(t) / 5 {
			ops := s.Random(r)
			if s.Decide(ops).Outcome != spec.Legal {
				continue
			}
			sub := closed(r, ops, Needs(ops))
			if f := s.Decide(sub); f.Outcome != spec.Legal {
				t.Fatalf("legal:\n%sbut not its part:\n%s%+v", spectest.Format(ops), spectest.Format(sub), f)
			}
		}
	})
}

// repeats is a subject whose values come up more than once.
func repeats(ordered bool) spectest.Subject[[]int32, In, Out] {
	s := subject(ordered)
	s.In = func(r *rand.Rand, _ int) In { return In{Deq: r.IntN(9) < 5, V: int32(1 + r.IntN(4))} }
	s.Mutate = func(r *rand.Rand, in In, _ Out) Out {
		if in.Deq {
			return Out{V: int32(1 + r.IntN(7)), Empty: r.IntN(4) == 0}
		}
		return Out{}
	}
	s.Inapplicable = 1
	return s
}

// TestRepeats: what is said of values that repeat is right, and so is Needs.
func TestRepeats(t *testing.T) {
	each(t, func(t *testing.T, ordered bool) {
		s, r := repeats(ordered), rand.New(rand.NewPCG(10, 11))
		s.Differ(t, spectest.Histories(t), 3)
		parts := 0
		for range spectest.Histories(t) / 5 {
			ops := s.Random(r)
			if !spectest.Brute(s.Model, ops) {
				continue
			}
			sub := closed(r, ops, Needs(ops))
			if len(sub) > 0 && len(sub) < len(ops) {
				parts++
			}
			if !spectest.Brute(s.Model, sub) {
				t.Fatalf("legal:\n%sbut not its part:\n%s", spectest.Format(ops), spectest.Format(sub))
			}
		}
		if parts < 100 {
			t.Errorf("only %d histories had a part", parts)
		}
	})
}

// closed is a random part of ops that has what it needs.
func closed(r *rand.Rand, ops []op, needs [][]int32) []op {
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
		if r.IntN(3) == 0 {
			add(int32(i))
		}
	}
	var sub []op
	for i, o := range ops {
		if keep[i] {
			sub = append(sub, o)
		}
	}
	return sub
}

// TestLaws: an operation that returns later, and a crashed one more, make no
// legal history illegal.
func TestLaws(t *testing.T) {
	each(t, func(t *testing.T, ordered bool) {
		s, r := subject(ordered), rand.New(rand.NewPCG(10, 11))
		for range spectest.Histories(t) / 5 {
			ops := s.Random(r)
			if s.Decide(ops).Outcome != spec.Legal {
				continue
			}
			if o := &ops[r.IntN(len(ops))]; !o.Crashed {
				o.Return += r.Int64N(5)
			}
			ops = append(ops, op{In: In{Deq: r.IntN(2) == 0, V: 99}, Call: r.Int64N(20), Return: spec.Never, Crashed: true})
			if f := s.Decide(ops); f.Outcome != spec.Legal {
				t.Fatalf("no longer legal:\n%s%+v", spectest.Format(ops), f)
			}
		}
	})
}

// take is what a dequeue finds, and what it leaves.
func take(r *rand.Rand, queue []int32, ordered bool) (Out, []int32) {
	if len(queue) == 0 {
		return Out{Empty: true}, queue
	}
	k := 0
	if !ordered {
		k = r.IntN(min(len(queue), 64))
	}
	v := queue[k]
	queue[k] = queue[0]
	return Out{V: v}, queue[1:]
}

// simulate runs n operations of a queue with c clients, one in crash of them
// crashed; empty makes it drain often.
func simulate(r *rand.Rand, n, c int, crash float64, ordered, empty bool) []op {
	ops := make([]op, 0, n)
	free := make([]int64, c)
	var queue []int32
	type effect struct {
		at int64
		op int32
	}
	var due []effect
	now := int64(0)
	apply := func(until int64) {
		for len(due) > 0 && due[0].at <= until {
			o := &ops[due[0].op]
			due = due[1:]
			if !o.In.Deq {
				queue = append(queue, o.In.V)
			} else {
				o.Out, queue = take(r, queue, ordered)
			}
			if o.Crashed {
				o.Out = Out{}
			}
		}
	}
	for i := range n {
		k := slices.Index(free, slices.Min(free)) // all are busy
		now = max(now, free[k]) + 1 + r.Int64N(20)
		apply(now)
		o := op{Call: now, Return: now + 1 + r.Int64N(int64(40*c))}
		o.In = In{Deq: r.IntN(2) == 0 || empty && r.IntN(3) == 0}
		if !o.In.Deq {
			o.In.V = int32(i)
		}
		at := now + r.Int64N(o.Return-now+1)
		free[k] = o.Return
		if o.Crashed = r.Float64() < crash; o.Crashed {
			o.Return, free[k] = spec.Never, now
		}
		ops = append(ops, o)
		if !o.Crashed || r.IntN(2) == 0 {
			j := len(due)
			for j > 0 && due[j-1].at > at {
				j--
			}
			due = append(due, effect{})
			copy(due[j+1:], due[j:])
			due[j] = effect{at, int32(i)}
		}
	}
	apply(spec.Never)
	return ops
}

// TestLarge finds long histories of a correct queue legal, and a planted
// violation with a conflict that porcupine confirms.
func TestLarge(t *testing.T) {
	each(t, func(t *testing.T, ordered bool) {
		r := rand.New(rand.NewPCG(12, 13))
		for i := range 60 {
			ops := simulate(r, 2000, 1+r.IntN(20), []float64{0, .01, .1}[i%3], ordered, i%2 == 0)
			f := Decide(ops, ordered, spec.Budget{})
			if f.Outcome != spec.Legal {
				t.Fatalf("history %d of a correct queue: %+v", i, f)
			}
			if err := spec.Verify(ops, f.Order, f.Assumed, Model(ordered).Object()); err != nil {
				t.Fatal(err)
			}
			plant(r, ops, ordered)
			f = Decide(ops, ordered, spec.Budget{})
			if f.Outcome != spec.Illegal {
				t.Fatalf("history %d: planted violation not found: %v", i, f.Outcome)
			}
			confirm(t, ops, f, ordered)
		}
	})
}

// plant makes an enqueue that ended long before its value was dequeued one
// that began only afterwards, or in an ordered queue exchanges two answers.
func plant(r *rand.Rand, ops []op, ordered bool) {
	var deqs []int
	for i := range ops {
		if ops[i].In.Deq && !ops[i].Crashed && !ops[i].Out.Empty {
			deqs = append(deqs, i)
		}
	}
	a := r.IntN(len(deqs) / 3)
	b := len(deqs) - 1 - r.IntN(len(deqs)/3)
	x, y := &ops[deqs[a]], &ops[deqs[b]]
	switch {
	case ordered || r.IntN(2) == 0:
		x.Out, y.Out = y.Out, x.Out
	default:
		x.Out = y.Out
	}
}

func confirm(t *testing.T, ops []op, f spec.Finding[Out], ordered bool) {
	t.Helper()
	for _, c := range f.Conflicts {
		var sub []op
		for _, i := range c.Ops {
			sub = append(sub, ops[i])
		}
		if len(sub) < 30 && spec.Porcupine(Model(ordered), sub, 0) != spec.Illegal {
			t.Fatalf("porcupine finds the conflict legal: %s\n%s", c.Say, spectest.Format(sub))
		}
	}
}

// TestMedium compares with porcupine on histories of 20 operations of more
// clients, which have longer chains and more crashed dequeues.
func TestMedium(t *testing.T) {
	each(t, func(t *testing.T, ordered bool) {
		r, s := rand.New(rand.NewPCG(14, 15)), subject(ordered)
		count, chains := map[spec.Outcome]int{}, 0
		for i := range spectest.Histories(t) / 10 {
			ops := simulate(r, 20, 1+r.IntN(5), []float64{0, .1, .2}[i%3], ordered, i%2 == 0)
			for range r.IntN(3) {
				if o := &ops[r.IntN(len(ops))]; o.In.Deq && !o.Crashed {
					o.Out = s.Mutate(r, o.In, o.Out)
				} else if !o.Crashed {
					o.Return = o.Call + r.Int64N(o.Return-o.Call+1)
				}
			}
			f := Decide(ops, ordered, spec.Budget{})
			count[f.Outcome]++
			if o := spec.Porcupine(s.Model, ops, 20*time.Millisecond); o != spec.Undecided && o != f.Outcome {
				t.Fatalf("history %d: porcupine says %v, found %v\n%s", i, o, f, spectest.Format(ops))
			}
			if err := s.Confirm(ops, f); err != nil {
				t.Fatalf("history %d: %v\n%s%+v", i, err, spectest.Format(ops), f)
			}
			for _, c := range f.Conflicts {
				if strings.Contains(c.Say, "one of") {
					chains++
				}
			}
		}
		t.Log(count, chains)
		if chains == 0 && !testing.Short() || len(count) != 2 {
			t.Errorf("one-sided: %v, %d chains", count, chains)
		}
	})
}

func TestSay(t *testing.T) {
	enq := func(v int32, call, ret int64) op { return op{In: In{V: v}, Call: call, Return: ret} }
	deq := func(out Out, call, ret int64) op { return op{In: In{Deq: true}, Out: out, Call: call, Return: ret} }
	for _, c := range []struct {
		ops  []op
		want string
	}{
		{[]op{enq(1, 0, 1), enq(2, 2, 3), deq(Out{V: 2}, 4, 5), deq(Out{V: 1}, 6, 7)},
			"{0} had returned {0<1} before {1} began, so {=1} was before {=2} in the queue; yet {2} took {=2} and returned {2<3} before {3}, which took {=1}, began"},
		{[]op{enq(1, 0, 1), enq(2, 2, 3), deq(Out{V: 2}, 4, 5)},
			"{0} had returned {0<1} before {1} began, so {=1} was before {=2} in the queue; yet {2} took {=2}, and nothing had taken {=1} by then"},
		{[]op{enq(1, 0, 1), deq(Out{Empty: true}, 2, 3)},
			"{1} found the queue empty, yet {0} had returned {0<1} before it began, and nothing had taken {=1} by then"},
	} {
		f := Decide(c.ops, true, spec.Budget{})
		if len(f.Conflicts) != 1 || f.Conflicts[0].Say != c.want {
			t.Errorf("said %+v, want %q", f.Conflicts, c.want)
		}
	}
}

func TestInapplicable(t *testing.T) {
	ops := []op{{In: In{V: 1}, Return: 1}, {In: In{V: 1}, Call: 2, Return: 3}}
	if f := Decide(ops, true, spec.Budget{}); f.Outcome != spec.Inapplicable || f.Why == "" {
		t.Errorf("got %+v", f)
	}
	if f := Decide(ops[:1], true, spec.Budget{Bytes: 1}); f.Outcome != spec.Undecided || f.Why != spec.OutOfMemory {
		t.Errorf("got %+v", f)
	}
}

func FuzzDecide(f *testing.F) {
	f.Add(uint64(1), uint64(2), true)
	f.Fuzz(func(t *testing.T, a, b uint64, ordered bool) {
		s := subject(ordered)
		ops := s.Random(rand.New(rand.NewPCG(a, b)))
		got := s.Decide(ops)
		if (got.Outcome == spec.Legal) != spectest.Brute(s.Model, ops) {
			t.Fatalf("%v\n%s", got, spectest.Format(ops))
		}
		if err := s.Confirm(ops, got); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkQueue(b *testing.B) { bench(b, true) }
func BenchmarkBag(b *testing.B)   { bench(b, false) }

func bench(b *testing.B, ordered bool) {
	for n := 1000; n <= 1_000_000; n *= 10 {
		ops := simulate(rand.New(rand.NewPCG(1, 1)), n, 10, .01, ordered, true)
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if f := Decide(ops, ordered, spec.Budget{}); f.Outcome != spec.Legal {
					b.Fatal(f)
				}
			}
		})
	}
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

func TestStop(t *testing.T) {
	var stop atomic.Bool
	stop.Store(true)
	ops := simulate(rand.New(rand.NewPCG(3, 4)), 100, 3, 0, true, true)
	if f := Decide(ops, true, spec.Budget{Stop: &stop}); f.Outcome != spec.Undecided || f.Why != spec.OutOfTime {
		t.Errorf("got %+v", f)
	}
}
