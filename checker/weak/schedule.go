package weak

import (
	"context"
	"math/rand/v2"
)

// maxTries bounds the attempts of schedule with other choices, maxTried the
// operations run in them.
const (
	maxTries = 64
	maxTried = 1 << 20
)

// schedule runs the operations in an order that contains g, one after the
// other: reads as soon as they can, and a write only when all that have to see
// the value before it did. Which of several writes comes next is a guess, by
// rank at first. It is false if no guess came to the end, which proves nothing.
func (s *sequential) schedule(ctx context.Context, g *graph, rank []int32) bool {
	r := rand.New(rand.NewPCG(1, 1))
	rank = append([]int32(nil), rank...)
	for try := range maxTries {
		if try > 0 && try*len(s.t.ops) > maxTried || ctx.Err() != nil {
			return false
		}
		if order, ok := s.run(g, rank); ok {
			return s.t.verify(order, s.keys) == nil
		}
		for range 1 + len(rank)/8 {
			i, j := r.IntN(len(rank)), r.IntN(len(rank))
			rank[i], rank[j] = rank[j], rank[i]
		}
	}
	return false
}

// run makes one attempt.
func (s *sequential) run(g *graph, rank []int32) (order []int32, ok bool) {
	t := s.t
	degree := make([]int32, len(t.ops))
	for i := range g.edges {
		degree[g.edges[i].to]++
	}
	value := s.values()
	left := make([]int32, len(t.ops)+s.keys) // by value: operations that have to see it
	now := make([]int32, s.keys)             // by key: the value
	for k := range now {
		now[k] = int32(len(t.ops) + k)
	}
	for _, v := range value {
		if v >= 0 {
			left[v]++
		}
	}
	blocked := make([][]int32, s.keys)
	reads, writes := ranked{}, ranked{rank: rank}
	push := func(i int32) {
		if t.writer(i) {
			writes.push(i)
		} else {
			reads.push(i)
		}
	}
	for i, d := range degree {
		if d == 0 {
			push(int32(i))
		}
	}
	for len(reads.heap)+len(writes.heap) > 0 {
		from := &reads
		if len(reads.heap) == 0 {
			from = &writes
		}
		i := from.pop()
		key := t.ops[i].Key
		wait := left[now[key]]
		if value[i] == now[key] {
			wait--
		}
		if t.writer(i) && wait > 0 {
			blocked[key] = append(blocked[key], i)
			continue
		}
		if value[i] >= 0 {
			left[value[i]]--
		}
		if t.writer(i) {
			now[key] = i
		}
		order = append(order, i)
		for _, b := range blocked[key] {
			writes.push(b)
		}
		blocked[key] = blocked[key][:0]
		for _, e := range g.out(i) {
			to := g.edges[e].to
			if degree[to]--; degree[to] == 0 {
				push(to)
			}
		}
	}
	return order, len(order) == len(t.ops)
}

// values are what the operations see: a write, or the initial value of a key,
// which is behind the operations; -1: nothing.
func (s *sequential) values() []int32 {
	value := make([]int32, len(s.t.ops))
	for i, w := range s.t.from {
		switch {
		case w >= 0:
			value[i] = w
		case w == initial:
			value[i] = s.start(int32(i))
		default:
			value[i] = -1
		}
	}
	return value
}
