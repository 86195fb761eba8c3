package fifo

import (
	"cmp"
	"math"
	"slices"

	"github.com/capstan-dev/capstan/checker/linear/order/ranks"
	"github.com/capstan-dev/capstan/checker/linear/spec"
)

type op = spec.Op[In, Out]

// value is one enqueued value and the intervals of its two operations.
type value struct {
	enq, deq int32 // operations; deq is -1 if no completed dequeue returned it
	// in0..in1 is when it was enqueued, out0..out1 when it was dequeued,
	// narrowed to what enqueue-before-dequeue leaves. Never..Never: not at all.
	in0, in1, out0, out1 int64
}

// stuck: it was certainly enqueued, and no completed dequeue returned it. Only
// a crashed dequeue can have taken it.
func (v *value) stuck() bool { return v.deq < 0 }

type decider struct {
	ops     []op
	ordered bool
	b       spec.Budget
	values  []value
	// byIn1 are the values by the end of their enqueue, stuck those of them
	// that are stuck, crashed the dequeues without an answer by call. The
	// k-th stuck value is taken, if at all, by the k-th crashed dequeue.
	byIn1, stuck, crashed []int32
	empties               []int32 // dequeues that found nothing
	at                    []int64 // when each of them took effect
	overtaken             []int32 // by value: see overtakers
	covers                cover
	flaws                 []flaw
}

// Decide is exact, with crashed operations and with dequeues that found
// nothing, in O(n log n) time. If a value is
// enqueued twice it is Inapplicable, unless a dequeue returned what nobody
// enqueued by then.
//
// It looks for the patterns of Henzinger, Sezgin and Vafeiadis (Aspect-oriented
// linearizability proofs, CONCUR 2013): a value from nowhere, taken twice, or
// taken before it came; if ordered, one that overtook another; a dequeue that
// found nothing although at each moment some value was inside. Crashed
// dequeues are given to the values that nobody dequeued: what had to be gone
// first gets the one that was called first, which is optimal since the
// deadlines of these values ascend with the ends of their enqueues.
func Decide(ops []spec.Op[In, Out], ordered bool, b spec.Budget) spec.Finding[Out] {
	d := &decider{ops: ops, ordered: ordered, b: b}
	if b.Bytes > 0 && int64(len(ops))*bytesPerOp > b.Bytes {
		return spec.Finding[Out]{Why: spec.OutOfMemory}
	}
	if !d.load() {
		if conflicts := d.unknown(); len(conflicts) > 0 {
			return spec.Finding[Out]{Outcome: spec.Illegal, Conflicts: conflicts}
		}
		return spec.Finding[Out]{Outcome: spec.Inapplicable, Why: "a value is enqueued twice"}
	}
	for _, pass := range []func(){d.match, d.order, d.empty} {
		if pass(); b.Stopped() {
			return spec.Finding[Out]{Why: spec.OutOfTime}
		}
	}
	if len(d.flaws) > 0 {
		return spec.Finding[Out]{Outcome: spec.Illegal, Conflicts: d.conflicts()}
	}
	return d.certify()
}

// bytesPerOp is what a decision needs at most, measured.
const bytesPerOp = 300

// load makes the values and notes those that are wrong by themselves; the
// order, which they would confuse, is judged without them.
func (d *decider) load() (unique bool) {
	slots, values, unique := enqueued(d.ops)
	if !unique {
		return false
	}
	for i := range d.ops {
		o := &d.ops[i]
		switch {
		case !o.In.Deq:
		case o.Crashed:
			d.crashed = append(d.crashed, int32(i))
		case o.Out.Empty:
			d.empties = append(d.empties, int32(i))
		default:
			d.dequeue(int32(i), values, slots.Of(o.Out.V))
		}
	}
	d.values = make([]value, 0, len(values))
	for _, v := range values {
		if d.place(&v) {
			d.values = append(d.values, v)
		}
	}
	byCall := func(a, b int32) int { return cmp.Compare(d.ops[a].Call, d.ops[b].Call) }
	slices.SortFunc(d.crashed, byCall)
	slices.SortFunc(d.empties, byCall)
	return true
}

func enqueued(ops []op) (slots *ranks.Slots, values []value, unique bool) {
	low, high, n := int32(math.MaxInt32), int32(math.MinInt32), 0
	for i := range ops {
		if in := ops[i].In; !in.Deq {
			low, high, n = min(low, in.V), max(high, in.V), n+1
		}
	}
	slots, values = ranks.NewSlots(low, high, n), make([]value, 0, n)
	for i := range ops {
		if ops[i].In.Deq {
			continue
		}
		if _, added := slots.Add(ops[i].In.V); !added {
			return nil, nil, false
		}
		values = append(values, value{enq: int32(i), deq: -1})
	}
	return slots, values, true
}

func (d *decider) dequeue(i int32, values []value, slot int32) {
	switch {
	case slot < 0:
		d.flaw(flaw{at: d.ops[i].Return, kind: fromNowhere, a: i})
	case values[slot].deq >= 0:
		d.flaw(flaw{at: d.ops[i].Return, kind: twice, a: values[slot].enq, b: values[slot].deq, c: i})
	default:
		values[slot].deq = i
	}
}

// place fills in the intervals. False: the value is nothing to reckon with.
func (d *decider) place(v *value) bool {
	enq := &d.ops[v.enq]
	v.in0, v.in1, v.out0, v.out1 = enq.Call, enq.Return, spec.Never, spec.Never
	if v.deq < 0 {
		return !enq.Crashed // it need not have happened
	}
	deq := &d.ops[v.deq]
	if deq.Return < enq.Call {
		d.flaw(flaw{at: enq.Call, kind: tooEarly, a: v.enq, b: v.deq})
		return false
	}
	v.in1 = min(v.in1, deq.Return)
	v.out0, v.out1 = max(deq.Call, v.in0), deq.Return
	return true
}

// match gives crashed dequeues to stuck values.
func (d *decider) match() {
	keys := make([]int64, len(d.values))
	for i := range d.values {
		keys[i] = d.values[i].in1
	}
	d.byIn1 = ranks.Ascending(keys)
	for _, i := range d.byIn1 {
		v := &d.values[i]
		if !v.stuck() {
			continue
		}
		if k := len(d.stuck); k < len(d.crashed) {
			v.out0 = max(d.ops[d.crashed[k]].Call, v.in0)
		}
		d.stuck = append(d.stuck, i)
	}
}

// order looks for values that were overtaken.
func (d *decider) order() {
	if !d.ordered {
		return
	}
	d.overtaken = d.overtakers()
	used, matched := 0, []int32(nil)
	for n, i := range d.byIn1 {
		if n&4095 == 0 && d.b.Stopped() {
			return
		}
		v, by := &d.values[i], d.overtaken[i]
		if by < 0 {
			continue
		}
		deadline := d.values[by].out1
		if !v.stuck() {
			if deadline < v.out0 {
				d.flaw(flaw{at: v.out1, kind: overtook, a: i, b: by})
			}
			continue
		}
		// Reckoned anew, so that one lost value does not take a dequeue away
		// from all after it.
		if used < len(d.crashed) && d.ops[d.crashed[used]].Call <= deadline {
			matched = append(matched, i)
			used++
			continue
		}
		d.flaw(flaw{at: max(v.in1, deadline), kind: lost, a: i, b: by, pairs: matched})
	}
	d.thin()
}

// overtakers is, for each value, the one that was dequeued first among those
// that were enqueued after it; -1 if none was dequeued.
func (d *decider) overtakers() []int32 {
	keys := make([]int64, len(d.values))
	for i := range d.values {
		keys[i] = d.values[i].in0
	}
	later, by, best := ranks.Ascending(keys), make([]int32, len(d.values)), int32(-1)
	at := len(later)
	for _, i := range slices.Backward(d.byIn1) {
		for ; at > 0 && d.values[later[at-1]].in0 > d.values[i].in1; at-- {
			c := later[at-1]
			if d.values[c].out1 < spec.Never && (best < 0 || d.values[c].out1 < d.values[best].out1) {
				best = c
			}
		}
		by[i] = best
	}
	return by
}

// thin keeps one conflict for each value that overtook others if these are
// fewer than the values that were overtaken: then the former are to blame.
func (d *decider) thin() {
	first := map[int32]int64{}
	overtaken := 0
	for _, f := range d.flaws {
		if f.kind == overtook {
			overtaken++
			if at, ok := first[f.b]; !ok || f.at < at {
				first[f.b] = f.at
			}
		}
	}
	if len(first) == overtaken {
		return
	}
	d.flaws = slices.DeleteFunc(d.flaws, func(f flaw) bool {
		if f.kind != overtook {
			return false
		}
		at, ok := first[f.b]
		if ok && at == f.at {
			delete(first, f.b)
			return false
		}
		return true
	})
}
