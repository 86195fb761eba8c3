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
	for _, i := range c.Ops {
		if c.At = max(c.At, d.ops[i].Call); !d.ops[i].Crashed {
			c.At = max(c.At, d.ops[i].Return)
		}
	}
	return c
}

// shrink finds a small part of an element's operations that is illegal by
// itself: those that were called before the return that broke it, without what
// is settled before. Where nothing that has an answer is in flight, what came
// before matters only by whether it left the element there, and by operations
// that crashed.
func (d *decider) shrink(f broken) []int32 {
	var all []int32
	for _, i := range f.calls {
		if d.ops[i].Call <= d.ops[f.failed].Return && d.kinds[i] != anything {
			all = append(all, i)
		}
	}
	for _, at := range d.quiet(all) {
		part := d.cut(f, all, at)
		if d.illegal(part) {
			return d.thin(part, f)
		}
	}
	return d.thin(all, f)
}

// quiet are positions in ops, ascending by call, before which all that
// completed had returned: the last ones, then ever fewer.
func (d *decider) quiet(ops []int32) []int {
	var all, some []int
	latest := int64(-1 << 63)
	for n, i := range ops {
		if n > 0 && latest < d.ops[i].Call {
			all = append(all, n)
		}
		if !d.ops[i].Crashed {
			latest = max(latest, d.ops[i].Return)
		}
	}
	slices.Reverse(all)
	for n := 0; n < len(all); n += 1 + n/4 {
		some = append(some, all[n])
	}
	return some
}

// cut is ops from a position on, the crashed ones before it, and the add that
// left the element there, if it was.
func (d *decider) cut(f broken, ops []int32, at int) []int32 {
	since := d.ops[ops[at]].Call
	n := 0
	for n < len(f.flips) && f.flips[n].at < since {
		n++
	}
	var part []int32
	for _, i := range ops[:at] {
		if d.ops[i].Crashed || n%2 == 1 && f.flips[n-1].op == i {
			part = append(part, i)
		}
	}
	return append(part, ops[at:]...)
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
