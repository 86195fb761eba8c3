package chain

import (
	"fmt"
	"slices"
	"strings"

	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// patience is how many steps the search gets, for each operation, before the
// place where it does not get on is looked at by itself.
const patience = 4

// insist goes on with a search that ran out of its first steps. In turns, it
// looks at a window around the place that the search does not get past, which
// is illegal by itself if the whole is for a reason that is near, and gives
// the search more steps.
func (a *accuser) insist(t *table, v verdict) (verdict, *sub) {
	for limit := v.steps(); v.outcome == spec.Undecided && v.why == spec.OutOfSteps; {
		if s := a.window(t, v, false); s != nil {
			return verdict{outcome: spec.Illegal}, s
		}
		if a.b.Steps > 0 && limit >= a.b.Steps {
			break
		}
		b := a.b
		if limit *= 8; b.Steps == 0 || limit < b.Steps {
			b.Steps = limit
		}
		v = v.search.run(b)
	}
	return v, nil
}

func (v verdict) steps() int64 {
	if v.search == nil {
		return 0
	}
	return v.search.steps
}

// opaque reports that there is no order because of opaque operations.
func (a *accuser) opaque(t *table, v verdict) {
	if s := a.window(t, v, true); s != nil {
		a.report(s)
	}
}

// window is a part of the history that is illegal by itself: some opaque
// operations, what else there was at the time, and what that needs. It begins
// with the suspects and grows. If sure, the whole is illegal, and is the last
// resort.
func (a *accuser) window(t *table, v verdict, sure bool) *sub {
	whole := a.whole(t)
	needs := Needs(whole.ops)
	at := make(map[int32]int, len(v.suspects))
	var opaque []int // positions in whole
	center := 0
	for i := range whole.ops {
		if o := &whole.ops[i]; o.In.Verb == CAS && !o.Crashed && !o.Out.OK && o.Out.V == Opaque {
			if slices.Contains(v.suspects, whole.ids[i]) {
				at[whole.ids[i]] = i
				center = len(opaque)
			} else if v.search != nil && len(at) == 0 && o.Call <= v.search.missed {
				center = len(opaque)
			}
			opaque = append(opaque, i)
		}
	}
	keep := make([]bool, len(whole.ops))
	for _, i := range at {
		keep[i] = true
	}
	for width := 1; ; width *= 2 {
		if a.b.Stopped() {
			return nil
		}
		fill(keep, needs)
		if s := whole.only(keep); len(s.ops) > 0 && s.illegal(a.b) {
			return s
		}
		if !sure && width > 64 || width > 2*len(opaque) {
			break
		}
		lo, hi := max(0, center-3*width), min(len(opaque), center+width+1)
		whole.around(keep, opaque[lo:hi])
	}
	if sure {
		return whole
	}
	return nil
}

// whole is all that is not gone.
func (a *accuser) whole(t *table) *sub {
	var d core
	d.ops = make([]int32, 0, len(a.ops))
	for i := range a.ops {
		if a.modes == nil || a.modes[i] != gone {
			d.ops = append(d.ops, int32(i))
		}
	}
	return a.pick(t, d)
}

// around keeps some operations and what overlaps them.
func (s *sub) around(keep []bool, some []int) {
	from, to := int64(spec.Never), int64(dawn)
	for _, i := range some {
		keep[i] = true
		from, to = min(from, s.ops[i].Call), max(to, s.ops[i].Return)
	}
	for i := range s.ops {
		if o := &s.ops[i]; o.Return >= from && o.Call <= to && !o.Crashed {
			v, other := sees(o)
			keep[i] = keep[i] || !other || v == none
		}
	}
}

func (s *sub) only(keep []bool) *sub {
	out := make([]bool, len(keep))
	for i := range keep {
		out[i] = !keep[i]
	}
	return s.without(out)
}

// fill keeps what the kept ones need.
func fill(keep []bool, needs [][]int32) {
	var work []int32
	for i := range keep {
		if keep[i] {
			work = append(work, int32(i))
		}
	}
	for len(work) > 0 {
		i := work[len(work)-1]
		work = work[:len(work)-1]
		for _, j := range needs[i] {
			if !keep[j] {
				keep[j] = true
				work = append(work, j)
			}
		}
	}
}

// sayOpaque puts into words that there is no order for opaque operations.
func (t *table) sayOpaque() string {
	var failed, others []string
	setter, last := int32(none), 0
	for i := range t.ops {
		v, other := sees(&t.ops[i])
		if other {
			failed = append(failed, fmt.Sprintf("{%d}", i))
			setter, last = t.vals[v].set, i
		}
	}
	for i := range t.ops {
		if _, ok := sets(&t.ops[i]); ok && (int32(i) != setter || len(failed) > 1) {
			others = append(others, fmt.Sprintf("{%d}", i))
		}
	}
	if len(failed) > 1 {
		return fmt.Sprintf("each of %s failed, so each needs a time between its call and its return when the register did not hold what it compares with; no order of %s gives that to all of them",
			strings.Join(failed, ", "), strings.Join(others, ", "))
	}
	held, began := "the initial value", ""
	if setter >= 0 {
		held = fmt.Sprintf("what {%d} set", setter)
		if q := last; t.ops[setter].Return < t.ops[q].Call {
			began = fmt.Sprintf(", though it began {%d<%d} after {%d} had returned", setter, q, setter)
		}
	}
	text := fmt.Sprintf("%s failed%s, so something else than %s must have been there at some time between its call and its return", failed[0], began, held)
	if len(others) == 0 {
		return text + ", and nothing else was ever written"
	}
	return text + ", and none of " + strings.Join(others, ", ") + " can have come in between"
}
