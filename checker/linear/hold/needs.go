package hold

import "github.com/capstan-dev/capstan/checker/linear/spec"

// Needs says which operations must stay if one stays: an acquire and its
// release go together, and within a hold of a reentrant lock also with the ones
// that begin and end it. Where it is not clear who released what, all need all,
// or if that is illegal for a small reason, the reason only needs itself. Any part of a legal history that is closed under this is legal.
func Needs(l Lock, ops []spec.Op[In, Out]) [][]int32 {
	w := walkHolds(l, ops, spec.Budget{})
	if w.why != "" || len(w.conflicts) > 0 && !l.Owned {
		return unclear(ops, sweep(l, ops, w.byCall, spec.Budget{}).Conflicts)
	}
	needs := make([][]int32, len(ops))
	for i := range needs {
		if w.partner[i] != none {
			needs[i] = append(needs[i], w.partner[i])
		}
		if w.in[i] == none {
			continue
		}
		h := &w.holds[w.in[i]]
		for _, j := range []int32{h.first, h.last} {
			if j != none && j != int32(i) && j != w.partner[i] {
				needs[i] = append(needs[i], j)
			}
		}
	}
	return needs
}

// unclear: nothing may go, but for all that has no part in the conflict.
func unclear(ops []op, conflicts []spec.Conflict) [][]int32 {
	needs, all := make([][]int32, len(ops)), make([]int32, len(ops))
	for i := range all {
		all[i] = int32(i)
		needs[i] = all
	}
	for _, c := range conflicts {
		for _, i := range c.Ops {
			needs[i] = c.Ops
		}
	}
	return needs
}
