// Package cluster describes what runs: nodes, the network between them, and
// the powers over them that faults use. Package cluster/docker drives real
// containers, cluster/sim simulated nodes in virtual time.
package cluster

import (
	"context"
	"time"
)

// Cluster is a running set of nodes. A nil power is one that cannot be had
// here; Why says why, by the name of the field.
type Cluster struct {
	// Nodes are the names, in order: n1, n2, ...
	Nodes []string
	// Roles maps nodes to what they are in the system, e.g. "sentinel"; nil if
	// all are alike.
	Roles map[string]string
	// Serving are the nodes that clients connect to, in order; nil if all are.
	Serving []string
	// Runtime says how time passes and where tasks run. nil means real time.
	Runtime Runtime
	Net     Network
	Procs   Processes
	Clocks  Clocks
	Disks   Disks
	Limits  Resources
	Members *Members
	// Primaries asks the system which nodes believe that they are primary;
	// possibly several, possibly none. nil if the system has no such notion.
	Primaries func(context.Context) ([]string, error)
	Why       map[string]string
}

// Served are the nodes that clients connect to.
func (c *Cluster) Served() []string {
	if c.Serving != nil {
		return c.Serving
	}
	return c.Nodes
}

// State of a node's server process.
type State string

// The states that Processes.State distinguishes.
const (
	Running State = "running"
	// Paused: all processes of the server are frozen, as in a stopped virtual
	// machine.
	Paused State = "paused"
	// Suspended: the server process alone is stopped, by SIGSTOP.
	Suspended State = "suspended"
	Dead      State = "dead"
)

// Processes controls the server process of each node. Every method is
// idempotent.
type Processes interface {
	// Kill ends the process with SIGKILL; unsynced state is lost where the
	// driver can make it so, see Disks.
	Kill(ctx context.Context, node string) error
	// Stop ends it as its own manual says: SIGTERM or the image's stop signal.
	Stop(ctx context.Context, node string) error
	// Start starts a dead process again on what was on its disk.
	Start(ctx context.Context, node string) error
	Pause(ctx context.Context, node string) error
	Resume(ctx context.Context, node string) error
	// Suspend stops the server process alone, with SIGSTOP; Continue lets it
	// go on.
	Suspend(ctx context.Context, node string) error
	Continue(ctx context.Context, node string) error
	// State looks at the process itself.
	State(ctx context.Context, node string) (State, error)
}

// Skew is how a node's wall clock differs from the true one. The zero value is
// the true clock.
type Skew struct {
	// Offset is the distance from true time at the moment of the change.
	Offset time.Duration
	// Drift is how many seconds it gains in a true second; it loses if
	// negative.
	Drift float64
}

// Clocks shifts the wall clock that a node sees, and never the host's.
type Clocks interface {
	// Skew sets the node's clock; the zero value heals. It holds over a
	// restart of the server.
	Skew(ctx context.Context, node string, s Skew) error
	// Offset asks the node for its own time and returns its distance from
	// true time.
	Offset(ctx context.Context, node string) (time.Duration, error)
}

// Disk is the desired state of a node's disk. The zero value is a sound one.
type Disk struct {
	ReadOnly bool
	// Full lets every write that needs space fail with ENOSPC.
	Full bool
	// Delay is added to each read, write and sync.
	Delay time.Duration
	// ReadErrors, WriteErrors and SyncErrors are the probabilities of EIO.
	ReadErrors, WriteErrors, SyncErrors float64
}

// Damage is done once to the data files of a node, and cannot be undone: the
// heal is to let the system repair itself, or to replace the node.
type Damage struct {
	// Files is a pattern as of path.Match, of the path below the data folder
	// or of its last element; empty means any file.
	Files string
	// Flips is how many bits are flipped, at random places.
	Flips int
	// Truncate cuts this many bytes off the end.
	Truncate int64
	Seed     uint64
}

// DiskReport is what a write probe on the node's disk measured.
type DiskReport struct {
	// Write, Sync and Read are how long one small operation took, and Err what
	// failed, e.g. "write: no space left on device"; empty if nothing did.
	Write, Sync, Read time.Duration
	Err               string
}

// Disks breaks the disk under a node's data.
type Disks interface {
	// Can is nil, or says why a cluster like this one cannot have that state.
	Can(Disk) error
	// Apply makes the disk be as told.
	Apply(ctx context.Context, node string, want Disk) error
	// CrashLoses says whether a crash of the node loses what was not synced:
	// nil, or why not.
	CrashLoses() error
	// Crash kills the server, and with it everything that was written to its
	// disk and not synced. Processes.Start starts it again.
	Crash(ctx context.Context, node string) error
	// Damage does its work on the files and says what it did to which.
	Damage(ctx context.Context, node string, d Damage) ([]string, error)
	// Probe writes, syncs and reads a small file of its own.
	Probe(ctx context.Context, node string) (DiskReport, error)
}

// Limits of a node. The zero value is as the node was started.
type Limits struct {
	// CPU is how many CPUs the node may use at most; 0 is as started.
	CPU float64
	// Headroom is how many bytes of memory the server may use above what it
	// uses now; 0 is as started.
	Headroom int64
}

// Usage is what a node was measured to use.
type Usage struct {
	// CPU is how many CPUs it used in the time that was measured, Throttled
	// the share of scheduling periods in which it hit its limit, 0 to 1.
	CPU, Throttled float64
	// Memory is used now, MemoryLimit the limit in force, in bytes.
	Memory, MemoryLimit int64
	// CPULimit is the limit in force; 0 is none.
	CPULimit float64
}

// Resources takes CPU and memory from nodes.
type Resources interface {
	Limit(ctx context.Context, node string, l Limits) error
	Usage(ctx context.Context, node string) (Usage, error)
}

// Members changes who belongs to the system. A nil function is a verb that the
// system does not have.
type Members struct {
	// List asks the system for its members.
	List func(context.Context) ([]string, error)
	// Remove takes a node out of the system and stops its server.
	Remove func(ctx context.Context, node string) error
	// Add lets a removed node join again, with an empty disk.
	Add func(ctx context.Context, node string) error
	// Transfer hands the primary's role to another node, as an operator would.
	Transfer func(ctx context.Context, to string) error
	// Upgrade starts the node's server again from another image, on its data;
	// an empty image means the one that the cluster was started with.
	Upgrade func(ctx context.Context, node, image string) error
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
