package history

import "time"

// FaultDetail is the value of the nemesis' events: JSON of this shape. The
// nemesis writes an Invoke event with F "start-NAME" when it begins to inject
// a fault and an Info event with the same F when the fault is in force (or
// could not be injected: Err says why), then the same pair with "stop-NAME"
// for the heal. NAME is the fault without its argument, e.g. "partition".
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
}

// Window is one fault as the history tells it.
type Window struct {
	FaultDetail
	// Begin is when the injection began, Start when the fault was in force,
	// Stop when the heal began, End when the heal was complete. A fault that
	// was never healed has Stop and End at the end of the history.
	Begin, Start, Stop, End time.Duration
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
