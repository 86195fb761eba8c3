package linear

import (
	"slices"

	"github.com/capstan-dev/capstan/checker/linear/spec"
)

const (
	windowMost  = 6       // times as many operations with what they need
	windowSteps = 100_000 // of the search
)

// convict looks for a violation in small parts of a history that is too hard
// to decide as a whole: windows of operations that were called one after the
// other, with all that they need. A part of a legal history that has what it
// needs is legal, so an illegal one convicts the whole; that all are legal says
// nothing.
func (x *object[S, In, Out]) convict(b spec.Budget) (c spec.Conflict, ok bool) {
	if x.needs == nil {
		return c, false
	}
	needs := x.wholeNeeds()
	b.Steps = windowSteps
	for _, width := range []int{12, 40} {
		if c, ok = x.convictWindow(needs, width, b); ok {
			return c, true
		}
	}
	return c, false
}

// convictWindow tries the windows of one width, each half over the next.
func (x *object[S, In, Out]) convictWindow(needs [][]int32, width int, b spec.Budget) (c spec.Conflict, ok bool) {
	in := make([]bool, len(x.ops))
	most := windowMost * width
	for start := 0; start < len(x.ops) && !b.Stopped(); start += width / 2 {
		part := make([]int32, 0, most)
		add := func(i int32) {
			if !in[i] {
				in[i] = true
				part = append(part, i)
			}
		}
		for i := start; i < min(start+width, len(x.ops)); i++ {
			add(int32(i))
		}
		for n := 0; n < len(part) && len(part) <= most; n++ {
			for _, j := range needs[part[n]] {
				add(j)
			}
		}
		for _, i := range part {
			in[i] = false
		}
		if len(part) > most {
			continue
		}
		slices.Sort(part)
		ops := make([]spec.Op[In, Out], len(part))
		for n, i := range part {
			ops[n] = x.ops[i]
		}
		if x.illegal(ops, b) {
			return spec.Conflict{Ops: part}, true
		}
	}
	return c, false
}
