package external

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/capstan-dev/capstan/cluster"
)

// canaryTimeout is how long a canary may be under way.
const canaryTimeout = time.Second

// Network cuts the ways between the clients and the nodes. Those between nodes
// are somebody else's.
type Network struct{ x *External }

var _ cluster.Network = (*Network)(nil)

// Can implements cluster.Network.
func (n *Network) Can(s cluster.LinkState) error {
	for l := range s.Cut {
		if _, _, err := n.find(l); err != nil {
			return err
		}
	}
	for l := range s.Shape {
		return fmt.Errorf("%s to %s: of a system that somebody else runs links are cut, not shaped", l.From, l.To)
	}
	return nil
}

// find is the gate of a link, and which way it is.
func (n *Network) find(l cluster.Link) (*gate, way, error) {
	if g := n.x.gates[l.To]; g != nil && l.From == cluster.Clients {
		return g, in, nil
	}
	if g := n.x.gates[l.From]; g != nil && l.To == cluster.Clients {
		return g, out, nil
	}
	return nil, 0, fmt.Errorf("%s to %s: only links to and from clients are within reach", l.From, l.To)
}

// Apply implements cluster.Network.
func (n *Network) Apply(_ context.Context, s cluster.LinkState) error {
	if err := n.Can(s); err != nil {
		return err
	}
	for node, g := range n.x.gates {
		g.set([2]cluster.Cut{in: s.Cut[in.link(node)], out: s.Cut[out.link(node)]})
	}
	return nil
}

// Probe implements cluster.Network. A canary is a connection to the node that
// is opened and closed: its opening goes through the gate one way, and the
// node's answer the other.
func (n *Network) Probe(ctx context.Context) (cluster.Reach, error) {
	reach := cluster.Reach{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for node, g := range n.x.gates {
		wg.Go(func() {
			_, answered := n.connect(ctx, node)
			mu.Lock()
			defer mu.Unlock()
			for _, w := range []way{in, out} {
				cut, _ := g.look(w, true)
				reach[w.link(node)] = answered == nil && cut == cluster.Open
			}
		})
	}
	wg.Wait()
	return reach, ctx.Err()
}

// connect opens a connection behind the gate, and says how long that took.
func (n *Network) connect(ctx context.Context, node string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, canaryTimeout)
	defer cancel()
	began := time.Now()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", n.x.endpoints[node])
	if err != nil {
		return 0, err
	}
	return time.Since(began), c.Close()
}

// Measure implements cluster.Network. Its latencies are those of a round trip:
// nobody at the other end tells them apart.
func (n *Network) Measure(ctx context.Context, links []cluster.Link, count int, over time.Duration) (map[cluster.Link]cluster.Quality, error) {
	all := map[cluster.Link]cluster.Quality{}
	for _, l := range links {
		g, w, err := n.find(l)
		if err != nil {
			return nil, err
		}
		node := l.To
		if w == out {
			node = l.From
		}
		q, err := n.measure(ctx, g, w, node, count, over/time.Duration(max(1, count*len(links))))
		if err != nil {
			return nil, err
		}
		all[l] = q
	}
	return all, nil
}

func (n *Network) measure(ctx context.Context, g *gate, w way, node string, count int, every time.Duration) (cluster.Quality, error) {
	q := cluster.Quality{Sent: count}
	var took []time.Duration
	tick := time.NewTicker(max(every, time.Microsecond))
	defer tick.Stop()
	for range count {
		if cut, _ := g.look(w, true); cut == cluster.Open {
			if d, err := n.connect(ctx, node); err == nil {
				took = append(took, d)
			}
		}
		select {
		case <-ctx.Done():
			return q, ctx.Err()
		case <-tick.C:
		}
	}
	if q.Arrived = len(took); q.Arrived > 0 {
		slices.Sort(took)
		q.Min, q.P50, q.P99, q.Max = took[0], took[len(took)/2], took[len(took)*99/100], took[len(took)-1]
	}
	return q, nil
}

// Counters implements cluster.Network: what came to each way that is cut.
func (n *Network) Counters(context.Context) (map[cluster.Link]uint64, error) {
	all := map[cluster.Link]uint64{}
	for node, g := range n.x.gates {
		g.mu.Lock()
		for _, w := range []way{in, out} {
			if g.cut[w] != cluster.Open {
				all[w.link(node)] = g.met[w]
			}
		}
		g.mu.Unlock()
	}
	return all, nil
}

// Reset implements cluster.Network.
func (n *Network) Reset(_ context.Context, links []cluster.Link) error {
	var errs []error
	for _, l := range links {
		g, _, err := n.find(l)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		g.mu.Lock()
		g.reset()
		g.mu.Unlock()
	}
	return errors.Join(errs...)
}
