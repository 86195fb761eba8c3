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

// nodeSpec says which nodes a fault aims at: one of the words below, names of
// nodes, or roles. The empty one means one node.
type nodeSpec string

// specWords are the specs that are not names.
func specWords() []string {
	return []string{"one", "minority", "minority-third", "majority", "all", "primary", "primaries", "non-primary", "same"}
}

// parseNodes reads a spec. What is no word is a name or a role, and only the
// cluster can tell whether it has it; a slip of the keyboard is told at once.
func parseNodes(param, text string) (nodeSpec, error) {
	words := strings.Fields(text)
	for _, w := range words {
		switch known := slices.Contains(specWords(), w); {
		case known && len(words) > 1:
			return "", fmt.Errorf("%s: %q goes alone, not with other nodes", param, w)
		case known:
		case strings.ContainsAny(w, "(),=|+@:\""):
			return "", fmt.Errorf("%s: %q is no name of a node", param, w)
		case !strings.ContainsAny(w, "0123456789") && nearest.Name(w, specWords()) != "":
			return "", fmt.Errorf("%s: unknown nodes %q%s; there are: %s, names of nodes, and roles",
				param, w, nearest.Hint(w, specWords()), strings.Join(specWords(), ", "))
		}
	}
	if len(words) == 0 {
		return "", fmt.Errorf("%s: want nodes: %s, names of nodes, or roles", param, strings.Join(specWords(), ", "))
	}
	return nodeSpec(strings.Join(words, " ")), nil
}

// isWord is true unless the spec names nodes or roles.
func (s nodeSpec) isWord() bool { return s == "" || slices.Contains(specWords(), string(s)) }

// check says why a cluster does not have such nodes.
func (s nodeSpec) check(c *cluster.Cluster) error {
	switch s {
	case "primary", "primaries", "non-primary":
		if c.Primaries == nil {
			return lacks(c, "Primaries", "does not say which node is primary")
		}
		return nil
	}
	if s.isWord() {
		return nil
	}
	_, err := named(c, string(s))
	return err
}

// named gives the nodes of a list of names and roles, in the cluster's order.
func named(c *cluster.Cluster, text string) ([]string, error) {
	want := strings.Fields(text)
	var nodes, names []string
	for _, n := range c.Nodes {
		names = append(names, n)
		if slices.Contains(want, n) || slices.Contains(want, c.Roles[n]) {
			nodes = append(nodes, n)
		}
	}
	for _, n := range c.Nodes {
		if r := c.Roles[n]; r != "" && !slices.Contains(names, r) {
			names = append(names, r)
		}
	}
	for _, w := range want {
		if !slices.Contains(names, w) {
			return nil, fmt.Errorf("there is no node or role %q%s; there are: %s", w, nearest.Hint(w, names), strings.Join(names, ", "))
		}
	}
	return nodes, nil
}

// pick chooses the nodes of a spec; before are those of the step before.
func (s nodeSpec) pick(ctx context.Context, c *cluster.Cluster, rng *rand.Rand, before []string) ([]string, error) {
	nodes := shuffled(c.Nodes, rng)
	n := len(nodes)
	switch s {
	case "", "one":
		n = 1
	case "minority":
		n = max(1, (n-1)/2)
	case "minority-third":
		n = max(1, (n-1)/3)
	case "majority":
		n = n/2 + 1
	case "all":
	case "primary":
		if err := primaryFirst(ctx, c, nodes); err != nil {
			return nil, err
		}
		n = 1
	case "primaries", "non-primary":
		return byClaim(ctx, c, nodes, s == "primaries")
	case "same":
		if len(before) == 0 {
			return nil, errors.New("same: there is no step before that was aimed at nodes")
		}
		return slices.Clone(before), nil
	default:
		return named(c, string(s))
	}
	nodes = nodes[:n]
	slices.Sort(nodes)
	return nodes, nil
}

func shuffled(nodes []string, rng *rand.Rand) []string {
	nodes = slices.Clone(nodes)
	rng.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	return nodes
}

var errNoPrimary = errors.New("no node says that it is primary")

// claimants asks which nodes believe to be primary: at least one.
func claimants(ctx context.Context, c *cluster.Cluster) ([]string, error) {
	primaries, err := c.Primaries(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask for the primary: %w", err)
	}
	if len(primaries) == 0 {
		return nil, errNoPrimary
	}
	for _, p := range primaries {
		if !slices.Contains(c.Nodes, p) {
			return nil, fmt.Errorf("primary %s is not a node of the cluster", p)
		}
	}
	return primaries, nil
}

// primaryFirst moves a node that believes to be primary to the front. With
// several claimants the first in random order is as good as any.
func primaryFirst(ctx context.Context, c *cluster.Cluster, nodes []string) error {
	primaries, err := claimants(ctx, c)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(nodes, func(n string) bool { return slices.Contains(primaries, n) })
	nodes[0], nodes[i] = nodes[i], nodes[0]
	return nil
}

// byClaim gives all nodes that believe to be primary, or one that does not but
// serves clients as they do: one that runs, if there is one. There need be no
// primary then: it may be dead, and another one be wanted in its place.
func byClaim(ctx context.Context, c *cluster.Cluster, nodes []string, claims bool) ([]string, error) {
	primaries, err := claimants(ctx, c)
	if claims {
		slices.Sort(primaries)
		return primaries, err
	}
	if err != nil && !errors.Is(err, errNoPrimary) {
		return nil, err
	}
	rest := slices.DeleteFunc(others(nodes, primaries), func(n string) bool { return !slices.Contains(c.Served(), n) })
	if len(rest) == 0 {
		return nil, errors.New("every node says that it is primary")
	}
	i := max(0, slices.IndexFunc(rest, func(n string) bool { return runs(ctx, c, n) }))
	return rest[i : i+1], nil
}

// runs is true if nothing is known of a node that keeps it from answering.
func runs(ctx context.Context, c *cluster.Cluster, node string) bool {
	if c.Procs == nil {
		return true
	}
	s, err := c.Procs.State(ctx, node)
	return err == nil && s == cluster.Running
}

// others are the nodes that are not in a list.
func others(nodes, not []string) []string {
	return slices.DeleteFunc(slices.Clone(nodes), func(n string) bool { return slices.Contains(not, n) })
}
