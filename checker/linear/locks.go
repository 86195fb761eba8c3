package linear

import (
	"strconv"

	"github.com/capstan-dev/capstan/checker/linear/hold"
	"github.com/capstan-dev/capstan/checker/linear/spec"
	"github.com/capstan-dev/capstan/checker/value"
)

// reentrance is how often the owner of a reentrant lock may acquire it; there
// is no bound that matters.
const reentrance = 1 << 30

// openLock opens a lock. Its owner is the process.
func openLock(l hold.Lock) func(*keyCalls) (problem, error) {
	return func(k *keyCalls) (problem, error) {
		ops, at, err := collect(k, func(c call) (in hold.In, out hold.Out, use bool, err error) {
			v, err := k.verb(c, verbs{"acquire": take, "lock": take, "release": put, "unlock": put}, "acquire", "release", "lock", "unlock")
			if err != nil || c.failed() {
				return in, out, false, err
			}
			in.Owner = int32(c.Process()) + 1
			if v == put {
				in.Verb = hold.Release
			} else if l.Fenced && c.ok() && !value.IsNull(c.out) {
				if out.Token, err = strconv.ParseInt(string(c.out), 10, 64); err != nil {
					return in, out, false, c.wantResult("a fencing token, a whole number")
				}
			}
			return in, out, true, nil
		})
		if err != nil {
			return nil, err
		}
		return &object[hold.State, hold.In, hold.Out]{
			calls: k, model: hold.Model(l), ops: ops, at: at, named: "holds",
			special: func(ops []spec.Op[hold.In, hold.Out], b spec.Budget) spec.Finding[hold.Out] {
				return hold.Decide(l, ops, b)
			},
			needs: func(ops []spec.Op[hold.In, hold.Out]) [][]int32 { return hold.Needs(l, ops) },
		}, nil
	}
}
