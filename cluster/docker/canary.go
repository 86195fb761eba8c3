package docker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/capstan-dev/capstan/cluster"
)

const (
	// canaryRounds canaries go over each link before it is said to be cut: a
	// single lost packet does not make it so.
	canaryRounds = 6
	canaryPause  = 40 * time.Millisecond
	// settleTime is how long a new network may take to carry canaries over
	// all links.
	settleTime = 10 * time.Second
	// settleTime6 is the same for IPv6, which is then done without.
	settleTime6 = 4 * time.Second
)

// arrivals are the canaries that came, by link and IP family.
type arrivals struct {
	mu   sync.Mutex
	seen map[cluster.Link]map[string]bool
}

// Probe implements cluster.Network. Canaries are UDP packets between the
// holders, over the same interfaces and through the same rules as the servers'
// packets. A link over which IPv4 passes but IPv6 does not, or the other way
// round, is neither cut nor healed: an error.
func (w *Network) Probe(ctx context.Context) (cluster.Reach, error) {
	got, err := w.canaries(ctx, w.v6, canaryRounds, false)
	if err != nil {
		return nil, fmt.Errorf("probe links: %w", err)
	}
	reach := cluster.Reach{}
	var mixed []error
	for _, l := range w.links() {
		v4, v6 := got.seen[l]["4"], got.seen[l]["6"]
		reach[l] = v4 || v6
		if w.v6 && v4 != v6 {
			mixed = append(mixed, fmt.Errorf("%s to %s: IPv4 passes: %t, IPv6 passes: %t", l.From, l.To, v4, v6))
		}
	}
	if err := errors.Join(mixed...); err != nil {
		return reach, fmt.Errorf("probe links: %w", err)
	}
	return reach, nil
}

// links are all ordered pairs of nodes.
func (w *Network) links() []cluster.Link {
	var ls []cluster.Link
	for _, a := range w.c.Nodes {
		for _, b := range w.c.Nodes {
			if a != b {
				ls = append(ls, cluster.Link{From: a.Name, To: b.Name})
			}
		}
	}
	return ls
}

// canaries sends rounds of canaries over all links until one of each family
// arrived everywhere, or the rounds are over. With patience it goes on until
// the context ends.
func (w *Network) canaries(ctx context.Context, v6 bool, rounds int, patience bool) (*arrivals, error) {
	nonce := strings.ToLower(rand.Text())
	got := &arrivals{seen: map[cluster.Link]map[string]bool{}}
	want := len(w.links())
	if v6 {
		want *= 2
	}
	tick := time.NewTicker(canaryPause)
	defer tick.Stop()
	for round := 1; ; round++ {
		if err := w.round(ctx, nonce, v6, got); err != nil {
			return got, err
		}
		if got.count() >= want || round >= rounds && !patience {
			return got, nil
		}
		select {
		case <-ctx.Done():
			return got, ctx.Err()
		case <-tick.C:
		}
	}
}

// round sends one canary over every link and collects what arrived. All have
// been sent when the first receiver is asked; on one host they have been
// delivered by then. What is delayed counts in the next round.
func (w *Network) round(ctx context.Context, nonce string, v6 bool, got *arrivals) error {
	err := w.c.each(func(n *Node) error {
		_, err := n.agent.call(ctx, "send", append([]string{nonce}, w.targets(n, v6)...)...)
		return err
	})
	if err != nil {
		return err
	}
	return w.c.each(func(n *Node) error {
		text, err := n.agent.call(ctx, "seen", nonce)
		if err != nil {
			return err
		}
		for _, f := range strings.Fields(text) {
			from, family, _ := strings.Cut(f, "/")
			got.add(cluster.Link{From: from, To: n.Name}, family)
		}
		return nil
	})
}

func (w *Network) targets(from *Node, v6 bool) []string {
	var addrs []string
	add := func(a netip.Addr) { addrs = append(addrs, a.String()) }
	for _, n := range w.c.Nodes {
		if n == from {
			continue
		}
		add(n.IP)
		if v6 {
			add(n.IP6)
		}
	}
	return addrs
}

func (g *arrivals) add(l cluster.Link, family string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.seen[l] == nil {
		g.seen[l] = map[string]bool{}
	}
	g.seen[l][family] = true
}

func (g *arrivals) count() (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, families := range g.seen {
		n += len(families)
	}
	return n
}

// settle returns when canaries pass over all links of a new cluster. IPv6 is
// left out of later probes if it does not come up.
func (w *Network) settle(ctx context.Context, v6 bool) error {
	if v6 {
		ctx6, cancel := context.WithTimeout(ctx, settleTime6)
		_, err := w.canaries(ctx6, true, 1, true)
		cancel()
		if err == nil {
			w.v6 = true
			return nil
		}
	}
	ctx4, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	got, err := w.canaries(ctx4, false, 1, true)
	if err != nil {
		return fmt.Errorf("wait for canaries over all links, missing %v: %w", w.missing(got), err)
	}
	if v6 {
		w.c.log.Info("IPv6 does not pass between the nodes; only IPv4 is probed")
	}
	return nil
}

func (w *Network) missing(got *arrivals) (ls []cluster.Link) {
	for _, l := range w.links() {
		if !got.seen[l]["4"] {
			ls = append(ls, l)
		}
	}
	return ls
}
