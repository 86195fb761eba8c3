package history

import "fmt"

// Pair is one call of a client: its invocation and its completion, which
// point into the history. Complete is nil if the call never returned, Invoke
// is nil in a history of completions only.
type Pair struct {
	Invoke, Complete *Event
}

// F is the name of the operation.
func (p Pair) F() string { return p.first().F }

// Process is the process that made the call.
func (p Pair) Process() int { return p.first().Process }

// Outcome is the kind of the completion; Info if there is none.
func (p Pair) Outcome() Kind {
	if p.Complete == nil {
		return Info
	}
	return p.Complete.Kind
}

func (p Pair) first() *Event {
	if p.Invoke != nil {
		return p.Invoke
	}
	return p.Complete
}

// MalformedError says why events cannot be paired up to calls.
type MalformedError struct {
	// Event is the offending event.
	Event Event
	Msg   string
}

// Error names the event by its index.
func (e *MalformedError) Error() string {
	return fmt.Sprintf("malformed history: event %d (process %d, %s %s): %s", e.Event.Index, e.Event.Process, e.Event.Kind, e.Event.F, e.Msg)
}

// CompletionOnly is true if the history has completions of clients but not
// one invocation: there is nothing to tell which calls were concurrent.
func CompletionOnly(h *History) bool {
	some := false
	for i := range h.Events {
		e := &h.Events[i]
		if e.Process == Nemesis {
			continue
		}
		if e.Kind == Invoke {
			return false
		}
		some = true
	}
	return some
}

// Pairs pairs up the events of the clients in one pass, in order of the
// invocations. A *MalformedError says that a process had two calls at once,
// that a completion has no invocation, or that its operation is another one;
// the pairs before it are returned. A process that comes back after an info is
// taken as it is: its crashed call stays open, and the new one is another call.
func Pairs(h *History) ([]Pair, error) {
	pairs := make([]Pair, 0, len(h.Events)/2)
	if CompletionOnly(h) {
		for i := range h.Events {
			if e := &h.Events[i]; e.Process != Nemesis {
				pairs = append(pairs, Pair{Complete: e})
			}
		}
		return pairs, nil
	}
	open := map[int]int{} // process -> position in pairs
	for i := range h.Events {
		e := &h.Events[i]
		if e.Process == Nemesis {
			continue
		}
		at, busy := open[e.Process]
		if e.Kind == Invoke {
			if busy {
				return pairs, &MalformedError{*e, fmt.Sprintf("the process invokes again while its call of event %d is in flight", pairs[at].Invoke.Index)}
			}
			open[e.Process] = len(pairs)
			pairs = append(pairs, Pair{Invoke: e})
			continue
		}
		if !busy {
			return pairs, &MalformedError{*e, "the process has no call in flight that this could complete"}
		}
		if inv := pairs[at].Invoke; inv.F != e.F {
			return pairs, &MalformedError{*e, fmt.Sprintf("completes %s, which was invoked at event %d", inv.F, inv.Index)}
		}
		pairs[at].Complete = e
		delete(open, e.Process)
	}
	return pairs, nil
}
