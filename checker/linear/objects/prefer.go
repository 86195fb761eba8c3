package objects

import (
	"cmp"
	"math"
	"slices"

	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// The order of two puts of a queue or a stack shows when the values are taken,
// which can be long after. A search that guesses it wrong goes back from there.
// So the puts are tried in the order that the takes suggest.

// takes are by value the operations that put and took it, none or -1 if there is
// no single one.
type takes struct {
	ops       []spec.Op[In, int32]
	put, take map[int32]int32
}

func newTakes(ops []spec.Op[In, int32]) takes {
	t := takes{ops, map[int32]int32{}, map[int32]int32{}}
	note := func(m map[int32]int32, v int32, i int) {
		if _, ok := m[v]; ok {
			m[v] = -1
			return
		}
		m[v] = int32(i)
	}
	for i := range ops {
		switch o := &ops[i]; {
		case o.In.Verb == Put:
			note(t.put, o.In.Value, i)
		case !o.Crashed && o.Out != None:
			note(t.take, o.Out, i)
		}
	}
	return t
}

// of is when the value that an operation put was taken.
func (t *takes) of(put int32) (call, ret int64) {
	if i, ok := t.take[t.ops[put].In.Value]; ok && i >= 0 {
		return t.ops[i].Call, t.ops[i].Return
	}
	return spec.Never, spec.Never
}

// PreferQueue tries takes first, and puts in an order that their own times and
// those of the takes allow: for wgl.Guided.
func PreferQueue(ops []spec.Op[In, int32]) func(op, due int32) int64 {
	place := arrivals(ops)
	return func(op, _ int32) int64 { return int64(place[op]) }
}

// stay is how long a value is in a queue: between its put and its take.
type stay struct {
	op                int32 // the put
	call, ret         int64
	takeCall, takeRet int64 // Never if it was not taken
}

// stays holds the k-th put of a value for that of its k-th take.
func stays(ops []spec.Op[In, int32]) []stay {
	var all []stay
	waiting := map[int32][]int{} // value -> its stays without a take
	byCall := make([]int32, len(ops))
	for i := range ops {
		byCall[i] = int32(i)
	}
	slices.SortStableFunc(byCall, func(a, b int32) int { return cmp.Compare(ops[a].Call, ops[b].Call) })
	for _, i := range byCall {
		if o := &ops[i]; o.In.Verb == Put {
			waiting[o.In.Value] = append(waiting[o.In.Value], len(all))
			all = append(all, stay{i, o.Call, o.Return, spec.Never, spec.Never})
		}
	}
	for _, i := range byCall {
		o := &ops[i]
		if o.In.Verb == Put || o.Crashed {
			continue
		}
		if w := waiting[o.Out]; len(w) > 0 {
			all[w[0]].takeCall, all[w[0]].takeRet = o.Call, o.Return
			waiting[o.Out] = w[1:]
		}
	}
	return all
}

// arrivals numbers the puts so that of two values the first is not the one that
// was put, or taken, after the other had been. Takes get 0.
func arrivals(ops []spec.Op[In, int32]) []int32 {
	all := stays(ops) // by call
	byPut := sortedBy(all, func(s *stay) int64 { return s.ret })
	byTake := sortedBy(all, func(s *stay) int64 { return s.takeRet })
	place, picked := make([]int32, len(ops)), make([]bool, len(all))
	var open []int32 // called by the first return of those that are left
	called, p, t := 0, 0, 0
	for n := range all {
		for picked[byPut[p]] {
			p++
		}
		for picked[byTake[t]] {
			t++
		}
		for ; called < len(all) && all[called].call <= all[byPut[p]].ret; called++ {
			open = append(open, int32(called))
		}
		first := all[byTake[t]].takeRet
		at := max(0, slices.IndexFunc(open, func(k int32) bool { return all[k].takeCall <= first }))
		k := open[at]
		open = slices.Delete(open, at, at+1)
		picked[k], place[all[k].op] = true, int32(n+1)
	}
	return place
}

func sortedBy(all []stay, at func(*stay) int64) []int32 {
	order := make([]int32, len(all))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(at(&all[a]), at(&all[b])) })
	return order
}

// PreferStack tries takes first. A put that must be done now, as it returns or
// a take of its value does, comes after those that would otherwise lie on top
// of it when its value is taken.
func PreferStack(ops []spec.Op[In, int32]) func(op, due int32) int64 {
	t := newTakes(ops)
	return func(op, due int32) int64 {
		if ops[op].In.Verb == Take {
			return math.MinInt64 + 1
		}
		if ops[due].In.Verb == Take {
			if put, ok := t.put[ops[due].Out]; ok && put >= 0 {
				due = put
			}
		}
		if op == due {
			return 0
		}
		_, taken := t.of(op)
		if dueCall, dueTaken := t.of(due); taken > dueTaken && ops[op].Return < dueCall {
			return -taken
		}
		return ops[op].Return
	}
}
