package weak

import (
	"container/heap"
	"slices"
)

// nodeState is what a node has served of one key, returned operations only.
type nodeState struct {
	read  map[int32]*served // by source
	wrote map[int32]bool    // own writes that returned
	last  int32             // the own write of them that was called last, -1: none
}

type served struct {
	ret  int64 // of the first read that returned
	call int64 // the latest of those that returned
}

// judgeNodes takes each node for a session whose order is that of intervals.
func (in *Input) judgeNodes(t *trace) []Node {
	nodes := make([]Node, len(in.nodes))
	type place struct{ node, key int32 }
	states := map[place]*nodeState{}
	var flight returns
	for i := range t.ops {
		o := &t.ops[i]
		for len(flight) > 0 && flight[0].ret < o.Call {
			done := heap.Pop(&flight).(returned)
			states[place{t.ops[done.op].Node, t.ops[done.op].Key}].apply(t, done.op)
		}
		p := place{o.Node, o.Key}
		if states[p] == nil {
			states[p] = &nodeState{map[int32]*served{}, map[int32]bool{}, -1}
		}
		n := &nodes[o.Node]
		n.Node, n.Operations = in.nodes[o.Node], n.Operations+1
		if o.Crashed {
			continue
		}
		if t.from[i] >= initial && t.from[i] != noRead {
			states[p].judge(t, int32(i), n)
		}
		heap.Push(&flight, returned{o.Return, int32(i)})
	}
	return slices.DeleteFunc(nodes, func(n Node) bool { return n.Node == "" })
}

func (s *nodeState) judge(t *trace, r int32, n *Node) {
	w := t.from[r]
	if s.last >= 0 && (w == initial || s.wrote[w] && t.ops[w].Return < t.ops[s.last].Call) {
		n.ReadYourWrites++
	}
	mine := s.read[w]
	for u, other := range s.read {
		if u != w && (w == initial || mine != nil && other.call > mine.ret) {
			n.MonotonicReads++
			clear(s.read)
			return
		}
	}
}

func (s *nodeState) apply(t *trace, i int32) {
	o := &t.ops[i]
	if w := t.from[i]; w >= initial && w != noRead {
		s.remember(w, o)
	}
	if t.writer(i) {
		s.wrote[i] = true
		if s.last < 0 || t.ops[s.last].Call < o.Call {
			s.last = i
		}
	}
}

// remembered is how many values a node's state keeps.
const remembered = 16

func (s *nodeState) remember(w int32, o *Op) {
	if v := s.read[w]; v != nil {
		v.call = max(v.call, o.Call)
		return
	}
	s.read[w] = &served{o.Return, o.Call}
	if len(s.read) <= remembered {
		return
	}
	oldest := w
	for u, v := range s.read {
		if v.call < s.read[oldest].call {
			oldest = u
		}
	}
	delete(s.read, oldest)
}

type returned struct {
	ret int64
	op  int32
}

// returns is a heap by return.
type returns []returned

func (r returns) Len() int           { return len(r) }
func (r returns) Less(i, j int) bool { return r[i].ret < r[j].ret }
func (r returns) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }
func (r *returns) Push(x any)        { *r = append(*r, x.(returned)) }
func (r *returns) Pop() any {
	last := (*r)[len(*r)-1]
	*r = (*r)[:len(*r)-1]
	return last
}
