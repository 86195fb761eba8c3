package chain

import "slices"

// rule is a way to contradict oneself.
type rule uint8

const (
	denies   rule = iota // a: a failed cas that found what it compares with
	nobody               // a: a value that was seen and never set
	early                // a: a value that was seen before it was set
	twice                // a, b: a value, and the second operation that replaced it
	cycle                // a: a value that came out of itself
	disorder             // a: a value that was seen before the last of one that it came out of
	overlap              // a, b: heads of chains that were both current in one period
	inside               // a, b: a chain that was current all the time in which b was
)

type fault struct {
	rule rule
	a, b int32
	x, y *zone // of overlap and inside
}

// maxFaults bounds what one look at a history reports.
const maxFaults = 1000

func (t *table) fault(f fault) {
	if len(t.faults) < maxFaults {
		t.faults = append(t.faults, f)
	}
}

// core are operations that contradict each other by themselves.
type core struct {
	ops   []int32
	blind []int32
}

func (d *core) add(ids ...int32) {
	for _, i := range ids {
		if i >= 0 && !slices.Contains(d.ops, i) {
			d.ops = append(d.ops, i)
		}
	}
}

// span is a run of a chain's values from lo to hi: x returned early with lo, y
// was called late with hi.
type span struct{ lo, hi, x, y int32 }

// tie adds what makes the span one period: who set lo, and how hi came of it.
func (t *table) tie(d *core, s span) {
	d.setter(t, s.lo)
	for v := s.lo; v != s.hi; {
		v = t.vals[v].next
		d.add(t.vals[v].set)
	}
	d.add(s.x, s.y)
}

// setter adds the operation that set v, no matter what it replaced.
func (d *core) setter(t *table, v int32) {
	i := t.vals[v].set
	if i >= 0 && t.isCAS(i) && !slices.Contains(d.ops, i) {
		d.blind = append(d.blind, i)
	}
	d.add(i)
}

// spanOf is the shortest span with a return before or at f, and a call at or
// after s.
func (t *table) spanOf(head int32, f, s int64) span {
	best, length := span{lo: head, hi: head}, -1
	lo, at := int32(none), 0
	for v, k := head, 0; v != none; v, k = t.vals[v].next, k+1 {
		c := &t.vals[v]
		if c.f <= f {
			lo, at = v, k
		}
		if c.s >= s && lo != none && (length < 0 || k-at < length) {
			best, length = span{lo, v, t.vals[lo].first, c.last}, k-at
		}
	}
	return best
}

// instant is the shortest run of a chain's values with a call after f, y, and
// a return before s, x, in whatever order.
func (t *table) instant(head int32, f, s int64) (run span) {
	length := -1
	var called, returned = int32(none), int32(none)
	var atCalled, atReturned int
	for v, k := head, 0; v != none; v, k = t.vals[v].next, k+1 {
		c := &t.vals[v]
		if c.s > f {
			called, atCalled = v, k
		}
		if c.f < s {
			returned, atReturned = v, k
		}
		if called == none || returned == none {
			continue
		}
		if n := max(atCalled, atReturned) - min(atCalled, atReturned); length < 0 || n < length {
			length = n
			run = span{lo: returned, hi: called, x: t.vals[returned].first, y: t.vals[called].last}
			if atCalled < atReturned {
				run.lo, run.hi = called, returned
			}
		}
	}
	return run
}

// spans are the two runs of values that an overlap or inside is about.
func (t *table) spans(f fault) (a, b span) {
	if f.rule == overlap {
		late, soon := max(f.x.f, f.y.f), min(f.x.s, f.y.s)
		return t.spanOf(f.a, late, soon), t.spanOf(f.b, late, soon)
	}
	a = t.spanOf(f.a, f.y.s-1, f.y.f+1)
	from := int64(dawn)
	if a.x >= 0 {
		from = t.ops[a.x].Return
	}
	return a, t.instant(f.b, from, t.ops[a.y].Call)
}

// disordered is the last value before v in its chain that was seen by a call
// after v had been seen.
func (t *table) disordered(v int32) int32 {
	u := t.vals[v].prev
	for t.vals[u].s <= t.vals[v].f {
		u = t.vals[u].prev
	}
	return u
}

// core is what the fault is about, and who vouches for what crashed.
func (t *table) core(f fault) core {
	var d core
	c := &t.vals[f.a]
	switch f.rule {
	case denies:
		d.add(f.a)
	case nobody:
		if c.n > 0 {
			d.add(c.first)
		} else {
			d.add(t.vals[c.next].set)
		}
	case early:
		d.setter(t, f.a)
		d.add(c.first)
	case twice:
		d.setter(t, f.a)
		d.add(t.vals[c.next].set, f.b)
	case cycle:
		d.add(c.set)
		for v := c.next; v != f.a; v = t.vals[v].next {
			d.add(t.vals[v].set)
		}
	case disorder:
		u := t.disordered(f.a)
		t.tie(&d, span{u, f.a, c.first, t.vals[u].last})
	default:
		a, b := t.spans(f)
		t.tie(&d, a)
		t.tie(&d, b)
	}
	for k := 0; k < len(d.ops); k++ { // grows
		if t.ops[d.ops[k]].Crashed {
			v := t.voucher(d.ops[k])
			d.add(v)
			d.blind = slices.DeleteFunc(d.blind, func(i int32) bool { return i == v })
		}
	}
	return d
}

// voucher is an operation that saw, or replaced, what crashed operation i set.
func (t *table) voucher(i int32) int32 {
	c := &t.vals[t.target(i)]
	switch {
	case c.n > 0:
		return c.first
	case c.next != none:
		return t.vals[c.next].set
	}
	return none
}
