package presence

import (
	"cmp"
	"math"
	"slices"
	"sort"

	"github.com/capstan-dev/capstan/checker/linear/order/ranks"
	"github.com/capstan-dev/capstan/checker/linear/spec"
)

type op = spec.Op[In, Out]

// element are the operations on one element.
type element struct {
	calls   []int32 // by call
	returns []int32 // by return; those that crashed last
	blind   bool    // some answers of adds or removes are unknown
}

// flip is a change of an element.
type flip struct {
	op int32
	at int64
}

// fate is how one element fared.
type fate struct {
	flips  []flip // add, remove, add, ...: until it failed, if it did
	failed int32  // the operation that no flips can satisfy; -1 if there is none
	why    string // it is not known
}

type decider struct {
	ops   []op
	kinds []kind
	used  []bool  // it flipped its element
	bits  []uint8 // see searcher
	b     spec.Budget
	steps int64 // left
	// Of the certificate: operations, when they take effect, and which is
	// first at equal times.
	order []int32
	times []int64
	turns []int64
}

// bytesPerOp is what a decision needs at most, measured.
const bytesPerOp = 200

// maxConflicts are told, the earliest.
const maxConflicts = 100

// Decide needs O(n log n) time and is exact if all answers of completed adds
// and removes are known. An element on which some are not is searched, as far
// as the budget's steps reach (defaultSteps if it has none) and as long as no
// more than 64 operations on it are in flight; else it is Undecided.
//
// It reports at most one conflict for each element.
func Decide(ops []spec.Op[In, Out], b spec.Budget) spec.Finding[Out] {
	if b.Bytes > 0 && int64(len(ops))*bytesPerOp > b.Bytes {
		return spec.Finding[Out]{Why: spec.OutOfMemory}
	}
	d := &decider{ops: ops, b: b, steps: b.Steps}
	if d.steps == 0 {
		d.steps = defaultSteps
	}
	n := len(ops)
	d.order, d.times, d.turns = make([]int32, 0, n), make([]int64, 0, n), make([]int64, 0, n)
	var failed []broken
	why := ""
	for _, e := range d.elements() {
		if b.Stopped() {
			return spec.Finding[Out]{Why: spec.OutOfTime}
		}
		f := d.sweep(e)
		switch {
		case f.why != "":
			why = f.why
		case f.failed >= 0:
			failed = append(failed, broken{e, f})
		case len(failed) == 0 && why == "":
			d.place(e, f.flips)
		}
	}
	if len(failed) > 0 {
		return spec.Finding[Out]{Outcome: spec.Illegal, Conflicts: d.conflicts(failed)}
	}
	if why != "" {
		return spec.Finding[Out]{Why: why}
	}
	return spec.Finding[Out]{Outcome: spec.Legal, Order: d.line()}
}

// sweep decides one element.
func (d *decider) sweep(e element) fate {
	if e.blind {
		return d.search(e)
	}
	return d.lazy(e)
}

// elements splits the operations.
func (d *decider) elements() []element {
	n := len(d.ops)
	low, high := int32(math.MaxInt32), int32(math.MinInt32)
	calls, returns := make([]int64, n), make([]int64, n)
	d.kinds, d.used = make([]kind, n), make([]bool, n)
	for i := range d.ops {
		o := &d.ops[i]
		low, high = min(low, o.In.V), max(high, o.In.V)
		calls[i], returns[i] = o.Call, o.Return
		d.kinds[i] = kindOf(o.In, o.Out, o.Crashed)
	}
	slots, slot := ranks.NewSlots(low, high, n), make([]int32, n)
	for i := range d.ops {
		slot[i], _ = slots.Add(d.ops[i].In.V)
	}
	start := make([]int32, slots.Len()+1)
	for _, s := range slot {
		start[s+1]++
	}
	for s := range slots.Len() {
		start[s+1] += start[s]
	}
	split := func(order []int32) []int32 {
		at, out := slices.Clone(start), make([]int32, n)
		for _, i := range order {
			out[at[slot[i]]] = i
			at[slot[i]]++
		}
		return out
	}
	byCall, byReturn := split(ranks.Ascending(calls)), split(ranks.Ascending(returns))
	all := make([]element, slots.Len())
	for s := range all {
		all[s] = d.element(byCall[start[s]:start[s+1]], byReturn[start[s]:start[s+1]])
	}
	return all
}

func (d *decider) element(calls, returns []int32) element {
	e := element{calls: calls, returns: returns}
	for _, i := range calls {
		e.blind = e.blind || d.kinds[i].blind()
	}
	return e
}

// part is the element reduced to some of its operations.
func (d *decider) part(ops []int32) element {
	calls, returns := slices.Clone(ops), slices.Clone(ops)
	slices.SortStableFunc(calls, func(a, b int32) int { return cmp.Compare(d.ops[a].Call, d.ops[b].Call) })
	slices.SortStableFunc(returns, func(a, b int32) int { return cmp.Compare(d.ops[a].Return, d.ops[b].Return) })
	return d.element(calls, returns)
}

// lazy flips only when an operation is about to return that needs it, and then
// by the pending operation that has to flip soonest, by a crashed one last.
// Without blind operations nothing is ever gained by another choice: all that
// return must flip once, and those that crashed stay at hand.
func (d *decider) lazy(e element) fate {
	f := fate{failed: -1}
	var pending [2]deadlines // by where they flip to
	var crashed [2][]int32
	for _, i := range e.calls {
		d.used[i] = false
	}
	state, next := 0, 0
	change := func(to int, at int64) bool {
		i := int32(-1)
		if len(pending[to]) > 0 {
			i = pending[to].pop(d.ops)
		} else if len(crashed[to]) > 0 {
			i, crashed[to] = crashed[to][0], crashed[to][1:]
		}
		if i < 0 {
			return false
		}
		d.used[i], state = true, to
		f.flips = append(f.flips, flip{i, at})
		return true
	}
	for n, x := range e.returns {
		if n&4095 == 4095 && d.b.Stopped() {
			return fate{failed: -1, why: spec.OutOfTime}
		}
		now := d.ops[x].Return
		for ; next < len(e.calls) && d.ops[e.calls[next]].Call <= now; next++ {
			i := e.calls[next]
			if k := d.kinds[i]; k.flips() {
				pending[k.after()].push(d.ops, i)
			} else if k.maybe() {
				crashed[k.after()] = append(crashed[k.after()], i)
			}
		}
		k, ok := d.kinds[x], true
		switch to := k.after(); {
		case k.flips() && d.used[x]:
		case k.flips():
			// Others that return now may flip before x.
			for ok && !d.used[x] {
				ok = (state != to || change(1-to, now)) && change(to, now)
			}
		case k.reads() && state != to:
			before := len(f.flips) > 0 && f.flips[len(f.flips)-1].at >= d.ops[x].Call
			ok = before || change(to, now)
		}
		if !ok {
			f.failed = x
			return f
		}
	}
	return f
}

// deadlines is a heap of operations by return.
type deadlines []int32

func (h *deadlines) push(ops []op, i int32) {
	*h = append(*h, i)
	s := *h
	for k := len(s) - 1; k > 0; {
		up := (k - 1) / 2
		if ops[s[up]].Return <= ops[s[k]].Return {
			return
		}
		s[up], s[k] = s[k], s[up]
		k = up
	}
}

func (h *deadlines) pop(ops []op) int32 {
	s := *h
	top, last := s[0], len(s)-1
	s[0] = s[last]
	s = s[:last]
	*h = s
	for k := 0; ; {
		least := k
		for c := 2*k + 1; c <= 2*k+2 && c < last; c++ {
			if ops[s[c]].Return < ops[s[least]].Return {
				least = c
			}
		}
		if least == k {
			return top
		}
		s[k], s[least] = s[least], s[k]
		k = least
	}
}

// place gives every operation on an element a moment: the flips theirs, others
// the first at which the element is as they need it.
func (d *decider) place(e element, flips []flip) {
	for _, i := range e.calls {
		d.used[i] = false
	}
	for k, f := range flips {
		d.used[f.op] = true
		d.put(f.op, f.at, 2*k+2)
	}
	for _, i := range e.calls {
		if d.ops[i].Crashed || d.used[i] {
			continue
		}
		o := &d.ops[i]
		if d.kinds[i] == anything {
			d.put(i, o.Call, 0)
			continue
		}
		// After k flips the element is there if k is odd.
		k := sort.Search(len(flips), func(k int) bool { return flips[k].at >= o.Call })
		if k%2 != d.kinds[i].after() {
			k++
		}
		at := o.Call
		if k > 0 {
			at = max(at, flips[k-1].at)
		}
		d.put(i, at, 2*k+1)
	}
}

func (d *decider) put(i int32, at int64, turn int) {
	d.order, d.times, d.turns = append(d.order, i), append(d.times, at), append(d.turns, int64(turn))
}

// line sorts what was placed.
func (d *decider) line() []int32 {
	first := ranks.Ascending(d.turns)
	times := make([]int64, len(first))
	for k, i := range first {
		times[k] = d.times[i]
	}
	line := ranks.Ascending(times)
	for k, i := range line {
		line[k] = d.order[first[i]]
	}
	return line
}
