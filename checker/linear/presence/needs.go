package presence

import (
	"sort"

	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// Needs says which operations must stay if one stays, so that any part of a
// legal history that has what it needs is legal: each needs the adds and
// removes of its element that were called before it returned, and these those
// before them.
func Needs(ops []spec.Op[In, Out]) [][]int32 {
	needs := make([][]int32, len(ops))
	d := &decider{ops: ops}
	for _, e := range d.elements() {
		var updates []int32
		for _, i := range e.calls {
			if k := d.kinds[i]; k != anything && !k.reads() {
				if n := len(updates); n > 0 {
					needs[i] = append(needs[i], updates[n-1])
				}
				updates = append(updates, i)
			}
		}
		for _, i := range e.calls {
			if ops[i].Crashed || d.kinds[i] == anything {
				continue
			}
			n := sort.Search(len(updates), func(n int) bool { return ops[updates[n]].Call > ops[i].Return })
			if n > 0 && updates[n-1] != i {
				needs[i] = append(needs[i], updates[n-1])
			}
		}
	}
	return needs
}
