// Package targets defines a system under test: how its cluster is made,
// started, and checked for readiness, and how its clients speak to it. Each
// target lives in a folder of its own.
package targets

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/cluster/docker"
)

// Target describes a system that capstan can run. Describing costs nothing;
// only Start touches the world.
type Target interface {
	// Name is the first half of TARGET/TOPOLOGY.
	Name() string
	Doc() string
	// Topologies lists the ways to deploy it, the default first.
	Topologies() []Topology
	// Start makes and starts a cluster. It returns the half-built system with
	// the error, so that the caller can close it; nil only if nothing was made.
	Start(context.Context, Spec) (System, error)
}

// Topology is a way to deploy a target.
type Topology struct {
	Name, Doc string
	// Nodes is the default number of nodes, Min and Max the limits.
	Nodes, Min, Max int
	Levels          []Level
	// Faults lists the names of the fault kinds that apply, e.g. partition,
	// kill, pause, clock.
	Faults []string
	// External topologies are run by somebody else and need an endpoint.
	External bool
	// Conn is a typed nil of the connections that System.Open gives, for
	// Workload.Bind.
	Conn io.Closer
}

// FindTopology is the topology that a request names. The error says what is
// wrong with the request.
func FindTopology(t Target, spec Spec) (Topology, error) {
	for _, top := range t.Topologies() {
		if top.Name != spec.Topology {
			continue
		}
		if spec.Nodes < top.Min || spec.Nodes > top.Max {
			return top, fmt.Errorf("%s/%s with %d nodes, want %d to %d", t.Name(), top.Name, spec.Nodes, top.Min, top.Max)
		}
		return top, nil
	}
	return Topology{}, fmt.Errorf("%s has no topology %q", t.Name(), spec.Topology)
}

// Level is one consistency knob that a client or a deployment can set, in the
// target's own words: name "read", values "primary", "replica".
type Level struct {
	Name, Doc string
	// Values lists what is allowed, the default first. An empty list allows
	// any value.
	Values []string
	// Default where Values is empty.
	Default string
}

// Spec is a resolved request for a cluster.
type Spec struct {
	Topology string
	Nodes    int
	// Levels has a value for every level of the topology.
	Levels map[string]string
	Seed   uint64
	// Disk is what the nodes' data lies on, and so what can be done to it:
	// plain, loop or fuse; empty is plain. A target without disks ignores it.
	Disk string
	// Memory in bytes and CPUs limit each node; 0 leaves it to the target.
	Memory int64
	CPUs   float64
	// Endpoint is the address of a system that somebody else runs, for
	// topologies that are External.
	Endpoint string
	// Route, if set, says where to connect instead of a node's address: to a
	// proxy, say.
	Route func(node, addr string) (string, error)
	// RunID labels everything that is made outside the process.
	RunID string
	// Keep leaves the cluster running after Close.
	Keep bool
	Log  *slog.Logger
}

// System is a started target.
type System interface {
	Cluster() *cluster.Cluster
	// Ready returns when every node answers and the topology is complete; it
	// asks the system itself. An error says which node is not ready, with its
	// last log lines.
	Ready(context.Context) error
	// Open connects one process to one node, and to that one only. It never
	// retries. The connection's calls follow workloads.Client's rule: an
	// error wraps history.ErrNotApplied only if the call had no effect. A
	// failed Open is always without effect.
	Open(ctx context.Context, node string, process int) (io.Closer, error)
	// Claim is the consistency model that the system's documentation promises
	// for this topology and these levels, e.g. "linearizable"; empty if none.
	Claim() string
	// Versions names what runs, e.g. {"postgres": "15.18", "image": "..."}.
	Versions() map[string]string
	// Logs writes each node's logs to dir/NODE/*.log.
	Logs(ctx context.Context, dir string) error
	// Close removes everything that Start made, unless Spec.Keep.
	Close(context.Context) error
}

// Isolation is for systems with transactions.
type Isolation interface {
	// Isolation is the model of isolation that the system's documentation
	// promises to transactions at these levels, e.g. "snapshot-isolation";
	// empty if none.
	Isolation() string
}

// Endpoints is for systems that a person can reach with a client of their own.
type Endpoints interface {
	// Endpoints are the addresses of a node, e.g. "postgres://127.0.0.1:41234".
	Endpoints(node string) []string
}

// Images is for targets in containers: all images that their topologies can
// need, for those who want them beforehand.
type Images interface{ Images() []docker.Image }
