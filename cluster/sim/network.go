package sim

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/capstan-dev/capstan/cluster"
)

// link is one direction between two nodes, or between the clients and a node.
type link struct {
	rng  *rand.Rand
	last time.Duration // arrival of the last message; the next is not before

	// What faults want of it. They draw from a stream of their own.
	cut    cluster.Cut
	shape  cluster.Shape
	shaper *rand.Rand
	free   time.Duration // when a limited rate has room again
	held   []parcel
	count  uint64 // of what was cut or shaped

	// Canaries draw from another one, so that measuring changes nothing.
	canary *rand.Rand
}

// parcel waits on a link that holds it.
type parcel struct {
	h    handler
	kind uint8
	a    uint32
	p    any
}

// link finds one by indexes; the clients have the one after the last node.
func (w *World) link(from, to int) *link { return &w.links[from*(len(w.hosts)+1)+to] }

// clientSide is the index of the clients in links.
func (w *World) clientSide() int { return len(w.hosts) }

// packetBits is what a message counts for against a limited rate.
const packetBits = 8 * 1000

// bent is what a shape does to one packet.
type bent struct {
	extra     time.Duration
	lost      bool
	twice     bool
	overtakes bool
}

// bend draws what happens to a packet. A corrupted one is dropped, as the
// receiver's checksum finds it.
func (l *link) bend(rng *rand.Rand) bent {
	s := l.shape
	if s == (cluster.Shape{}) {
		return bent{}
	}
	l.count++
	b := bent{
		lost:      chance(rng, s.Loss) || chance(rng, s.Corrupt),
		twice:     chance(rng, s.Duplicate),
		overtakes: chance(rng, s.Reorder),
	}
	if !b.overtakes {
		b.extra = drawDelay(s, rng)
	}
	return b
}

func chance(rng *rand.Rand, p float64) bool { return p > 0 && rng.Float64() < p }

// drawDelay is at most the delay and ten times its jitter.
func drawDelay(s cluster.Shape, rng *rand.Rand) time.Duration {
	if s.Jitter == 0 {
		return s.Delay
	}
	var off float64
	switch s.Distribution {
	case cluster.Normal:
		off = max(-10, min(rng.NormFloat64(), 10))
	case cluster.Pareto: // of index 3, from 0
		off = min(math.Pow(1-rng.Float64(), -1.0/3)-1, 10)
	default:
		off = 2*rng.Float64() - 1
	}
	return max(0, s.Delay+time.Duration(off*float64(s.Jitter)))
}

// queue is how long a packet waits for its turn at a limited rate.
func (l *link) queue(now time.Duration) time.Duration {
	if l.shape.Rate == 0 {
		return 0
	}
	l.free = max(l.free, now) + time.Duration(packetBits*float64(time.Second)/float64(l.shape.Rate))
	return l.free - now
}

// send puts a message on its way. What is cut is dropped at the receiver, so a
// cut also takes what is in flight when it begins. Messages arrive in order,
// but for those that a shape lets overtake.
func (w *World) send(from, to int, msg any) {
	l := w.link(from, to)
	b := l.bend(l.shaper)
	at := w.now + w.cfg.Link.draw(l.rng) + b.extra + l.queue(w.now)
	if !b.overtakes {
		at = max(at, l.last)
		l.last = at
	}
	if chance(l.rng, w.cfg.Loss) || b.lost {
		return
	}
	w.post(at, w.hosts[to], hostMessage, uint32(from), 0, msg)
	if chance(l.rng, w.cfg.Duplicate) || b.twice {
		l.last = max(l.last, at) + w.cfg.Link.draw(l.rng)
		w.post(l.last, w.hosts[to], hostMessage, uint32(from), 0, msg)
	}
}

// stopped takes what arrives over a link that is cut, and keeps it if the link
// holds.
func (l *link) stopped(p parcel) bool {
	if l.cut == cluster.Open {
		return false
	}
	l.count++
	if l.cut == cluster.Hold {
		l.held = append(l.held, p)
	}
	return true
}

// network is the power over the links.
type network struct{ w *World }

// Can implements cluster.Network.
func (n network) Can(state cluster.LinkState) error {
	for _, cut := range state.Cut {
		if cut == cluster.Reject {
			return errors.New("simulated links carry messages, and have no connections to reset; they can be cut by drop and hold")
		}
	}
	for _, s := range state.Shape {
		if s.Corrupt > 0 && s.Disguise {
			return errors.New("simulated messages have no bits to flip; they can only be corrupted such that they are dropped")
		}
	}
	return nil
}

// Apply implements cluster.Network: all links change at the same instant.
func (n network) Apply(ctx context.Context, state cluster.LinkState) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := n.Can(state); err != nil {
		return err
	}
	cuts, shapes := map[int]cluster.Cut{}, map[int]cluster.Shape{}
	for l, cut := range state.Cut {
		i, err := n.index(l)
		if err != nil {
			return fmt.Errorf("cut link %s -> %s: %w", l.From, l.To, err)
		}
		cuts[i] = cut
	}
	for l, s := range state.Shape {
		i, err := n.index(l)
		if err != nil {
			return fmt.Errorf("shape link %s -> %s: %w", l.From, l.To, err)
		}
		shapes[i] = s
	}
	for i := range n.w.links {
		n.w.change(&n.w.links[i], cuts[i], shapes[i])
	}
	return nil
}

// change sets what a link does, and lets go of what it held.
func (w *World) change(l *link, cut cluster.Cut, shape cluster.Shape) {
	l.cut, l.shape = cut, shape
	if cut == cluster.Open && shape == (cluster.Shape{}) {
		l.count = 0
	}
	if cut == cluster.Hold {
		return
	}
	held := l.held
	l.held = nil
	for _, p := range held {
		if cut == cluster.Open {
			w.post(w.now, p.h, p.kind, p.a, 0, p.p)
		}
	}
}

// index finds a link by names.
func (n network) index(l cluster.Link) (int, error) {
	from, ok1 := n.end(l.From)
	to, ok2 := n.end(l.To)
	if !ok1 || !ok2 || from == to {
		return 0, errors.New("no such link")
	}
	return from*(len(n.w.hosts)+1) + to, nil
}

func (n network) end(name string) (int, bool) {
	if name == cluster.Clients {
		return n.w.clientSide(), true
	}
	i, ok := n.w.byName[name]
	return i, ok
}

// all lists the links, those of the clients last.
func (n network) all() []cluster.Link {
	links := cluster.Links(n.w.cfg.Nodes)
	for _, node := range n.w.cfg.Nodes {
		links = append(links, cluster.Link{From: cluster.Clients, To: node}, cluster.Link{From: node, To: cluster.Clients})
	}
	return links
}

// canaries is how many are sent over each link of a probe where some may get
// lost.
const canaries = 8

// Probe implements cluster.Network.
func (n network) Probe(ctx context.Context) (cluster.Reach, error) {
	links := n.all()
	copies := 1
	for _, l := range n.w.links {
		if n.w.cfg.Loss > 0 || l.shape.Loss > 0 || l.shape.Corrupt > 0 {
			copies = canaries
		}
	}
	qualities, err := n.Measure(ctx, links, copies, 0)
	if err != nil {
		return nil, fmt.Errorf("probe links: %w", err)
	}
	reach := cluster.Reach{}
	for _, l := range links {
		reach[l] = qualities[l].Arrived > 0
	}
	return reach, nil
}

// Measure implements cluster.Network. Canaries are answered by the machines
// and not by the processes: they measure the link, also to a dead node.
func (n network) Measure(ctx context.Context, links []cluster.Link, count int, over time.Duration) (map[cluster.Link]cluster.Quality, error) {
	m := &measurement{w: n.w}
	for _, l := range links {
		i, err := n.index(l)
		if err != nil {
			return nil, fmt.Errorf("measure link %s -> %s: %w", l.From, l.To, err)
		}
		m.flights = append(m.flights, &flight{link: &n.w.links[i], base: n.base(l), seen: map[int]bool{}})
	}
	var longest time.Duration
	for i := range count {
		for _, f := range m.flights {
			longest = max(longest, f.base.longest()+f.link.shape.Delay+10*f.link.shape.Jitter)
			n.w.After(over*time.Duration(i)/time.Duration(count), func() { m.launch(f, i) })
		}
	}
	// A message may arrive twice, the second one after a second delay.
	if err := n.w.Sleep(ctx, over+2*longest); err != nil {
		return nil, fmt.Errorf("wait for canaries: %w", err)
	}
	qualities := map[cluster.Link]cluster.Quality{}
	for i, l := range links {
		qualities[l] = m.flights[i].quality(count)
	}
	return qualities, nil
}

// base is the delay of a link that nobody shapes.
func (n network) base(l cluster.Link) Delay {
	if l.From == cluster.Clients || l.To == cluster.Clients {
		return n.w.cfg.Client
	}
	return n.w.cfg.Link
}

// measurement is canaries under way.
type measurement struct {
	w       *World
	flights []*flight
}

// flight is the canaries of one link.
type flight struct {
	link       *link
	base       Delay
	last       time.Duration
	landed     []int // the numbers of those that arrived, in order
	latencies  []time.Duration
	seen       map[int]bool
	duplicates int
}

// launch sends a canary as send does a message.
func (m *measurement) launch(f *flight, number int) {
	l, now := f.link, m.w.now
	b := l.bend(l.canary)
	at := now + f.base.draw(l.canary) + b.extra
	if !b.overtakes {
		at = max(at, f.last)
		f.last = at
	}
	if b.lost || chance(l.canary, m.w.cfg.Loss) {
		return
	}
	land := func() { f.land(number, m.w.now-now) }
	m.w.After(at-now, land)
	if b.twice || chance(l.canary, m.w.cfg.Duplicate) {
		m.w.After(at-now+f.base.draw(l.canary), land)
	}
}

// land counts a canary that arrives, if the link lets it.
func (f *flight) land(number int, took time.Duration) {
	if f.link.cut != cluster.Open {
		f.link.count++
		return
	}
	if f.seen == nil {
		f.seen = map[int]bool{}
	}
	if f.seen[number] {
		f.duplicates++
		return
	}
	f.seen[number] = true
	f.landed = append(f.landed, number)
	f.latencies = append(f.latencies, took)
}

// overtakers counts the canaries that came before one that was sent earlier.
func (f *flight) overtakers() int {
	n, least := 0, math.MaxInt
	for _, number := range slices.Backward(f.landed) {
		if number > least {
			n++
		}
		least = min(least, number)
	}
	return n
}

func (f *flight) quality(sent int) cluster.Quality {
	q := cluster.Quality{Sent: sent, Arrived: len(f.landed), Duplicates: f.duplicates, Reordered: f.overtakers()}
	if q.Arrived == 0 {
		return q
	}
	slices.Sort(f.latencies)
	q.Min, q.Max = f.latencies[0], f.latencies[q.Arrived-1]
	q.P50, q.P99 = f.latencies[q.Arrived/2], f.latencies[q.Arrived*99/100]
	return q
}

// Counters implements cluster.Network.
func (n network) Counters(ctx context.Context) (map[cluster.Link]uint64, error) {
	counters := map[cluster.Link]uint64{}
	for _, l := range n.all() {
		i, err := n.index(l)
		if err != nil {
			return nil, err
		}
		if c := n.w.links[i].count; c > 0 {
			counters[l] = c
		}
	}
	return counters, ctx.Err()
}

// Reset implements cluster.Network. There are no connections, and no back-off.
func (n network) Reset(ctx context.Context, _ []cluster.Link) error { return ctx.Err() }

var _ cluster.Network = network{}
