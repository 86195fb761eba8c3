package sim

import (
	"math"
	"time"
)

const forever = time.Duration(math.MaxInt64)

// event is what happens: a call of h, or of p as a func() if h is nil.
type event struct {
	h    handler
	p    any
	a, b uint32
	kind uint8
}

// key orders events by time, and by the order of posting at the same time.
type key struct {
	at   time.Duration
	seq  uint64
	slot uint32
}

func (a key) before(b key) bool {
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}

// queue is a heap with four children a node. Only keys move in it; the events
// stay in their slots, which are used again.
type queue struct {
	heap  []key
	seq   uint64
	slots []event
	gens  []uint32
	dead  []bool
	free  []uint32
}

func (q *queue) push(at time.Duration, e event) (slot, gen uint32) {
	if n := len(q.free); n > 0 {
		slot = q.free[n-1]
		q.free = q.free[:n-1]
		q.slots[slot] = e
	} else {
		slot = uint32(len(q.slots))
		q.slots = append(q.slots, e)
		q.gens = append(q.gens, 0)
		q.dead = append(q.dead, false)
	}
	q.seq++
	q.heap = append(q.heap, key{})
	q.up(len(q.heap)-1, key{at: at, seq: q.seq, slot: slot})
	return slot, q.gens[slot]
}

// cancel leaves the key in the heap, where moving it costs more than popping
// it in its time.
func (q *queue) cancel(slot, gen uint32) {
	if int(slot) < len(q.gens) && q.gens[slot] == gen && !q.dead[slot] {
		q.dead[slot] = true
		q.slots[slot] = event{}
	}
}

// next is the time of the next event that was not cancelled.
func (q *queue) next() (time.Duration, bool) {
	for len(q.heap) > 0 {
		top := q.heap[0]
		if !q.dead[top.slot] {
			return top.at, true
		}
		q.remove(top.slot)
	}
	return 0, false
}

// pop takes the next event; the caller has asked next whether there is one.
func (q *queue) pop() (time.Duration, event) {
	top := q.heap[0]
	e := q.slots[top.slot]
	q.remove(top.slot)
	return top.at, e
}

func (q *queue) remove(slot uint32) {
	q.slots[slot] = event{}
	q.gens[slot]++
	q.dead[slot] = false
	q.free = append(q.free, slot)
	n := len(q.heap) - 1
	last := q.heap[n]
	q.heap = q.heap[:n]
	if n > 0 {
		q.down(0, last)
	}
}

func (q *queue) up(i int, k key) {
	h := q.heap
	for i > 0 {
		parent := (i - 1) / 4
		if !k.before(h[parent]) {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = k
}

func (q *queue) down(i int, k key) {
	h := q.heap
	for {
		first := 4*i + 1
		if first >= len(h) {
			break
		}
		least := first
		for c := first + 1; c < min(first+4, len(h)); c++ {
			if h[c].before(h[least]) {
				least = c
			}
		}
		if !h[least].before(k) {
			break
		}
		h[i] = h[least]
		i = least
	}
	h[i] = k
}
