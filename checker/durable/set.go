package durable

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/capstan-dev/capstan/checker/value"
	"github.com/capstan-dev/capstan/history"
)

// element is what is known of one element of a set.
type element struct {
	ack   time.Duration // the first acknowledgement, or never
	op    int32         // that add's position, or any add's; -1: none
	read  int32         // the first read that has it; -1: none
	stamp int32         // the last read that was counted as having it
	next  int32         // what stood behind it when it was last read; -1: nothing
	text  json.RawMessage
	in    int32 // final reads that have it
	place int32
	back  bool
	maybe bool // possibly resurrected
	twice bool
}

// reading is one answered read of a set.
type reading struct {
	op         int32
	node       int32
	begin, end time.Duration
	has        []int32
}

// bag is what happened to one set.
type bag struct {
	key      int
	names    *value.Names
	elements []element
	reads    []reading // in order of their end
	quiet    time.Duration
}

// set measures one key; false if its reads are not lists, or time is up.
func (m *meter) set(key int) bool {
	b := &bag{key: key, names: value.NewNames(), quiet: m.healed, elements: make([]element, 0, m.Len(key)+1)}
	for i := range m.Len(key) {
		p := m.Pair(key, i)
		if p.F() == "add" {
			m.add(b, int32(i), p)
			continue
		}
		if p.Outcome() != history.OK || value.IsNull(m.Value(key, p.Complete)) {
			continue
		}
		has := 0 // about as many as the last read
		if len(b.reads) > 0 {
			has = len(b.reads[len(b.reads)-1].has) * 9 / 8
		}
		r := reading{has: make([]int32, 0, has), op: int32(i), node: m.node(p.Invoke), begin: p.Invoke.Time, end: p.Complete.Time}
		last := int32(-1)
		ok := value.Elements(m.Value(key, p.Complete), func(v json.RawMessage) {
			last = b.behind(last, v)
			r.has = append(r.has, last)
		})
		if !ok || m.ctx.Err() != nil {
			return false
		}
		b.reads = append(b.reads, r)
	}
	slices.SortStableFunc(b.reads, func(x, y reading) int { return cmp.Compare(x.end, y.end) })
	m.members(b)
	m.absent(b)
	m.again(b)
	return m.ctx.Err() == nil
}

func (b *bag) at(v json.RawMessage) int32 {
	n := b.names.Of(v)
	for int(n) >= len(b.elements) {
		b.elements = append(b.elements, element{ack: never, op: -1, read: -1, stamp: -1, next: -1, place: nowhere})
	}
	if b.elements[n].text == nil {
		b.elements[n].text = v
	}
	return n
}

// behind is the element v that stands behind last in a read. Reads are mostly
// like the read before: what stood there then is tried first.
func (b *bag) behind(last int32, v json.RawMessage) int32 {
	if last < 0 {
		return b.at(v)
	}
	if n := b.elements[last].next; n >= 0 && bytes.Equal(b.elements[n].text, v) {
		return n
	}
	n := b.at(v)
	b.elements[last].next = n
	return n
}

func (m *meter) add(b *bag, op int32, p history.Pair) {
	if p.Outcome() == history.Fail {
		return
	}
	e := &b.elements[b.at(m.Value(b.key, p.Invoke))]
	b.quiet = max(b.quiet, p.Invoke.Time)
	done := never
	if p.Outcome() == history.OK {
		done = p.Complete.Time
		b.quiet = max(b.quiet, done)
	}
	if e.op < 0 || done < e.ack {
		e.op, e.ack, e.place = op, done, m.place(p)
	}
}

// members finds what is in the reads at all, and more than once in one.
func (m *meter) members(b *bag) {
	for i := range b.reads {
		r := &b.reads[i]
		for _, n := range r.has {
			e := &b.elements[n]
			if e.stamp == int32(i) {
				m.double(b, n, r)
				continue
			}
			e.stamp = int32(i)
			if e.read < 0 {
				e.read = int32(i)
			}
		}
		// Each only once from here on.
		r.has = b.distinct(r.has, int32(i))
	}
}

// distinct keeps the first of each element of read i. The stamps are i before
// and -1 after.
func (b *bag) distinct(has []int32, i int32) []int32 {
	return slices.DeleteFunc(has, func(n int32) bool {
		e := &b.elements[n]
		again := e.stamp != i
		e.stamp = -1
		return again
	})
}

func (m *meter) double(b *bag, n int32, r *reading) {
	e := &b.elements[n]
	if e.twice {
		return
	}
	e.twice = true
	m.at(e.place).Duplicated++
	m.tellElement(b, n, Duplicated, []int32{r.op}, func() string {
		return fmt.Sprintf("element %s is more than once in the read of %s at %s", b.names.Text(n), m.reader(b, r), at(r.end))
	})
}

// absent finds the acknowledged elements that the final reads lack.
func (m *meter) absent(b *bag) {
	finals := m.finalReadings(b)
	known := len(finals) > 0 && (m.nameless() || len(finals) == len(m.nodes))
	for _, r := range finals {
		for _, n := range r.has {
			b.elements[n].in++
		}
	}
	acked := false
	for i := range b.elements {
		e := &b.elements[i]
		if e.ack == never {
			continue
		}
		acked = true
		g := m.at(e.place)
		g.Acknowledged++
		if e.read >= 0 {
			g.Seen++
		}
		switch {
		case len(finals) == 0 || int(e.in) == len(finals):
		case known && e.in == 0:
			g.Lost++
			m.loseElement(b, int32(i), finals)
		default:
			g.Possible.Lost++
		}
	}
	if acked {
		m.r.Keys++
		if !known {
			m.r.Unsettled++
		}
	}
}

// finalReadings are the last final read of each node, or all final reads if
// nobody knows through which node.
func (m *meter) finalReadings(b *bag) []*reading {
	var out []*reading
	position := map[int32]int{}
	for i := range b.reads {
		r := &b.reads[i]
		if r.begin <= b.quiet || !m.nameless() && int(r.node) == len(m.nodes) {
			continue
		}
		at, known := position[r.node]
		if known && !m.nameless() {
			out[at] = r
			continue
		}
		position[r.node] = len(out)
		out = append(out, r)
	}
	return out
}

func (m *meter) loseElement(b *bag, n int32, finals []*reading) {
	m.tellElement(b, n, Lost, nil, func() string {
		e := &b.elements[n]
		var parts []string
		for _, r := range finals[:min(len(finals), maxTold)] {
			parts = append(parts, fmt.Sprintf("%s at %s", m.reader(b, r), at(r.end)))
		}
		text := fmt.Sprintf("the add of %s by %s was acknowledged at %s and is lost: when all was quiet it was in none of the last reads, of %s",
			b.names.Text(n), who(m.Pair(b.key, int(e.op)).Invoke), at(e.ack), strings.Join(parts, ", "))
		if e.read >= 0 {
			r := &b.reads[e.read]
			text += fmt.Sprintf("; it had been in the read of %s at %s", m.reader(b, r), at(r.end))
		}
		return text
	}, finals[:min(len(finals), maxTold)]...)
}

func (m *meter) reader(b *bag, r *reading) string { return who(m.Pair(b.key, int(r.op)).Invoke) }

// again finds the elements that were there, were not, and were there again.
func (m *meter) again(b *bag) {
	seen := make([]sighting, len(b.elements))
	if !m.nameless() {
		byNode := make([][]*reading, len(m.nodes)+1)
		for i := range b.reads {
			byNode[b.reads[i].node] = append(byNode[b.reads[i].node], &b.reads[i])
		}
		for _, reads := range byNode[:len(m.nodes)] {
			m.sightings(b, seen, reads, true)
		}
	}
	all := make([]*reading, len(b.reads))
	for i := range b.reads {
		all[i] = &b.reads[i]
	}
	m.sightings(b, seen, all, false)
}

// sighting is when an element was first there and first missing after that.
type sighting struct {
	there, missing time.Duration
	without        int32 // the read that it was missing from
}

// sightings goes through the reads through one node, or any if not certain, in
// order of their end. An element is watched from the end of the first read that
// has it until one, invoked after that, lacks it: so a read costs what it has
// and what it lacks for the first time.
func (m *meter) sightings(b *bag, seen []sighting, reads []*reading, certain bool) {
	for i := range seen {
		seen[i] = sighting{never, never, -1}
	}
	for i := range b.elements {
		b.elements[i].stamp = -1
	}
	var watched []int32 // by when they were there
	for i, r := range reads {
		if m.ctx.Err() != nil {
			return
		}
		due, _ := slices.BinarySearchFunc(watched, r.begin, func(n int32, t time.Duration) int { return cmp.Compare(seen[n].there, t) })
		have := 0
		for _, n := range r.has {
			s := &seen[n]
			b.elements[n].stamp = int32(i)
			switch {
			case s.there == never:
				s.there = r.end
				watched = append(watched, n)
			case s.missing < r.begin:
				m.reappear(b, n, certain, reads[s.without], r)
			case s.without < 0 && s.there < r.begin:
				have++
			}
		}
		if have == due {
			continue
		}
		kept := watched[:0]
		for j, n := range watched {
			if j < due && b.elements[n].stamp != int32(i) {
				seen[n].missing, seen[n].without = r.end, int32(i)
				continue
			}
			kept = append(kept, n)
		}
		watched = kept
	}
}

func (m *meter) reappear(b *bag, n int32, certain bool, without, with *reading) {
	e := &b.elements[n]
	if e.back || e.maybe {
		return
	}
	if !certain {
		e.maybe = true
		m.at(e.place).Possible.Resurrected++
		return
	}
	e.back = true
	m.at(e.place).Resurrected++
	m.tellElement(b, n, Resurrected, []int32{b.reads[e.read].op, without.op, with.op}, func() string {
		return fmt.Sprintf("element %s was read, was missing from the read of %s that began at %s, and was in the read of %s that began at %s",
			b.names.Text(n), m.reader(b, without), at(without.begin), m.reader(b, with), at(with.begin))
	})
}

// tellElement keeps a witness if it is one of the first of its kind.
func (m *meter) tellElement(b *bag, n int32, kind string, ops []int32, text func() string, finals ...*reading) {
	e := &b.elements[n]
	when := e.ack
	if when == never {
		when = 0
		if e.op >= 0 {
			when = m.Pair(b.key, int(e.op)).Invoke.Time
		}
	}
	if !m.admits(kind, when) {
		return
	}
	for _, r := range finals {
		ops = append(ops, r.op)
	}
	if e.op >= 0 {
		ops = append(ops, e.op)
	}
	if e.read >= 0 {
		ops = append(ops, b.reads[e.read].op)
	}
	m.keep(Finding{Kind: kind, Key: m.Keys[b.key], Value: b.names.Text(n), At: when,
		Events: m.events(b.key, ops), Text: text()}, e.place)
}
