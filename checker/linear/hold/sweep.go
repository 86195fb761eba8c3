package hold

import (
	"cmp"
	"container/heap"
	"slices"

	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// sweep decides a lock without owners, O(n log n). It goes from return to
// return and does nothing that need not be done by then. The operation that
// returns must be done; if the lock is not as it wants it, one of the other kind
// is done first, of those that were called the one that returns first, crashed
// ones last. Waiting only adds to the operations that can be chosen from, and
// of two of a kind the one with the later return can wait longer.
func sweep(l Lock, ops []op, byCall []int32, b spec.Budget) spec.Finding[Out] {
	returns := make([]int32, 0, len(ops))
	for i := range ops {
		if !ops[i].Crashed {
			returns = append(returns, int32(i))
		}
	}
	slices.SortFunc(returns, func(a, b int32) int {
		return cmp.Or(cmp.Compare(ops[a].Return, ops[b].Return), cmp.Compare(a, b))
	})
	pending := [2]earliest{{ops: ops}, {ops: ops}}
	done := make([]bool, len(ops))
	order := make([]int32, 0, len(ops))
	wants, called := Acquire, 0 // wants is what can be done next
	for k, i := range returns {
		if k%4096 == 0 && b.Stopped() {
			break
		}
		for ; called < len(byCall) && ops[byCall[called]].Call <= ops[i].Return; called++ {
			c := byCall[called]
			heap.Push(&pending[ops[c].In.Verb], c)
		}
		for !done[i] {
			next := i
			if wants != ops[i].In.Verb {
				if next = pending[wants].next(done); next == none {
					return spec.Finding[Out]{Outcome: spec.Illegal, Frontier: ops[byCall[called-1]].Call, Conflicts: explain(l, ops, ops[i].Return, b)}
				}
			}
			done[next] = true
			order = append(order, next)
			wants = Release - wants
		}
	}
	return spec.Finding[Out]{Outcome: spec.Legal, Order: order}
}

// earliest is a heap by return.
type earliest struct {
	ops  []op
	heap []int32
}

// next removes and returns the first that is not done.
func (e *earliest) next(done []bool) int32 {
	for len(e.heap) > 0 {
		if i := heap.Pop(e).(int32); !done[i] {
			return i
		}
	}
	return none
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
