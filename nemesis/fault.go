// Package nemesis holds the faults: what disturbs a cluster, the grudges that
// partitions cut along, and the schedules that say when.
package nemesis

import (
	"context"
	"math/rand/v2"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/history"
)

// Fault is one kind of disturbance.
type Fault interface {
	// Name with its argument, e.g. "partition:primary"; it parses back.
	Name() string
	// Applicable is nil, or says why this cluster cannot have the fault. It
	// is asked before anything runs.
	Applicable(*cluster.Cluster) error
	// Inject brings the fault into force and verifies that it is. The detail
	// says what was done, and Proven whether it was measured to be in force.
	// undo is never nil: a fault may be half in when err is not nil.
	Inject(context.Context, *cluster.Cluster, *rand.Rand) (history.FaultDetail, Undo, error)
}

// Undo heals a fault and verifies that it is gone; the detail's Proven and
// Proof speak of the heal. It may be called twice.
type Undo func(context.Context) (history.FaultDetail, error)
