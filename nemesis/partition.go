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

// Partition is the fault kind that cuts links between nodes. Without an
// argument each partition takes a shape at random; every other one isolates
// the primary where there is one, the cut that tells the most.
func Partition() Kind {
	args := []string{}
	doc := "cut links between nodes, by a shape or, without one, by any at random; "
	for i, s := range grudgeShapes() {
		args = append(args, s.name)
		if i > 0 {
			doc += "; "
		}
		doc += s.name + ": " + s.doc
	}
	return Kind{Name: "partition", Doc: doc, Args: args,
		New: func(arg string) Fault { return partition{arg} }}
}

type partition struct{ shape string }

func (p partition) Name() string { return joinName("partition", p.shape) }

func (p partition) Applicable(c *cluster.Cluster) error {
	if c.Net == nil {
		return lacks(c, "Net", "cannot cut its network")
	}
	if len(p.possible(c)) > 0 {
		return nil
	}
	if p.shape == "primary" && c.Primaries == nil {
		return lacks(c, "Primaries", "does not say which node is primary")
	}
	for _, s := range grudgeShapes() {
		if s.name == p.shape {
			return fmt.Errorf("%s needs at least %d nodes, the cluster has %d", p.Name(), s.min, len(c.Nodes))
		}
	}
	return fmt.Errorf("partition needs at least 2 nodes, the cluster has %d", len(c.Nodes))
}

// possible lists the shapes that the fault may take on this cluster.
func (p partition) possible(c *cluster.Cluster) []grudgeShape {
	var fit []grudgeShape
	for _, s := range grudgeShapes() {
		switch {
		case p.shape != "" && p.shape != s.name:
		case s.name == "primary" && c.Primaries == nil:
		case len(c.Nodes) >= s.min:
			fit = append(fit, s)
		}
	}
	return fit
}

func (p partition) Inject(ctx context.Context, c *cluster.Cluster, rng *rand.Rand) (history.FaultDetail, Undo, error) {
	shape := draw(p.possible(c), rng)
	nodes := slices.Clone(c.Nodes)
	rng.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	detail := history.FaultDetail{Fault: joinName("partition", shape.name)}
	if shape.name == "primary" {
		if err := primaryFirst(ctx, c, nodes); err != nil {
			return detail, nothing(detail), err
		}
	}
	g := shape.make(nodes, rng)
	detail.Nodes = g.Nodes
	detail.Sides = Sides(c.Nodes, g.Cut)
	state := cluster.LinkState{Cut: map[cluster.Link]bool{}}
	for _, l := range g.Cut {
		detail.Cut = append(detail.Cut, [2]string{l.From, l.To})
		state.Cut[l] = true
	}
	slices.SortFunc(detail.Cut, func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
	undo := func(ctx context.Context) (history.FaultDetail, error) {
		healed := detail
		err := drive(ctx, c, cluster.LinkState{}, &healed)
		return healed, err
	}
	err := drive(ctx, c, state, &detail)
	detail.Proof = describe(c.Nodes, g.Cut) + ": " + detail.Proof
	return detail, undo, err
}

// draw picks a shape, the primary's as often as all others together.
func draw(shapes []grudgeShape, rng *rand.Rand) grudgeShape {
	i := slices.IndexFunc(shapes, func(s grudgeShape) bool { return s.name == "primary" })
	if i >= 0 && rng.IntN(2) == 0 {
		return shapes[i]
	}
	return shapes[rng.IntN(len(shapes))]
}

// primaryFirst moves a node that believes to be primary to the front.
func primaryFirst(ctx context.Context, c *cluster.Cluster, nodes []string) error {
	primaries, err := c.Primaries(ctx)
	if err != nil {
		return fmt.Errorf("ask for the primary: %w", err)
	}
	if len(primaries) == 0 {
		return errors.New("no node says that it is primary")
	}
	// With several claimants the first in random order is as good as any.
	i := slices.IndexFunc(nodes, func(n string) bool { return slices.Contains(primaries, n) })
	if i < 0 {
		return fmt.Errorf("primary %s is not a node of the cluster", strings.Join(primaries, ", "))
	}
	nodes[0], nodes[i] = nodes[i], nodes[0]
	return nil
}

// drive brings the network into a state and proves by canaries that every
// link is as wanted.
func drive(ctx context.Context, c *cluster.Cluster, want cluster.LinkState, d *history.FaultDetail) error {
	d.Proven, d.Proof = false, ""
	if err := c.Net.Apply(ctx, want); err != nil {
		return fmt.Errorf("apply link state: %w", err)
	}
	reach, err := c.Net.Probe(ctx)
	if err != nil {
		return fmt.Errorf("probe links: %w", err)
	}
	var wrong []string
	links, cut := 0, 0
	for _, from := range c.Nodes {
		for _, to := range c.Nodes {
			l := cluster.Link{From: from, To: to}
			if from == to {
				continue
			}
			links++
			arrived, measured := reach[l]
			switch {
			case !measured:
				wrong = append(wrong, from+"→"+to+" was not measured")
			case arrived && want.Cut[l]:
				wrong = append(wrong, from+"→"+to+" is open and should be cut")
			case !arrived && !want.Cut[l]:
				wrong = append(wrong, from+"→"+to+" is cut and should be open")
			case !arrived:
				cut++
			}
		}
	}
	if len(wrong) > 0 {
		d.Proof = strings.Join(wrong, ", ")
		return nil
	}
	d.Proven = true
	d.Proof = fmt.Sprintf("canaries on all %d links: %d cut, %d open, as intended", links, cut, links-cut)
	return nil
}
