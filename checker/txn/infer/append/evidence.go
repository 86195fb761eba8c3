package append

import (
	"github.com/capstan-dev/capstan/checker/txn/graph"
	"github.com/capstan-dev/capstan/checker/txn/infer"
	"github.com/capstan-dev/capstan/checker/txn/log"
)

// evidence finds the micro-operations that make an edge.
func (x *versions) evidence(from, to int32, c graph.Class) infer.Evidence {
	a, b := &x.l.Txns[from], &x.l.Txns[to]
	for i := a.First; i < a.Last; i++ {
		for j := b.First; j < b.Last; j++ {
			m, n := x.l.Mops[i], x.l.Mops[j]
			if m.Key != n.Key {
				continue
			}
			if e, ok := x.depends(m, n, c); ok {
				e.Key, e.FromMop, e.ToMop = m.Key, i, j
				return e
			}
		}
	}
	return infer.NoEvidence()
}

// depends says whether two micro-operations on one key make an edge.
func (x *versions) depends(m, n log.Mop, c graph.Class) (e infer.Evidence, ok bool) {
	e.Value, e.Next = log.Nil, log.Nil
	switch c {
	case graph.WW:
		if m.Fun != log.Append || n.Fun != log.Append {
			return e, false
		}
		e.Value, e.Next = m.Value, n.Value
		v, seen := x.version(m.Key, m.Value)
		return e, seen && x.follows(m.Key, v, n.Value)
	case graph.WR:
		if m.Fun != log.Append || len(x.l.Elements(n)) == 0 {
			return e, false
		}
		e.Value = m.Value
		if n.Fun == log.Odd {
			list := x.l.Odd[n.Value]
			return e, list[len(list)-1] == m.Value
		}
		v, seen := x.version(m.Key, m.Value)
		return e, seen && x.last(n) == v
	case graph.RW:
		if m.Fun != log.List || n.Fun != log.Append {
			return e, false
		}
		if list := x.l.Elements(m); len(list) > 0 {
			e.Value = list[len(list)-1]
		}
		e.Next = n.Value
		if next := x.next(m); next != none {
			v, seen := x.version(n.Key, n.Value)
			return e, seen && v == next
		}
		return e, x.isPending(n)
	}
	return e, false
}

// follows says whether a committed version is followed by the one of an
// element.
func (x *versions) follows(key, v int32, next log.Value) bool {
	if x.committed[v] != v {
		return false
	}
	if after := x.nextFrom(key, v+1); after != none {
		w, seen := x.version(key, next)
		return seen && w == after
	}
	return x.isPending(log.Mop{Key: key, Value: next})
}

// isPending says whether nobody saw an element.
func (x *versions) isPending(m log.Mop) bool {
	if _, seen := x.version(m.Key, m.Value); seen {
		return false
	}
	_, odd := x.elsewhere[element{m.Key, m.Value}]
	return !odd
}
