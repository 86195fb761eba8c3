// Package nemesis holds the faults: what disturbs a cluster, how several
// disturbances come together, the proof that they are in force, the grudges
// that partitions cut along, and the schedules that say when.
package nemesis

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/capstan-dev/capstan/cluster"
)

// Fault is one kind of disturbance with its arguments.
type Fault interface {
	// Name is the fault's text, e.g. "partition:primary"; it parses back.
	Name() string
	// Applicable is nil, or says why this cluster cannot have the fault. It
	// is asked before anything runs.
	Applicable(*cluster.Cluster) error
	// Draw decides what the fault is this time: which nodes, which links. It
	// looks at the cluster and changes nothing. before are the nodes that the
	// step before was aimed at, for the node spec "same".
	Draw(ctx context.Context, c *cluster.Cluster, rng *rand.Rand, before []string) (Action, error)
}

// Action is a fault that was drawn.
type Action struct {
	// Fault is the name with what was drawn, e.g. "partition:halves".
	Fault string
	// Nodes are the ones aimed at.
	Nodes []string
	// Words describe it where Want does not, e.g. "{n1 n2 | n3}".
	Words string
	// Want is its share of the desired state, to begin with.
	Want Want
	// Settle is how long it takes until the fault can be measured.
	Settle time.Duration
	// Reset ends the connections over its links after the heal, so that they
	// are opened anew instead of waiting out their back-off.
	Reset bool
	// Do and Undo are for what is no state that can be merged: verbs of
	// membership, damage. Check looks again whether what was done still holds.
	// nil if there is none.
	Do, Check, Undo Verb
	// Play is what goes on while the fault is in force, in a task of its own,
	// until its context ends; nil if nothing does. It changes the share by
	// Stage.Set.
	Play func(context.Context, *Stage) error
}

// Verb does something, verifies it, and says in words what was seen. proven is
// false if the verification speaks against it.
type Verb func(context.Context) (seen string, proven bool, err error)

// Part is one step of a fault of several: it joins After the one before was
// in force.
type Part struct {
	After time.Duration
	Fault Fault
}

// flatten gives the steps of a fault, at least one, with every mix drawn.
func flatten(f Fault, rng *rand.Rand) []Part {
	f = Resolve(f, rng)
	seq, ok := f.(sequence)
	if !ok {
		return []Part{{Fault: f}}
	}
	var all []Part
	for _, p := range seq {
		steps := flatten(p.Fault, rng)
		steps[0].After += p.After
		all = append(all, steps...)
	}
	return all
}
