package linear

import (
	"sync/atomic"

	"github.com/anishathalye/porcupine"
)

type outcome uint8

const (
	legal outcome = iota
	illegal
	undecided
)

type stopReason uint8

const (
	ranThrough stopReason = iota
	outOfTime
	outOfMemory
	outOfSteps
)

// budget bounds one search; zero fields do not.
type budget struct {
	stop  *atomic.Bool
	bytes int64
	steps int64
}

// ended is the state after the end marker.
const ended = int64(-1)

// search asks porcupine for a legal order of the operations.
//
// porcupine makes every operation take effect, but a crashed one need not. Its
// interval never ends, so that "never" is the same as "after all others". To
// say so a marker is added behind everything that returned. Before the marker
// a crashed operation is admitted only where it changes the state; after it
// every operation is admitted and does nothing. So the orders that are found
// are exactly those of the completed operations with some of the crashed ones,
// and none is tried that differs only in where a crashed one had no effect.
//
// The memory is counted, not measured, so that the same history and budget
// always give the same answer: nearly all of it is the memo of visited
// configurations, one bit per operation each.
func (k *keyOps) search(ops []op, b budget) (outcome, stopReason) {
	if len(ops) == 0 {
		return legal, ranThrough
	}
	if k.mutex {
		ops = numberCrashed(ops)
	}
	history := make([]porcupine.Operation, 0, len(ops)+1)
	last, crashed := int64(0), false
	for i := range ops {
		o := &ops[i]
		history = append(history, porcupine.Operation{ClientId: i, Input: o, Call: o.call, Return: o.ret})
		last = max(last, o.call)
		if o.ret < forever {
			last = max(last, o.ret)
		}
		crashed = crashed || o.crashed
	}
	if crashed {
		history = append(history, porcupine.Operation{ClientId: len(ops), Input: &op{kind: end}, Call: last + 1, Return: forever})
	}
	r := run{k: k, budget: b, entry: int64(len(history)/8 + 160)}
	found := porcupine.CheckOperations(r.model(), history)
	switch {
	case r.why != ranThrough:
		return undecided, r.why
	case found:
		return legal, ranThrough
	}
	return illegal, ranThrough
}

// run is one search; porcupine calls it from one goroutine.
type run struct {
	k      *keyOps
	budget budget
	entry  int64 // bytes of a memo's entry, about
	used   int64
	steps  int64
	why    stopReason
	boxed  []any
}

func (r *run) model() porcupine.Model {
	initial := int64(r.k.init)
	step := registerStep
	if r.k.mutex {
		initial, step = 0, mutexStep
	}
	r.boxed = make([]any, len(r.k.values)+1)
	for i := range r.boxed {
		r.boxed[i] = int64(i) - 1
	}
	return porcupine.Model{
		Init: func() any { return initial },
		Step: func(state, input, _ any) (bool, any) {
			if r.over() {
				return false, nil // porcupine then unwinds and is done
			}
			ok, next := step(state.(int64), input.(*op))
			if !ok {
				return false, nil
			}
			if next+1 < int64(len(r.boxed)) {
				return true, r.boxed[next+1]
			}
			return true, next
		},
		// Called once for each configuration that is looked up: an upper
		// bound for the entries.
		Hash: func(state any) uint64 {
			r.used += r.entry
			return uint64(state.(int64)) * 0x9e3779b97f4a7c15
		},
		Equal: func(a, b any) bool {
			if a.(int64) != b.(int64) {
				return false
			}
			r.used -= r.entry // it was there already
			return true
		},
	}
}

func (r *run) over() bool {
	r.steps++
	switch {
	case r.why != ranThrough:
	case r.budget.stop != nil && r.budget.stop.Load():
		r.why = outOfTime
	case r.budget.bytes > 0 && r.used > r.budget.bytes:
		r.why = outOfMemory
	case r.budget.steps > 0 && r.steps > r.budget.steps:
		r.why = outOfSteps
	}
	return r.why != ranThrough
}

func registerStep(state int64, o *op) (bool, int64) {
	if o.kind == end || state == ended {
		return true, ended
	}
	switch o.kind {
	case read:
		return state == int64(o.a), state
	case write:
		return !o.crashed || state != int64(o.a), int64(o.a)
	default: // cas
		return state == int64(o.a) && !(o.crashed && o.a == o.b), int64(o.b)
	}
}

// mutexStep counts the crashed operations that took effect in its state:
// those of one kind are all alike, so it is enough to try them in the order of
// their invocations, which op.a numbers from 0.
func mutexStep(state int64, o *op) (bool, int64) {
	if o.kind == end || state == ended {
		return true, ended
	}
	const shift = 31
	held, acquired, released := state&1, state>>1&(1<<30-1), state>>shift
	if o.kind == acquire {
		if held == 1 || o.crashed && int64(o.a) != acquired {
			return false, 0
		}
		if o.crashed {
			acquired++
		}
		return true, released<<shift | acquired<<1 | 1
	}
	if held == 0 || o.crashed && int64(o.a) != released {
		return false, 0
	}
	if o.crashed {
		released++
	}
	return true, released<<shift | acquired<<1
}
