package nemesis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/capstan-dev/capstan/cluster"
)

// Remove is the fault kind that takes nodes out of the system.
func Remove() Kind {
	return memberKind("remove", "take nodes out of the system; add them again, with empty disks, at the heal", nodesParam("of", ""))
}

// Replace is the fault kind that takes nodes out and adds them again at once.
func Replace() Kind {
	return memberKind("replace", "take nodes out of the system and add them again at once, with empty disks", nodesParam("of", ""))
}

// Transfer is the fault kind that hands over the primary's role.
func Transfer() Kind {
	return memberKind("transfer", "hand the primary's role to another node, as an operator does", nodesParam("to", "non-primary"))
}

// Upgrade is the fault kind that changes the image of nodes one by one.
func Upgrade() Kind {
	return memberKind("upgrade", "start the servers again from another image, one node after the other; back at the heal",
		textParam("image", "IMAGE", ""), nodesParam("of", "all"))
}

func memberKind(name, doc string, params ...Param) Kind {
	return Kind{Name: name, Doc: doc, Params: params, make: func(text string, v values) (Fault, error) {
		f := member{name: text, kind: name, spec: v.nodes("of"), image: v.text("image")}
		if name == "transfer" {
			f.spec = v.nodes("to")
		}
		if name == "upgrade" && f.image == "" {
			return nil, errors.New("want the image to upgrade to")
		}
		return f, nil
	}}
}

type member struct {
	name, kind string
	spec       nodeSpec
	image      string
}

func (f member) Name() string { return f.name }

func (f member) Applicable(c *cluster.Cluster) error {
	m := c.Members
	if m == nil {
		return lacks(c, "Members", "cannot change its members")
	}
	has := map[string]bool{
		"remove":   m.Remove != nil && m.Add != nil,
		"replace":  m.Remove != nil && m.Add != nil,
		"transfer": m.Transfer != nil && c.Primaries != nil,
		"upgrade":  m.Upgrade != nil,
	}
	if !has[f.kind] {
		return fmt.Errorf("the target has no verb for %s", f.kind)
	}
	return f.spec.check(c)
}

// Draw implements Fault.
func (f member) Draw(ctx context.Context, c *cluster.Cluster, rng *rand.Rand, before []string) (Action, error) {
	among := *c
	if f.spec.isWord() {
		among.Nodes = c.Served() // the others, a store of configuration, say, have members of their own
	}
	nodes, err := f.spec.pick(ctx, &among, rng, before)
	if err != nil {
		return Action{}, err
	}
	a := Action{Fault: f.name, Nodes: nodes}
	switch f.kind {
	case "remove":
		a.Do = func(ctx context.Context) (string, bool, error) { return removeNodes(ctx, c, nodes) }
		a.Check = func(ctx context.Context) (string, bool, error) { return areMembers(ctx, c, nodes, false) }
		a.Undo = func(ctx context.Context) (string, bool, error) { return addNodes(ctx, c, nodes) }
	case "replace":
		a.Do = func(ctx context.Context) (string, bool, error) { return replaceNodes(ctx, c, nodes) }
		a.Undo = func(ctx context.Context) (string, bool, error) { return areMembers(ctx, c, nodes, true) }
	case "transfer":
		a.Nodes = nodes[:1]
		a.Do = func(ctx context.Context) (string, bool, error) { return transfer(ctx, c, nodes[0]) }
		a.Undo = func(context.Context) (string, bool, error) { return "the role stays where it is", true, nil }
	case "upgrade":
		a.Do = func(ctx context.Context) (string, bool, error) { return upgradeNodes(ctx, c, nodes, f.image) }
		a.Undo = func(ctx context.Context) (string, bool, error) { return upgradeNodes(ctx, c, nodes, "") }
	}
	return a, nil
}

func removeNodes(ctx context.Context, c *cluster.Cluster, nodes []string) (string, bool, error) {
	for _, n := range nodes {
		if err := c.Members.Remove(ctx, n); err != nil {
			return "", false, fmt.Errorf("remove %s: %w", n, err)
		}
	}
	return areMembers(ctx, c, nodes, false)
}

func addNodes(ctx context.Context, c *cluster.Cluster, nodes []string) (string, bool, error) {
	for _, n := range nodes {
		if _, in, err := areMembers(ctx, c, []string{n}, true); err == nil && in {
			continue // added by an attempt before
		}
		if err := c.Members.Add(ctx, n); err != nil {
			return "", false, fmt.Errorf("add %s: %w", n, err)
		}
	}
	return areMembers(ctx, c, nodes, true)
}

func replaceNodes(ctx context.Context, c *cluster.Cluster, nodes []string) (string, bool, error) {
	for _, n := range nodes {
		if seen, out, err := removeNodes(ctx, c, []string{n}); err != nil || !out {
			return seen, false, err
		}
		if seen, in, err := addNodes(ctx, c, []string{n}); err != nil || !in {
			return seen, false, err
		}
	}
	return areMembers(ctx, c, nodes, true)
}

// areMembers asks the system whether all of the nodes are members, or none.
func areMembers(ctx context.Context, c *cluster.Cluster, nodes []string, want bool) (string, bool, error) {
	if c.Members.List == nil {
		return "the target does not list its members", false, nil
	}
	all, err := c.Members.List(ctx)
	if err != nil {
		return "", false, fmt.Errorf("list members: %w", err)
	}
	right := true
	for _, n := range nodes {
		right = right && slices.Contains(all, n) == want
	}
	return "the members are " + strings.Join(all, ", "), right, nil
}

// transfer hands over the role, and asks who has it. An old primary that cannot
// be reached by the system may go on believing that it is the primary, too.
func transfer(ctx context.Context, c *cluster.Cluster, to string) (string, bool, error) {
	if err := c.Members.Transfer(ctx, to); err != nil {
		return "", false, fmt.Errorf("transfer to %s: %w", to, err)
	}
	now, err := c.Primaries(ctx)
	if err != nil {
		return "", false, fmt.Errorf("ask for the primary: %w", err)
	}
	return "primary: " + strings.Join(now, ", "), slices.Contains(now, to), nil
}

// upgradeNodes goes from node to node, and sees that each one runs.
func upgradeNodes(ctx context.Context, c *cluster.Cluster, nodes []string, image string) (string, bool, error) {
	var seen []string
	for _, n := range nodes {
		if err := c.Members.Upgrade(ctx, n, image); err != nil {
			return strings.Join(seen, ", "), false, fmt.Errorf("upgrade %s: %w", n, err)
		}
		what := image
		if what == "" {
			what = "its own image"
		}
		seen = append(seen, fmt.Sprintf("%s runs %s", n, what))
	}
	return strings.Join(seen, ", "), true, nil
}
