package fifo

import (
	"math"

	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// Needs says which operations must stay if one stays, so that any part of a
// legal history that has what it needs is legal: the two operations of a value
// stay together, and a value that nobody dequeued stays with the crashed
// dequeue that may have taken it (see Decide).
func Needs(ops []spec.Op[In, Out]) [][]int32 {
	needs := make([][]int32, len(ops))
	d := &decider{ops: ops}
	if !d.load() {
		return repeated(ops)
	}
	d.match()
	for i := range d.values {
		if v := &d.values[i]; v.deq >= 0 {
			needs[v.enq], needs[v.deq] = []int32{v.deq}, []int32{v.enq}
		}
	}
	accused(ops, needs)
	for k, i := range d.stuck[:min(len(d.stuck), len(d.crashed))] {
		if d.values[i].in1 < math.MaxInt64 {
			needs[d.values[i].enq] = []int32{d.crashed[k]}
		}
	}
	return needs
}

// accused dequeues took a value a second time, or too early: the enqueue stays
// with them, so that they are not accused of more.
func accused(ops []spec.Op[In, Out], needs [][]int32) {
	enq := map[int32]int32{}
	for i := range ops {
		if !ops[i].In.Deq {
			enq[ops[i].In.V] = int32(i)
		}
	}
	for i := range ops {
		o := &ops[i]
		if !o.In.Deq || o.Crashed || o.Out.Empty || needs[i] != nil {
			continue
		}
		if e, ok := enq[o.Out.V]; ok {
			needs[i] = []int32{e}
		}
	}
}

// repeated is for histories with values that are enqueued twice: all operations
// of a value stay together, and with them the crashed dequeues, which may have
// taken it. Without all that concerns a value the others are found in the same
// order. What nobody enqueued needs nothing.
func repeated(ops []spec.Op[In, Out]) [][]int32 {
	groups := map[int32][]int32{}
	for i := range ops {
		if o := &ops[i]; !o.In.Deq {
			groups[o.In.V] = append(groups[o.In.V], int32(i))
		}
	}
	var crashed []int32
	for i := range ops {
		o := &ops[i]
		switch {
		case o.In.Deq && o.Crashed:
			crashed = append(crashed, int32(i))
		case o.In.Deq && !o.Out.Empty && groups[o.Out.V] != nil:
			groups[o.Out.V] = append(groups[o.Out.V], int32(i))
		}
	}
	for v := range groups {
		groups[v] = append(groups[v], crashed...)
	}
	needs := make([][]int32, len(ops))
	for i := range ops {
		switch o := &ops[i]; {
		case !o.In.Deq:
			needs[i] = groups[o.In.V]
		case !o.Crashed && !o.Out.Empty:
			needs[i] = groups[o.Out.V]
		}
	}
	return needs
}
