package docker

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/cluster/agent/links"
)

// Measure implements cluster.Network: IPv4 canaries, whose senders and
// receivers read the same clock. A link that cannot be measured is an error.
func (w *Network) Measure(ctx context.Context, ls []cluster.Link, count int, over time.Duration) (map[cluster.Link]cluster.Quality, error) {
	all, known := map[cluster.Link]cluster.Quality{}, w.links()
	f := newFlock()
	f.Count, f.Millis = count, int(over.Milliseconds())
	defer w.forget(f)
	w.mu.Lock()
	want := w.want
	w.mu.Unlock()
	var late time.Duration
	for _, l := range ls {
		if !slices.Contains(known, l) {
			return nil, fmt.Errorf("measure links: no canaries between %q and %q", l.From, l.To)
		}
		late = max(late, lateness(want.Shape[l]))
	}
	if err := w.release(ctx, f, ls); err != nil {
		return nil, fmt.Errorf("measure links: %w", err)
	}
	got := &arrivals{}
	complete, came := false, 0
	for end, round := time.Now().Add(late+canaryPause), 0; ; round++ {
		if err := w.collect(ctx, f, got); err != nil {
			return nil, fmt.Errorf("measure links: %w", err)
		}
		// On a busy machine they trickle in.
		if n := got.total(ls); n > came {
			came = n
			end = later(end, time.Now().Add(trickle))
		}
		missing := slices.ContainsFunc(ls, func(l cluster.Link) bool { return got.seen[route{l, false}].Arrived < count })
		if complete || time.Now().After(end) {
			break
		}
		complete = !missing && round > 0 // once more, for duplicates
		if err := pause(ctx, canaryPause); err != nil {
			return nil, fmt.Errorf("measure links: %w", err)
		}
	}
	for _, l := range ls {
		q := got.seen[route{l, false}]
		q.Sent = count
		all[l] = q
	}
	return all, nil
}

// trickle is how long nothing may come before the rest is taken for lost.
const trickle = 4 * canaryPause

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// total is how many came over some links.
func (g *arrivals) total(ls []cluster.Link) (n int) {
	for _, l := range ls {
		n += g.seen[route{l, false}].Arrived
	}
	return n
}

// release sends a flock over each of the links.
func (w *Network) release(ctx context.Context, f links.Flock, ls []cluster.Link) error {
	targets := map[string][]netip.Addr{}
	for _, l := range ls {
		for _, m := range w.members {
			if m.name == l.To {
				targets[l.From] = append(targets[l.From], m.ip)
			}
		}
		if l.To == cluster.Clients {
			targets[l.From] = append(targets[l.From], w.clientsAt(l.From))
		}
	}
	return join(
		func() error {
			if ts := targets[cluster.Clients]; ts != nil {
				f := f
				f.Targets = ts
				w.clients.Send(f, canaryPort, ctx.Done())
			}
			return ctx.Err()
		},
		func() error {
			return w.each(func(m *member) error {
				if targets[m.name] == nil {
					return nil
				}
				f := f
				f.Targets = targets[m.name]
				return m.agent.call(ctx, links.VerbSend, f, nil)
			})
		})
}

// clientsAt is the harness' address on a node's network.
func (w *Network) clientsAt(string) netip.Addr {
	addrs := w.clients.Addrs()
	return addrs[slices.IndexFunc(addrs, netip.Addr.Is4)]
}
