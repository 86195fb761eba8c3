package nemesis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/capstan-dev/capstan/cluster"
)

// Isolate is the fault kind that cuts chosen nodes off from all others. The
// chosen ones still see each other.
func Isolate() Kind {
	return Kind{Name: "isolate", Doc: "cut nodes off from all others" + cutDoc,
		Params: append([]Param{nodesParam("of", "")}, cutParams("in", "out", "both")...),
		make: func(name string, v values) (Fault, error) {
			return isolate{name: name, spec: v.nodes("of"), cutOptions: readCut(v)}, nil
		}}
}

type isolate struct {
	name string
	spec nodeSpec
	cutOptions
}

func (f isolate) Name() string { return f.name }

func (f isolate) Applicable(c *cluster.Cluster) error {
	if len(c.Nodes) < 2 {
		return fmt.Errorf("%s needs at least 2 nodes, the cluster has %d", f.name, len(c.Nodes))
	}
	return errors.Join(f.can(c, cluster.Link{From: c.Nodes[0], To: c.Nodes[1]}), f.spec.check(c))
}

// Draw implements Fault.
func (f isolate) Draw(ctx context.Context, c *cluster.Cluster, rng *rand.Rand, before []string) (Action, error) {
	nodes, err := f.spec.pick(ctx, c, rng, before)
	if err != nil {
		return Action{}, err
	}
	rest := others(c.Nodes, nodes)
	if len(rest) == 0 {
		return Action{}, errors.New("nothing is left to be cut off from")
	}
	var cut []cluster.Link
	for _, l := range complete(rest, nodes) {
		if f.goes(slices.Contains(nodes, l.To)) {
			cut = append(cut, l)
		}
	}
	return Action{Fault: f.name, Nodes: nodes, Words: describe(c.Nodes, cut), Want: f.want(cut), Reset: f.reset}, nil
}

// goes says whether a link is cut that goes into the chosen nodes, or out.
func (o cutOptions) goes(in bool) bool {
	switch o.way {
	case "in":
		return in
	case "out":
		return !in
	}
	return true
}
