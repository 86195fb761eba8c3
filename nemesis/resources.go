package nemesis

import (
	"context"
	"math/rand/v2"

	"github.com/capstan-dev/capstan/cluster"
)

// CPU is the fault kind that takes computing time from nodes.
func CPU() Kind {
	return limitKind("cpu", "let nodes use so many CPUs at most",
		func(v values) cluster.Limits { return cluster.Limits{CPU: v.number("cpus")} },
		numberParam("cpus", "0.1", 0.01, 1000), nodesParam("of", ""))
}

// Memory is the fault kind that takes memory from nodes.
func Memory() Kind {
	return limitKind("memory", "let servers use only so much memory above what they use now",
		func(v values) cluster.Limits { return cluster.Limits{Headroom: v.whole("headroom")} },
		sizeParam("headroom", "16MiB"), nodesParam("of", ""))
}

func limitKind(name, doc string, limits func(values) cluster.Limits, params ...Param) Kind {
	return Kind{Name: name, Doc: doc, Params: params, make: func(text string, v values) (Fault, error) {
		return limited{name: text, spec: v.nodes("of"), limits: limits(v)}, nil
	}}
}

type limited struct {
	name   string
	spec   nodeSpec
	limits cluster.Limits
}

func (f limited) Name() string { return f.name }

func (f limited) Applicable(c *cluster.Cluster) error {
	if c.Limits == nil {
		return lacks(c, "Limits", "cannot limit its nodes")
	}
	return f.spec.check(c)
}

// Draw implements Fault.
func (f limited) Draw(ctx context.Context, c *cluster.Cluster, rng *rand.Rand, before []string) (Action, error) {
	nodes, err := f.spec.pick(ctx, c, rng, before)
	return Action{Fault: f.name, Nodes: nodes, Want: Want{Limits: each(nodes, f.limits)}}, err
}
