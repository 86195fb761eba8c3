package nemesis

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"

	"github.com/capstan-dev/capstan/cluster"
)

// Clients is the fault kind that cuts the harness off from nodes.
func Clients() Kind {
	return Kind{Name: "clients", Doc: "cut the clients off from nodes, which still see each other; way: in cuts requests, out cuts answers" + cutDoc,
		Params: append([]Param{nodesParam("of", "")}, cutParams("in", "out", "both")...),
		make: func(name string, v values) (Fault, error) {
			return clients{name: name, spec: v.nodes("of"), cutOptions: readCut(v)}, nil
		}}
}

type clients struct {
	name string
	spec nodeSpec
	cutOptions
}

func (f clients) Name() string { return f.name }

func (f clients) Applicable(c *cluster.Cluster) error {
	return errors.Join(f.can(c, cluster.Link{From: cluster.Clients, To: c.Nodes[0]}), f.spec.check(c))
}

// Draw implements Fault.
func (f clients) Draw(ctx context.Context, c *cluster.Cluster, rng *rand.Rand, before []string) (Action, error) {
	nodes, err := f.spec.pick(ctx, c, rng, before)
	if err != nil {
		return Action{}, err
	}
	var cut []cluster.Link
	var words []string
	for _, l := range complete([]string{cluster.Clients}, nodes) {
		if f.goes(l.To != cluster.Clients) {
			cut = append(cut, l)
			words = append(words, arrow(l))
		}
	}
	return Action{Fault: f.name, Nodes: nodes, Words: "{" + strings.Join(words, " ") + " cut}", Want: f.want(cut), Reset: f.reset}, nil
}
