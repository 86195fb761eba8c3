package spec

import (
	"time"

	"github.com/anishathalye/porcupine"
)

// Porcupine asks porcupine about the same operations under the same model.
// Undecided means that the timeout passed; 0 is none. It needs exponential time
// and memory: it is for small inputs.
//
// porcupine makes every operation take effect, but a crashed one need not. Its
// interval never ends, so that "never" is the same as "after all others": a
// marker stands behind everything that returned, and what comes after it does
// nothing.
func Porcupine[S, In, Out any](m Model[S, In, Out], ops []Op[In, Out], timeout time.Duration) Outcome {
	history := make([]porcupine.Operation, 0, len(ops)+1)
	last, crashed := int64(0), false
	for i := range ops {
		o := &ops[i]
		history = append(history, porcupine.Operation{ClientId: i, Input: o, Call: o.Call, Return: o.Return})
		last = max(last, o.Call)
		if o.Return < Never {
			last = max(last, o.Return)
		}
		crashed = crashed || o.Crashed
	}
	model := completed(m)
	if crashed {
		history = append(history, porcupine.Operation{ClientId: len(ops), Input: (*Op[In, Out])(nil), Call: last + 1, Return: Never})
		nondeterministic := withCrashes(m)
		model = nondeterministic.ToModel()
	}
	switch porcupine.CheckOperationsTimeout(model, history, timeout) {
	case porcupine.Ok:
		return Legal
	case porcupine.Illegal:
		return Illegal
	}
	return Undecided
}

func completed[S, In, Out any](m Model[S, In, Out]) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return m.Init },
		Step: func(state, input, _ any) (bool, any) {
			o := input.(*Op[In, Out])
			next, ok := m.Step(state.(S), o.In, o.Out)
			return ok, next
		},
		Equal: func(a, b any) bool { return m.Equal(a.(S), b.(S)) },
		Hash:  func(s any) uint64 { return m.Hash(s.(S)) },
	}
}

// ended is the state behind the marker.
type ended struct{}

func withCrashes[S, In, Out any](m Model[S, In, Out]) porcupine.NondeterministicModel {
	return porcupine.NondeterministicModel{
		Init: func() []any { return []any{m.Init} },
		Step: func(state, input, _ any) []any {
			o := input.(*Op[In, Out])
			s, going := state.(S)
			if o == nil || !going {
				return []any{ended{}}
			}
			outs := []Out{o.Out}
			if o.Crashed {
				outs = m.Outs(s, o.In)
			}
			var next []any
			for _, out := range outs {
				if n, ok := m.Step(s, o.In, out); ok && !(o.Crashed && m.Equal(n, s)) {
					next = append(next, n)
				}
			}
			return next
		},
		Equal: func(a, b any) bool {
			x, ok := a.(S)
			y, both := b.(S)
			return ok == both && (!ok || m.Equal(x, y))
		},
		Hash: func(s any) uint64 {
			if s, ok := s.(S); ok {
				return m.Hash(s)
			}
			return 0
		},
	}
}
