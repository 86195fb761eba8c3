package wr

import (
	"github.com/capstan-dev/capstan/checker/txn/graph"
	"github.com/capstan-dev/capstan/checker/txn/infer"
)

// edger turns the orders of versions into dependencies.
type edger struct {
	*orders
	edges []graph.Edge
	open  int // anti-dependencies that were left out

	// Of the key at hand, by local number of version:
	writer  []int32 // that installed it; None
	start   []int32
	readers []int32
}

// keyEdges adds the dependencies by one key.
func (e *edger) keyEdges(key int32, touches []int32) {
	if len(touches) < 2 {
		return
	}
	e.number(key, touches)
	e.infer()
	e.users()
	for v := range e.slots {
		for _, r := range e.readersOf(int32(v)) {
			e.edge(e.writer[v], r, graph.WR)
		}
	}
	e.initially()
	for _, a := range e.arcs {
		if a.from > 0 {
			e.across(a.from, a.to)
		}
	}
	e.forget()
}

// users finds who wrote and who read each version.
func (e *edger) users() {
	n := len(e.slots)
	e.writer, e.start = sized(e.writer, n), sized(e.start, n+2)
	clear(e.start)
	for v := range n {
		e.writer[v] = infer.None
	}
	reads := 0
	for _, i := range e.touches {
		x := &e.tables.touches[i]
		if x.write != infer.None {
			e.writer[e.local[x.write]-1] = x.txn
		}
		if x.read != infer.None {
			e.start[e.local[x.read]+1]++
			reads++
		}
	}
	for v := 2; v < n+2; v++ {
		e.start[v] += e.start[v-1]
	}
	e.readers = sized(e.readers, reads)
	for _, i := range e.touches {
		if x := &e.tables.touches[i]; x.read != infer.None {
			at := &e.start[e.local[x.read]]
			e.readers[*at] = x.txn
			*at++
		}
	}
}

func sized(s []int32, n int) []int32 {
	if cap(s) < n {
		return make([]int32, n, 2*n)
	}
	return s[:n]
}

func (e *edger) readersOf(v int32) []int32 { return e.readers[e.start[v]:e.start[v+1]] }

func (e *edger) edge(from, to int32, c graph.Class) {
	if from != infer.None && from != to {
		e.edges = append(e.edges, graph.NewEdge(from, to, c))
	}
}

// across adds what follows from one version having come before another.
func (e *edger) across(u, v int32) {
	to := e.writer[v]
	if to == infer.None {
		return
	}
	e.edge(e.writer[u], to, graph.WW)
	for _, r := range e.readersOf(u) {
		e.edge(r, to, graph.RW)
	}
}

// initially adds that every version came after nil. Where very many read nil of
// a key that was written often, what follows from other orders is left out, and
// then what is too much.
func (e *edger) initially() {
	versions := int32(len(e.slots))
	room := 16*len(e.touches) + 1024
	wide := len(e.readersOf(0))*len(e.slots) > room
	var after []bool // versions that come after another one that was installed
	if wide {
		after = make([]bool, versions)
		for _, a := range e.arcs {
			after[a.to] = after[a.to] || a.from > 0 && e.writer[a.from] != infer.None
		}
	}
	for v := int32(1); v < versions; v++ {
		switch {
		case wide && after[v]:
		case room < 0:
			e.open += len(e.readersOf(0))
		default:
			room -= len(e.readersOf(0))
			e.across(0, v)
		}
	}
}
