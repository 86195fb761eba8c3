// Package external is a cluster that somebody else runs: endpoints, and nothing
// behind them to be touched. All that can be broken is the way from the clients
// to a node, so clients must connect through Dial: their connections pass a
// gate, which Network opens and closes.
package external

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"syscall"

	"github.com/capstan-dev/capstan/cluster"
)

// External is a set of endpoints.
type External struct {
	endpoints map[string]string
	gates     map[string]*gate
	network   *Network
}

// New takes each node's "host:port".
func New(endpoints map[string]string) *External {
	x := &External{endpoints: maps.Clone(endpoints), gates: map[string]*gate{}}
	for node := range endpoints {
		x.gates[node] = newGate()
	}
	x.network = &Network{x: x}
	return x
}

// Cluster is the view that the harness and the faults have.
func (x *External) Cluster() *cluster.Cluster {
	const why = "somebody else runs the system"
	return &cluster.Cluster{
		Nodes: slices.Sorted(maps.Keys(x.endpoints)), Net: x.network,
		Why: map[string]string{"Procs": why, "Clocks": why, "Disks": why, "Limits": why, "Members": why, "Primaries": why},
	}
}

// Endpoint is a node's address.
func (x *External) Endpoint(node string) string { return x.endpoints[node] }

// Dial connects to a node through its gate. While a way is cut it waits or is
// refused, as the cut says.
func (x *External) Dial(ctx context.Context, node string) (net.Conn, error) {
	g := x.gates[node]
	if g == nil {
		return nil, fmt.Errorf("no node %s", node)
	}
	for _, w := range []way{in, out} {
		if err := g.pass(ctx, w); err != nil {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
		}
	}
	real, err := (&net.Dialer{}).DialContext(ctx, "tcp", x.endpoints[node])
	if err != nil {
		return nil, err
	}
	return g.connect(real), nil
}

// errRefused is what a way that rejects does to what comes.
var errRefused error = syscall.ECONNREFUSED

// way is a direction through a gate, as seen from the node.
type way int

const (
	in  way = iota // from the clients to the node
	out            // from the node to the clients
)

func (w way) link(node string) cluster.Link {
	if w == in {
		return cluster.Link{From: cluster.Clients, To: node}
	}
	return cluster.Link{From: node, To: cluster.Clients}
}
