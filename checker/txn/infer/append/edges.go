package append

import (
	"sort"

	"github.com/capstan-dev/capstan/checker/txn/graph"
	"github.com/capstan-dev/capstan/checker/txn/log"
)

// dependencies collects edges.
type dependencies struct {
	*versions
	edges    []graph.Edge
	barriers int32
	tails    map[int32]tail
	agreed   []int32 // by key, nil if there are no odd lists
}

// tail stands for the many appends to a key that nobody saw, with two barriers
// for each: one that leads to it and all before it, and one to all after it. A
// reader that saw none of them needs two edges then, and not one to each; and
// none to itself.
type tail struct{ before, after int32 }

// few appends need no tail.
const few = 8

// edges are the dependencies, and how many barriers are in them.
func (x *versions) edges() ([]graph.Edge, int) {
	d := dependencies{versions: x, edges: make([]graph.Edge, 0, len(x.writer)+len(x.l.Mops)), tails: map[int32]tail{}, agreed: x.agreed()}
	for k := range x.order {
		d.writes(int32(k))
	}
	for t := range x.l.Txns {
		if x.l.Txns[t].Outcome != log.OK {
			continue
		}
		for _, m := range x.l.Of(int32(t)) {
			switch m.Fun {
			case log.List:
				d.read(int32(t), m)
			case log.Odd:
				if w := x.oddWriter(m); w != nobody {
					d.add(w, int32(t), graph.WR)
				}
			}
		}
	}
	return d.edges, int(d.barriers)
}

func (d *dependencies) add(from, to int32, c graph.Class) {
	if from != to {
		d.edges = append(d.edges, graph.NewEdge(from, to, c))
	}
}

// agreed are how many versions of each key all of its lists begin with; nil if
// no list contradicts another one.
func (x *versions) agreed() []int32 {
	if len(x.l.Odd) == 0 {
		return nil
	}
	out := make([]int32, len(x.order))
	for k := range out {
		out[k] = x.first[k+1] - x.first[k]
	}
	for _, m := range x.l.Mops {
		if m.Fun != log.Odd {
			continue
		}
		at := int32(0)
		for list := x.l.Odd[m.Value]; int(at) < min(len(list), int(out[m.Key])) && list[at] == x.order[m.Key][at]; {
			at++
		}
		out[m.Key] = at
	}
	return out
}

// writes are the dependencies between the writers of a key. Where lists
// contradict each other there are none: any of them may have seen what was
// aborted later, and a write that only seems to be dirty must not refute read
// uncommitted. What else the contradiction refutes, it refutes by itself.
func (d *dependencies) writes(key int32) {
	before, end := int32(none), d.first[key+1]
	if d.agreed != nil {
		end = d.first[key] + d.agreed[key]
	}
	for v := d.first[key]; v < end; v++ {
		if d.committed[v] != v {
			continue
		}
		if before != none {
			d.add(d.writer[before], d.writer[v], graph.WW)
		}
		before = v
	}
	if before != none && end == d.first[key+1] {
		for _, p := range d.pendingOf(key) {
			d.add(d.writer[before], p.txn, graph.WW)
		}
	}
}

// read are the dependencies of a read.
func (d *dependencies) read(t int32, m log.Mop) {
	if last := d.last(m); last != none {
		w := d.writer[last]
		if w == t {
			return // what overwrites its own version is a ww already
		}
		d.add(w, t, graph.WR)
	}
	if next := d.next(m); next != none {
		d.add(t, d.writer[next], graph.RW)
		return
	}
	unseen := d.pendingOf(m.Key)
	if len(unseen) > few {
		d.readTail(t, m.Key, unseen)
		return
	}
	for _, p := range unseen {
		d.add(t, p.txn, graph.RW)
	}
}

// readTail are the edges to all appends that nobody saw, but its own, which
// stand side by side.
func (d *dependencies) readTail(t, key int32, unseen []pending) {
	at, there := d.tails[key]
	if !there {
		at = d.newTail(unseen)
		d.tails[key] = at
	}
	begin := sort.Search(len(unseen), func(i int) bool { return unseen[i].txn >= t })
	end := sort.Search(len(unseen), func(i int) bool { return unseen[i].txn > t })
	if begin > 0 {
		d.add(t, at.before+int32(begin)-1, graph.RW)
	}
	if end < len(unseen) {
		d.add(t, at.after+int32(end), graph.RW)
	}
}

func (d *dependencies) newTail(unseen []pending) tail {
	n := int32(len(unseen))
	at := tail{before: int32(len(d.l.Txns)) + d.barriers}
	at.after = at.before + n
	d.barriers += 2 * n
	for i, p := range unseen {
		before, after := at.before+int32(i), at.after+int32(i)
		d.edges = append(d.edges, graph.NewHop(before, p.txn), graph.NewHop(after, p.txn))
		if i > 0 {
			d.edges = append(d.edges, graph.NewHop(before, before-1), graph.NewHop(after-1, after))
		}
	}
	return at
}
