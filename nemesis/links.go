package nemesis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/capstan-dev/capstan/cluster"
)

// Delay is the fault kind that makes links slow.
func Delay() Kind {
	return shapeKind("delay", "add a delay to each packet, with a jitter around it",
		func(v values) cluster.Shape {
			return cluster.Shape{Delay: v.duration("delay"), Jitter: v.duration("jitter"),
				Distribution: cluster.Distribution(v.text("distribution"))}
		},
		durationParam("delay", "50ms"), durationParam("jitter", "0s"), wordParam("distribution", "uniform", "uniform", "normal", "pareto"))
}

// Loss is the fault kind that loses packets.
func Loss() Kind {
	return shapeKind("loss", "lose packets at random",
		func(v values) cluster.Shape { return cluster.Shape{Loss: v.number("loss")} },
		chanceParam("loss", "0.1"))
}

// Duplicate is the fault kind that delivers packets twice.
func Duplicate() Kind {
	return shapeKind("duplicate", "deliver packets twice at random",
		func(v values) cluster.Shape { return cluster.Shape{Duplicate: v.number("duplicate")} },
		chanceParam("duplicate", "0.1"))
}

// Reorder is the fault kind that lets packets overtake others.
func Reorder() Kind {
	return shapeKind("reorder", "let packets overtake those before them: all are delayed but these",
		func(v values) cluster.Shape {
			return cluster.Shape{Reorder: v.number("reorder"), Delay: v.duration("delay")}
		},
		chanceParam("reorder", "0.25"), durationParam("delay", "10ms"))
}

// Corrupt is the fault kind that flips bits.
func Corrupt() Kind {
	return shapeKind("corrupt", "flip a bit in packets at random; disguise: with checksums made right again, so that they are not dropped",
		func(v values) cluster.Shape {
			return cluster.Shape{Corrupt: v.number("corrupt"), Disguise: v.flag("disguise")}
		},
		chanceParam("corrupt", "0.01"), flagParam("disguise"))
}

// Rate is the fault kind that limits the bandwidth.
func Rate() Kind {
	return shapeKind("rate", "limit how much each link carries",
		func(v values) cluster.Shape { return cluster.Shape{Rate: v.whole("rate")} },
		rateParam("rate", "1mbit"))
}

func shapeKind(name, doc string, shape func(values) cluster.Shape, params ...Param) Kind {
	return Kind{Name: name,
		Doc: doc + ". of: only links of these nodes with others, way: into or out of them; " +
			"between=NODES..NODES: only links between these and those, clients among them; default: all links between nodes",
		Params: append(params, nodesParam("of", ""), betweenParam(), wordParam("way", "", "in", "out", "both")),
		make: func(text string, v values) (Fault, error) {
			f := shaped{name: text, shape: shape(v), links: linkSpec{of: v.nodes("of"), ends: v.text("between"), way: v.text("way")}}
			switch {
			case f.shape == cluster.Shape{Disguise: f.shape.Disguise, Distribution: f.shape.Distribution}:
				return nil, errors.New("it would do nothing")
			case f.shape.Reorder > 0 && f.shape.Delay == 0:
				return nil, errors.New("packets can only overtake others that are delayed")
			case f.links.of != "" && f.links.ends != "":
				return nil, errors.New("of and between exclude each other")
			case f.links.way != "" && f.links.of == "" && f.links.ends == "":
				return nil, errors.New("way needs of or between")
			}
			return f, nil
		}}
}

// linkSpec chooses links: all between nodes, those of some nodes with all
// others, or those between two groups.
type linkSpec struct {
	of   nodeSpec
	ends string
	way  string
}

// betweenParam is NODES..NODES, where NODES may be "clients".
func betweenParam() Param {
	return Param{Name: "between", What: "NODES..NODES", read: func(s string) (any, string, error) {
		a, b, ok := strings.Cut(s, "..")
		if !ok {
			return nil, "", fmt.Errorf("between: want NODES..NODES like primary..all, got %q", s)
		}
		var ends []string
		for _, e := range []string{a, b} {
			spec, err := parseNodes("between", e)
			if err != nil {
				return nil, "", err
			}
			ends = append(ends, string(spec))
		}
		if ends[0] == cluster.Clients && ends[1] == cluster.Clients {
			return nil, "", errors.New("between: clients have no links with each other")
		}
		text := ends[0] + ".." + ends[1]
		return text, text, nil
	}}
}

func (s linkSpec) check(c *cluster.Cluster) error {
	if s.ends == "" {
		return s.of.check(c)
	}
	a, b, _ := strings.Cut(s.ends, "..")
	var errs []error
	for _, e := range []string{a, b} {
		if e != cluster.Clients {
			errs = append(errs, nodeSpec(e).check(c))
		}
	}
	return errors.Join(errs...)
}

// withClients is true if links of clients are meant.
func (s linkSpec) withClients() bool {
	a, b, _ := strings.Cut(s.ends, "..")
	return a == cluster.Clients || b == cluster.Clients
}

// pick gives the links, and the nodes that were aimed at.
func (s linkSpec) pick(ctx context.Context, c *cluster.Cluster, rng *rand.Rand, before []string) (links []cluster.Link, nodes []string, err error) {
	left, right := c.Nodes, c.Nodes
	switch {
	case s.ends != "":
		a, b, _ := strings.Cut(s.ends, "..")
		if left, err = end(ctx, c, rng, before, a); err != nil {
			return nil, nil, err
		}
		if right, err = end(ctx, c, rng, before, b); err != nil {
			return nil, nil, err
		}
		nodes = others(slices.Compact(slices.Sorted(slices.Values(slices.Concat(left, right)))), []string{cluster.Clients})
	case s.of != "":
		if right, err = s.of.pick(ctx, c, rng, before); err != nil {
			return nil, nil, err
		}
		nodes = right
	}
	way := cutOptions{way: s.way}
	seen := map[cluster.Link]bool{}
	for _, l := range complete(left, right) {
		if l.From != l.To && !seen[l] && way.goes(slices.Contains(right, l.To)) {
			seen[l] = true
			links = append(links, l)
		}
	}
	if len(links) == 0 {
		return nil, nil, errors.New("there is no such link")
	}
	return links, nodes, nil
}

func end(ctx context.Context, c *cluster.Cluster, rng *rand.Rand, before []string, spec string) ([]string, error) {
	if spec == cluster.Clients {
		return []string{cluster.Clients}, nil
	}
	return nodeSpec(spec).pick(ctx, c, rng, before)
}

// shaped is a fault that changes what links do to packets.
type shaped struct {
	name  string
	shape cluster.Shape
	links linkSpec
}

func (f shaped) Name() string { return f.name }

func (f shaped) Applicable(c *cluster.Cluster) error {
	if c.Net == nil {
		return lacks(c, "Net", "cannot shape its network")
	}
	l := cluster.Link{From: c.Nodes[0], To: c.Nodes[len(c.Nodes)-1]}
	switch {
	case f.links.withClients():
		l.From = cluster.Clients
	case len(c.Nodes) < 2:
		return fmt.Errorf("%s needs at least 2 nodes, the cluster has %d", f.name, len(c.Nodes))
	}
	return errors.Join(c.Net.Can(cluster.LinkState{Shape: map[cluster.Link]cluster.Shape{l: f.shape}}), f.links.check(c))
}

// Draw implements Fault.
func (f shaped) Draw(ctx context.Context, c *cluster.Cluster, rng *rand.Rand, before []string) (Action, error) {
	links, nodes, err := f.links.pick(ctx, c, rng, before)
	if err != nil {
		return Action{}, err
	}
	shapes := map[cluster.Link]cluster.Shape{}
	for _, l := range links {
		shapes[l] = f.shape
	}
	return Action{Fault: f.name, Nodes: nodes, Want: Want{Links: cluster.LinkState{Shape: shapes}}}, nil
}

// each spreads what is wanted over nodes.
func each[T any](nodes []string, v T) map[string]T {
	m := map[string]T{}
	for _, n := range nodes {
		m[n] = v
	}
	return m
}

// meanwhile sleeps for a time drawn from an exponential distribution.
func meanwhile(rng *rand.Rand, mean time.Duration) time.Duration {
	return max(time.Millisecond, time.Duration(min(rng.ExpFloat64(), 10)*float64(mean)))
}
