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
	from := 0
	for _, i := range f.calls {
		if d.ops[i].Call > d.ops[f.failed].Return || d.kinds[i] == anything {
			continue
		}
		if first := min(d.ops[f.failed].Call, d.lastCall(f)); d.ops[i].Call <= first {
			from = len(all)
		}
		all = append(all, i)
	}
	if part := d.shorten(all, from, false); part != nil {
		return d.thin(part, f)
	}
	if len(all) > maxThin {
		// Rather a part that is illegal by itself only than thousands.
		if part := d.shorten(all, from, true); part != nil {
			return d.thin(part, f)
		}
	}
	return d.thin(all, f)
}

// shorten looks for an illegal part of ops from a position on or ever earlier.
func (d *decider) shorten(ops []int32, from int, anyhow bool) []int32 {
	for step := 1; from > 0; from, step = from-step, step+step/4+1 {
		part, add := d.cut(ops, from, anyhow)
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

// lastCall is the call of the last flip.
func (d *decider) lastCall(f broken) int64 {
	if n := len(f.flips); n > 0 {
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
// anyhow: that much is not asked for.
func (d *decider) cut(ops []int32, at int, anyhow bool) (part []int32, maybe int32) {
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
	case blind && busy && !anyhow || !blind && balance&^1 != 0:
		return nil, -1
	case blind:
		return append(part, ops[at:]...), add
	case balance == 1:
		part = append(part, add)
	}
	return append(part, ops[at:]...), -1
}

func (d *decider) illegal(part []int32) bool { return d.sweep(d.part(part)).failed >= 0 }

// maxThin operations are tried one by one.
const maxThin = 200

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
	text := fmt.Sprintf("{%d} found %d there", x, v)
	if k := d.kinds[x]; k == readAbsent || k == flipUp {
		text = fmt.Sprintf("{%d} found %d not there", x, v)
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
