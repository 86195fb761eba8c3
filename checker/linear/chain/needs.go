package chain

import (
	"cmp"
	"math"
	"slices"
)

// Needs gives for each operation those that must stay in the history if it
// does, so that what stays of a legal history is legal: needs[i] are positions
// in ops. What sees a value needs each operation that may have set what it
// saw; a cas that failed and does not say what it found needs one that had
// surely replaced what it compares with, or else each one that may have set
// what it found. Values may repeat.
func Needs(ops []Op) [][]int32 {
	n := needer{ops: ops, setters: map[int32][]int32{}}
	n.gather()
	needs := make([][]int32, len(ops))
	for i := range ops {
		v, other := sees(&ops[i])
		switch {
		case v == none:
		case other:
			needs[i] = n.other(int32(i), v)
		default:
			needs[i] = n.sources(int32(i), n.setters[v])
		}
	}
	return needs
}

// sees is the value that an operation must find, or (other) must not find.
func sees(o *Op) (v int32, other bool) {
	switch {
	case o.In.Verb == Write || o.Crashed && o.In.Verb == Read:
		return none, false
	case o.In.Verb == Read:
		return o.Out.V, false
	case o.Crashed || o.Out.OK:
		return o.In.A, false
	case o.Out.V == Opaque:
		return o.In.A, true
	}
	return o.Out.V, false
}

func sets(o *Op) (v int32, ok bool) {
	switch {
	case o.In.Verb == Write:
		return o.In.A, true
	case o.In.Verb == CAS && (o.Crashed || o.Out.OK):
		return o.In.B, true
	}
	return none, false
}

// needer knows who sets what, and which overwrites are certain.
type needer struct {
	ops     []Op
	setters map[int32][]int32
	// called are the operations that set something by their call, and
	// open[k] is the latest return of the first k+1; crashed ones are apart.
	called  []int32
	open    []int64
	crashed []int32
	// returned are the operations that set something by their return, and
	// latest[k] is the one of the first k+1 that was called last.
	returned, latest []int32
}

func (n *needer) gather() {
	for i := range n.ops {
		if v, ok := sets(&n.ops[i]); ok {
			n.setters[v] = append(n.setters[v], int32(i))
			if n.ops[i].Crashed {
				n.crashed = append(n.crashed, int32(i))
			} else {
				n.called = append(n.called, int32(i))
			}
		}
	}
	n.returned = slices.Clone(n.called)
	slices.SortStableFunc(n.called, func(i, j int32) int { return cmp.Compare(n.ops[i].Call, n.ops[j].Call) })
	for k, i := range n.called {
		n.open = append(n.open, n.ops[i].Return)
		if k > 0 {
			n.open[k] = max(n.open[k], n.open[k-1])
		}
	}
	slices.SortStableFunc(n.returned, func(i, j int32) int { return cmp.Compare(n.ops[i].Return, n.ops[j].Return) })
	for k, i := range n.returned {
		if k > 0 && n.ops[n.latest[k-1]].Call >= n.ops[i].Call {
			i = n.latest[k-1]
		}
		n.latest = append(n.latest, i)
	}
}

// overwriter is the operation called last of those that set something and
// returned before the call of i.
func (n *needer) overwriter(i int32) (w int32, call int64) {
	k, _ := slices.BinarySearchFunc(n.returned, n.ops[i].Call, func(j int32, call int64) int {
		return cmp.Compare(n.ops[j].Return, call)
	})
	if k == 0 {
		return none, math.MinInt64
	}
	return n.latest[k-1], n.ops[n.latest[k-1]].Call
}

// sources are those of from that may have set what i saw.
func (n *needer) sources(i int32, from []int32) []int32 {
	_, call := n.overwriter(i)
	var out []int32
	for _, j := range from {
		if j != i && n.ops[j].Return >= call && n.ops[j].Call <= n.ops[i].Return {
			out = append(out, j)
		}
	}
	if len(out) > 0 || len(from) == 0 {
		return out
	}
	best := from[0] // not legal anyhow: keep the accusation, against the latest
	for _, j := range from {
		if j != i && n.ops[j].Call <= n.ops[i].Return {
			best = j
		}
	}
	return []int32{best}
}

// other is what i, which did not find v, needs.
func (n *needer) other(i, v int32) []int32 {
	last := int64(math.MinInt64) // return of all that set v
	for _, j := range n.setters[v] {
		last = max(last, n.ops[j].Return)
	}
	w, call := n.overwriter(i)
	if w != none && last < call {
		return []int32{w}
	}
	until := n.ops[i].Return
	var out []int32
	add := func(j int32) {
		if set, _ := sets(&n.ops[j]); set != v && n.ops[j].Return >= call && n.ops[j].Call <= until {
			out = append(out, j)
		}
	}
	for _, j := range n.crashed {
		add(j)
	}
	k, _ := slices.BinarySearchFunc(n.called, until, func(j int32, until int64) int {
		if n.ops[j].Call <= until {
			return -1
		}
		return 1
	})
	for k--; k >= 0 && n.open[k] >= call; k-- {
		add(n.called[k])
	}
	return out
}
