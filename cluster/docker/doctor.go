package docker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/capstan-dev/capstan/cluster"
)

// Facts is what the engine says of itself.
type Facts struct {
	Host, Version, API, OS, Arch, Kernel string
	// Cgroup is the version of the control groups, "1" or "2".
	Cgroup        string
	StorageDriver string
	CPUs          int
	Memory        int64
	// Remote says that the engine is on another machine, where the nodes'
	// published ports cannot be reached.
	Remote bool
}

// Facts asks the engine.
func (e *Engine) Facts(ctx context.Context) (Facts, error) {
	info, err := e.api.Info(ctx)
	if err != nil {
		return Facts{}, fmt.Errorf("ask the engine for its facts: %w", err)
	}
	cgroup := info.CgroupVersion
	if cgroup == "" {
		cgroup = "1"
	}
	return Facts{
		Host: e.Host(), Version: info.ServerVersion, API: e.api.ClientVersion(), OS: info.OperatingSystem,
		Arch: info.Architecture, Kernel: info.KernelVersion, Cgroup: cgroup,
		StorageDriver: info.Driver, CPUs: info.NCPU, Memory: info.MemTotal, Remote: e.remote(),
	}, nil
}

// Exercise brings up two bare nodes, cuts one direction between them, proves
// the cut and the heal by canaries, and removes everything: whether NET_ADMIN,
// iptables, published addresses and the image builder work here. The text says
// what was measured.
func (e *Engine) Exercise(ctx context.Context, runID string) (text string, err error) {
	c, err := e.Start(ctx, Spec{RunID: runID, Nodes: Bare(2)})
	if c != nil {
		defer func() { err = errors.Join(err, c.Close(ctx)) }()
	}
	if err != nil {
		return "", err
	}
	n1, n2 := c.Nodes[0].Name, c.Nodes[1].Name
	cut := cluster.LinkState{Cut: map[cluster.Link]cluster.Cut{{From: n1, To: n2}: cluster.Drop}}
	if err := e.expect(ctx, c, cut); err != nil {
		return "", err
	}
	timing := c.Net.Timings()[0]
	if err := e.expect(ctx, c, cluster.LinkState{}); err != nil {
		return "", err
	}
	return fmt.Sprintf("cut one direction between two holders in %v, proven by canaries both ways, healed; families %s",
		timing.Committed.Round(100*time.Microsecond), c.families()), nil
}

func (e *Engine) expect(ctx context.Context, c *Cluster, want cluster.LinkState) error {
	if err := c.Net.Apply(ctx, want); err != nil {
		return err
	}
	reach, err := c.Net.Probe(ctx)
	if err != nil {
		return err
	}
	for l, arrived := range reach {
		if arrived != (want.Cut[l] == cluster.Open) {
			return fmt.Errorf("cut %v: canary from %s to %s arrived: %t", want.Cut, l.From, l.To, arrived)
		}
	}
	return nil
}
