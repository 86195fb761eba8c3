// Package cluster describes what runs: nodes, the network between them, and
// the powers over them that faults use. Package cluster/docker drives real
// containers, cluster/sim simulated nodes in virtual time.
package cluster

import (
	"context"
	"errors"
	"time"
)

// Cluster is a running set of nodes. A nil power is one that cannot be had
// here; Why says why, by the name of the field.
type Cluster struct {
	// Nodes are the names, in order: n1, n2, ...
	Nodes []string
	// Runtime says how time passes and where tasks run. nil means real time.
	Runtime Runtime
	Net     Network
	Procs   Processes
	Clocks  Clocks
	// Primaries asks the system which nodes believe that they are primary;
	// possibly several, possibly none. nil if the system has no such notion.
	Primaries func(context.Context) ([]string, error)
	Why       map[string]string
}

// Link is directed: the packets from one node to another.
type Link struct{ From, To string }

// LinkState is the desired state of all links between nodes. The zero value
// is the healed network.
type LinkState struct {
	// Cut holds the links whose packets are dropped at the receiver.
	Cut map[Link]bool
}

// Reach is what canary traffic measured: for each ordered pair of nodes
// whether packets from From arrived at To.
type Reach map[Link]bool

// ErrLapsed marks a cut that ended before it was healed, e.g. because this
// process hung for longer than the lease that keeps it. Whatever was to be
// done was done; the cut before it did not last.
var ErrLapsed = errors.New("cut ended before its time")

// Network changes and measures the links between nodes. Links between clients
// and nodes are not touched.
type Network interface {
	// Apply makes the links be as told, all of them. It is idempotent, and
	// returns when the state is in force everywhere. An error that wraps
	// ErrLapsed speaks of the state before.
	Apply(context.Context, LinkState) error
	// Probe sends canaries over every link in both directions and reports
	// which ones arrived. It is traffic over the same links, not a look at
	// the rules.
	Probe(context.Context) (Reach, error)
}

// State of a node's server process.
type State string

// The states that Processes.State distinguishes.
const (
	Running State = "running"
	Paused  State = "paused"
	Dead    State = "dead"
)

// Processes controls the server process of each node.
type Processes interface {
	// Kill ends the process with SIGKILL; unsynced state is lost where the
	// driver can make it so.
	Kill(ctx context.Context, node string) error
	// Start starts a dead process again on what was on its disk.
	Start(ctx context.Context, node string) error
	Pause(ctx context.Context, node string) error
	Resume(ctx context.Context, node string) error
	// State looks at the process itself.
	State(ctx context.Context, node string) (State, error)
}

// Clocks shifts the wall clock that a node sees.
type Clocks interface {
	// Skew sets the node's clock to true time plus offset; 0 heals.
	Skew(ctx context.Context, node string, offset time.Duration) error
	// Offset asks the node for its own time and returns its distance from
	// true time.
	Offset(ctx context.Context, node string) (time.Duration, error)
}

// Runtime is where tasks run and how time passes. The real one has goroutines
// and the monotonic clock; the simulation has coroutines and virtual time, in
// one thread. Now, Go, Sleep, WithTimeout and Wake may be called from any
// task; Wait only from the one that owns the run.
type Runtime interface {
	// Now is the time since the runtime was made.
	Now() time.Duration
	// Go runs f as a task of its own.
	Go(f func())
	// Sleep parks the calling task. It returns the context's error if that
	// ends first.
	Sleep(ctx context.Context, d time.Duration) error
	// WithTimeout is context.WithTimeout on this runtime's clock.
	WithTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc)
	// Wait parks the owner until Wake is called, or was called since the last
	// Wait, or until that time, or until the context ends. A simulation makes
	// its progress inside Wait and Sleep.
	Wait(ctx context.Context, until time.Duration)
	Wake()
}
