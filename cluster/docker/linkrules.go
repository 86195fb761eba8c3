package docker

import (
	"cmp"
	"errors"
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
		rule := links.Rule{Cut: want.Cut[l], Shape: want.Shape[l]}
		if rule.Cut == cluster.Open && rule.Shape == (cluster.Shape{}) {
			continue
		}
		if err := sound(rule.Shape); err != nil {
			return nil, fmt.Errorf("shape the link from %s to %s: %w", l.From, l.To, err)
		}
		if err := w.place(rules, l, rule); err != nil {
			return nil, fmt.Errorf("break the link from %s to %s: %w", l.From, l.To, err)
		}
		if rule.Cut != cluster.Open && l.From != cluster.Clients && l.To != cluster.Clients {
			w.fence(rules, l.From)
			w.fence(rules, l.To)
		}
	}
	return rules, nil
}

// place gives a rule to the end of its link that can do it. As on a real
// network, packets are dropped and held back where they arrive, and rejected
// before they leave. netem works on what is sent only; the host, at the
// clients' end, is left alone.
func (w *Network) place(rules map[string]links.Rules, l cluster.Link, rule links.Rule) error {
	shaping, cutting := links.Rule{Shape: rule.Shape}, links.Rule{Cut: rule.Cut}
	if rule.Cut == cluster.Hold || l.From == cluster.Clients || l.To == cluster.Clients {
		return w.put(rules, l, l.To == cluster.Clients, rule)
	}
	if rule.Shape != (cluster.Shape{}) {
		atSender := !rule.Shape.Disguise && w.facts(l.From).Netem()
		if err := w.put(rules, l, atSender, shaping); err != nil {
			return err
		}
	}
	if rule.Cut != cluster.Open {
		return w.put(rules, l, rule.Cut == cluster.Reject, cutting)
	}
	return nil
}

// put adds a rule to one end of a link.
func (w *Network) put(rules map[string]links.Rules, l cluster.Link, out bool, rule links.Rule) error {
	node, peer := l.To, l.From
	if out {
		node, peer = peer, node
	}
	if err := w.facts(node).Can(rule, out); err != nil {
		return err
	}
	rule.Peer, rule.Addrs = peer, w.addresses(peer)
	r := rules[node]
	if out {
		r.Out = append(r.Out, rule)
	} else {
		r.In = append(r.In, rule)
	}
	rules[node] = r
	return nil
}

// sound is nil if a shape means something.
func sound(s cluster.Shape) error {
	for name, p := range map[string]float64{"loss": s.Loss, "duplicate": s.Duplicate, "reorder": s.Reorder, "corrupt": s.Corrupt} {
		if !(p >= 0 && p <= 1) {
			return fmt.Errorf("%s %v is no probability", name, p)
		}
	}
	switch {
	case s.Delay < 0 || s.Jitter < 0 || s.Rate < 0:
		return errors.New("delay, jitter or rate is negative")
	case s.Reorder > 0 && s.Delay == 0:
		return errors.New("without a delay there is nothing that a reordered packet could skip")
	}
	switch s.Distribution {
	case "", cluster.Uniform, cluster.Normal, cluster.Pareto:
		return nil
	}
	return fmt.Errorf("no distribution %q", s.Distribution)
}

// Means says for people by which means links are broken here, and why not by
// others, one to a line.
func (w *Network) Means() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.members) == 0 {
		return nil
	}
	f := w.members[0].facts
	or := func(can, cannot, why string) string {
		if why == "" {
			return can
		}
		return cannot + ": " + why
	}
	lines := []string{
		"cuts: iptables-" + f.Kind + ", " + or("IPv4 and IPv6", "IPv4 alone", f.Why),
		"shapes: " + or("tc netem", "no tc netem", f.NoNetem),
		"shapes, holds: " + or("NFQUEUE", "no NFQUEUE", f.NoQueue),
		"loss: " + or("iptables statistic", "no iptables statistic", f.NoLoss),
		"resets of connections: " + or("sock_diag", "none", f.NoReset),
	}
	if w.clients == nil {
		lines = append(lines, "links of clients: cannot be measured")
	}
	return lines
}

// Mechanism says in words how a link is broken here, e.g. "NFQUEUE".
func (w *Network) Mechanism(l cluster.Link, s cluster.Shape) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	rules := map[string]links.Rules{}
	if err := w.place(rules, l, links.Rule{Shape: s}); err != nil {
		return "not to be had: " + err.Error()
	}
	for node, r := range rules {
		for _, rule := range r.In {
			return w.facts(node).Mechanism(rule, false) + " at the receiver"
		}
		for _, rule := range r.Out {
			return w.facts(node).Mechanism(rule, true) + " at the sender"
		}
	}
	return "none"
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

// facts are what a node's agent found.
func (w *Network) facts(name string) links.Facts {
	for _, m := range w.members {
		if m.name == name {
			return m.facts
		}
	}
	return links.Facts{}
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
