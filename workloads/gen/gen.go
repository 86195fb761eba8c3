// Package gen holds the generators of operations: pure values that say what
// comes next, without clock, sleep, goroutine or global randomness. The
// harness asks, sends the operations to its workers, and tells what happened.
package gen

import (
	"encoding/json"
	"time"

	"github.com/capstan-dev/capstan/history"
)

// Op is an operation to be invoked: its name and its argument as JSON.
type Op struct {
	F     string
	Value json.RawMessage
}

// View is what a source may look at when it is asked for the next operation.
// The source must not keep or change the slices.
type View struct {
	// Now is the time since the run's start.
	Now time.Duration
	// All lists the workers that the source may use, ascending, busy or not.
	All []int
	// Free lists those of them that have no call in flight, the longest idle
	// first.
	Free []int
	// Processes maps every worker of the run to the process it now runs.
	Processes []int
}

// Status is the answer of a source.
type Status uint8

const (
	// Ready: the Step is to be started now, on Step.Worker, which is one of
	// View.Free. The source has consumed it.
	Ready Status = iota
	// Wait: nothing now. Ask again at Step.At, or after the next event if
	// that is earlier; with Step.At at history.Forever only after an event.
	Wait
	// Done: nothing ever again.
	Done
)

// Step is the operation to start, or how long to wait.
type Step struct {
	Op
	Worker int
	// At is when to ask again.
	At time.Duration
	// Due is when a Ready step was to start at a given rate; 0 if there is
	// none.
	Due time.Duration
}

// Source produces operations. It is owned by one goroutine; the answers are a
// function of its seed and of the views and events that it has seen.
type Source interface {
	// Next answers for this moment. It is never called again after Done, but
	// must bear it (and answer Done).
	Next(View) (Step, Status)
	// Observe tells of every event of a client: each invocation that came
	// from a Ready step, and each completion. worker is the one that ran it.
	Observe(worker int, e history.Event)
}
