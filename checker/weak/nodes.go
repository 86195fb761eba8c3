package weak

import (
	"slices"
)

// nodeState is what a node has served of one key, returned operations only.
type nodeState struct {
	read []served // the latest values, at most remembered
	last int32    // the own write that was called last, -1: none
}

// served is a value that a node served.
type served struct {
	source int32
	ret    int64 // of the first read that returned
	call   int64 // the latest of those that returned
}

// remembered is how many values of a key a node's state keeps.
const remembered = 16

// judgeNodes takes each node for a session whose order is that of intervals.
func (in *Input) judgeNodes(t *trace) []Node {
	nodes := make([]Node, len(in.nodes))
	states := make([]nodeState, len(in.nodes)*len(in.keys))
	for i := range states {
		states[i].last = -1
	}
	at := func(o *Op) *nodeState { return &states[int(o.Node)*len(in.keys)+int(o.Key)] }
	var flight []int32 // operations that have not returned
	first := int64(Never)
	for i := range t.ops {
		o := &t.ops[i]
		if first < o.Call {
			first = Never
			flight = slices.DeleteFunc(flight, func(f int32) bool {
				p := &t.ops[f]
				if p.Return >= o.Call {
					first = min(first, p.Return)
					return false
				}
				at(p).apply(t, f)
				return true
			})
		}
		n := &nodes[o.Node]
		n.Node, n.Operations = in.nodes[o.Node], n.Operations+1
		if o.Crashed {
			continue
		}
		if t.from[i] >= initial && t.from[i] != noRead {
			at(o).judge(t, int32(i), n)
		}
		flight = append(flight, int32(i))
		first = min(first, o.Return)
	}
	return slices.DeleteFunc(nodes, func(n Node) bool { return n.Node == "" })
}

// judge counts a read. What the node wrote itself it served when the write
// returned.
func (s *nodeState) judge(t *trace, r int32, n *Node) {
	w := t.from[r]
	own := w >= 0 && t.ops[w].Node == t.ops[r].Node && !t.ops[w].Crashed
	if s.last >= 0 && (w == initial || own && t.ops[w].Return < t.ops[s.last].Call) {
		n.ReadYourWrites++
	}
	mine := s.find(w)
	for i := range s.read {
		if other := &s.read[i]; other.source != w && (w == initial || mine != nil && other.call > mine.ret) {
			n.MonotonicReads++
			s.read = s.read[:0]
			return
		}
	}
}

func (s *nodeState) find(w int32) *served {
	for i := range s.read {
		if s.read[i].source == w {
			return &s.read[i]
		}
	}
	return nil
}

// apply takes in an operation that has returned.
func (s *nodeState) apply(t *trace, i int32) {
	o := &t.ops[i]
	if w := t.from[i]; w >= initial && w != noRead {
		s.remember(w, o)
	}
	if t.writer(i) && (s.last < 0 || t.ops[s.last].Call < o.Call) {
		s.last = i
	}
}

func (s *nodeState) remember(w int32, o *Op) {
	if v := s.find(w); v != nil {
		v.call = max(v.call, o.Call)
		return
	}
	if len(s.read) == remembered {
		oldest := 0
		for i := range s.read {
			if s.read[i].call < s.read[oldest].call {
				oldest = i
			}
		}
		s.read = slices.Delete(s.read, oldest, oldest+1)
	}
	s.read = append(s.read, served{w, o.Return, o.Call})
}
