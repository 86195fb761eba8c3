// Package agent is the program that capstan runs inside containers, next to
// the nodes: it changes rules, clocks and disks where they are, in
// milliseconds, and is a dead man's switch for all of it. It is driven over
// its standard input by one JSON object a line, and answers the same way on
// its standard output.
//
// The program is capstan itself, called as `capstan agent`. What it can do
// comes in parts, see package agent/links and agent/host.
package agent

import "encoding/json"

// Request asks for one thing. Requests are served side by side; who needs an
// order waits for the answer.
type Request struct {
	ID   int             `json:"id"`
	Verb string          `json:"verb"`
	Args json.RawMessage `json:"args,omitempty"`
}

// Response answers the request with the same ID, or tells of an event if that
// is 0.
type Response struct {
	ID    int             `json:"id,omitempty"`
	OK    json.RawMessage `json:"ok,omitempty"`
	Err   string          `json:"err,omitempty"`
	Event string          `json:"event,omitempty"`
}

// The verbs of every agent.
const (
	// VerbLease takes Lease and starts the lease.
	VerbLease = "lease"
	// VerbRenew takes nothing and renews the lease, as every request does.
	VerbRenew = "renew"
	// VerbKeep heals, and lets the agent live on without lease and stdin.
	VerbKeep = "keep"
)

// Lease is how long an agent keeps faults in force without a word from the
// harness.
type Lease struct {
	Millis int `json:"millis"`
}

// None is the arguments, or the answer, of a verb that has none.
type None struct{}
