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

// runner is one attempt.
type runner struct {
	t       *trace
	value   []int32 // by operation: what it sees
	left    []int32 // by value: operations that have to see it
	now     []int32 // by key: the value
	blocked [][]int32
	reads   ranked
	writes  ranked
}

func (s *sequential) runner(rank []int32) *runner {
	t := s.t
	r := &runner{
		t: t, value: s.values(), left: make([]int32, len(t.ops)+s.keys),
		now: make([]int32, s.keys), blocked: make([][]int32, s.keys), writes: ranked{rank: rank},
	}
	for k := range r.now {
		r.now[k] = int32(len(t.ops) + k)
	}
	for _, v := range r.value {
		if v >= 0 {
			r.left[v]++
		}
	}
	return r
}

func (r *runner) push(i int32) {
	if r.t.writer(i) {
		r.writes.push(i)
	} else {
		r.reads.push(i)
	}
}

// next is an operation that can run now, reads first; -1: none.
func (r *runner) next() int32 {
	if len(r.reads.heap) > 0 {
		return r.reads.pop()
	}
	for len(r.writes.heap) > 0 {
		i := r.writes.pop()
		key := r.t.ops[i].Key
		wait := r.left[r.now[key]]
		if r.value[i] == r.now[key] {
			wait-- // the write itself has to see it
		}
		if wait == 0 {
			return i
		}
		r.blocked[key] = append(r.blocked[key], i)
	}
	return -1
}

// done takes in that an operation ran.
func (r *runner) done(i int32) {
	key := r.t.ops[i].Key
	if r.value[i] >= 0 {
		r.left[r.value[i]]--
	}
	if r.t.writer(i) {
		r.now[key] = i
	}
	for _, b := range r.blocked[key] {
		r.writes.push(b)
	}
	r.blocked[key] = r.blocked[key][:0]
}

// run makes one attempt.
func (s *sequential) run(g *graph, rank []int32) (order []int32, ok bool) {
	degree := make([]int32, len(s.t.ops))
	for i := range g.edges {
		degree[g.edges[i].to]++
	}
	r := s.runner(rank)
	for i, d := range degree {
		if d == 0 {
			r.push(int32(i))
		}
	}
	for i := r.next(); i >= 0; i = r.next() {
		order = append(order, i)
		r.done(i)
		for _, e := range g.out(i) {
			to := g.edges[e].to
			if degree[to]--; degree[to] == 0 {
				r.push(to)
			}
		}
	}
	return order, len(order) == len(s.t.ops)
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
