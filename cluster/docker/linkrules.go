package docker

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/cluster/agent/links"
)

// cuts are the links that are cut.
func cuts(want cluster.LinkState) (ls []cluster.Link) {
	for l, cut := range want.Cut {
		if cut != cluster.Open {
			ls = append(ls, l)
		}
	}
	return ls
}

// healed is true if nothing is to be broken.
func healed(want cluster.LinkState) bool {
	for _, s := range want.Shape {
		if s != (cluster.Shape{}) {
			return false
		}
	}
	return len(cuts(want)) == 0
}

// rules says to each node its part of the state of all links, by its name.
func (w *Network) rules(want cluster.LinkState) (map[string]links.Rules, error) {
	rules := map[string]links.Rules{}
	for _, l := range both(want) {
		from, to := w.addresses(l.From), w.addresses(l.To)
		if from == nil || to == nil || l.From == l.To {
			return nil, fmt.Errorf("no link from %q to %q", l.From, l.To)
		}
		cut, shape := want.Cut[l], want.Shape[l]
		if shape != (cluster.Shape{}) {
			return nil, fmt.Errorf("link from %s to %s cannot be shaped here yet", l.From, l.To)
		}
		if cut == cluster.Hold {
			return nil, fmt.Errorf("link from %s to %s cannot be held here yet", l.From, l.To)
		}
		if cut == cluster.Open {
			continue
		}
		atSender := l.To == cluster.Clients || cut == cluster.Reject && l.From != cluster.Clients
		if atSender {
			r := rules[l.From]
			r.Out = append(r.Out, links.Rule{Peer: l.To, Addrs: to, Cut: cut})
			rules[l.From] = r
		} else {
			r := rules[l.To]
			r.In = append(r.In, links.Rule{Peer: l.From, Addrs: from, Cut: cut})
			rules[l.To] = r
		}
		if l.From != cluster.Clients && l.To != cluster.Clients {
			w.fence(rules, l.From)
			w.fence(rules, l.To)
		}
	}
	return rules, nil
}

// both are the links that either map of a state speaks of, in an order that
// makes the same rules of the same state.
func both(want cluster.LinkState) []cluster.Link {
	ls := slices.AppendSeq(slices.Collect(maps.Keys(want.Cut)), maps.Keys(want.Shape))
	slices.SortFunc(ls, func(a, b cluster.Link) int {
		return cmp.Or(naturally(a.From, b.From), naturally(a.To, b.To))
	})
	return slices.Compact(ls)
}

// fence confines a node that is cut off from another.
func (w *Network) fence(rules map[string]links.Rules, node string) {
	r := rules[node]
	if r.Fence {
		return
	}
	r.Fence = true
	for _, m := range w.members {
		if m.name != node {
			r.Friends = append(r.Friends, m.addrs...)
		}
	}
	rules[node] = r
}

// addresses are those of a node, or of the harness; nil if there is no such
// node.
func (w *Network) addresses(name string) []netip.Addr {
	if name == cluster.Clients {
		return w.gateways
	}
	for _, m := range w.members {
		if m.name == name {
			return m.addrs
		}
	}
	return nil
}
