package docker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/cluster/agent"
	"github.com/capstan-dev/capstan/cluster/agent/links"
)

// Network breaks the links between nodes, and between them and the harness,
// through an agent in each node's network namespace.
type Network struct {
	log     *slog.Logger
	members []*member
	// gateways are the addresses from which the harness reaches the nodes.
	gateways []netip.Addr
	// bring brings a node's agent back that is gone; nil if nobody can.
	bring func(ctx context.Context, node string) (*remote, error)
	// clients sends and counts the harness' own canaries; nil where that
	// cannot be.
	clients *links.Station
	// v6 says that canaries pass over IPv6 as well. Rules are for both
	// families in any case.
	v6 bool

	mu      sync.Mutex // held while rules change
	want    cluster.LinkState
	timings []Timing
}

// member is a node as its network sees it.
type member struct {
	name string
	// ip and ip6 are where canaries are sent; ip6 may be missing. addrs are all
	// under which the node sends to its peers.
	ip, ip6 netip.Addr
	addrs   []netip.Addr
	facts   links.Facts
	agent   *remote
}

// Timing is how long it took to bring one state of the links into force.
type Timing struct {
	At time.Time
	// Cut is the number of links that are cut.
	Cut int
	// Loaded and Committed are the times from the decision until all nodes
	// had the rules ready, and until they were in force on all.
	Loaded, Committed time.Duration
	// Skew is the time between the first and the last node's commit, on the
	// clock that all containers of a host share.
	Skew time.Duration
}

// newNetwork is the network of no nodes yet, see join.
func newNetwork(log *slog.Logger) *Network { return &Network{log: log} }

// join lets an agent prepare its node, and takes the node into the network, or
// takes it up again there with a new agent. See restore for its rules.
func (w *Network) join(ctx context.Context, m *member) (links.Facts, error) {
	f, err := m.hello(ctx)
	if err != nil {
		return f, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.members = append(slices.DeleteFunc(w.members, func(o *member) bool { return o.name == m.name }), m)
	slices.SortFunc(w.members, func(a, b *member) int { return naturally(a.name, b.name) })
	return f, nil
}

// hello introduces the node to its agent and learns its addresses.
func (m *member) hello(ctx context.Context) (f links.Facts, err error) {
	if err := m.agent.call(ctx, links.VerbHello, links.Hello{Name: m.name, Port: canaryPort}, &f); err != nil {
		return f, &Error{
			Doing: "prepare the node's iptables", Err: err,
			Advice: "the engine must allow containers NET_ADMIN, and its kernel needs nf_tables or ip_tables; see `capstan doctor`",
		}
	}
	if !slices.Contains(f.Addrs, m.ip) {
		return f, fmt.Errorf("%s: the agent's network has not got the address %v", m.name, m.ip)
	}
	m.addrs, m.facts = f.Addrs, f
	if m.ip6.IsValid() && !slices.Contains(m.addrs, m.ip6) {
		m.addrs = append(slices.Clone(m.addrs), m.ip6) // the kernel is still checking it
	}
	return f, nil
}

// naturally sorts n10 behind n9.
func naturally(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return slices.Compare([]byte(a), []byte(b))
}

// each runs f for all nodes at the same time.
func (w *Network) each(f func(*member) error) error {
	fs := make([]func() error, len(w.members))
	for i, m := range w.members {
		fs[i] = func() error { return f(m) }
	}
	return join(fs...)
}

// Can implements cluster.Network.
func (w *Network) Can(want cluster.LinkState) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.rules(want)
	return err
}

// Apply implements cluster.Network. It loads the rules on all nodes, then
// commits them on all. Agents that are gone are started anew. If a cut cannot be loaded everywhere nothing changes;
// a heal goes on where it can. The error names the nodes. It wraps
// cluster.ErrLapsed, with the work done, if the state before did not last until now.
func (w *Network) Apply(ctx context.Context, want cluster.LinkState) error {
	if err := w.revive(ctx); err != nil {
		return fmt.Errorf("apply links: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	t := Timing{At: time.Now(), Cut: len(cuts(want))}
	rules, err := w.rules(want)
	if err != nil {
		return fmt.Errorf("apply links: %w", err)
	}
	loaded := w.each(func(m *member) error { return m.agent.call(ctx, links.VerbLoad, rules[m.name], nil) })
	t.Loaded = time.Since(t.At)
	if loaded != nil && !healed(want) {
		return fmt.Errorf("apply links: %w", errors.Join(loaded, w.abort(ctx)))
	}
	stamps := make(chan int64, len(w.members))
	committed := w.each(func(m *member) error {
		var d links.Done
		err := m.agent.call(ctx, links.VerbCommit, agent.None{}, &d)
		if err != nil {
			return err
		}
		stamps <- d.At
		if d.Overflow > 0 {
			m.agent.lapse(fmt.Sprintf("%d packets on held links were dropped: there were too many", d.Overflow))
		}
		return nil
	})
	t.Committed = time.Since(t.At)
	t.Skew = spread(stamps)
	w.want = want
	if err := errors.Join(loaded, committed); err != nil {
		return fmt.Errorf("apply links: %w", err)
	}
	w.timings = append(w.timings, t)
	if err := w.each(func(m *member) error { return m.agent.takeLapse() }); err != nil {
		return fmt.Errorf("apply links: %w", err)
	}
	return nil
}

// abort makes all nodes that can be reached forget what they loaded.
func (w *Network) abort(ctx context.Context) error {
	return w.each(func(m *member) error {
		err := m.agent.call(ctx, links.VerbAbort, agent.None{}, nil)
		if err != nil && !m.agent.isGone() {
			return err
		}
		return nil
	})
}

func spread(stamps chan int64) time.Duration {
	close(stamps)
	first, ok := <-stamps
	if !ok {
		return 0
	}
	last := first
	for s := range stamps {
		first, last = min(first, s), max(last, s)
	}
	return time.Duration(last - first)
}

// Timings are those of every successful Apply, in order.
func (w *Network) Timings() []Timing {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.timings)
}

// Counters implements cluster.Network.
func (w *Network) Counters(ctx context.Context) (map[cluster.Link]uint64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var mu sync.Mutex
	all := map[cluster.Link]uint64{}
	err := w.each(func(m *member) error {
		var c links.Counts
		if err := m.agent.call(ctx, links.VerbCounters, agent.None{}, &c); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		for peer, n := range c.In {
			all[cluster.Link{From: peer, To: m.name}] += n
		}
		for peer, n := range c.Out {
			all[cluster.Link{From: m.name, To: peer}] += n
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read packet counters: %w", err)
	}
	return all, nil
}

// Reset implements cluster.Network. The connections end at the nodes of both
// ends; where the link is cut, each end learns by itself.
func (w *Network) Reset(ctx context.Context, ls []cluster.Link) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	peers := map[string][]netip.Addr{}
	for _, l := range ls {
		if w.addresses(l.From) == nil || w.addresses(l.To) == nil {
			return fmt.Errorf("reset connections: no link from %q to %q", l.From, l.To)
		}
		peers[l.From] = append(peers[l.From], w.addresses(l.To)...)
		peers[l.To] = append(peers[l.To], w.addresses(l.From)...)
	}
	err := w.each(func(m *member) error {
		if len(peers[m.name]) == 0 {
			return nil
		}
		if m.facts.NoReset != "" {
			return fmt.Errorf("%s: the kernel does not: %s", m.name, m.facts.NoReset)
		}
		return m.agent.call(ctx, links.VerbReset, peers[m.name], nil)
	})
	if err != nil {
		return fmt.Errorf("reset connections: %w", err)
	}
	return nil
}
