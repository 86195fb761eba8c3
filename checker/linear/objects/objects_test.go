package objects_test

import (
	"math/rand/v2"
	"testing"

	"github.com/capstan-dev/capstan/checker/linear/objects"
	"github.com/capstan-dev/capstan/checker/linear/spec"
	"github.com/capstan-dev/capstan/checker/linear/spec/spectest"
	"github.com/capstan-dev/capstan/checker/linear/wgl"
)

// differ tests a model and the generic search against each other.
func differ[S, In, Out any](t *testing.T, s spectest.Subject[S, In, Out], seed uint64) {
	t.Parallel()
	s.Decide = func(ops []spec.Op[In, Out]) spec.Finding[Out] {
		return wgl.Decide(s.Model, ops, spec.Budget{})
	}
	s.Differ(t, spectest.Histories(t), seed)
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
	differ(t, subject(objects.Stack(), boxIn, boxMutate), 1)
}

func TestQueue(t *testing.T) {
	differ(t, subject(objects.Queue(), boxIn, boxMutate), 2)
}

func TestPriority(t *testing.T) {
	differ(t, subject(objects.Priority(), boxIn, boxMutate), 3)
}

func TestBag(t *testing.T) {
	differ(t, subject(objects.Bag(), boxIn, boxMutate), 4)
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
	differ(t, subject(objects.Dict(), in, mutate), 5)
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
	differ(t, subject(objects.Registers(map[int32]int32{0: 1, 1: 0}), in, mutate), 6)
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
	differ(t, subject(objects.Transactions(), in, mutate), 7)
}

func TestSemaphore(t *testing.T) {
	in := func(r *rand.Rand, _ int) objects.Permits {
		return objects.Permits([]int32{1, 1, 1, 2, 3, -1, -1, -2}[r.IntN(8)])
	}
	mutate := func(r *rand.Rand, _ objects.Permits, out bool) bool { return r.IntN(2) == 0 }
	differ(t, subject(objects.Semaphore(3), in, mutate), 8)
}

func subject[S, In, Out any](m spec.Model[S, In, Out], in func(*rand.Rand, int) In, mutate func(*rand.Rand, In, Out) Out) spectest.Subject[S, In, Out] {
	return spectest.Subject[S, In, Out]{Model: m, In: in, Mutate: mutate}
}
