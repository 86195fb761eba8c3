package graph

// components finds the strongly connected components that have an edge within,
// by edges of the classes in allow only: Tarjan (SIAM J. Comput. 1, 1972),
// without recursion. It returns the number of each vertex's component, from 0,
// or none; and how many there are. Components come in the reverse of a
// topological order.
func (g *Graph) components(allow Set) (of []int32, count int32) {
	n := int32(g.Vertices())
	of = make([]int32, n)
	t := tarjan{g: g, allow: allow, of: of, low: make([]int32, n), at: make([]int32, n)}
	for v := range n {
		of[v] = none
		t.at[v] = g.start[v]
	}
	for v := range n {
		if t.low[v] == 0 {
			t.visit(v)
		}
	}
	return of, t.count
}

const none = -1

// tarjan is the state of the search.
type tarjan struct {
	g     *Graph
	allow Set
	of    []int32
	low   []int32 // the least number reached; 0: not seen, done: left the stack
	at    []int32 // the next edge
	path  []frame
	stack []int32
	next  int32
	count int32
}

// frame is a vertex on the path from the root.
type frame struct{ v, number int32 }

const done = 1<<31 - 1

func (t *tarjan) visit(root int32) {
	t.push(root)
	for len(t.path) > 0 {
		f := &t.path[len(t.path)-1]
		v := f.v
		if w, more := t.follow(v); more {
			if t.low[w] == 0 {
				t.push(w)
			} else if t.low[w] < t.low[v] {
				t.low[v] = t.low[w]
			}
			continue
		}
		if t.low[v] == f.number {
			t.pop(v)
		}
		t.path = t.path[:len(t.path)-1]
		if len(t.path) > 0 {
			up := t.path[len(t.path)-1].v
			t.low[up] = min(t.low[up], t.low[v])
		}
	}
}

// follow is the next vertex that an edge leads to.
func (t *tarjan) follow(v int32) (int32, bool) {
	for i, end := t.at[v], t.g.start[v+1]; i < end; i++ {
		h := t.g.heads[i]
		if t.allow.Has(h.Class()) {
			if w := h.To(); t.low[w] != done {
				t.at[v] = i + 1
				return w, true
			}
		}
	}
	t.at[v] = t.g.start[v+1]
	return 0, false
}

func (t *tarjan) push(v int32) {
	t.next++
	t.low[v] = t.next
	t.path = append(t.path, frame{v, t.next})
	t.stack = append(t.stack, v)
}

// pop takes the component of its first vertex off the stack. There are no edges
// from a vertex to itself, so that one alone is none.
func (t *tarjan) pop(v int32) {
	if t.stack[len(t.stack)-1] == v {
		t.low[v] = done
		t.stack = t.stack[:len(t.stack)-1]
		return
	}
	for {
		last := len(t.stack) - 1
		w := t.stack[last]
		t.stack = t.stack[:last]
		t.low[w], t.of[w] = done, t.count
		if w == v {
			break
		}
	}
	t.count++
}

// inside is the part of a graph within components: its vertices in their order,
// and the edges that stay in a component. names has the vertices' numbers
// before.
func (g *Graph) inside(of []int32) (sub *Graph, names []int32) {
	number := make([]int32, len(of))
	txns, n, edges := 0, int32(0), int32(0)
	for v, c := range of {
		if c != none {
			number[v] = n
			n++
			edges += g.start[v+1] - g.start[v]
			if v < g.Txns {
				txns++
			}
		}
	}
	names = make([]int32, 0, n)
	for v, c := range of {
		if c != none {
			names = append(names, int32(v))
		}
	}
	sub = &Graph{Txns: txns, start: make([]int32, 1, n+1), heads: make([]Head, 0, edges)}
	for _, v := range names {
		for _, h := range g.From(v) {
			if of[h.To()] == of[v] {
				sub.heads = append(sub.heads, NewHead(number[h.To()], h.Class()))
			}
		}
		sub.start = append(sub.start, int32(len(sub.heads)))
	}
	return sub, names
}

// alternating is the graph of walks in which no two anti-dependencies follow
// one another: vertex 2v+1 is v after an anti-dependency, 2v after any other
// edge. Hops keep what the edge before them was.
func (g *Graph) alternating(allow Set) *Graph {
	n := int32(g.Vertices())
	p := &Graph{start: make([]int32, 1, 2*n+1), heads: make([]Head, 0, 2*len(g.heads))}
	for v := range n {
		for last := range int32(2) {
			for _, h := range g.From(v) {
				switch anti := anti.Has(h.Class()); {
				case !allow.Has(h.Class()) || anti && last == 1:
				case h.Class() == hop:
					p.heads = append(p.heads, NewHead(2*h.To()+last, hop))
				case anti:
					p.heads = append(p.heads, NewHead(2*h.To()+1, h.Class()))
				default:
					p.heads = append(p.heads, NewHead(2*h.To(), h.Class()))
				}
			}
			p.start = append(p.start, int32(len(p.heads)))
		}
	}
	return p
}
