package weak

import (
	"context"
	"slices"
)

// kind says why an edge holds.
type kind uint8

const (
	program  kind = iota // same process, in this order
	readFrom             // to found what from wrote
	known                // via found what to wrote, and from is before via
	missed               // from found what via wrote, and to overwrites that
	follows              // to directly follows from in the order of a key
)

// edge says that from is before to.
type edge struct {
	from, to, via int32
	kind          kind
}

// graph is a relation between operations.
type graph struct {
	t       *trace
	edges   []edge
	given   int     // if not 0, edges beyond it were inferred from those before it only
	first   []int32 // by operation: its first edge in next
	next    []int32 // edges by from
	past    *clocks // of the edges that were given; nil: not known
	visited int     // operations looked at by path
	room    scratch
}

// index sorts the edges by their origin, by counting.
func (g *graph) index() {
	n := len(g.t.ops)
	g.first = make([]int32, n+1)
	for i := range g.edges {
		g.first[g.edges[i].from+1]++
	}
	for i := range n {
		g.first[i+1] += g.first[i]
	}
	g.next = slices.Grow(g.next[:0], len(g.edges))[:len(g.edges)]
	fill := slices.Clone(g.first[:n])
	for e := range g.edges {
		f := &fill[g.edges[e].from]
		g.next[*f] = int32(e)
		*f++
	}
}

func (g *graph) out(i int32) []int32 { return g.next[g.first[i]:g.first[i+1]] }

// programEdges is program order.
func (t *trace) programEdges(extra int) []edge {
	edges := make([]edge, 0, len(t.ops)+extra)
	for i, p := range t.prev {
		if p >= 0 {
			edges = append(edges, edge{p, int32(i), -1, program})
		}
	}
	return edges
}

// order sorts the operations topologically, those with the least rank first
// among equals (nil: in order of discovery). ok is false if there is a cycle;
// then order holds what is not behind one.
func (g *graph) order(rank []int32) (order []int32, ok bool) {
	n := len(g.t.ops)
	degree := make([]int32, n)
	for i := range g.edges {
		degree[g.edges[i].to]++
	}
	ready := ranked{rank: rank}
	for i, d := range degree {
		if d == 0 {
			ready.push(int32(i))
		}
	}
	order = make([]int32, 0, n)
	for len(ready.heap) > 0 {
		i := ready.pop()
		order = append(order, i)
		for _, e := range g.out(i) {
			to := g.edges[e].to
			if degree[to]--; degree[to] == 0 {
				ready.push(to)
			}
		}
	}
	return order, len(order) == n
}

// ranked is a heap by rank, a stack if there are none.
type ranked struct {
	rank []int32
	heap []int32
}

func (r *ranked) push(i int32) {
	r.heap = append(r.heap, i)
	if r.rank == nil {
		return
	}
	for at := len(r.heap) - 1; at > 0; {
		up := (at - 1) / 2
		if r.rank[r.heap[up]] <= r.rank[r.heap[at]] {
			return
		}
		r.heap[up], r.heap[at] = r.heap[at], r.heap[up]
		at = up
	}
}

func (r *ranked) pop() int32 {
	last := len(r.heap) - 1
	if r.rank == nil {
		i := r.heap[last]
		r.heap = r.heap[:last]
		return i
	}
	top := r.heap[0]
	r.heap[0] = r.heap[last]
	r.heap = r.heap[:last]
	for at := 0; ; {
		least := at
		for _, c := range [2]int{2*at + 1, 2*at + 2} {
			if c < last && r.rank[r.heap[c]] < r.rank[r.heap[least]] {
				least = c
			}
		}
		if least == at {
			return top
		}
		r.heap[least], r.heap[at] = r.heap[at], r.heap[least]
		at = least
	}
}

const noLimit = 1<<31 - 1

// maxStarts and maxVisited bound the search for a shorter cycle.
const (
	maxStarts  = 500
	maxVisited = 1 << 21
)

// cycle is a short cycle, given the operations that are not behind one.
func (g *graph) cycle(order []int32) []edge {
	clear := make([]bool, len(g.t.ops))
	for _, i := range order {
		clear[i] = true
	}
	best := g.walkBack(clear)
	g.visited = 0
	starts := 0
	for i := int32(0); i < int32(len(clear)) && starts < maxStarts && g.visited < maxVisited && len(best) > 2; i++ {
		if clear[i] {
			continue
		}
		starts++
		if path := g.path(quest{a: i, b: i, avoid: clear, limit: len(best)}); path != nil && len(path) < len(best) {
			best = path
		}
	}
	return best
}

// walkBack goes from cause to cause until one comes up twice, and shortens
// the cycle that it finds: all operations here have a predecessor among them.
func (g *graph) walkBack(clear []bool) []edge {
	before := make([]int32, len(clear))
	start := int32(-1)
	for e := range g.edges {
		if d := &g.edges[e]; !clear[d.from] && !clear[d.to] {
			before[d.to] = d.from
			start = d.to
		}
	}
	seen := make([]bool, len(clear))
	for !seen[start] {
		seen[start] = true
		start = before[start]
	}
	return g.path(quest{a: start, b: start, avoid: clear})
}

// clocks holds for each operation and chain how many operations of the chain
// are before it.
type clocks struct {
	t  *trace
	k  int
	at []int32
}

func (c *clocks) of(i int32) []int32 { return c.at[int(i)*c.k : (int(i)+1)*c.k] }

// before says whether a is before b.
func (c *clocks) before(a, b int32) bool {
	return c.at[int(b)*c.k+int(c.t.chain[a])] > c.t.pos[a]
}

// join takes the maximum.
func join(into, from []int32) {
	from = from[:len(into)]
	for i, v := range from {
		if v > into[i] {
			into[i] = v
		}
	}
}

// clocks fills c in for a topological order.
func (g *graph) clocks(ctx context.Context, c *clocks, order []int32) error {
	t := g.t
	clear(c.at)
	for n, i := range order {
		if n&1023 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		own := c.of(i)
		chain, pos := t.chain[i], t.pos[i]
		for _, e := range g.out(i) {
			to := c.of(g.edges[e].to)
			join(to, own)
			to[chain] = max(to[chain], pos+1)
		}
	}
	return nil
}
