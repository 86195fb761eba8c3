package docker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/cluster/agent/links"
)

const (
	// canaryRounds canaries go over each link before it is said to be cut: a
	// single lost packet does not make it so.
	canaryRounds = 6
	canaryPause  = 40 * time.Millisecond
	// mostRounds bounds them on links that are meant to lose most packets.
	mostRounds = 100
	// settleTime is how long a new network may take to carry canaries over
	// all links.
	settleTime = 10 * time.Second
	// settleTime6 is the same for IPv6, which is then done without.
	settleTime6 = 4 * time.Second
	// clientsTime is the same for the links of the clients.
	clientsTime = 2 * time.Second
)

// arrivals are the canaries of one flock that came.
type arrivals struct {
	mu   sync.Mutex
	seen map[route]cluster.Quality
}

// route is a link over one IP family.
type route struct {
	cluster.Link
	v6 bool
}

// Probe implements cluster.Network. Canaries are UDP packets between the
// agents, over the same interfaces and through the same rules as the servers'
// packets. A link over which IPv4 passes but IPv6 does not, or the other way
// round, is neither cut nor healed: an error.
func (w *Network) Probe(ctx context.Context) (cluster.Reach, error) {
	w.mu.Lock()
	want := w.want
	w.mu.Unlock()
	got, err := w.canaries(ctx, want)
	if err != nil {
		return nil, fmt.Errorf("probe links: %w", err)
	}
	reach := cluster.Reach{}
	var mixed []error
	for _, l := range w.links() {
		v4, v6 := got.came(route{l, false}), got.came(route{l, true})
		reach[l] = v4 || v6
		if w.hasV6(l) && v4 != v6 {
			mixed = append(mixed, fmt.Errorf("%s to %s: IPv4 passes: %t, IPv6 passes: %t", l.From, l.To, v4, v6))
		}
	}
	if err := errors.Join(mixed...); err != nil {
		return reach, fmt.Errorf("probe links: %w", err)
	}
	return reach, nil
}

// canaries sends rounds of them over all links until one arrived on every path
// that ought to be open, and several went over those that ought not.
func (w *Network) canaries(ctx context.Context, want cluster.LinkState) (*arrivals, error) {
	f := newFlock()
	defer w.forget(f)
	got := &arrivals{}
	least, most := 1, canaryRounds
	var late time.Duration
	for _, l := range w.links() {
		if want.Cut[l] != cluster.Open {
			least = canaryRounds
		}
		s := want.Shape[l]
		most = max(most, rounds(s.Loss+s.Corrupt-s.Loss*s.Corrupt))
		late = max(late, lateness(s))
	}
	for round := 1; ; round++ {
		if err := w.round(ctx, f, got); err != nil {
			return got, err
		}
		open := w.missing(got, want) == nil
		if open && round >= least || round >= most {
			break
		}
		if err := pause(ctx, canaryPause); err != nil {
			return got, err
		}
	}
	for end := time.Now().Add(late); w.missing(got, want) != nil && time.Now().Before(end); {
		if err := pause(ctx, canaryPause); err != nil {
			return got, err
		}
		if err := w.collect(ctx, f, got); err != nil {
			return got, err
		}
	}
	return got, nil
}

// rounds is how many canaries a link that loses a share of them gets, so that
// one arrives but once in a million times.
func rounds(loss float64) int {
	if loss <= 0 {
		return canaryRounds
	}
	if loss >= 1 {
		return mostRounds
	}
	return min(int(math.Ceil(math.Log(1e-6)/math.Log(loss))), mostRounds)
}

// lateness is how late nearly all packets of a link are at most.
func lateness(s cluster.Shape) time.Duration {
	if s == (cluster.Shape{}) {
		return 0
	}
	return min(s.Delay+6*s.Jitter+200*time.Millisecond, settleTime)
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func newFlock() links.Flock { return links.Flock{Nonce: strings.ToLower(rand.Text()), Count: 1} }

// round sends one canary over every path and collects what arrived. All have
// been sent when the first receiver is asked; on one host they have been
// delivered by then. What is delayed counts in the next round.
func (w *Network) round(ctx context.Context, f links.Flock, got *arrivals) error {
	if w.clients != nil {
		own := f
		own.Targets = w.targets(cluster.Clients)
		w.clients.Send(own, canaryPort, ctx.Done())
	}
	err := w.each(func(m *member) error {
		f := f
		f.Targets = w.targets(m.name)
		return m.agent.call(ctx, links.VerbSend, f, nil)
	})
	if err != nil {
		return err
	}
	return w.collect(ctx, f, got)
}

// collect asks everybody what arrived.
func (w *Network) collect(ctx context.Context, f links.Flock, got *arrivals) error {
	if w.clients != nil {
		got.add(cluster.Clients, w.clients.Seen(f.Nonce))
	}
	return w.each(func(m *member) error {
		var as []links.Arrival
		if err := m.agent.call(ctx, links.VerbSeen, f.Nonce, &as); err != nil {
			return err
		}
		got.add(m.name, as)
		return nil
	})
}

// forget lets everybody who can be reached let go of a flock.
func (w *Network) forget(f links.Flock) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if w.clients != nil {
		w.clients.Forget(f.Nonce)
	}
	// Who does not answer forgets it in time, and is told of elsewhere.
	_ = w.each(func(m *member) error { return m.agent.call(ctx, links.VerbForget, f.Nonce, nil) })
}

// targets are where a node, or the harness, sends canaries.
func (w *Network) targets(from string) []netip.Addr {
	var addrs []netip.Addr
	for _, m := range w.members {
		if m.name == from {
			continue
		}
		addrs = append(addrs, m.ip)
		if w.v6 && m.ip6.IsValid() {
			addrs = append(addrs, m.ip6)
		}
	}
	if from != cluster.Clients && w.clients != nil {
		addrs = append(addrs, w.clients.Addrs()...)
	}
	return addrs
}

// links are all ordered pairs of nodes, and those from and to the clients if
// they can be measured.
func (w *Network) links() []cluster.Link {
	var nodes []string
	for _, m := range w.members {
		nodes = append(nodes, m.name)
	}
	ls := cluster.Links(nodes)
	if w.clients == nil {
		return ls
	}
	for _, n := range nodes {
		ls = append(ls, cluster.Link{From: n, To: cluster.Clients}, cluster.Link{From: cluster.Clients, To: n})
	}
	return ls
}

// paths are those over which canaries ought to go.
func (w *Network) paths() []route {
	var ps []route
	for _, l := range w.links() {
		ps = append(ps, route{l, false})
		if w.hasV6(l) {
			ps = append(ps, route{l, true})
		}
	}
	return ps
}

func (w *Network) hasV6(l cluster.Link) bool {
	return w.v6 && l.From != cluster.Clients && l.To != cluster.Clients
}

// missing are the paths that ought to be open and over which nothing came.
func (w *Network) missing(got *arrivals, want cluster.LinkState) (ps []route) {
	for _, p := range w.paths() {
		if want.Cut[p.Link] == cluster.Open && !got.came(p) {
			ps = append(ps, p)
		}
	}
	return ps
}

func (g *arrivals) add(to string, as []links.Arrival) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.seen == nil {
		g.seen = map[route]cluster.Quality{}
	}
	for _, a := range as {
		g.seen[route{cluster.Link{From: a.From, To: to}, a.V6}] = a.Quality
	}
}

func (g *arrivals) came(p route) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.seen[p].Arrived > 0
}

// settle returns when canaries pass over all links of a new network. IPv6 is
// left out of later probes if it does not come up.
func (w *Network) settle(ctx context.Context, v6 bool) error {
	if w.v6 = v6; v6 {
		if missing, err := w.await(ctx, settleTime6); err != nil {
			w.v6 = false
			w.log.Info("IPv6 does not pass between the nodes; only IPv4 is probed", "missing", missing)
		}
	}
	if missing, err := w.await(ctx, settleTime); err != nil {
		return fmt.Errorf("wait for canaries over all links, missing %v: %w", missing, err)
	}
	if err := w.meetClients(ctx); err != nil {
		w.log.Info("the links between clients and nodes cannot be probed", "cause", err)
	}
	return nil
}

// meetClients opens the harness' own end of canaries, at the addresses from
// which its packets come to the nodes. On an engine in a virtual machine these
// are not of this machine.
func (w *Network) meetClients(ctx context.Context) error {
	var at []netip.AddrPort
	for _, a := range w.gateways {
		at = append(at, netip.AddrPortFrom(a, canaryPort))
	}
	s, err := links.NewStation(cluster.Clients, at...)
	if err != nil {
		return err
	}
	w.clients = s
	if missing, err := w.await(ctx, clientsTime); err != nil {
		s.Close()
		w.clients = nil
		return fmt.Errorf("no canaries over %v: %w", missing, err)
	}
	return nil
}

// close ends what the network holds in this process.
func (w *Network) close() {
	if w.clients != nil {
		w.clients.Close()
	}
}

// await sends canaries until one arrived on every path, or the time is over.
func (w *Network) await(ctx context.Context, limit time.Duration) ([]route, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	f, got := newFlock(), &arrivals{}
	defer w.forget(f)
	for {
		err := w.round(ctx, f, got)
		missing := w.missing(got, cluster.LinkState{})
		if err != nil || missing == nil {
			return missing, err
		}
		if err := pause(ctx, canaryPause); err != nil {
			return missing, err
		}
	}
}
