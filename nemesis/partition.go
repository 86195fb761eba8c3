package nemesis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/internal/nearest"
)

// Partition is the fault kind that cuts links between nodes. Without an
// argument each partition takes a shape at random; every other one isolates
// the primary where there is one, the cut that tells the most.
func Partition() Kind {
	doc := "cut links between nodes, by a shape, by explicit groups like (n1 n2 | n3 n4 n5), or, without either, by any at random; "
	var words []string
	for i, s := range grudgeShapes() {
		words = append(words, s.name)
		if i > 0 {
			doc += "; "
		}
		doc += s.name + ": " + s.doc
	}
	return Kind{Name: "partition", Doc: doc + cutDoc, Params: append([]Param{shapeParam(words)}, cutParams("in", "out")...),
		make: func(name string, v values) (Fault, error) {
			p := partition{name: name, shape: v.text("shape"), cutOptions: readCut(v)}
			if p.way != "" && p.shape != "one-way" {
				return nil, errors.New("way is for one-way only")
			}
			return p, nil
		}}
}

const cutDoc = ". how: drop, answer with a reset (reject), or keep and deliver later (hold); " +
	"reset: end stale connections after the heal instead of waiting out their back-off"

// cutOptions say how links are cut.
type cutOptions struct {
	how   cluster.Cut
	way   string
	reset bool
}

func cutParams(ways ...string) []Param {
	return []Param{wordParam("way", "", ways...), wordParam("how", "drop", "drop", "reject", "hold"), flagParam("reset")}
}

func readCut(v values) cutOptions {
	how := map[string]cluster.Cut{"drop": cluster.Drop, "reject": cluster.Reject, "hold": cluster.Hold}
	return cutOptions{how: how[v.text("how")], way: v.text("way"), reset: v.flag("reset")}
}

// can asks whether the network can cut such a link.
func (o cutOptions) can(c *cluster.Cluster, l cluster.Link) error {
	if c.Net == nil {
		return lacks(c, "Net", "cannot cut its network")
	}
	return c.Net.Can(cluster.LinkState{Cut: map[cluster.Link]cluster.Cut{l: o.how}})
}

// want is the share that cuts links.
func (o cutOptions) want(links []cluster.Link) Want {
	cut := map[cluster.Link]cluster.Cut{}
	for _, l := range links {
		cut[l] = o.how
	}
	return Want{Links: cluster.LinkState{Cut: cut}}
}

// shapeParam is the name of a shape, or groups.
func shapeParam(words []string) Param {
	return Param{Name: "shape", What: "GROUP | GROUP", Words: append(slices.Clone(words), "GROUP | GROUP"),
		read: func(s string) (any, string, error) {
			if !strings.Contains(s, "|") {
				if !slices.Contains(words, s) {
					return nil, "", fmt.Errorf("unknown partition %q%s; there are: %s, or groups like n1 n2 | n3", s, nearest.Hint(s, words), strings.Join(words, ", "))
				}
				return s, s, nil
			}
			var groups []string
			seen := map[string]bool{}
			for _, g := range strings.Split(s, "|") {
				spec, err := parseNodes("group", g)
				if err != nil {
					return nil, "", err
				}
				if spec.isWord() {
					return nil, "", fmt.Errorf("group: want names of nodes or roles, got %q", g)
				}
				for _, n := range strings.Fields(string(spec)) {
					if seen[n] {
						return nil, "", fmt.Errorf("group: %s is in two groups", n)
					}
					seen[n] = true
				}
				groups = append(groups, string(spec))
			}
			text := strings.Join(groups, " | ")
			return text, text, nil
		}}
}

type partition struct {
	name, shape string
	cutOptions
}

func (p partition) Name() string { return p.name }

func (p partition) Applicable(c *cluster.Cluster) error {
	if c.Net == nil {
		return lacks(c, "Net", "cannot cut its network")
	}
	if len(c.Nodes) < 2 {
		return fmt.Errorf("%s needs at least 2 nodes, the cluster has %d", p.name, len(c.Nodes))
	}
	if err := p.can(c, cluster.Link{From: c.Nodes[0], To: c.Nodes[1]}); err != nil {
		return err
	}
	if strings.Contains(p.shape, "|") {
		_, err := p.groups(c)
		return err
	}
	if len(p.possible(c)) > 0 {
		return nil
	}
	s := shapeNamed(p.shape)
	switch {
	case s.primaries && c.Primaries == nil:
		return lacks(c, "Primaries", "does not say which node is primary")
	case p.shape == "roles" && len(c.Nodes) >= s.min:
		return errors.New("all nodes have the same role")
	}
	return fmt.Errorf("%s needs at least %d nodes, the cluster has %d", p.name, s.min, len(c.Nodes))
}

func shapeNamed(name string) grudgeShape {
	for _, s := range grudgeShapes() {
		if s.name == name {
			return s
		}
	}
	return grudgeShape{min: 2}
}

// possible lists the shapes that the fault may take on this cluster.
func (p partition) possible(c *cluster.Cluster) []grudgeShape {
	var fit []grudgeShape
	for _, s := range grudgeShapes() {
		switch {
		case p.shape != "" && p.shape != s.name, p.shape == "" && !s.drawn:
		case s.primaries && c.Primaries == nil:
		case s.name == "roles" && len(byRole(c)) < 2:
		case len(c.Nodes) >= s.min:
			fit = append(fit, s)
		}
	}
	return fit
}

// Draw implements Fault.
func (p partition) Draw(ctx context.Context, c *cluster.Cluster, rng *rand.Rand, _ []string) (Action, error) {
	name, g, err := p.grudge(ctx, c, rng)
	if err != nil && p.shape == "" {
		// Nobody is primary at the moment: any shape that needs none will do.
		leaderless := *c
		leaderless.Primaries = nil
		name, g, err = p.grudge(ctx, &leaderless, rng)
	}
	if err != nil {
		return Action{}, err
	}
	return Action{Fault: name, Nodes: slices.Clone(g.Nodes), Words: describe(c.Nodes, g.Cut), Want: p.want(g.Cut), Reset: p.reset}, nil
}

// grudge draws the links to cut, and the fault's name with the shape in it.
func (p partition) grudge(ctx context.Context, c *cluster.Cluster, rng *rand.Rand) (string, Grudge, error) {
	if strings.Contains(p.shape, "|") {
		groups, err := p.groups(c)
		return p.name, apart(groups), err
	}
	shape := drawShape(p.possible(c), rng)
	nodes := shuffled(c.Nodes, rng)
	var g Grudge
	switch {
	case shape.name == "roles":
		g = apart(byRole(c))
	case shape.name == "primaries":
		claims, err := claimants(ctx, c)
		if err != nil {
			return p.name, g, err
		}
		g = isolateEach(claims, c.Nodes)
	case shape.primaries:
		if err := primaryFirst(ctx, c, nodes); err != nil {
			return p.name, g, err
		}
		g = shape.make(nodes, rng)
	case shape.name == "one-way" && p.way != "":
		g = oneWay(nodes, p.way == "in")
	default:
		g = shape.make(nodes, rng)
	}
	name := p.name
	if p.shape == "" {
		name = withFirst(name, shape.name)
	}
	return name, g, nil
}

// withFirst adds a first argument to the name of a fault that has none.
func withFirst(name, arg string) string {
	if kind, rest, ok := strings.Cut(name, "("); ok {
		return kind + "(" + arg + ", " + rest
	}
	return name + ":" + arg
}

// drawShape picks a shape, the primary's as often as all others together.
func drawShape(shapes []grudgeShape, rng *rand.Rand) grudgeShape {
	i := slices.IndexFunc(shapes, func(s grudgeShape) bool { return s.name == "primary" })
	if i >= 0 && rng.IntN(2) == 0 {
		return shapes[i]
	}
	return shapes[rng.IntN(len(shapes))]
}

// groups are the explicit ones. A node that is in none stays connected to all.
func (p partition) groups(c *cluster.Cluster) ([][]string, error) {
	var groups [][]string
	seen := map[string]bool{}
	for _, g := range strings.Split(p.shape, "|") {
		nodes, err := named(c, g)
		if err != nil {
			return nil, err
		}
		for _, n := range nodes {
			if seen[n] {
				return nil, fmt.Errorf("%s is in two groups", n)
			}
			seen[n] = true
		}
		groups = append(groups, nodes)
	}
	return groups, nil
}

// byRole groups the nodes by their roles, in the order of nodes.
func byRole(c *cluster.Cluster) [][]string {
	var groups [][]string
	at := map[string]int{}
	for _, n := range c.Nodes {
		i, known := at[c.Roles[n]]
		if !known {
			i = len(groups)
			at[c.Roles[n]] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], n)
	}
	return groups
}
