package presence

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// broken is an element that has no legal order.
type broken struct {
	element
	fate
}

func (d *decider) conflicts(failed []broken) []spec.Conflict {
	slices.SortStableFunc(failed, func(a, b broken) int {
		return cmp.Compare(d.ops[a.failed].Return, d.ops[b.failed].Return)
	})
	var out []spec.Conflict
	for _, f := range failed[:min(len(failed), maxConflicts)] {
		out = append(out, d.conflict(f))
	}
	slices.SortStableFunc(out, func(a, b spec.Conflict) int { return cmp.Compare(a.At, b.At) })
	return out
}

func (d *decider) conflict(f broken) spec.Conflict {
	c := spec.Conflict{Ops: d.shrink(f), Say: d.say(f)}
	slices.SortFunc(c.Ops, func(a, b int32) int {
		return cmp.Or(cmp.Compare(d.ops[a].Call, d.ops[b].Call), cmp.Compare(a, b))
	})
	for _, i := range c.Ops {
		if c.At = max(c.At, d.ops[i].Call); !d.ops[i].Crashed {
			c.At = max(c.At, d.ops[i].Return)
		}
	}
	return c
}

// shrink finds a small part of an element's operations that is illegal by
// itself: those that were called before the return that broke it, without what
// was over before a certain moment. From there on, that matters only by
// whether it left the element there.
func (d *decider) shrink(f broken) []int32 {
	var all []int32
	from, first := 0, min(d.ops[f.failed].Call, d.lastCall(f))
	for _, i := range f.calls {
		if d.ops[i].Call > d.ops[f.failed].Return || d.kinds[i] == anything {
			continue
		}
		if all = append(all, i); d.ops[i].Call < first {
			from = len(all)
		}
	}
	part := d.shorten(all, from, d.cut)
	if part == nil {
		part = all
	}
	if part = d.thin(part, f); len(part) <= maxPart {
		return part
	}
	snap := d.shorten(all, from, func(ops []int32, at int) ([]int32, int32) { return d.snap(f, ops, at), -1 })
	if snap == nil || len(snap) >= len(part) {
		return part
	}
	return d.thin(snap, f)
}

// maxPart operations are rather shown than a part of them that is illegal, but
// only shows it together with the search that found what is left out.
const maxPart = 30

// shorten looks for an illegal part of ops from a position on or ever earlier.
func (d *decider) shorten(ops []int32, from int, cut func(ops []int32, at int) (part []int32, maybe int32)) []int32 {
	for step := 1; from > 0; from, step = from-step, step+step/4+1 {
		part, add := cut(ops, from)
		if len(part) == 0 || !d.illegal(part) {
			continue
		}
		if add >= 0 {
			part = append([]int32{add}, part...)
		}
		if add < 0 || d.illegal(part) {
			return part
		}
	}
	return nil
}

// lastCall is the call of the last flip, unless it crashed: then it is in
// flight at any later moment.
func (d *decider) lastCall(f broken) int64 {
	if n := len(f.flips); n > 0 && !d.ops[f.flips[n-1].op].Crashed {
		return d.ops[f.flips[n-1].op].Call
	}
	return spec.Never
}

// cut is ops, which ascend by call, from a position on, with what was in
// flight then, and with one add if what was over had left the element there.
// What was in flight may have come in between, but then it may also come right
// after. So the part is legal if all is; it is empty if this is not so.
//
// If blind operations were over, nobody knows whether the element was there.
// Then nothing that completed may be in flight, and maybe is an add that makes
// it be there: all is illegal if the part is, with it and without.
func (d *decider) cut(ops []int32, at int) (part []int32, maybe int32) {
	since := d.ops[ops[at]].Call
	balance, add, blind, busy := 0, int32(-1), false, false
	for _, i := range ops[:at] {
		k := d.kinds[i]
		switch {
		case d.ops[i].Return >= since:
			busy = busy || !k.maybe()
			if !k.reads() {
				part = append(part, i)
			}
			continue
		case k == flipDown:
			balance--
		case k == flipUp:
			balance++
		}
		blind = blind || k.blind()
		if k.after() == 1 && !k.reads() && (add < 0 || d.ops[i].Return > d.ops[add].Return) {
			add = i
		}
	}
	switch {
	case blind && busy || !blind && balance&^1 != 0:
		return nil, -1
	case blind:
		return append(part, ops[at:]...), add
	case balance == 1:
		part = append(part, add)
	}
	return append(part, ops[at:]...), -1
}

// snap is ops from a position on, with what was in flight then and had not
// flipped the element in the order that the search had come to, and with the
// add that had, if it was there.
func (d *decider) snap(f broken, ops []int32, at int) []int32 {
	since := d.ops[ops[at]].Call
	n := 0
	before := map[int32]bool{}
	for ; n < len(f.flips) && f.flips[n].at < since; n++ {
		before[f.flips[n].op] = true
	}
	var part []int32
	for _, i := range ops[:at] {
		if d.ops[i].Return >= since && !d.kinds[i].reads() && !before[i] {
			part = append(part, i)
		}
	}
	if n%2 == 1 && !slices.Contains(ops[at:], f.flips[n-1].op) {
		part = append(part, f.flips[n-1].op)
	}
	return append(part, ops[at:]...)
}

func (d *decider) illegal(part []int32) bool { return d.sweep(d.part(part)).failed >= 0 }

// maxThin operations are tried one by one.
const maxThin = 400

// thin leaves out operations that only look, and those that crashed and are of
// no use, as long as the rest is illegal.
func (d *decider) thin(part []int32, f broken) []int32 {
	last := int32(-1)
	if n := len(f.flips); n > 0 {
		last = f.flips[n-1].op
	}
	if len(part) > maxThin {
		return part
	}
	for k := len(part) - 1; k >= 0; k-- {
		i := part[k]
		if i == f.failed || i == last || !d.kinds[i].reads() && !d.kinds[i].maybe() {
			continue
		}
		if d.kinds[i].maybe() && d.helps(i, f) {
			continue
		}
		if rest := slices.Delete(slices.Clone(part), k, k+1); d.illegal(rest) {
			part = rest
		}
	}
	return part
}

// helps: the crashed operation i is of the kind that the one that failed
// lacked, so to leave it out would prove nothing.
func (d *decider) helps(i int32, f broken) bool { return d.kinds[i].after() == d.lacked(f) }

// lacked is what the element had to become and could not.
func (d *decider) lacked(f broken) int {
	k := d.kinds[f.failed]
	if k.flips() {
		return 1 - k.after()
	}
	return k.after()
}

func (d *decider) say(f broken) string {
	x, v := f.failed, d.ops[f.failed].In.V
	text := fmt.Sprintf("{%d} found {=%d} there", x, v)
	if k := d.kinds[x]; k == readAbsent || k == flipUp {
		text = fmt.Sprintf("{%d} found {=%d} not there", x, v)
	}
	did, lacked := "added", "removed"
	if d.lacked(f) == 1 {
		did, lacked = "removed", "added"
	}
	again := ""
	if n := len(f.flips); n > 0 {
		last := f.flips[n-1].op
		text += fmt.Sprintf(", but {%d} had %s it", last, did)
		if d.ops[last].Return < d.ops[x].Call {
			text += fmt.Sprintf(" and returned {%d<%d} before", last, x)
		}
		if n > 1 {
			again = " again"
		}
		return text + fmt.Sprintf(", and nothing that began before {%d} returned can have %s it%s since", x, lacked, again)
	}
	return text + fmt.Sprintf(", but nothing that began before {%d} returned can have %s it", x, lacked)
}
