package docker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/capstan-dev/capstan/cluster"
)

// Network cuts the links between nodes. Each node drops what comes from the
// nodes that are cut off from it, on INPUT, by source address, in a chain of
// our own.
type Network struct {
	c *Cluster
	// v6 says that canaries pass over IPv6 as well. Rules are for both
	// families in any case.
	v6 bool

	mu      sync.Mutex // held while rules change
	addrs   map[string][]netip.Addr
	names   map[netip.Addr]string
	timings []Timing
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

func newNetwork(c *Cluster) *Network {
	return &Network{c: c, addrs: map[string][]netip.Addr{}, names: map[netip.Addr]string{}}
}

// learn takes the addresses that a holder has.
func (w *Network) learn(n *Node, reported []string) error {
	addrs, err := n.addresses(reported)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.addrs[n.Name] = addrs
	for _, a := range addrs {
		w.names[a] = n.Name
	}
	return nil
}

// Apply implements cluster.Network. It loads the rules on all nodes, then
// commits them on all. If a cut cannot be loaded everywhere nothing changes;
// a heal goes on where it can. The error names the nodes. It wraps
// cluster.ErrLapsed, with the work done, if the state before did not last until now.
func (w *Network) Apply(ctx context.Context, want cluster.LinkState) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := Timing{At: time.Now()}
	drops, err := w.drops(want, &t)
	if err != nil {
		return fmt.Errorf("apply links: %w", err)
	}
	loaded := w.c.each(func(n *Node) error {
		_, err := n.agent.call(ctx, "load", drops[n.Name]...)
		return err
	})
	t.Loaded = time.Since(t.At)
	if loaded != nil && t.Cut > 0 {
		return fmt.Errorf("apply links: %w", errors.Join(loaded, w.abort(ctx)))
	}
	stamps := make(chan int64, len(w.c.Nodes))
	committed := w.c.each(func(n *Node) error {
		text, err := n.agent.call(ctx, "commit")
		if err != nil {
			return err
		}
		at, err := strconv.ParseInt(text, 10, 64)
		stamps <- at
		return err
	})
	t.Committed = time.Since(t.At)
	t.Skew = spread(stamps)
	if err := errors.Join(loaded, committed); err != nil {
		return fmt.Errorf("apply links: %w", err)
	}
	w.timings = append(w.timings, t)
	if err := w.c.each(func(n *Node) error { return n.agent.takeLapse() }); err != nil {
		return fmt.Errorf("apply links: %w", err)
	}
	return nil
}

// abort makes all nodes that can be reached forget what they loaded.
func (w *Network) abort(ctx context.Context) error {
	return w.c.each(func(n *Node) error {
		if _, err := n.agent.call(ctx, "abort"); err != nil && !n.agent.isGone() {
			return err
		}
		return nil
	})
}

// drops lists for each node the addresses whose packets it drops.
func (w *Network) drops(want cluster.LinkState, t *Timing) (map[string][]string, error) {
	drops := map[string][]string{}
	for l, cut := range want.Cut {
		from, to := w.addrs[l.From], w.addrs[l.To]
		if from == nil || to == nil || l.From == l.To {
			return nil, fmt.Errorf("no link from %q to %q", l.From, l.To)
		}
		if !cut {
			continue
		}
		t.Cut++
		for _, a := range from {
			drops[l.To] = append(drops[l.To], a.String())
		}
	}
	return drops, nil
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
	return append([]Timing(nil), w.timings...)
}

// Dropped counts the packets that each cut link has dropped since the last
// Apply.
func (w *Network) Dropped(ctx context.Context) (map[cluster.Link]uint64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var mu sync.Mutex
	dropped := map[cluster.Link]uint64{}
	err := w.c.each(func(n *Node) error {
		text, err := n.agent.call(ctx, "counters")
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		for _, f := range strings.Fields(text) {
			from, count, err := w.counter(f)
			if err != nil {
				return fmt.Errorf("%s: read packet counter %q: %w", n.Name, f, err)
			}
			dropped[cluster.Link{From: from, To: n.Name}] += count
		}
		return nil
	})
	return dropped, err
}

// counter reads ADDRESS/BITS=COUNT.
func (w *Network) counter(s string) (from string, count uint64, err error) {
	addr, number, _ := strings.Cut(s, "=")
	addr, _, _ = strings.Cut(addr, "/")
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return "", 0, err
	}
	count, err = strconv.ParseUint(number, 10, 64)
	return w.names[a], count, err
}
