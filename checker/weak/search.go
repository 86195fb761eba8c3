package weak

import "slices"

// maxNear bounds the operations that a search by told steps looks at, slack is
// how far it leaves the operations between its ends.
const (
	maxNear = 1 << 18
	slack   = 1 << 12
)

// quest asks for a way from a to b, at least one edge long.
type quest struct {
	a, b  int32
	avoid []bool
	limit int   // the way has fewer told steps; 0: any number
	below int32 // number of the first edge that must not be used; 0: none
	reads bool  // the first step is a read of what a wrote
}

// scratch is what searches of one graph share.
type scratch struct {
	round     int32
	stamp     []int32 // by operation: the search that reached it
	cost      []int32 // 2 * steps, and 1 if the last one was not program order
	by        []int32 // the edge that led to it
	now, next []int32
}

// path is the way with the fewest steps as they are told: several along one
// process are one. If that takes too long it is the one with the fewest edges.
func (g *graph) path(q quest) []edge {
	if q.limit == 0 {
		q.limit = noLimit
	}
	if q.below == 0 {
		q.below = noLimit
	}
	s := g.searcher(q)
	s.told, s.most = true, maxNear
	if s.past == nil { // program order alone leads to the end of the history
		s.low, s.high = min(q.a, q.b)-slack, max(q.a, q.b)+slack
	}
	all := s.low <= 0 && int(s.high) >= len(g.t.ops)-1
	if way := s.run(); way != nil || all && s.most > 0 {
		return way
	}
	s = g.searcher(q)
	if q.limit < noLimit {
		s.limit, s.most = 4*q.limit, maxNear
	}
	if way := s.run(); len(way) < q.limit {
		return way
	}
	return nil
}

// searcher is one search.
type searcher struct {
	quest
	g         *graph
	told      bool // program order after program order costs nothing
	most      int  // operations to look at
	low, high int32
	past      *clocks // nil: anything may lead to b
}

func (g *graph) searcher(q quest) *searcher {
	s := &searcher{quest: q, g: g, most: noLimit, high: noLimit}
	if g.past != nil && min(int(q.below), len(g.edges)) <= g.given {
		s.past = g.past
	}
	if r := &g.room; r.stamp == nil {
		n := len(g.t.ops)
		r.stamp, r.cost, r.by = make([]int32, n), make([]int32, n), make([]int32, n)
	}
	return s
}

// run goes from a, all that is as many steps away before what is one more
// (a 0-1 breadth-first search). An operation reached by program order costs no
// more than one reached as fast in another way, so that one cost for each
// operation is enough.
func (s *searcher) run() []edge {
	r := &s.g.room
	r.round++
	r.now, r.next = r.now[:0], r.next[:0]
	if s.a != s.b {
		r.stamp[s.a], r.cost[s.a] = r.round, 0
	}
	s.expand(s.a, 1, true)
	for steps := 1; len(r.next) > 0 && steps < s.limit; steps++ {
		r.now, r.next = r.next, r.now[:0]
		for n := 0; n < len(r.now); n++ {
			i := r.now[n]
			if r.cost[i]>>1 < int32(steps) { // it was reached faster
				continue
			}
			if i == s.b {
				return s.unwind()
			}
			if s.most--; s.most <= 0 {
				return nil
			}
			s.g.visited++
			s.expand(i, r.cost[i], false)
		}
	}
	return nil
}

// expand takes the edges from i, which was reached at a cost.
func (s *searcher) expand(i, cost int32, first bool) {
	g, r := s.g, &s.g.room
	for _, e := range g.out(i) {
		d := &g.edges[e]
		if e >= s.below || !s.leads(d.to) || first && s.reads && d.kind != readFrom {
			continue
		}
		next := cost&^1 + 2
		switch {
		case d.kind != program:
			next++
		case s.told && cost&1 == 0:
			next = cost
		}
		if r.stamp[d.to] == r.round && r.cost[d.to] <= next {
			continue
		}
		r.stamp[d.to], r.cost[d.to], r.by[d.to] = r.round, next, e
		if next == cost {
			r.now = append(r.now, d.to)
		} else {
			r.next = append(r.next, d.to)
		}
	}
}

// leads says whether a way to b may go through i.
func (s *searcher) leads(i int32) bool {
	if s.avoid != nil && s.avoid[i] {
		return false
	}
	if s.past != nil {
		return i == s.b || s.past.before(i, s.b)
	}
	return s.low <= i && i <= s.high
}

func (s *searcher) unwind() []edge {
	var way []edge
	for i := s.b; ; {
		d := s.g.edges[s.g.room.by[i]]
		way = append(way, d)
		if i = d.from; i == s.a {
			break
		}
	}
	slices.Reverse(way)
	return shorten(way)
}

// shorten joins steps along one process.
func shorten(path []edge) []edge {
	short := path[:0]
	for _, e := range path {
		if n := len(short); n > 0 && e.kind == program && short[n-1].kind == program {
			short[n-1].to = e.to
			continue
		}
		short = append(short, e)
	}
	return short
}

// maxTold bounds the operations looked at to find a smaller witness.
const maxTold = 1 << 22

// least is the size of the smallest witness that there can be, and no size if
// enough have been looked at.
func (g *graph) least(size int) int {
	if g.visited > maxTold {
		return noLimit
	}
	return size
}
