// Package history holds what a run recorded: events, the calls that they pair
// up to, the journal that streams them to disk, and the import and export of
// Jepsen's EDN. It is the ground that everything else stands on.
package history

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// Kind says what an event is: the start of a call, or one of its three ends.
type Kind uint8

// The four kinds, in Jepsen's sense. OK: the call happened. Fail: it certainly
// did not happen. Info: nobody knows, it may take effect at any later time.
const (
	Invoke Kind = iota
	OK
	Fail
	Info
)

// Nemesis is the process that injects faults; clients are 0 and up.
const Nemesis = -1

// Forever is the end of a call that never returned.
const Forever = time.Duration(math.MaxInt64)

// ErrNotApplied marks an error which proves that a call had no effect. A call
// that ends with any other error may still take effect.
var ErrNotApplied = errors.New("not applied")

// Event is one line of a history.
type Event struct {
	// Index is the event's position in its history, from 0; imported
	// histories may have gaps.
	Index int
	// Time since the start of the run on one monotonic clock, stamped by the
	// worker around its call.
	Time time.Duration
	// Due is when an invocation was to start at a given rate of operations:
	// before Time if no client was free then. 0 if there is no rate.
	Due time.Duration
	// Process is the logical client, or Nemesis. It has one call in flight.
	Process int
	Kind    Kind
	// F names the operation: read, write, cas, add, ...
	F string
	// Node is where the process is connected; empty in imported histories.
	Node string
	// Value is the argument of an invocation and the result of a completion.
	// Operations on independent keys carry [key, value], as in Jepsen.
	Value json.RawMessage
	// Err says why a call failed or is unknown.
	Err string
}

// ErrUnmet marks a call that had no effect because the system answered that
// its precondition does not hold, e.g. a compare-and-set that found another
// value. It is an ErrNotApplied, and an answer: the system was available.
var ErrUnmet = fmt.Errorf("%w: precondition not met", ErrNotApplied)

// Unmet says whether a completion's Err tells of ErrUnmet.
func (e *Event) Unmet() bool {
	return e.Kind == Fail && strings.HasPrefix(e.Err, ErrUnmet.Error())
}

// ErrNotOffered marks a call that a system does not have at the levels that it
// was asked for, e.g. a compare-and-set among plain writes. It is an
// ErrNotApplied; whoever gets it need not ask again.
var ErrNotOffered = fmt.Errorf("%w: not offered at these levels", ErrNotApplied)

// NotOffered says whether a completion's Err tells of ErrNotOffered.
func (e *Event) NotOffered() bool {
	return e.Kind == Fail && strings.HasPrefix(e.Err, ErrNotOffered.Error())
}

// History is a list of events in order of time.
type History struct {
	Events []Event
}

// Timeless is true if the times are the positions of the events: what a history
// gets that came without any. They mean nothing then.
func (h *History) Timeless() bool {
	for i := range h.Events {
		if h.Events[i].Time != time.Duration(i) {
			return false
		}
	}
	return true
}
