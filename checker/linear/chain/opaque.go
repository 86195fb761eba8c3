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

// job is a chain to be put in order: it must begin by f, needs time until s,
// and its first operation was called at b. What comes next is due at due, at
// the latest; earlier, if it had to begin earlier and is loose.
type job struct {
	f, s, b, due int64
	head, tail   int32
	last         int32 // operation of s
	loose        bool
}

// job is the chain from head on, ok unless it is contradictory in itself.
func (t *table) job(d *demands, head int32) (j job, ok bool) {
	j = job{f: spec.Never, s: dawn, b: t.vals[head].b, head: head, last: none}
	latest, now := int64(spec.Never), int64(dawn)
	ok = true
	for v := head; v != none; v = t.vals[v].next {
		c := &t.vals[v]
		latest, now = min(latest, c.f), max(now, c.b)
		ok = ok && now <= latest
		j.f = min(j.f, latest)
		if lo := d.start[v]; lo < d.start[v+1] && d.c[lo] <= latest {
			j.loose = true
		}
		latest, now = d.due(v, latest), max(now, c.s)
		if c.s > j.s {
			j.s, j.last = c.s, c.last
		}
		j.tail = v
	}
	j.due, j.f = latest, min(j.f, latest)
	return j, ok && now <= latest
}

// run is job in a place: it begins at now at the earliest and by at the latest.
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
func (t *table) withOpaque(zones []zone, order []int32, b spec.Budget) verdict {
	d := t.demands()
	jobs := make([]job, len(zones))
	tight := false
	for k := range zones {
		j, ok := t.job(&d, zones[k].head)
		if !ok {
			return verdict{outcome: spec.Illegal, suspects: t.opaqueOf(j.head)}
		}
		jobs[k] = j
		tight = tight || j.f != zones[k].f
		zones[k] = zone{f: j.f, s: j.s, head: j.head, last: j.last}
	}
	if tight {
		order = t.arrange(zones)
		if len(t.faults) > 0 {
			f := t.faults[0]
			t.faults = nil
			return verdict{outcome: spec.Illegal, suspects: t.opaqueOf(f.a, f.b)}
		}
	}
	if heads, ok := t.straight(&d, jobs, order); ok {
		return t.legal(heads, &d)
	}
	return newSearch(t, &d, zones, jobs).run(b)
}

// opaqueOf are the opaque operations of the chains of some heads.
func (t *table) opaqueOf(heads ...int32) []int32 {
	in := map[int32]bool{}
	for _, h := range heads {
		for v := h; v != none; v = t.vals[v].next {
			in[v] = true
		}
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
func (t *table) straight(d *demands, jobs []job, order []int32) (heads []int32, ok bool) {
	now, by := int64(dawn), int64(spec.Never)
	heads = make([]int32, 0, len(order))
	for _, k := range order {
		if now, by, ok = t.run(d, jobs[k].head, now, by); !ok {
			return nil, false
		}
		heads = append(heads, jobs[k].head)
	}
	return heads, by == spec.Never
}

// legal is the verdict on a legal order: the chains in order as zones, and for each
// opaque operation the value that it found.
func (t *table) legal(heads []int32, d *demands) verdict {
	v := verdict{outcome: spec.Legal, zones: make([]zone, len(heads)), order: make([]int32, len(heads))}
	var vals []int32
	var at []int64 // the latest time to set each
	by := int64(spec.Never)
	for k, h := range heads {
		v.zones[k].head, v.order[k] = h, int32(k)
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
	v.guests = t.guests(vals, at)
	return v
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
