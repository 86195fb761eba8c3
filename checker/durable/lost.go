package durable

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// lost finds the acknowledged writes of a key that are gone.
func (m *meter) lost(k *keyed) {
	finals := m.finals(k)
	known := m.known(k, finals)
	acked := false
	for i := range k.versions {
		acked = acked || k.versions[i].sets == 1 && k.versions[i].ack < never
	}
	if !acked {
		return
	}
	if !known {
		m.r.Unsettled++
	}
	oldest, newest := never, time.Duration(-1)
	for _, l := range finals {
		f := never // of an ambiguous value nothing is known
		if v := &k.versions[l.value]; v.single() {
			f = v.there
		}
		oldest, newest = min(oldest, f), max(newest, f)
	}
	returned := map[int32]bool{}
	for _, l := range finals {
		returned[l.value] = true
	}
	line := k.lineage(finals, known)
	hint := k.missed()
	for i := range k.versions {
		v := &k.versions[i]
		if v.sets != 1 || v.ack == never {
			continue
		}
		link, jumped := line.over(v)
		switch {
		case known && !returned[int32(i)] && newest < v.call:
			v.gone = true
			m.lose(k, v, int32(i), func() (string, []int32) { return m.sayFinal(k, finals) })
		case known && jumped && !line.has[int32(i)]:
			v.gone = true
			m.lose(k, v, int32(i), func() (string, []int32) { return m.sayLineage(k, link, finals[0]) })
		case !returned[int32(i)] && len(finals) > 0 && oldest < v.call, hint.missed(k, v, int32(i)):
			m.at(v.place).Possible.Lost++
		}
	}
}

// finals are the final reads of a key: the last of each node; if nobody knows
// through which node they were, the last of each value.
func (m *meter) finals(k *keyed) []look {
	var out []look
	position := map[int32]int{} // by node or value
	for _, l := range k.looks {
		if !l.final || !m.nameless() && int(l.node) == len(m.nodes) {
			continue
		}
		of := l.node
		if m.nameless() {
			of = l.value
		}
		at, known := position[of]
		switch {
		case !known:
			position[of] = len(out)
			out = append(out, l)
		case out[at].end <= l.end:
			out[at] = l
		}
	}
	return out
}

// known is true if the final state of the key is.
func (m *meter) known(k *keyed, finals []look) bool {
	if len(finals) == 0 || !m.nameless() && len(finals) < len(m.nodes) {
		return false
	}
	return !slices.ContainsFunc(finals, func(l look) bool { return !k.versions[l.value].single() })
}

// lineage is the line of compare-and-sets that led to the final value.
type lineage struct {
	// links in order of the call of their compare-and-set, each with the
	// least f of what it or a later one replaced.
	links []link
	has   map[int32]bool
}

type link struct {
	value, from int32
	call, there time.Duration // of the cas, and f of what it replaced
	best        int           // the link from here on with the least f
}

// lineage follows the compare-and-sets back from what all final reads
// returned.
func (k *keyed) lineage(finals []look, known bool) lineage {
	l := lineage{has: map[int32]bool{}}
	if !known || slices.ContainsFunc(finals, func(x look) bool { return x.value != finals[0].value }) {
		return l
	}
	for n := finals[0].value; !l.has[n]; {
		l.has[n] = true
		v := &k.versions[n]
		if !v.single() || v.from < 0 || !k.versions[v.from].single() {
			break
		}
		l.links = append(l.links, link{value: n, from: v.from, call: v.call, there: k.versions[v.from].there})
		n = v.from
	}
	slices.SortFunc(l.links, func(a, b link) int { return cmp.Compare(a.call, b.call) })
	for i := len(l.links) - 1; i >= 0; i-- {
		l.links[i].best = i
		if i+1 < len(l.links) {
			if b := l.links[i+1].best; l.links[b].there < l.links[i].there {
				l.links[i].best = b
			}
		}
	}
	return l
}

// over finds a link that was invoked after v was acknowledged and replaced
// something older than v.
func (l *lineage) over(v *version) (link, bool) {
	i, _ := slices.BinarySearchFunc(l.links, v.ack, func(x link, ack time.Duration) int { return cmp.Compare(x.call, ack+1) })
	if i == len(l.links) {
		return link{}, false
	}
	x := l.links[l.links[i].best]
	return x, x.there < v.call
}

// misses answers whether somebody had to see a value and did not.
type misses struct {
	updates []update // by f
	first   []two    // by update: the two least calls from here on
	looks   []look   // of single values that are not from the future, by begin
	end     []time.Duration
	older   []time.Duration // from here on: the least f of what a cas replaced
}

// two are the least calls of two different values.
type two struct {
	call  [2]time.Duration
	value int32 // of the first
}

func (t *two) add(call time.Duration, value int32) {
	switch {
	case call < t.call[0]:
		if value != t.value {
			t.call[1] = t.call[0]
		}
		t.call[0], t.value = call, value
	case value != t.value:
		t.call[1] = min(t.call[1], call)
	}
}

// other is the least call of any value but v.
func (t *two) other(v int32) time.Duration {
	if t.value == v {
		return t.call[1]
	}
	return t.call[0]
}

func (k *keyed) missed() misses {
	m := misses{updates: slices.Clone(k.updates)}
	slices.SortFunc(m.updates, func(a, b update) int { return cmp.Compare(a.there, b.there) })
	m.first = make([]two, len(m.updates)+1)
	m.first[len(m.updates)] = two{[2]time.Duration{never, never}, -1}
	for i := len(m.updates) - 1; i >= 0; i-- {
		m.first[i] = m.first[i+1]
		m.first[i].add(m.updates[i].call, m.updates[i].value)
	}
	for _, l := range k.looks {
		if v := &k.versions[l.value]; v.single() && v.call <= l.end {
			m.looks = append(m.looks, l)
		}
	}
	slices.SortFunc(m.looks, func(a, b look) int { return cmp.Compare(a.begin, b.begin) })
	m.end = make([]time.Duration, len(m.looks)+1)
	m.older = make([]time.Duration, len(m.looks)+1)
	m.end[len(m.looks)], m.older[len(m.looks)] = never, never
	for i := len(m.looks) - 1; i >= 0; i-- {
		l := m.looks[i]
		m.end[i], m.older[i] = min(m.end[i+1], l.end), m.older[i+1]
		if l.cas {
			m.older[i] = min(m.older[i], k.versions[l.value].there)
		}
	}
	return m
}

// missed is true if, after the last look at v, a read that had to return v
// returned something older, or a compare-and-set replaced something older.
func (m *misses) missed(k *keyed, v *version, n int32) bool {
	after := max(v.ack, v.last)
	from, _ := slices.BinarySearchFunc(m.looks, after, func(l look, t time.Duration) int { return cmp.Compare(l.begin, t+1) })
	if m.older[from] < v.call {
		return true
	}
	i, _ := slices.BinarySearchFunc(m.updates, v.call, func(u update, t time.Duration) int { return cmp.Compare(u.there, t) })
	return m.end[from] < m.first[i].other(n)
}

// lose counts a loss and keeps its witness if it is one of the first.
func (m *meter) lose(k *keyed, v *version, n int32, why func() (string, []int32)) {
	m.at(v.place).Lost++
	if !m.admits(Lost, v.ack) {
		return
	}
	p := m.Pair(k.key, int(v.op))
	text, ops := why()
	m.keep(Finding{Kind: Lost, Key: m.Keys[k.key], Value: k.names.Text(n), At: v.ack,
		Events: m.events(k.key, append(ops, v.op)),
		Text:   fmt.Sprintf("the %s of %s by %s was acknowledged at %s and is lost: %s", p.F(), k.names.Text(n), who(p.Invoke), at(v.ack), text),
	}, v.place)
}

// maxTold final reads are told in a witness.
const maxTold = 9

// sayFinal tells what the final reads returned instead, and which operations
// prove that it is older.
func (m *meter) sayFinal(k *keyed, finals []look) (string, []int32) {
	var parts []string
	var ops []int32
	for _, l := range finals[:min(len(finals), maxTold)] {
		ops = append(ops, l.op, k.versions[l.value].op, k.first(l.value))
		e := m.Pair(k.key, int(l.op)).Invoke
		parts = append(parts, fmt.Sprintf("%s to %s at %s", k.names.Text(l.value), who(e), at(l.end)))
	}
	return fmt.Sprintf("when all was quiet the last reads returned what had been there before that was invoked: %s", strings.Join(parts, ", ")), ops
}

func (m *meter) sayLineage(k *keyed, x link, final look) (string, []int32) {
	v := &k.versions[x.value]
	e := m.Pair(k.key, int(v.op)).Invoke
	ops := []int32{v.op, final.op, k.first(x.value), k.first(x.from), k.versions[x.from].op}
	return fmt.Sprintf("the compare-and-set from %s to %s by %s, invoked at %s, replaced what had been there before; it led to %s, which the last reads returned",
		k.names.Text(x.from), k.names.Text(x.value), who(e), at(v.call), k.names.Text(final.value)), ops
}

// first is the operation by whose return a value was there.
func (k *keyed) first(n int32) int32 {
	v := &k.versions[n]
	for _, l := range k.looks {
		if l.value == n && l.end == v.there {
			return l.op
		}
	}
	return v.op
}

// events are the indexes of the events of calls; -1 is no call.
func (m *meter) events(key int, ops []int32) []int {
	var out []int
	for _, op := range ops {
		if op < 0 {
			continue
		}
		p := m.Pair(key, int(op))
		out = append(out, p.Invoke.Index)
		if p.Complete != nil {
			out = append(out, p.Complete.Index)
		}
	}
	return out
}
