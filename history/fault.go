package history

import (
	"strings"
	"time"
)

// FaultDetail is the value of the nemesis' events: JSON of this shape. The
// nemesis writes an Invoke event with F "start-NAME" when it begins to inject
// a fault and an Info event with the same F when the fault is in force (or
// could not be injected: Err says why), then the same pair with "stop-NAME"
// for the heal; the invocation of the latter says what was measured right
// before the heal. NAME is the fault without its argument, e.g. "partition".
type FaultDetail struct {
	// ID numbers the faults of a run from 1; the start and the stop of one
	// fault have the same.
	ID int `json:"id"`
	// Fault is the whole name, e.g. "partition:primary".
	Fault string `json:"fault"`
	// Nodes are the ones aimed at, e.g. the isolated one, or the killed ones.
	Nodes []string `json:"nodes,omitempty"`
	// Cut lists the directed links [from, to] that a partition cuts.
	Cut [][2]string `json:"cut,omitempty"`
	// Sides maps each node to majority, minority or bridge.
	Sides map[string]string `json:"sides,omitempty"`
	// Proven is true on a completion whose effect was verified: the fault is
	// in force (start), or gone (stop).
	Proven bool `json:"proven"`
	// Proof says in words what was measured.
	Proof string `json:"proof,omitempty"`
	// State is how far the fault has come; empty in histories of before there
	// were states.
	State FaultState `json:"state,omitempty"`
	// Before says in words what was measured before the injection.
	Before string `json:"before,omitempty"`
	// Links are what canaries measured on the links that the fault touches:
	// while it is in force (start, and the invocation of stop), and after the
	// heal (the completion of stop).
	Links []LinkProof `json:"links,omitempty"`
}

// FaultState is how far a fault has come.
type FaultState string

// The states of a fault, in order. Only one that was measured to be in force
// goes beyond Injected, and only one that was measured to be gone is Healed.
const (
	// Prepared: it is known what is to be done, and the state before was
	// measured.
	Prepared FaultState = "prepared"
	Injected FaultState = "injected"
	InForce  FaultState = "in force"
	Healed   FaultState = "healed"
	// Invalid: it could not be injected, or ended before its time, or could
	// not be healed.
	Invalid FaultState = "invalid"
)

// LinkProof is what canaries measured on one link, beside what was wanted of
// it.
type LinkProof struct {
	From string `json:"from"`
	To   string `json:"to"`
	// Want is e.g. "drop", "open", or "delay 50ms ± 10ms, loss 10 %".
	Want string `json:"want"`
	// Open is true if at least one canary arrived.
	Open bool `json:"open"`
	// Sent and Arrived count canaries, as do the following; all are 0 where it
	// was only asked whether the link is open.
	Sent       int `json:"sent,omitempty"`
	Arrived    int `json:"arrived,omitempty"`
	Duplicates int `json:"duplicates,omitempty"`
	Reordered  int `json:"reordered,omitempty"`
	Corrupted  int `json:"corrupted,omitempty"`
	// P50 and P99 are one-way latencies.
	P50 time.Duration `json:"p50_ns,omitempty"`
	P99 time.Duration `json:"p99_ns,omitempty"`
}

// Kind is the fault without its arguments: what the names of its events carry.
func (d FaultDetail) Kind() string {
	if i := strings.IndexAny(d.Fault, ":( "); i >= 0 {
		return d.Fault[:i]
	}
	return d.Fault
}

// Window is one fault as the history tells it.
type Window struct {
	FaultDetail
	// Begin is when the injection began, Start when the fault was in force,
	// Stop when the heal began, End when the heal was complete. A fault that
	// was never healed has Stop and End at the end of the history.
	Begin, Start, Stop, End time.Duration
	// Last is what was measured right before the heal, After what was measured
	// when it was done; the zero value if that was not recorded.
	Last, After FaultDetail
	// Events are the indexes of the events that it was read from.
	Events []int
	// StartErr and StopErr are the errors of the injection and of the heal.
	StartErr, StopErr string
	// Healed is true if the heal was recorded and proven.
	Healed bool
	// Stopped is true if the heal was at least begun, Started if the injection
	// was completed, with success or not.
	Started, Stopped bool
	// Foreign is true if another tool's nemesis wrote the events: nothing is
	// known of a proof then.
	Foreign bool
}
