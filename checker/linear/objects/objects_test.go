package objects_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/capstan-dev/capstan/checker/linear/objects"
	"github.com/capstan-dev/capstan/checker/linear/spec"
	"github.com/capstan-dev/capstan/checker/linear/spec/spectest"
	"github.com/capstan-dev/capstan/checker/linear/wgl"
)

// differ tests a model and the generic search against each other.
func differ[S, In, Out any](t *testing.T, s spectest.Subject[S, In, Out], seed uint64, needs func([]spec.Op[In, Out]) [][]int32) {
	t.Parallel()
	t.Run("needs", func(t *testing.T) { closed(t, s, seed, needs) })
	if s.Decide == nil {
		s.Decide = func(ops []spec.Op[In, Out]) spec.Finding[Out] {
			return wgl.Decide(s.Model, ops, spec.Budget{})
		}
	}
	s.Differ(t, spectest.Histories(t), seed)
}

// prefer is PreferQueue or PreferStack.
type prefer func([]spec.Op[objects.In, int32]) func(op, due int32) int64

// TestGuided: the order in which candidates are tried changes no verdict.
func TestGuided(t *testing.T) {
	t.Run("queue", func(t *testing.T) { differ(t, guided(objects.Queue(), objects.PreferQueue), 11, objects.Needs) })
	t.Run("stack", func(t *testing.T) { differ(t, guided(objects.Stack(), objects.PreferStack), 12, objects.Needs) })
}

func guided[S any](m spec.Model[S, objects.In, int32], p prefer) spectest.Subject[S, objects.In, int32] {
	s := subject(m, boxIn, boxMutate)
	s.Decide = func(ops []spec.Op[objects.In, int32]) spec.Finding[int32] {
		return wgl.Guided(m, ops, spec.Budget{}, p(ops))
	}
	return s
}

// closed: parts of legal histories that are closed under needs are legal.
func closed[S, In, Out any](t *testing.T, s spectest.Subject[S, In, Out], seed uint64, needs func([]spec.Op[In, Out]) [][]int32) {
	r := rand.New(rand.NewPCG(seed, 9))
	parts := 0
	for range spectest.Histories(t) / 10 {
		ops := s.Random(r)
		if !spectest.Brute(s.Model, ops) {
			continue
		}
		keep, work, n := make([]bool, len(ops)), []int32{}, needs(ops)
		for i := range ops {
			if r.IntN(4) == 0 {
				work = append(work, int32(i))
			}
		}
		for len(work) > 0 {
			i := work[len(work)-1]
			work = work[:len(work)-1]
			if !keep[i] {
				keep[i] = true
				work = append(work, n[i]...)
			}
		}
		var part []spec.Op[In, Out]
		for i := range ops {
			if keep[i] {
				part = append(part, ops[i])
			}
		}
		if len(part) > 0 && len(part) < len(ops) {
			parts++
		}
		if !spectest.Brute(s.Model, part) {
			t.Fatalf("legal:\n%sbut not the part %v:\n%s", spectest.Format(ops), keep, spectest.Format(part))
		}
	}
	if parts < 50 {
		t.Errorf("only %d histories had a part", parts)
	}
}

// boxIn draws puts of few values, so that they repeat, and takes.
func boxIn(r *rand.Rand, _ int) objects.In {
	if r.IntN(2) == 0 {
		return objects.In{Verb: objects.Put, Value: r.Int32N(4)}
	}
	return objects.In{Verb: objects.Take}
}

func boxMutate(r *rand.Rand, in objects.In, out int32) int32 {
	switch {
	case in.Verb == objects.Put:
		return out
	case r.IntN(3) == 0:
		return objects.None
	}
	return r.Int32N(4)
}

func TestStack(t *testing.T) {
	differ(t, subject(objects.Stack(), boxIn, boxMutate), 1, objects.Needs)
}

func TestQueue(t *testing.T) {
	differ(t, subject(objects.Queue(), boxIn, boxMutate), 2, objects.Needs)
}

func TestPriority(t *testing.T) {
	differ(t, subject(objects.Priority(), boxIn, boxMutate), 3, objects.Needs)
}

func TestBag(t *testing.T) {
	differ(t, subject(objects.Bag(), boxIn, boxMutate), 4, objects.Needs)
}

func TestDict(t *testing.T) {
	in := func(r *rand.Rand, _ int) objects.DictIn {
		return objects.DictIn{Verb: objects.DictVerb(r.IntN(3)), Key: r.Int32N(2), Value: r.Int32N(3)}
	}
	mutate := func(r *rand.Rand, _ objects.DictIn, _ int32) int32 {
		switch r.IntN(5) {
		case 0:
			return objects.None
		case 1:
			return objects.Unknown
		}
		return r.Int32N(3)
	}
	differ(t, subject(objects.Dict(), in, mutate), 5, objects.NeedsDict)
}

func TestRegisters(t *testing.T) {
	in := func(r *rand.Rand, _ int) []objects.Access {
		var in []objects.Access
		for range 1 + r.IntN(3) {
			in = append(in, objects.Access{Write: r.IntN(2) == 0, Key: r.Int32N(3), Value: r.Int32N(3)})
		}
		return in
	}
	mutate := func(r *rand.Rand, in []objects.Access, out []int32) []int32 {
		changed := append([]int32{}, out...)
		for len(changed) < len(in) {
			changed = append(changed, objects.Unknown)
		}
		switch k := r.IntN(len(in)); r.IntN(6) {
		case 0:
			return changed[:k]
		case 1:
			changed[k] = objects.Unknown
		default:
			changed[k] = r.Int32N(3)
		}
		return changed
	}
	differ(t, subject(objects.Registers(map[int32]int32{0: 1, 1: 0}), in, mutate), 6, objects.NeedsRegisters)
}

func TestTransactions(t *testing.T) {
	in := func(r *rand.Rand, i int) []objects.Step {
		var in []objects.Step
		for k := range 1 + r.IntN(3) {
			in = append(in, objects.Step{Verb: objects.StepVerb(r.IntN(3)), Key: r.Int32N(2), Value: int32((i + k) % 5)})
		}
		return in
	}
	mutate := func(r *rand.Rand, in []objects.Step, out [][]int32) [][]int32 {
		changed := make([][]int32, len(in))
		copy(changed, out)
		switch k := r.IntN(len(in)); r.IntN(6) {
		case 0:
			return changed[:k]
		case 1:
			changed[k] = nil
		case 2:
			changed[k] = []int32{r.Int32N(5)}
		default:
			if in[k].Verb == objects.ReadKey && len(changed[k]) > 0 {
				changed[k] = changed[k][:len(changed[k])-1]
			} else {
				changed[k] = []int32{}
			}
		}
		return changed
	}
	differ(t, subject(objects.Transactions(), in, mutate), 7, objects.NeedsTransactions)
}

func TestSemaphore(t *testing.T) {
	in := func(r *rand.Rand, _ int) objects.Permits {
		return objects.Permits([]int32{1, 1, 1, 2, 3, -1, -1, -2}[r.IntN(8)])
	}
	mutate := func(r *rand.Rand, _ objects.Permits, out bool) bool { return r.IntN(2) == 0 }
	differ(t, subject(objects.Semaphore(3), in, mutate), 8, objects.NeedsSemaphore)
}

func subject[S, In, Out any](m spec.Model[S, In, Out], in func(*rand.Rand, int) In, mutate func(*rand.Rand, In, Out) Out) spectest.Subject[S, In, Out] {
	return spectest.Subject[S, In, Out]{Model: m, In: in, Mutate: mutate}
}

// TestSimulated decides longer histories of every object.
func TestSimulated(t *testing.T) {
	decided := map[string]int{}
	for seed := range uint64(10) {
		shape := spectest.Shape{Ops: 300, Clients: 2 + int(seed)%4, Crash: .005 * float64(seed%2)}
		simulate(t, decided, objects.Stack(), distinctBox, seed, shape, objects.PreferStack)
		simulate(t, decided, objects.Queue(), distinctBox, seed, shape, objects.PreferQueue)
		simulate(t, decided, objects.Priority(), distinctBox, seed, shape, nil)
		simulate(t, decided, objects.Bag(), boxIn, seed, shape, nil)
		simulate(t, decided, objects.Semaphore(3), func(r *rand.Rand, _ int) objects.Permits { return objects.Permits(1 - 2*r.IntN(2)) }, seed, shape, nil)
		simulate(t, decided, objects.Dict(), func(r *rand.Rand, _ int) objects.DictIn {
			return objects.DictIn{Verb: objects.DictVerb(r.IntN(3)), Key: r.Int32N(5), Value: r.Int32N(5)}
		}, seed, shape, nil)
	}
	t.Logf("decided: %v of 10", decided)
	for _, name := range []string{"stack", "fifo-queue", "priority-queue", "unordered-queue", "semaphore", "map"} {
		if decided[name] < 8 {
			t.Errorf("%s: only %d of 10 decided", name, decided[name])
		}
	}
}

func distinctBox(r *rand.Rand, i int) objects.In {
	return objects.In{Verb: objects.Verb(r.IntN(2)), Value: int32(i)}
}

func simulate[S, In, Out any](t *testing.T, decided map[string]int, m spec.Model[S, In, Out], in func(*rand.Rand, int) In, seed uint64, shape spectest.Shape, prefer func([]spec.Op[In, Out]) func(op, due int32) int64) {
	t.Helper()
	ops := spectest.Simulate(rand.New(rand.NewPCG(seed, 7)), m, in, shape)
	var order wgl.Prefer
	if prefer != nil {
		order = prefer(ops)
	}
	f := wgl.Guided(m, ops, spec.Budget{Steps: 1e6}, order)
	if f.Outcome == spec.Undecided {
		return
	}
	decided[m.Name]++
	if f.Outcome != spec.Legal {
		t.Fatalf("%s, seed %d: %v", m.Name, seed, f.Outcome)
	}
	if err := spec.Verify(ops, f.Order, f.Assumed, m.Object()); err != nil {
		t.Fatalf("%s, seed %d: %v", m.Name, seed, err)
	}
}

func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{1e3, 1e4, 1e5, 1e6} {
		shape := spectest.Shape{Ops: n, Clients: 5}
		bench(b, objects.Priority(), shape, nil)
		bench(b, objects.Bag(), shape, nil)
		bench(b, objects.Queue(), shape, objects.PreferQueue)
	}
	bench(b, objects.Stack(), spectest.Shape{Ops: 1e3, Clients: 3}, objects.PreferStack)
	bench(b, objects.Stack(), spectest.Shape{Ops: 1e4, Clients: 3}, objects.PreferStack)
}

func bench[S any](b *testing.B, m spec.Model[S, objects.In, int32], shape spectest.Shape, p prefer) {
	b.Run(fmt.Sprintf("%s/n=%d", m.Name, shape.Ops), func(b *testing.B) {
		ops := spectest.Simulate(rand.New(rand.NewPCG(1, 7)), m, distinctBox, shape)
		b.ReportAllocs()
		for b.Loop() {
			var order wgl.Prefer
			if p != nil {
				order = p(ops)
			}
			if f := wgl.Guided(m, ops, spec.Budget{Bytes: 4 << 30, Steps: 1e8}, order); f.Outcome != spec.Legal {
				b.Skip(f.Outcome, f.Why)
			}
		}
	})
}
