package brute

import (
	"slices"

	"github.com/capstan-dev/capstan/checker/txn/log"
)

// classes of dependencies, as bits.
const (
	ww = 1 << iota
	wr
	rw
	process
	rt
	allClasses = 5
)

// Component is a strongly connected part of a history of lists.
type Component struct {
	// Txns are the places of its transactions in the log.
	Txns []int32
	// Shortest has, of each kind of cycle, by Elle's names, the length of the
	// shortest one.
	Shortest map[string]int
}

// Components are the strongly connected parts, those of one transaction too.
// Simple cycles are enumerated, with each choice of dependencies along them.
func (h *History) Components() []Component {
	edges := h.edges()
	out, of := h.components(edges)
	var walk func(path, used []int)
	walk = func(path, used []int) {
		at := path[len(path)-1]
		for next := path[0]; next < len(h.txns); next++ {
			for c := range allClasses {
				if edges[at][next]>>c&1 == 0 {
					continue
				}
				more := append(used[:len(used):len(used)], 1<<c)
				switch {
				case next == path[0]:
					shortest := out[of[at]].Shortest
					if kind := kindOf(more); shortest[kind] == 0 || len(more) < shortest[kind] {
						shortest[kind] = len(more)
					}
				case !slices.Contains(path, next):
					walk(append(path[:len(path):len(path)], next), more)
				}
			}
		}
	}
	for v := range h.txns {
		walk([]int{v}, nil)
	}
	return out
}

// components finds the parts without their cycles, and the part of each
// transaction.
func (h *History) components(edges [][]int) (out []Component, of []int) {
	reach := make(relation, len(h.txns))
	for i := range edges {
		for j := range edges {
			if edges[i][j] != 0 {
				reach.add(i, j)
			}
		}
	}
	reach = reach.closed()
	for i := range h.txns {
		at := slices.IndexFunc(of, func(c int) bool { j := slices.Index(of, c); return reach.has(i, j) && reach.has(j, i) })
		if at < 0 {
			of = append(of, len(out))
			out = append(out, Component{Shortest: map[string]int{}})
		} else {
			of = append(of, of[at])
		}
		c := &out[of[i]]
		c.Txns = append(c.Txns, int32(h.txns[i].place))
	}
	return out, of
}

// kindOf names a cycle by its dependencies.
func kindOf(used []int) string {
	has, antis, adjacent := 0, 0, false
	for i, c := range used {
		has |= c
		if c == rw {
			antis++
			adjacent = adjacent || used[(i+1)%len(used)] == rw
		}
	}
	kind := "G0"
	switch {
	case antis > 1 && adjacent:
		kind = "G2-item"
	case antis > 1:
		kind = "G-nonadjacent-item"
	case antis == 1:
		kind = "G-single-item"
	case has&wr != 0:
		kind = "G1c"
	}
	switch {
	case has&rt != 0:
		return kind + "-realtime"
	case has&process != 0:
		return kind + "-process"
	}
	return kind
}

// edges are the dependencies between all pairs of transactions.
func (h *History) edges() [][]int {
	out := make([][]int, len(h.txns))
	for i := range out {
		out[i] = make([]int, len(h.txns))
	}
	add := func(a, b, class int) {
		if a >= 0 && b >= 0 && a != b {
			out[a][b] |= class
		}
	}
	for key := range int32(h.keys) {
		h.keyEdges(key, add)
	}
	for i := range h.txns {
		for j := range h.txns {
			if a, b := &h.txns[i], &h.txns[j]; realtime(a, b) {
				add(i, j, rt)
			}
		}
		if next := h.nextOfProcess(i); next >= 0 {
			add(i, next, process)
		}
	}
	return out
}

// nextOfProcess is the next ok transaction of the same process, or -1.
func (h *History) nextOfProcess(i int) int {
	next := -1
	for j := range h.txns {
		if t := &h.txns[j]; session(&h.txns[i], t) && (next < 0 || t.place < h.txns[next].place) {
			next = j
		}
	}
	return next
}

// keyEdges are those of one list. Its longest read has the order of its
// elements; appends that are not in it come later, in no order.
func (h *History) keyEdges(key int32, add func(a, b, class int)) {
	var order []log.Value
	for i := range h.txns[:h.oks] {
		for _, o := range h.txns[i].ops {
			if !o.write && o.key == key && len(o.seen) > len(order) {
				order = o.seen
			}
		}
	}
	var unseen []int
	for i := range h.txns {
		for _, o := range h.txns[i].ops {
			if o.write && o.key == key && !slices.Contains(order, o.value) {
				unseen = append(unseen, i)
			}
		}
	}
	after := func(n int) []int { // who wrote what follows the first n elements
		if n < len(order) {
			return []int{h.writer(key, order[n])}
		}
		return unseen
	}
	for n, v := range order {
		for _, next := range after(n + 1) {
			add(h.writer(key, v), next, ww)
		}
	}
	for i := range h.txns[:h.oks] {
		wrote := false
		for _, o := range h.txns[i].ops {
			if o.key != key || wrote {
				continue
			}
			if wrote = o.write; wrote {
				continue
			}
			if n := len(o.seen); n > 0 {
				add(h.writer(key, o.seen[n-1]), i, wr)
			}
			for _, next := range after(len(o.seen)) {
				add(i, next, rw)
			}
		}
	}
}

// writer is who wrote a value, or -1.
func (h *History) writer(key int32, v log.Value) int {
	for i := range h.txns {
		for _, o := range h.txns[i].ops {
			if o.write && o.key == key && o.value == v {
				return i
			}
		}
	}
	return -1
}
