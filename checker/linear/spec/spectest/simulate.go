package spectest

import (
	"cmp"
	"math/rand/v2"
	"slices"

	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// Shape says how Simulate drives an object.
type Shape struct {
	Ops, Clients int
	// Crash is the share of operations that crash. Half of those take effect,
	// one in ten of them long after.
	Crash float64
}

// Simulate makes the legal history of an object whose clients are always busy,
// in order of calls: each operation takes effect at some moment of its
// interval, which lasts 10 ms on average, exponentially distributed.
// in draws the i-th operation. A crashed client is replaced at once.
func Simulate[S, In, Out any](r *rand.Rand, m spec.Model[S, In, Out], in func(r *rand.Rand, i int) In, shape Shape) []spec.Op[In, Out] {
	type timed struct {
		call, effect, ret int64
		lost              bool
	}
	calls := make([]timed, 0, shape.Ops)
	wait := func() int64 { return 1 + int64(r.ExpFloat64()*5e6) }
	for c := range shape.Clients {
		now := int64(0)
		for range shape.Ops/shape.Clients + min(1, max(0, shape.Ops%shape.Clients-c)) {
			t := timed{call: now + wait()/10, effect: -1}
			now = t.call + wait()
			t.effect = now
			now += wait()
			t.ret = now
			if t.lost = r.Float64() < shape.Crash; t.lost {
				switch r.IntN(20) {
				case 0:
					t.effect += 100 * wait()
				default:
					if r.IntN(2) == 0 {
						t.effect = -1
					}
				}
			}
			calls = append(calls, t)
		}
	}
	slices.SortFunc(calls, func(a, b timed) int { return cmp.Compare(a.call, b.call) })
	ops := make([]spec.Op[In, Out], len(calls))
	order := make([]int32, 0, len(calls))
	for i, t := range calls {
		ops[i] = spec.Op[In, Out]{In: in(r, i), Call: t.call, Return: t.ret, Crashed: t.lost}
		if t.lost {
			ops[i].Return = spec.Never
		}
		if t.effect >= 0 {
			order = append(order, int32(i))
		}
	}
	slices.SortFunc(order, func(a, b int32) int { return cmp.Compare(calls[a].effect, calls[b].effect) })
	play(r, m, ops, order)
	return ops
}

// play lets the operations take effect in order. What gets no answer crashes.
func play[S, In, Out any](r *rand.Rand, m spec.Model[S, In, Out], ops []spec.Op[In, Out], order []int32) {
	state := m.Init
	for _, i := range order {
		o := &ops[i]
		outs := m.Outs(state, o.In)
		if len(outs) == 0 {
			o.Crashed, o.Return = true, spec.Never
			continue
		}
		out := outs[r.IntN(len(outs))]
		state, _ = m.Step(state, o.In, out)
		if !o.Crashed {
			o.Out = out
		}
	}
}
