package linear

import (
	"encoding/binary"
	"math"
	"slices"
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
	panicked // our bug
)

// finding is what came of one search.
type finding struct {
	outcome outcome
	why     stopReason
	// frontier is the last invocation that was looked at, if illegal. The
	// search gets past the return of an operation just when the history up to
	// it is legal. So the first return that makes it illegal stands between
	// the frontier and the next invocation.
	frontier int64
}

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
// Crashed operations that do the same are taken in the order of their
// invocations: wherever a later one fits, the earlier one does too. How many
// of each class took effect is part of the state, as the number of a tally.
//
// The memory is counted, not measured, so that the same history and budget
// always give the same answer: nearly all of it is the memo of visited
// configurations, one bit per operation each. A quarter is added for what the
// garbage collector lets it grow to, measured.
func (k *keyOps) search(ops []op, b budget) finding {
	if len(ops) == 0 {
		return finding{}
	}
	ops, classes := twins(ops)
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
	r := run{k: k, budget: b, entry: int64(len(history)/8+150) * 5 / 4, tallies: [][]uint16{make([]uint16, classes)}}
	found := porcupine.CheckOperations(r.model(), history)
	switch {
	case r.why != ranThrough:
		return finding{outcome: undecided, why: r.why}
	case found:
		return finding{}
	}
	return finding{outcome: illegal, frontier: r.frontier}
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

	frontier int64
	// tallies of the crashed operations that took effect, by class; the first
	// is all 0.
	tallies [][]uint16
	next    map[[2]int32]int32 // tally and class -> tally
	number  map[string]int32   // tally -> its number
}

// model gives porcupine states of a value in the low half and a tally in the
// high one.
func (r *run) model() porcupine.Model {
	initial, step := int64(r.k.init), registerStep
	if r.k.mutex {
		initial, step = 0, mutexStep
	}
	r.boxed = make([]any, len(r.k.values)+2)
	for i := range r.boxed {
		r.boxed[i] = int64(i) - 1
	}
	return porcupine.Model{
		Init: func() any { return initial },
		Step: func(state, input, _ any) (ok bool, next any) {
			if r.over() {
				return false, nil // porcupine then unwinds and is done
			}
			defer func() { // this is porcupine's goroutine: nobody else could
				if p := recover(); p != nil {
					ok, r.why = false, panicked
				}
			}()
			s, o := state.(int64), input.(*op)
			if o.kind == end || s == ended {
				return true, r.box(ended)
			}
			r.frontier = max(r.frontier, o.call)
			tally := int32(s >> 32)
			if o.class > 0 && int32(r.tallies[tally][o.class-1]) != o.turn {
				return false, nil
			}
			fits, value := step(int32(s), o)
			if !fits {
				return false, nil
			}
			if o.class > 0 {
				tally = r.count(tally, o.class-1)
			}
			return true, r.box(int64(tally)<<32 | int64(value))
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

func (r *run) box(state int64) any {
	if state+1 < int64(len(r.boxed)) {
		return r.boxed[state+1]
	}
	return state
}

// count is the tally with one more of a class.
func (r *run) count(tally, class int32) int32 {
	n, ok := r.next[[2]int32{tally, class}]
	if ok {
		return n
	}
	if r.next == nil {
		r.next, r.number = map[[2]int32]int32{}, map[string]int32{}
	}
	t := slices.Clone(r.tallies[tally])
	t[class]++
	var key []byte
	for _, c := range t {
		key = binary.LittleEndian.AppendUint16(key, c)
	}
	if n, ok = r.number[string(key)]; !ok {
		n = int32(len(r.tallies))
		r.number[string(key)] = n
		r.tallies = append(r.tallies, t)
		r.used += int64(4*len(t) + 120)
	}
	r.next[[2]int32{tally, class}] = n
	r.used += 40
	return n
}

// twins numbers the crashed operations that do the same, in order of
// invocation, and says how many classes of them there are.
func twins(ops []op) ([]op, int) {
	type deed struct {
		kind kind
		a, b int32
	}
	total := map[deed]int32{}
	for i := range ops {
		if o := &ops[i]; o.crashed {
			total[deed{o.kind, o.a, o.b}]++
		}
	}
	if len(total) == 0 {
		return ops, 0
	}
	ops = slices.Clone(ops)
	classes, turns := map[deed]int32{}, map[deed]int32{}
	for i := range ops {
		o := &ops[i]
		d := deed{o.kind, o.a, o.b}
		if n := total[d]; !o.crashed || n < 2 || n > math.MaxUint16 {
			continue
		}
		if classes[d] == 0 {
			classes[d] = int32(len(classes) + 1)
		}
		o.class, o.turn = classes[d], turns[d]
		turns[d]++
	}
	return ops, len(classes)
}

func registerStep(value int32, o *op) (bool, int32) {
	switch o.kind {
	case read:
		return value == o.a, value
	case write:
		return !o.crashed || value != o.a, o.a
	default: // cas
		return value == o.a && !(o.crashed && o.a == o.b), o.b
	}
}

// mutexStep: 0 is free, 1 is held.
func mutexStep(value int32, o *op) (bool, int32) {
	if o.kind == acquire {
		return value == 0, 1
	}
	return value == 1, 0
}
