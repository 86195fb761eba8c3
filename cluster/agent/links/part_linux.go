package links

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"github.com/capstan-dev/capstan/cluster/agent"
)

// part holds the state of one node's links.
type part struct {
	mu      sync.Mutex // one change at a time
	port    int
	wall    *firewall
	why     error // there is no IPv6
	can     mechanisms
	station *Station
	loaded  *Rules
	rules   Rules // in force
}

// New is the part for the network namespace that this process is in.
func New() agent.Part { return &part{} }

// Verbs implements agent.Part.
func (p *part) Verbs() map[string]agent.Verb {
	return map[string]agent.Verb{
		VerbHello:    agent.Do(p.hello),
		VerbLoad:     agent.Do(p.load),
		VerbCommit:   agent.Do(p.commit),
		VerbAbort:    agent.Do(p.abort),
		VerbCounters: agent.Do(p.counters),
		VerbSend:     agent.Do(p.send),
		VerbSeen:     agent.Do(p.seen),
		VerbForget:   agent.Do(p.forget),
	}
}

func (p *part) hello(_ context.Context, h Hello) (Facts, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f, err := p.open(h)
	if err != nil {
		return f, err
	}
	f.Addrs, err = addresses()
	return f, err
}

// open makes the chains and the canary station.
func (p *part) open(h Hello) (f Facts, err error) {
	p.port = h.Port
	if p.wall == nil {
		if p.wall, p.why, err = newFirewall(h.Port); err != nil {
			return f, fmt.Errorf("prepare iptables: %w", err)
		}
	}
	f.V4, f.V6 = true, p.why == nil
	if p.why != nil {
		f.Why = p.why.Error()
	}
	if p.station == nil {
		p.station, err = NewStation(h.Name,
			netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(h.Port)),
			netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(h.Port)))
	}
	return f, err
}

// addresses lists every address of this node, link-local ones included.
func addresses() ([]netip.Addr, error) {
	ifs, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	var all []netip.Addr
	for _, i := range ifs {
		addrs, err := i.Addrs()
		if err != nil {
			return nil, fmt.Errorf("list addresses: %w", err)
		}
		for _, a := range addrs {
			if n, err := netip.ParsePrefix(a.String()); err == nil && i.Flags&net.FlagLoopback == 0 {
				all = append(all, n.Addr())
			}
		}
	}
	return all, nil
}

func (p *part) load(_ context.Context, r Rules) (agent.None, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.loaded = nil
	if p.wall == nil {
		return agent.None{}, errors.New("no hello yet")
	}
	if err := p.wall.load(r, p.can); err != nil {
		return agent.None{}, err
	}
	p.loaded = &r
	return agent.None{}, nil
}

func (p *part) commit(context.Context, agent.None) (Done, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.loaded == nil {
		return Done{}, errors.New("nothing is loaded")
	}
	r := *p.loaded
	p.loaded = nil
	err := p.wall.commit()
	d := Done{At: Clock()}
	if err == nil {
		p.rules = r
	}
	return d, err
}

func (p *part) abort(context.Context, agent.None) (agent.None, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.loaded = nil
	if p.wall != nil {
		p.wall.abort()
	}
	return agent.None{}, nil
}

// Heal implements agent.Part: it empties our chains, and nothing else.
func (p *part) Heal() error {
	if p.wall == nil {
		return nil
	}
	if _, err := p.load(context.Background(), Rules{}); err != nil {
		return err
	}
	_, err := p.commit(context.Background(), agent.None{})
	return err
}

func (p *part) counters(context.Context, agent.None) (Counts, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := Counts{In: map[string]uint64{}, Out: map[string]uint64{}}
	in, out := peers(p.rules.In), peers(p.rules.Out)
	if p.wall == nil {
		return c, errors.New("no hello yet")
	}
	err := p.wall.counters(func(chain string, peer netip.Addr, packets uint64) {
		if chain == chainIn {
			c.In[in[peer]] += packets
		} else {
			c.Out[out[peer]] += packets
		}
	})
	return c, err
}

// peers maps addresses to the names of those that have them.
func peers(rules []Rule) map[netip.Addr]string {
	m := map[netip.Addr]string{}
	for _, r := range rules {
		for _, a := range r.Addrs {
			m[a] = r.Peer
		}
	}
	return m
}

func (p *part) send(ctx context.Context, f Flock) (agent.None, error) {
	if p.station == nil {
		return agent.None{}, errors.New("no hello yet")
	}
	p.station.Send(f, p.port, ctx.Done())
	return agent.None{}, ctx.Err()
}

func (p *part) seen(_ context.Context, nonce string) ([]Arrival, error) {
	if p.station == nil {
		return nil, errors.New("no hello yet")
	}
	return p.station.Seen(nonce), nil
}

func (p *part) forget(_ context.Context, nonce string) (agent.None, error) {
	if p.station != nil {
		p.station.Forget(nonce)
	}
	return agent.None{}, nil
}
