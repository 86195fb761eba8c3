package tally

import (
	"cmp"
	"container/heap"
	"math"
	"slices"

	"github.com/capstan-dev/capstan/checker/linear/spec"
)

type op = spec.Op[In, int64]

// Decide decides a counter in O(n log n).
//
// If all adds are of one amount, this is exact: adds are then unit jobs, of
// which the sum at a time has to count at least those that ended and at most
// those that began, and reads bound it; see sweep and accuse.
//
// If the amounts differ, which of them make up a sum is the problem of subset
// sums. Illegal is what breaks the bounds, which do not depend on that; Legal is
// what the same sweep finds an order for; anything else is Inapplicable.
//
// A conflict names a read, and the adds that bound it: with another read
// before it, from which to count, or else all that matter.
func Decide(ops []spec.Op[In, int64], b spec.Budget) spec.Finding[int64] {
	const each = 60 // bytes for an operation, about
	switch {
	case b.Bytes > 0 && int64(len(ops))*each > b.Bytes:
		return spec.Finding[int64]{Outcome: spec.Undecided, Why: spec.OutOfMemory}
	case b.Steps > 0 && int64(len(ops)) > b.Steps:
		return spec.Finding[int64]{Outcome: spec.Undecided, Why: spec.OutOfSteps}
	case slices.ContainsFunc(ops, func(o op) bool { return !o.Crashed && o.Return < o.Call }):
		return spec.Finding[int64]{Outcome: spec.Inapplicable, Why: "an operation returned before it was called"}
	}
	unit, signs, ok := amounts(ops)
	if !ok {
		return spec.Finding[int64]{Outcome: spec.Inapplicable, Why: "the sum of all adds overflows"}
	}
	s := newSweep(ops, unit, b)
	legal := s.run()
	if b.Stopped() {
		return spec.Finding[int64]{Outcome: spec.Undecided, Why: spec.OutOfTime}
	}
	if legal {
		return spec.Finding[int64]{Outcome: spec.Legal, Order: s.order}
	}
	conflicts := accuse(ops, s, unit, signs)
	switch {
	case len(conflicts) > 0:
		return spec.Finding[int64]{Outcome: spec.Illegal, Conflicts: conflicts}
	case unit == 0:
		return spec.Finding[int64]{Outcome: spec.Inapplicable, Why: "the adds are of different amounts"}
	}
	return spec.Finding[int64]{Outcome: spec.Undecided, Why: "no order was found, and no reason"}
}

// amounts is the one amount of all adds, or 0 if they differ; the sign of all,
// or 0 if they differ; and whether no sum can overflow.
func amounts(ops []op) (unit, sign int64, ok bool) {
	first, mixed, total := true, false, int64(0)
	for i := range ops {
		d := ops[i].In.Delta
		if ops[i].In.Verb == Read || d == 0 {
			continue
		}
		if d < -math.MaxInt64/4 || d > math.MaxInt64/4 {
			return 0, 0, false
		}
		if total += max(d, -d); total > math.MaxInt64/4 {
			return 0, 0, false
		}
		if first {
			unit, sign, first = d, 1, false
			if d < 0 {
				sign = -1
			}
		}
		if d != unit {
			unit = 0
		}
		mixed = mixed || d*sign < 0
	}
	if first {
		return 1, 1, true
	}
	if mixed {
		sign = 0
	}
	return unit, sign, true
}

// sweep goes from return to return and adds no more than must be there by then:
// the add that returns, or what a read that returns has to see. Of the adds that
// were called the ones that return first are taken first, crashed ones last.
// Waiting only adds to what can be taken, and of two equal adds the one with
// the later return can wait longer. A read is answered as soon as the sum is
// right.
type sweep struct {
	ops              []op
	unit             int64
	budget           spec.Budget
	byCall, byReturn []int32 // byReturn: completed ones
	pending          earliest
	done             []bool
	waiting          map[int64]int32 // sum -> the first read that waits for it
	next             []int32         // read -> the next one that waits for the same
	sum              int64
	order            []int32
	steps            int // of the search for a subset
}

func newSweep(ops []op, unit int64, b spec.Budget) *sweep {
	s := &sweep{
		ops: ops, unit: unit, budget: b, pending: earliest{ops: ops},
		done: make([]bool, len(ops)), next: make([]int32, len(ops)),
		waiting: map[int64]int32{}, order: make([]int32, 0, len(ops)),
	}
	s.byCall, s.byReturn = make([]int32, len(ops)), make([]int32, 0, len(ops))
	for i := range ops {
		s.byCall[i] = int32(i)
		if !ops[i].Crashed {
			s.byReturn = append(s.byReturn, int32(i))
		}
	}
	byCall := func(a, b int32) int { return cmp.Compare(ops[a].Call, ops[b].Call) }
	if !slices.IsSortedFunc(s.byCall, byCall) {
		slices.SortFunc(s.byCall, byCall)
	}
	slices.SortFunc(s.byReturn, func(a, b int32) int { return cmp.Compare(ops[a].Return, ops[b].Return) })
	return s
}

// run is true if an order was found.
func (s *sweep) run() bool {
	called := 0
	for k, i := range s.byReturn {
		if k%4096 == 0 && s.budget.Stopped() {
			return false
		}
		for ; called < len(s.byCall) && s.ops[s.byCall[called]].Call <= s.ops[i].Return; called++ {
			s.call(s.byCall[called])
		}
		switch {
		case s.done[i]:
		case s.ops[i].In.Verb == Add:
			s.take(i)
		case !s.reach(s.ops[i].Out):
			return false
		}
	}
	return true
}

func (s *sweep) call(i int32) {
	switch o := &s.ops[i]; {
	case o.Crashed && (o.In.Verb == Read || o.In.Delta == 0):
	case o.In.Verb == Add && o.In.Delta != 0:
		heap.Push(&s.pending, i)
	case o.In.Verb == Add || o.Out == s.sum:
		s.take(i)
	default:
		s.next[i] = s.waiting[o.Out] - 1
		s.waiting[o.Out] = i + 1
	}
}

// take lets an operation take effect, and the reads that waited for it.
func (s *sweep) take(i int32) {
	s.done[i] = true
	s.order = append(s.order, i)
	if s.ops[i].In.Verb == Read || s.ops[i].In.Delta == 0 {
		return
	}
	s.sum += s.ops[i].In.Delta
	first, ok := s.waiting[s.sum]
	if !ok {
		return
	}
	for r := first - 1; r >= 0; r = s.next[r] {
		s.done[r] = true
		s.order = append(s.order, r)
	}
	delete(s.waiting, s.sum)
}

// reach makes the sum what a read has to see.
func (s *sweep) reach(sum int64) bool {
	if s.unit == 0 {
		return s.choose(sum)
	}
	if missing := sum - s.sum; missing%s.unit != 0 || missing/s.unit < 0 {
		return false
	}
	for s.sum != sum {
		i := s.pending.next(s.done)
		if i < 0 {
			return false
		}
		s.take(i)
	}
	return true
}

// crowd bounds the adds that a subset is looked for among, and tries how often.
const (
	crowd = 24
	tries = 10_000
)

// choose looks for pending adds of different amounts that make up the sum.
func (s *sweep) choose(sum int64) bool {
	var open []int32
	for len(open) < crowd {
		i := s.pending.next(s.done)
		if i < 0 {
			break
		}
		open = append(open, i)
	}
	s.steps = 0
	chosen := s.subset(open, sum-s.sum, nil)
	for _, i := range open {
		if !slices.Contains(chosen, i) {
			heap.Push(&s.pending, i)
		}
	}
	for _, i := range chosen {
		s.take(i)
	}
	return len(chosen) > 0
}

func (s *sweep) subset(open []int32, missing int64, chosen []int32) []int32 {
	if s.steps++; missing == 0 || s.steps > tries {
		if missing == 0 {
			return chosen
		}
		return nil
	}
	for k, i := range open {
		if found := s.subset(open[k+1:], missing-s.ops[i].In.Delta, append(chosen, i)); found != nil {
			return found
		}
	}
	return nil
}

// earliest is a heap by return.
type earliest struct {
	ops  []op
	heap []int32
}

// next removes and returns the first that is not done, -1 if there is none.
func (e *earliest) next(done []bool) int32 {
	for len(e.heap) > 0 {
		if i := heap.Pop(e).(int32); !done[i] {
			return i
		}
	}
	return -1
}

func (e *earliest) Len() int           { return len(e.heap) }
func (e *earliest) Less(i, j int) bool { return e.ops[e.heap[i]].Return < e.ops[e.heap[j]].Return }
func (e *earliest) Swap(i, j int)      { e.heap[i], e.heap[j] = e.heap[j], e.heap[i] }
func (e *earliest) Push(x any)         { e.heap = append(e.heap, x.(int32)) }
func (e *earliest) Pop() any {
	x := e.heap[len(e.heap)-1]
	e.heap = e.heap[:len(e.heap)-1]
	return x
}
