// Package graph finds cycles of dependencies: Adya's direct serialization graph
// over transactions, which it knows by number only. It knows nothing of keys
// and values.
package graph

import "iter"

// Class is the kind of a dependency.
type Class uint8

// The dependencies of Adya's thesis (section 3.1), and the two orders of time.
const (
	// WW: the second overwrote what the first wrote.
	WW Class = iota
	// WR: the second read what the first wrote.
	WR
	// RW: the second overwrote what the first read (anti-dependency).
	RW
	// RWP: the second changed what a predicate read of the first matched.
	RWP
	// Process: the second is the next of the same process.
	Process
	// Realtime: the first was completed before the second was invoked.
	Realtime
	// hop leads on from a barrier, a vertex that is no transaction. It belongs
	// to the dependency that led to the barrier.
	hop
)

// String is the class as it is written at an edge.
func (c Class) String() string {
	return [...]string{"ww", "wr", "rw", "rwp", "process", "realtime", "hop"}[c]
}

// Set is a set of classes.
type Set uint8

// Of is the set of classes.
func Of(cs ...Class) (s Set) {
	for _, c := range cs {
		s |= 1 << c
	}
	return s
}

// Has says whether the class is in the set.
func (s Set) Has(c Class) bool { return s>>c&1 != 0 }

// Head is the end of an edge: the vertex and the edge's class.
type Head uint32

const classBits = 3

// NewHead is an edge's end.
func NewHead(to int32, c Class) Head { return Head(to)<<classBits | Head(c) }

// To is the vertex that the edge leads to.
func (h Head) To() int32 { return int32(h >> classBits) }

// Class is the edge's class.
func (h Head) Class() Class { return Class(h & (1<<classBits - 1)) }

// Edge leads from one vertex to another.
type Edge struct {
	From int32
	Head Head
}

// NewEdge is an edge.
func NewEdge(from, to int32, c Class) Edge { return Edge{from, NewHead(to, c)} }

// Graph has the edges of each vertex side by side (compressed sparse rows).
// Vertices below Txns are transactions. The others are barriers: an edge to one
// stands for edges of its class to all transactions that hops lead to from there.
type Graph struct {
	Txns  int
	start []int32 // by vertex, and the end of the last
	heads []Head
}

// Vertices counts the transactions and the barriers.
func (g *Graph) Vertices() int { return len(g.start) - 1 }

// From are the edges that leave a vertex.
func (g *Graph) From(v int32) []Head { return g.heads[g.start[v]:g.start[v+1]] }

// New makes a graph of so many transactions and barriers. The edges of a vertex
// keep their order.
func New(txns, barriers int, parts ...[]Edge) *Graph {
	n := txns + barriers
	g := &Graph{Txns: txns, start: make([]int32, n+2)}
	total := 0
	for _, edges := range parts {
		total += len(edges)
		for _, e := range edges {
			g.start[e.From+2]++
		}
	}
	for v := 2; v < n+2; v++ {
		g.start[v] += g.start[v-1]
	}
	g.heads = make([]Head, total)
	for _, edges := range parts {
		for _, e := range edges {
			at := &g.start[e.From+1]
			g.heads[*at] = e.Head
			*at++
		}
	}
	g.start = g.start[:n+1]
	return g
}

// Step is one dependency of a cycle.
type Step struct {
	From, To int32
	Class    Class
}

// Cycle is a cycle of dependencies: each step begins where the one before ends,
// and the first where the last ends.
type Cycle struct {
	// Kind is the anomaly by Elle's name, e.g. G-single-item-realtime.
	Kind  string
	Steps []Step
}

// Singles are the cycles of two transactions with just one anti-dependency, of an
// item, which comes first. Where they are many not all are looked for.
func (g *Graph) Singles() iter.Seq[[2]Step] {
	return g.pairs(Of(RW), Of(WW, WR), 16*len(g.heads), func(int32) bool { return false })
}

// pairs are the cycles of two transactions, an edge of one set and one of another
// back, as far as looking at so many edges leads. A transaction that is over
// begins none.
func (g *Graph) pairs(begin, rest Set, budget int, over func(v int32) bool) iter.Seq[[2]Step] {
	return func(yield func([2]Step) bool) {
		for v := range int32(g.Txns) {
			for _, there := range g.From(v) {
				if !begin.Has(there.Class()) || over(v) {
					continue
				}
				w := there.To()
				edges := g.From(w)
				if budget -= len(edges); budget < 0 {
					return
				}
				for _, back := range edges {
					if back.To() != v || !rest.Has(back.Class()) || over(v) {
						continue
					}
					if !yield([2]Step{{v, w, there.Class()}, {w, v, back.Class()}}) {
						return
					}
				}
			}
		}
	}
}

// NewHop leads on from a barrier: to the next one, or to a transaction.
func NewHop(from, to int32) Edge { return NewEdge(from, to, hop) }
