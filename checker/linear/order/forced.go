// Package order decides objects whose answers leave no choice of order: a list
// or a set that is read as a whole, a register with versions, a counter whose
// adds return the new value, a source of unique ids. From the answers each
// operation gets a group; whatever is in one group comes before all of the
// next. What is left to check is that time agrees.
package order

import (
	"cmp"
	"math"
	"slices"

	"github.com/capstan-dev/capstan/checker/linear/order/ranks"
	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// maxConflicts are told, the earliest.
const maxConflicts = 100

// leftOut is the group of an operation that took no effect, or that is wrong
// by itself.
const leftOut = -1

// pair is a contradiction: first comes before second by the answers, but began
// after second had returned.
type pair struct{ first, second int32 }

// line orders the operations by group, inside a group by call, and finds the
// pairs that contradict real time. There is a linearization that respects the
// groups if and only if there are none; then the line is one.
func line[In, Out any](ops []spec.Op[In, Out], group []int32, groups int32) (order []int32, broken []pair) {
	calls := make([]int64, len(ops))
	for i := range ops {
		calls[i] = ops[i].Call
	}
	start := make([]int32, groups+1)
	for _, g := range group {
		if g >= 0 {
			start[g+1]++
		}
	}
	for g := range groups {
		start[g+1] += start[g]
	}
	order = make([]int32, start[groups])
	for _, i := range ranks.Ascending(calls) {
		if g := group[i]; g >= 0 {
			order[start[g]] = i
			start[g]++
		}
	}
	late := began(ops, group, order)
	if len(late) == 0 {
		return order, nil
	}
	// One operation may contradict thousands. Whichever side is fewer is to
	// blame: a stale read that misses many writes, an answer from the future.
	if early := returned(ops, group, order); len(early) < len(late) {
		return order, early
	}
	return order, late
}

// began lists the operations that began after one of a later group had
// returned, with the one of those that had returned first.
func began[In, Out any](ops []spec.Op[In, Out], group, order []int32) (late []pair) {
	soonest, pending, at := int32(-1), int32(-1), int32(-1)
	for _, i := range slices.Backward(order) {
		if group[i] != at {
			soonest, at = pending, group[i]
		}
		if soonest >= 0 && ops[soonest].Return < ops[i].Call {
			late = append(late, pair{first: i, second: soonest})
		}
		if pending < 0 || ops[i].Return < ops[pending].Return {
			pending = i
		}
	}
	return late
}

// returned lists the operations that had returned before one of an earlier
// group began, with the one of those that began last.
func returned[In, Out any](ops []spec.Op[In, Out], group, order []int32) (early []pair) {
	latest, pending, at := int32(-1), int32(-1), int32(-1)
	for _, i := range order {
		if group[i] != at {
			latest, at = pending, group[i]
		}
		if latest >= 0 && ops[i].Return < ops[latest].Call {
			early = append(early, pair{first: latest, second: i})
		}
		if pending < 0 || ops[i].Call > ops[pending].Call {
			pending = i
		}
	}
	return early
}

// conflict is made of operations (negative ones are skipped).
func conflict[In, Out any](ops []spec.Op[In, Out], say string, of ...int32) spec.Conflict {
	c := spec.Conflict{Say: say, At: math.MinInt64}
	for _, i := range of {
		if i < 0 {
			continue
		}
		c.Ops = append(c.Ops, i)
		c.At = max(c.At, ops[i].Call)
		if !ops[i].Crashed {
			c.At = max(c.At, ops[i].Return)
		}
	}
	slices.SortFunc(c.Ops, func(a, b int32) int {
		return cmp.Or(cmp.Compare(ops[a].Call, ops[b].Call), cmp.Compare(a, b))
	})
	c.Ops = slices.Compact(c.Ops)
	return c
}

// told collects conflicts; words are only made for as many as are reported.
type told struct {
	found []flaw
}

type flaw struct {
	at  int64
	say func() spec.Conflict
}

func (t *told) add(at int64, say func() spec.Conflict) { t.found = append(t.found, flaw{at, say}) }

func (t *told) conflicts() []spec.Conflict {
	slices.SortStableFunc(t.found, func(a, b flaw) int { return cmp.Compare(a.at, b.at) })
	var out []spec.Conflict
	for _, f := range t.found[:min(len(t.found), maxConflicts)] {
		out = append(out, f.say())
	}
	slices.SortStableFunc(out, func(a, b spec.Conflict) int { return cmp.Compare(a.At, b.At) })
	return out
}

// finish runs the test of the line and makes the finding. say puts a pair into
// words; assume, if any, fills in the answers of crashed operations.
func finish[In, Out any](ops []spec.Op[In, Out], group []int32, groups int32, b spec.Budget, t *told, say func(pair) spec.Conflict) spec.Finding[Out] {
	if b.Stopped() {
		return spec.Finding[Out]{Why: spec.OutOfTime}
	}
	order, broken := line(ops, group, groups)
	if b.Stopped() {
		return spec.Finding[Out]{Why: spec.OutOfTime}
	}
	for _, p := range broken {
		t.add(max(ops[p.first].Call, ops[p.second].Return), func() spec.Conflict { return say(p) })
	}
	if len(t.found) > 0 {
		return spec.Finding[Out]{Outcome: spec.Illegal, Conflicts: t.conflicts()}
	}
	return spec.Finding[Out]{Outcome: spec.Legal, Order: order}
}

// overBudget: n operations and elements need more memory than is allowed.
func overBudget(b spec.Budget, n int) bool {
	const bytesEach = 200 // measured
	return b.Bytes > 0 && int64(n)*bytesEach > b.Bytes
}

// updates numbers the elements that operations put in.
func updates[In, Out any](ops []spec.Op[In, Out], put func(In) (int32, bool)) (slots *ranks.Slots, by []int32, unique bool) {
	low, high, n := int32(math.MaxInt32), int32(math.MinInt32), 0
	for i := range ops {
		if v, ok := put(ops[i].In); ok {
			low, high, n = min(low, v), max(high, v), n+1
		}
	}
	slots, by = ranks.NewSlots(low, high, n), make([]int32, 0, n)
	for i := range ops {
		v, ok := put(ops[i].In)
		if !ok {
			continue
		}
		if _, added := slots.Add(v); !added {
			return nil, nil, false
		}
		by = append(by, int32(i))
	}
	return slots, by, true
}
