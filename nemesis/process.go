package nemesis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/history"
)

// Kill is the fault kind that ends server processes with SIGKILL and starts
// them again.
func Kill() Kind {
	return Kind{
		Name: "kill",
		Doc:  "end server processes with SIGKILL, losing unsynced state where the target can; start them again at the heal",
		Args: nodeSpecs(),
		New: func(arg string) Fault {
			return process{
				kind: "kill", spec: arg, want: cluster.Dead,
				do: cluster.Processes.Kill, undo: cluster.Processes.Start,
			}
		},
	}
}

// Pause is the fault kind that freezes server processes.
func Pause() Kind {
	return Kind{
		Name: "pause",
		Doc:  "freeze server processes, as a long garbage collection does; resume them at the heal",
		Args: nodeSpecs(),
		New: func(arg string) Fault {
			return process{
				kind: "pause", spec: arg, want: cluster.Paused,
				do: cluster.Processes.Pause, undo: cluster.Processes.Resume,
			}
		},
	}
}

// nodeSpecs are the ways to say which nodes a fault aims at. No spec means one.
func nodeSpecs() []string { return []string{"one", "primary", "minority", "majority", "all"} }

// pick chooses the nodes of a spec.
func pick(ctx context.Context, c *cluster.Cluster, spec string, rng *rand.Rand) ([]string, error) {
	nodes := slices.Clone(c.Nodes)
	rng.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	n := len(nodes)
	switch spec {
	case "primary":
		if err := primaryFirst(ctx, c, nodes); err != nil {
			return nil, err
		}
		n = 1
	case "minority":
		n = max(1, (n-1)/2)
	case "majority":
		n = n/2 + 1
	case "all":
	default:
		n = 1
	}
	nodes = nodes[:n]
	slices.Sort(nodes)
	return nodes, nil
}

type process struct {
	kind, spec string
	want       cluster.State
	do, undo   func(cluster.Processes, context.Context, string) error
}

func (p process) Name() string { return joinName(p.kind, p.spec) }

func (p process) Applicable(c *cluster.Cluster) error {
	if c.Procs == nil {
		return lacks(c, "Procs", "cannot "+p.kind+" its processes")
	}
	if p.spec == "primary" && c.Primaries == nil {
		return lacks(c, "Primaries", "does not say which node is primary")
	}
	return nil
}

func (p process) Inject(ctx context.Context, c *cluster.Cluster, rng *rand.Rand) (history.FaultDetail, Undo, error) {
	detail := history.FaultDetail{Fault: p.Name()}
	nodes, err := pick(ctx, c, p.spec, rng)
	if err != nil {
		return detail, nothing(detail), err
	}
	detail.Nodes = nodes
	undo := func(ctx context.Context) (history.FaultDetail, error) {
		healed := detail
		err := each(ctx, c, nodes, cluster.Running, p.undo, &healed)
		return healed, err
	}
	err = each(ctx, c, nodes, p.want, p.do, &detail)
	return detail, undo, err
}

// each acts on every node that is not yet in the wanted state, and then looks
// at the processes themselves to prove that they are.
func each(ctx context.Context, c *cluster.Cluster, nodes []string, want cluster.State,
	act func(cluster.Processes, context.Context, string) error, d *history.FaultDetail) error {
	d.Proven, d.Proof = false, ""
	var errs []error
	for _, n := range nodes {
		if s, err := c.Procs.State(ctx, n); err == nil && s == want {
			continue
		}
		errs = append(errs, act(c.Procs, ctx, n))
	}
	var seen []string
	proven := true
	for _, n := range nodes {
		s, err := c.Procs.State(ctx, n)
		errs = append(errs, err)
		proven = proven && s == want
		seen = append(seen, fmt.Sprintf("%s is %s", n, s))
	}
	d.Proven, d.Proof = proven, strings.Join(seen, ", ")
	return errors.Join(errs...)
}
