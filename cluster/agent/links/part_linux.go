package links

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/cluster/agent"
)

// part holds the state of one node's links.
type part struct {
	mu      sync.Mutex // one change at a time
	port    int
	wall    *firewall
	why     error // there is no IPv6
	can     mechanisms
	engine  *engine // nil if there is none
	netem   netem
	next    netem  // loaded
	tc      *batch // loaded
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
		VerbReset:    agent.Do(p.reset),
	}
}

func (p *part) hello(_ context.Context, h Hello) (Facts, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f, err := p.open(h)
	if err != nil {
		return f, err
	}
	if f.Addrs, err = addresses(); err != nil {
		return f, err
	}
	if p.netem.devices, err = devices(); err != nil {
		return f, err
	}
	p.probe(&f)
	return f, nil
}

// devices are the interfaces that lead out of the node.
func devices() (names []string, err error) {
	ifs, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	for _, i := range ifs {
		if i.Flags&net.FlagLoopback == 0 && i.Flags&net.FlagUp != 0 {
			names = append(names, i.Name)
		}
	}
	return names, nil
}

// open makes the chains and the canary station.
func (p *part) open(h Hello) (f Facts, err error) {
	p.port = h.Port
	if p.wall == nil {
		if p.wall, p.why, err = newFirewall(h.Port); err != nil {
			return f, fmt.Errorf("prepare iptables: %w", err)
		}
	}
	f.Kind, f.V4, f.V6 = p.wall.kind, true, p.why == nil
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
	return agent.None{}, p.prepare(r)
}

func (p *part) prepare(r Rules) error {
	if p.wall == nil {
		return errors.New("no hello yet")
	}
	p.drop()
	if err := p.wall.load(r, p.can); err != nil {
		return err
	}
	var commands []string
	p.next, commands = p.netem.change(only(r.Out, func(r Rule) bool { return p.can.of(r, true) == byNetem }))
	var err error
	if p.tc, err = loadBatch(commands); err != nil {
		return err
	}
	p.loaded = &r
	return nil
}

// only are the rules that f picks.
func only(rules []Rule, f func(Rule) bool) (some []Rule) {
	for _, r := range rules {
		if f(r) {
			some = append(some, r)
		}
	}
	return some
}

func (p *part) commit(context.Context, agent.None) (Done, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.loaded == nil {
		return Done{}, errors.New("nothing is loaded")
	}
	err := p.execute()
	d := Done{At: Clock()}
	if p.engine != nil {
		d.Overflow = p.engine.overflow()
	}
	return d, err
}

// execute puts what is loaded in force. The queues' lanes change first: what
// waits there goes on before what comes after the rules are gone.
func (p *part) execute() error {
	r, tc := *p.loaded, p.tc
	p.loaded, p.tc = nil, nil
	var errs []error
	if p.engine != nil {
		queued := func(out bool) func(Rule) bool {
			return func(r Rule) bool { return r.Cut != cluster.Open || p.can.of(r, out) == byQueue }
		}
		errs = append(errs, p.engine.set(only(r.In, queued(false)), only(r.Out, queued(true))))
	}
	errs = append(errs, p.wall.commit(), tc.commit())
	err := errors.Join(errs...)
	if err == nil {
		p.rules, p.netem = r, p.next
	}
	return err
}

// change puts rules in force at once.
func (p *part) change(r Rules) error {
	if err := p.prepare(r); err != nil {
		return err
	}
	return p.execute()
}

// drop forgets what is loaded.
func (p *part) drop() {
	p.wall.abort()
	p.tc.abort()
	p.loaded, p.tc = nil, nil
}

func (p *part) abort(context.Context, agent.None) (agent.None, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wall != nil {
		p.drop()
	}
	return agent.None{}, nil
}

// Heal implements agent.Part: it empties our chains, and nothing else, and
// lets all packets go that were held back.
func (p *part) Heal() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wall == nil {
		return nil
	}
	return p.change(Rules{})
}

func (p *part) counters(context.Context, agent.None) (Counts, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := Counts{In: map[string]uint64{}, Out: map[string]uint64{}}
	in, out := peers(p.rules.In), peers(p.rules.Out)
	if p.wall == nil {
		return c, errors.New("no hello yet")
	}
	seen := map[counter]uint64{}
	err := p.wall.counters(func(k counter, packets uint64) {
		seen[k] = max(seen[k], packets) // one packet passes several tables
	})
	for k, n := range seen {
		if k.chain == chainIn {
			c.In[in[k.peer]] += n
		} else {
			c.Out[out[k.peer]] += n
		}
	}
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

func (p *part) reset(_ context.Context, peers []netip.Addr) (int, error) { return reset(peers) }
