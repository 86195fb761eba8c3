package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/capstan-dev/capstan/cluster"
)

// link is one direction between two nodes.
type link struct {
	rng  *rand.Rand
	last time.Duration // arrival of the last message; the next is not before
}

// send puts a message on its way. What is cut is dropped at the receiver, so a
// cut also takes what is in flight when it begins.
func (w *World) send(from, to int, kind uint8, msg any) {
	l := &w.links[from*len(w.hosts)+to]
	at := max(w.now+w.cfg.Link.draw(l.rng), l.last)
	l.last = at
	if w.cfg.Loss > 0 && l.rng.Float64() < w.cfg.Loss {
		return
	}
	w.post(at, w.hosts[to], kind, uint32(from), 0, msg)
	if w.cfg.Duplicate > 0 && l.rng.Float64() < w.cfg.Duplicate {
		l.last += w.cfg.Link.draw(l.rng)
		w.post(l.last, w.hosts[to], kind, uint32(from), 0, msg)
	}
}

// isCut tells whether packets of that link are dropped.
func (w *World) isCut(from, to int) bool { return w.cut[from*len(w.hosts)+to] }

// network is the power over the links.
type network struct{ w *World }

// Apply implements cluster.Network: all links change at the same instant.
func (n network) Apply(ctx context.Context, state cluster.LinkState) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	next := make([]bool, len(n.w.cut))
	for l, cut := range state.Cut {
		from, ok1 := n.w.byName[l.From]
		to, ok2 := n.w.byName[l.To]
		if !ok1 || !ok2 || from == to {
			return fmt.Errorf("cut link %s -> %s: no such link", l.From, l.To)
		}
		next[from*len(n.w.hosts)+to] = cut
	}
	n.w.cut = next
	return nil
}

// canaries is how many are sent over each link where some may get lost.
const canaries = 8

// probe gathers the canaries that arrived.
type probe struct {
	arrived []bool
	missing int
	done    signal
}

// canary is the message of a probe, answered by the host and not by the
// process: it measures the link, also to a dead node.
type canary struct{ p *probe }

// Probe implements cluster.Network.
func (n network) Probe(ctx context.Context) (cluster.Reach, error) {
	size := len(n.w.hosts)
	p := &probe{arrived: make([]bool, size*size), missing: size * (size - 1)}
	copies := 1
	if n.w.cfg.Loss > 0 {
		copies = canaries
	}
	for from := range size {
		for to := range size {
			for c := 0; c < copies && from != to; c++ {
				n.w.send(from, to, hostCanary, canary{p})
			}
		}
	}
	if err := n.w.awaitProbe(ctx, p); err != nil {
		return nil, fmt.Errorf("probe links: %w", err)
	}
	reach := cluster.Reach{}
	for i, ok := range p.arrived {
		if from, to := i/size, i%size; from != to {
			reach[cluster.Link{From: n.w.cfg.Nodes[from], To: n.w.cfg.Nodes[to]}] = ok
		}
	}
	return reach, nil
}

// awaitProbe waits until all have arrived, or until none can any more.
func (w *World) awaitProbe(ctx context.Context, p *probe) error {
	if p.missing == 0 {
		return nil
	}
	limit := w.After(w.settled(), func() { w.fire(&p.done) })
	defer limit.Stop()
	return w.await(ctx, &p.done)
}

// settled is how long it takes until everything that is in flight now has
// arrived.
func (w *World) settled() time.Duration {
	at := w.now
	for i := range w.links {
		at = max(at, w.links[i].last)
	}
	return at - w.now + w.cfg.Link.longest()
}

func (p *probe) arrive(k *Kernel, link int) {
	if p.arrived[link] {
		return
	}
	p.arrived[link] = true
	if p.missing--; p.missing == 0 {
		k.fire(&p.done)
	}
}

var _ cluster.Network = network{}
