package chain

import (
	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// zone is a chain of values, from head on, with the earliest return f and the
// latest call s of their operations. If f < s, the chain's values were the
// register's from f to s, and no others. Else one instant in [s,f] is enough.
type zone struct {
	f, s int64
	head int32
	last int32 // the operation that s is of
}

func (z *zone) forward() bool { return z.f < z.s }

// zones checks each chain in itself and returns the zones of the right ones.
func (t *table) zones() []zone {
	n := 0
	for v := range t.vals {
		if c := &t.vals[v]; c.set != none && c.prev == none {
			n++
		}
	}
	zones := make([]zone, 0, n)
	walked := 0
	for v := range t.vals {
		c := &t.vals[v]
		switch {
		case c.prev != none: // not a head
		case c.set == none:
			if c.seen() {
				t.fault(fault{rule: nobody, a: int32(v)})
				for u := c.next; u != none; u = t.vals[u].next {
					walked++
				}
			}
		case c.next == none:
			if c.f < c.b {
				t.fault(fault{rule: early, a: int32(v)})
				continue
			}
			zones = append(zones, zone{f: c.f, s: c.s, head: int32(v), last: c.last})
		default:
			z, right, length := t.walk(int32(v))
			walked += length - 1
			if right {
				zones = append(zones, z)
			}
		}
	}
	if walked < t.links {
		t.cycles()
	}
	return zones
}

// walk checks that the values from head on can have followed each other.
func (t *table) walk(head int32) (z zone, right bool, length int) {
	z = zone{f: spec.Never, s: dawn, head: head, last: none}
	right = true
	for v := head; v != none; v = t.vals[v].next {
		c := &t.vals[v]
		length++
		if right && c.f < max(z.s, c.b) {
			right = false
			if c.f < c.b {
				t.fault(fault{rule: early, a: v})
			} else {
				t.fault(fault{rule: disorder, a: v})
			}
		}
		z.f = min(z.f, c.f)
		if c.s > z.s {
			z.s, z.last = c.s, c.last
		}
	}
	return z, right, length
}

// cycles finds values each of which came out of another.
func (t *table) cycles() {
	reached := make([]bool, len(t.vals))
	for v := range t.vals {
		if t.vals[v].prev == none {
			for u := int32(v); u != none; u = t.vals[u].next {
				reached[u] = true
			}
		}
	}
	for v := range t.vals {
		if t.vals[v].set == none || reached[v] {
			continue
		}
		t.fault(fault{rule: cycle, a: int32(v)})
		for u := int32(v); !reached[u]; u = t.vals[u].next {
			reached[u] = true
		}
	}
}

// arrange puts zones into a legal order, by their heads, or finds those that
// exclude each other. It goes through the zones by s, which costs no sort: the operations
// come by call, and s is the call of one. Zones of one instant wait for the
// next forward zone and go before it if they can.
func (t *table) arrange(zones []zone) []int32 {
	order := make([]int32, 0, len(zones))
	waiting := make([]int32, 0, 64)
	before := int32(none) // the forward zone that came last
	t.byLast(zones, func(k int32) {
		z := &zones[k]
		if !z.forward() {
			waiting = append(waiting, k)
			return
		}
		if before != none && z.f < zones[before].s {
			t.fault(fault{rule: overlap, a: zones[before].head, b: z.head, x: &zones[before], y: z})
		}
		before = k
		n := 0
		for n < len(waiting) && zones[waiting[n]].s <= z.f {
			n++
		}
		order = append(append(append(order, waiting[:n]...), k), waiting[n:]...)
		for _, w := range waiting[n:] {
			if zones[w].f < z.s {
				t.fault(fault{rule: inside, a: z.head, b: zones[w].head, x: z, y: &zones[w]})
				break
			}
		}
		waiting = waiting[:0]
	})
	order = append(order, waiting...)
	for n, k := range order {
		order[n] = zones[k].head
	}
	return order
}

// byLast visits zones by s.
func (t *table) byLast(zones []zone, visit func(k int32)) {
	at := make([]int32, len(t.ops)) // operation -> 1 + its zone
	for k := range zones {
		if i := zones[k].last; i >= 0 {
			at[i] = int32(k) + 1
		} else {
			visit(int32(k)) // the initial value, not seen
		}
	}
	if t.byCall == nil {
		for _, k := range at {
			if k > 0 {
				visit(k - 1)
			}
		}
		return
	}
	for _, i := range t.byCall {
		if at[i] > 0 {
			visit(at[i] - 1)
		}
	}
}

// certify writes the order of chains out as an order of operations: of each
// value the one that set it, then those that found it by call. Opaque
// operations go as if they found the value guests says, by their position in
// t.opaque.
func (t *table) certify(heads, guests []int32) ([]int32, map[int32]Out) {
	for k := range t.opaque {
		if guests[k] != none {
			t.vals[guests[k]].n++
		}
	}
	at := int32(0)
	for _, h := range heads {
		for v := h; v != none; v = t.vals[v].next {
			c := &t.vals[v]
			n := c.n
			if c.set >= 0 {
				n++
			}
			c.n, at = at, at+n
		}
	}
	out := make([]int32, at)
	for v := range t.vals {
		if c := &t.vals[v]; c.set >= 0 {
			out[c.n] = c.set
			c.n++
		}
	}
	guest := 0
	place := func(i int32) {
		v := t.home(i)
		if v == none && guest < len(t.opaque) && t.opaque[guest] == i {
			v = guests[guest]
			guest++
		}
		if v == none || t.vals[v].set == i || t.vals[v].set == none {
			return
		}
		out[t.vals[v].n] = i
		t.vals[v].n++
	}
	if t.byCall == nil {
		for i := range t.ops {
			place(int32(i))
		}
	} else {
		for _, i := range t.byCall {
			place(i)
		}
	}
	return out, t.assumed()
}

// assumed are the answers of the crashed cas that took effect.
func (t *table) assumed() map[int32]Out {
	var out map[int32]Out
	for _, i := range t.crashed {
		if t.isCAS(i) && t.vals[t.target(i)].set == i {
			if out == nil {
				out = map[int32]Out{}
			}
			out[i] = Out{OK: true}
		}
	}
	return out
}
