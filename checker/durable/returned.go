package durable

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// returned finds the values of a key that were seen again after they had been
// replaced: through each node for certain, through any of them possibly.
func (m *meter) returned(k *keyed) {
	if len(k.looks) < 2 {
		return
	}
	looks := slices.Clone(k.looks)
	seen := make([]sight, len(k.versions))
	if !m.nameless() {
		slices.SortStableFunc(looks, func(a, b look) int { return cmp.Compare(a.node, b.node) })
		for len(looks) > 0 {
			n, _ := slices.BinarySearchFunc(looks, looks[0].node, func(l look, node int32) int { return cmp.Compare(l.node, node+1) })
			if int(looks[0].node) < len(m.nodes) {
				m.through(k, looks[:n], seen, true)
			}
			looks = looks[n:]
		}
		looks = slices.Clone(k.looks)
	}
	m.through(k, looks, seen, false)
}

// sight is when a value was seen through one node.
type sight struct {
	first time.Duration // the earliest return
	last  look          // the latest to begin
	some  bool
}

// through judges the looks through one node, or through any if not certain.
func (m *meter) through(k *keyed, looks []look, seen []sight, certain bool) {
	var values []int32
	for _, l := range looks {
		s := &seen[l.value]
		switch {
		case !s.some:
			*s = sight{l.end, l, true}
			values = append(values, l.value)
		default:
			s.first = min(s.first, l.end)
			if l.begin > s.last.begin {
				s.last = l
			}
		}
	}
	newer := k.newer(looks)
	others := otherLooks(looks)
	for _, n := range values {
		v, s := &k.versions[n], seen[n]
		seen[n] = sight{}
		if !v.single() {
			continue
		}
		if l, ok := newer.after(v.there); ok && l.end < s.last.begin {
			m.back(k, n, certain, l, s.last)
			continue
		}
		if l, ok := others.after(s.first, n); ok && l.end < s.last.begin {
			m.twice(k, n, certain, l, s.last)
		}
	}
}

// newest are looks by the call of what they saw, each with the first to return
// from there on.
type newest struct {
	call []time.Duration
	look []look
}

func (k *keyed) newer(looks []look) newest {
	type called struct {
		call time.Duration
		look look
	}
	all := make([]called, 0, len(looks))
	for _, l := range looks {
		if v := &k.versions[l.value]; v.single() {
			all = append(all, called{v.call, l})
		}
	}
	slices.SortFunc(all, func(a, b called) int { return cmp.Compare(a.call, b.call) })
	out := newest{make([]time.Duration, len(all)), make([]look, len(all))}
	for i := len(all) - 1; i >= 0; i-- {
		out.call[i], out.look[i] = all[i].call, all[i].look
		if i+1 < len(all) && out.look[i+1].end < all[i].look.end {
			out.look[i] = out.look[i+1]
		}
	}
	return out
}

// after is the first to return of the looks at values that were written after t.
func (n *newest) after(t time.Duration) (look, bool) {
	i, _ := slices.BinarySearch(n.call, t+1)
	if i == len(n.call) {
		return look{}, false
	}
	return n.look[i], true
}

// others are looks by their begin, each with the first two to return, of
// different values, from there on.
type others struct {
	begin []time.Duration
	first [][2]int32 // positions in looks; -1: none
	looks []look
}

func otherLooks(looks []look) others {
	o := others{looks: looks, begin: make([]time.Duration, len(looks)), first: make([][2]int32, len(looks))}
	if !slices.IsSortedFunc(looks, byBegin) {
		slices.SortFunc(looks, byBegin)
	}
	best := [2]int32{-1, -1}
	for i := len(looks) - 1; i >= 0; i-- {
		l := looks[i]
		earlier := func(j int32) bool { return best[j] < 0 || l.end < looks[best[j]].end }
		same := best[0] >= 0 && looks[best[0]].value == l.value
		switch {
		case earlier(0) && same:
			best[0] = int32(i)
		case earlier(0):
			best = [2]int32{int32(i), best[0]}
		case !same && earlier(1):
			best[1] = int32(i)
		}
		o.begin[i], o.first[i] = l.begin, best
	}
	return o
}

func byBegin(a, b look) int { return cmp.Compare(a.begin, b.begin) }

// after is the first to return of the looks at anything but n that began after t.
func (o *others) after(t time.Duration, n int32) (look, bool) {
	i, _ := slices.BinarySearch(o.begin, t+1)
	if i == len(o.begin) {
		return look{}, false
	}
	for _, j := range o.first[i] {
		if j >= 0 && o.looks[j].value != n {
			return o.looks[j], true
		}
	}
	return look{}, false
}

// back counts a value that was seen, and kept from counting again, after a
// newer one.
func (m *meter) back(k *keyed, n int32, certain bool, newer, again look) {
	v := &k.versions[n]
	switch g := m.at(v.place); {
	case v.back:
	case !certain:
		g.Possible.Resurrected++
	default:
		v.back = true
		g.Resurrected++
		m.tell(k, n, Resurrected, []int32{v.op, k.first(n), k.versions[newer.value].op, newer.op, again.op}, func() string {
			return fmt.Sprintf("%s had been there by %s, before %s was invoked at %s, which replaced it; %s saw %s at %s, and after that, at %s, %s saw %s again",
				k.names.Text(n), at(v.there), m.written(k, newer.value), at(k.versions[newer.value].call),
				who(m.Pair(k.key, int(newer.op)).Invoke), k.names.Text(newer.value), at(newer.end),
				at(again.begin), who(m.Pair(k.key, int(again.op)).Invoke), k.names.Text(n))
		})
	}
}

// twice counts a value that was seen both before and after another.
func (m *meter) twice(k *keyed, n int32, certain bool, other, again look) {
	v := &k.versions[n]
	switch g := m.at(v.place); {
	case v.twice:
	case !certain:
		g.Possible.Duplicated++
	default:
		v.twice = true
		g.Duplicated++
		m.tell(k, n, Duplicated, []int32{v.op, k.first(n), k.versions[other.value].op, other.op, again.op}, func() string {
			return fmt.Sprintf("%s was written once, and seen; then, at %s, %s saw %s instead; and after that, at %s, %s saw %s again",
				k.names.Text(n), at(other.end), who(m.Pair(k.key, int(other.op)).Invoke), k.names.Text(other.value),
				at(again.begin), who(m.Pair(k.key, int(again.op)).Invoke), k.names.Text(n))
		})
	}
}

// forked counts the values that two compare-and-sets replaced.
func (m *meter) forked(k *keyed) {
	for i := range k.versions {
		v := &k.versions[i]
		if !v.single() || v.eaten < 2 {
			continue
		}
		m.at(v.place).Forked++
		a, b := k.versions[v.by[0]].op, k.versions[v.by[1]].op
		m.tell(k, int32(i), Forked, []int32{v.op, a, b, k.first(v.by[0]), k.first(v.by[1])}, func() string {
			return fmt.Sprintf("%s was written once, but two compare-and-sets replaced it, %s and %s",
				k.names.Text(int32(i)), m.written(k, v.by[0]), m.written(k, v.by[1]))
		})
	}
}

// written is "the write of 5 by process 3 on n1".
func (m *meter) written(k *keyed, n int32) string {
	op := k.versions[n].op
	if op < 0 {
		return "the initial value " + k.names.Text(n)
	}
	p := m.Pair(k.key, int(op))
	return fmt.Sprintf("the %s of %s by %s", p.F(), k.names.Text(n), who(p.Invoke))
}

// tell keeps a witness if it is one of the first of its kind.
func (m *meter) tell(k *keyed, n int32, kind string, ops []int32, text func() string) {
	v := &k.versions[n]
	when := v.ack
	if when == never {
		when = max(0, v.there)
	}
	if !m.admits(kind, when) {
		return
	}
	m.keep(Finding{Kind: kind, Key: m.Keys[k.key], Value: k.names.Text(n), At: when, Events: m.events(k.key, ops), Text: text()}, v.place)
}
