// Package spec is what every decider of linearizability agrees on: an
// operation with its interval, the sequential specification of an object, what
// a decider finds, and the verifier of what it claims.
package spec

import (
	"fmt"
	"math"
	"sync/atomic"
)

// Never is the return of an operation that never returned.
const Never = math.MaxInt64

// Op is one operation on one object. Operations that certainly did not happen,
// and crashed ones that can have had no effect, are left out.
type Op[In, Out any] struct {
	In  In
	Out Out // zero if Crashed
	// Call and Return bound the closed interval in which the operation took
	// effect, as positions on one clock. a comes before b if and only if
	// a.Return < b.Call.
	Call, Return int64
	// Crashed: it took effect once at any time after Call, with an answer
	// that nobody saw, or never. Its Return is Never.
	Crashed bool
}

// Model is a sequential specification. S must be treated as immutable.
type Model[S, In, Out any] struct {
	Name string
	Init S
	// Step is the state after s answered in by out; ok is false if it would
	// not answer so.
	Step func(s S, in In, out Out) (next S, ok bool)
	// Outs are the answers that s may give: more than one if the object is
	// not deterministic. An answer that leaves s as it is may be left out.
	Outs func(s S, in In) []Out
	// Pure says that in, answered by out, leaves every state as it is in
	// which that answer is legal: a read, a compare-and-set that failed, a
	// dequeue that found nothing. That it changes nothing in one state is not
	// enough.
	Pure func(in In, out Out) bool
	// Equal and Hash tell states apart. Equal states have equal hashes.
	Equal func(a, b S) bool
	Hash  func(s S) uint64
	// Object is a fresh object of this kind, mutable and fast: it takes one
	// operation after the other and says whether the answer is right. It
	// shares no code with Step.
	Object func() func(in In, out Out) bool
}

// Outcome is what a decider found.
type Outcome uint8

// Inapplicable: the operations do not meet the decider's precondition.
const (
	Undecided Outcome = iota
	Legal
	Illegal
	Inapplicable
)

// String is the outcome's name.
func (o Outcome) String() string {
	return [...]string{"undecided", "legal", "illegal", "inapplicable"}[o]
}

// Finding is what a decider says of the operations of one object.
type Finding[Out any] struct {
	Outcome
	// Order is, if Legal, a linearization: the positions of the operations
	// that took effect, every completed one among them.
	Order []int32
	// Assumed are the answers, in that order, of crashed operations whose
	// answer matters (a dequeue took which element?).
	Assumed map[int32]Out
	// Conflicts are, if Illegal, at least one reason, the earliest first.
	Conflicts []Conflict
	// Frontier is, if Illegal and a search without conflicts, the last Call that
	// was looked at: what makes the history illegal returned before the next.
	Frontier int64
	// Why is one clause: which budget ran out, or which precondition fails.
	Why string
}

// Conflict is a set of operations that have no legal order by themselves, with
// everything else taken away.
type Conflict struct {
	// Ops are positions, ascending by Call.
	Ops []int32
	// Blind are those of Ops of which only the effect counts, not what they
	// found: a compare-and-set is taken for a write of its new value.
	Blind []int32
	// At is the completion that made them contradict each other.
	At int64
	// Say tells why, in words in which {3} stands for operation 3, {=7} for
	// value number 7, where the operations number values, and {3<5} for the
	// time between the return of operation 3 and the call of 5, e.g.
	// "{3} returned {3<5} before {5} began".
	Say string
}

// Budget bounds one decision; zero fields do not. Deciders look at it in
// their inner loops.
type Budget struct {
	Stop  *atomic.Bool // set when the time is up
	Bytes int64
	Steps int64
}

// Stopped is true when the time is up.
func (b Budget) Stopped() bool { return b.Stop != nil && b.Stop.Load() }

// The reasons of searches that did not come to an end.
const (
	OutOfTime   = "the time ran out"
	OutOfMemory = "the memory ran out"
	OutOfSteps  = "the steps ran out"
)

// Verify checks a linearization in one pass, O(n) and whatever object costs a
// step: that every completed operation is in the order, none twice, none before
// one that had returned when it was called, and that the object answers so.
// It shares nothing with the deciders.
func Verify[In, Out any](ops []Op[In, Out], order []int32, assumed map[int32]Out, object func(In, Out) bool) error {
	seen := make([]bool, len(ops))
	latest := int64(math.MinInt64) // call of all so far
	for at, i := range order {
		if i < 0 || int(i) >= len(ops) || seen[i] {
			return fmt.Errorf("verify linearization: entry %d: operation %d is unknown or there twice", at, i)
		}
		seen[i] = true
		o := &ops[i]
		if o.Return < latest {
			return fmt.Errorf("verify linearization: entry %d: operation %d had returned before an earlier entry was called", at, i)
		}
		latest = max(latest, o.Call)
		out := o.Out
		if o.Crashed {
			out = assumed[i]
		}
		if !object(o.In, out) {
			return fmt.Errorf("verify linearization: entry %d: operation %d, %v, is not answered by %v there", at, i, o.In, out)
		}
	}
	for i := range ops {
		if !seen[i] && !ops[i].Crashed {
			return fmt.Errorf("verify linearization: operation %d is missing", i)
		}
	}
	return nil
}
