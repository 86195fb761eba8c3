package chain

import (
	"slices"
	"sort"

	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// A cas that failed, called at c and returned at r, and that does not say what
// it found, wants another value than its own at some time in [c,r]. If its own
// was set at T < c, the next one has to be set by r. So whoever sets value v at
// T makes the next setter due at min{r: c > T} over the opaque operations of v:
// the later, the better. In a given order of all values the latest times are
// computed from front to back, and the order is right if and only if no value
// is set, as soon as possible, after its latest time. What is left is to find
// the order of the chains: a search, see search.

// demands are the opaque operations by value, and in it by call.
type demands struct {
	start []int32 // value -> first
	c, r  []int64 // call; earliest return of this one and those after it
}

func (t *table) demands() demands {
	d := demands{start: make([]int32, len(t.vals)+1), c: make([]int64, len(t.opaque)), r: make([]int64, len(t.opaque))}
	for _, i := range t.opaque {
		d.start[t.ops[i].In.A+1]++
	}
	for v := range t.vals {
		d.start[v+1] += d.start[v]
	}
	for k := len(t.opaque) - 1; k >= 0; k-- { // leaves start[v+1] where v begins
		o := &t.ops[t.opaque[k]]
		v := o.In.A
		at := d.start[v+1] - 1
		d.start[v+1] = at
		d.c[at], d.r[at] = o.Call, o.Return
	}
	copy(d.start, d.start[1:])
	d.start[len(t.vals)] = int32(len(t.opaque))
	for v := range t.vals {
		for k := d.start[v+1] - 2; k >= d.start[v]; k-- {
			d.r[k] = min(d.r[k], d.r[k+1])
		}
	}
	return d
}

// due is when the value after v must be set if v is set at time at.
func (d *demands) due(v int32, at int64) int64 {
	lo, hi := d.start[v], d.start[v+1]
	if lo == hi {
		return spec.Never
	}
	k := lo + int32(sort.Search(int(hi-lo), func(k int) bool { return d.c[lo+int32(k)] > at }))
	if k == hi {
		return spec.Never
	}
	return d.r[k]
}

// run puts the chain from head on in a place: it begins at now at the earliest,
// and by at the latest. It ends at end, and what comes next is due at due.
func (t *table) run(d *demands, head int32, now, by int64) (end, due int64, ok bool) {
	for v := head; v != none; v = t.vals[v].next {
		c := &t.vals[v]
		now, by = max(now, c.b), min(by, c.f)
		if now > by {
			return 0, 0, false
		}
		now, by = max(now, c.s), d.due(v, by)
	}
	return now, by, now <= by
}

// withOpaque goes on from a table that is right apart from its opaque
// operations.
func (t *table) withOpaque(zones []zone, heads []int32, b spec.Budget) verdict {
	d := t.demands()
	for k := range zones {
		if _, _, ok := t.run(&d, zones[k].head, dawn, spec.Never); !ok {
			return verdict{outcome: spec.Illegal, suspects: t.opaqueOf(t.values(zones[k].head))}
		}
	}
	if t.straight(&d, heads) {
		return t.legal(heads, &d)
	}
	s := newSearch(t, &d, zones)
	if values := s.stuck(); values != nil {
		return verdict{outcome: spec.Illegal, suspects: t.opaqueOf(values)}
	}
	return s.run(b)
}

// values are those of the chain from head on.
func (t *table) values(head int32) (out []int32) {
	for v := head; v != none; v = t.vals[v].next {
		out = append(out, v)
	}
	return out
}

// opaqueOf are the opaque operations that compare with some values.
func (t *table) opaqueOf(values []int32) []int32 {
	in := make(map[int32]bool, len(values))
	for _, v := range values {
		in[v] = true
	}
	var out []int32
	for _, i := range t.opaque {
		if in[t.ops[i].In.A] {
			out = append(out, i)
		}
	}
	return out
}

// straight tries the order that would do without the opaque operations.
func (t *table) straight(d *demands, heads []int32) (ok bool) {
	now, by := int64(dawn), int64(spec.Never)
	for _, h := range heads {
		if now, by, ok = t.run(d, h, now, by); !ok {
			return false
		}
	}
	return by == spec.Never
}

// legal is the verdict on a legal order, with the value that each opaque
// operation found.
func (t *table) legal(heads []int32, d *demands) verdict {
	vals := make([]int32, 0, len(heads)+t.links)
	at := make([]int64, 0, len(heads)+t.links) // the latest time to set each
	by := int64(spec.Never)
	for _, h := range heads {
		for u := h; u != none; u = t.vals[u].next {
			by = min(by, t.vals[u].f)
			vals, at = append(vals, u), append(at, by)
			by = d.due(u, by)
		}
	}
	horizon := int64(dawn)
	for i := range t.ops {
		horizon = max(horizon, t.ops[i].Call)
	}
	for k := len(at) - 1; k >= 0; k-- {
		horizon = min(horizon, at[k])
		at[k] = horizon
	}
	return verdict{outcome: spec.Legal, heads: heads, guests: t.guests(vals, at)}
}

// guests are the values that opaque operations found, if vals were set at
// those times.
func (t *table) guests(vals []int32, at []int64) []int32 {
	position := make([]int32, len(t.vals))
	for v := range position {
		position[v] = none
	}
	for k, v := range vals {
		position[v] = int32(k)
	}
	current := func(time int64) int { // the last one set by then
		k, _ := slices.BinarySearchFunc(at, time, func(a, time int64) int {
			if a <= time {
				return -1
			}
			return 1
		})
		return k - 1
	}
	out := make([]int32, len(t.opaque))
	for k, i := range t.opaque {
		o := &t.ops[i]
		p := int(position[o.In.A])
		var host int
		switch {
		case p == none:
			host = current(o.Call)
		case o.Call > at[p]:
			host = current(max(o.Call, at[p+1]))
		default:
			host = min(current(o.Call), p-1)
		}
		out[k] = vals[host]
	}
	return out
}
