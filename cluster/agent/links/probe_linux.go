package links

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/capstan-dev/capstan/cluster"
)

// probe exercises what the kernel may lack, before there are any rules.
func (p *part) probe(f *Facts) {
	say := func(err error) string {
		if err == nil {
			return ""
		}
		return err.Error()
	}
	f.NoQueue = say(p.probeQueue(f.Addrs))
	f.NoNetem = say(probeNetem())
	if f.NoNetem == "" {
		p.netem.clean()
	}
	f.NoReset = say(probeReset())
	f.NoLoss = say(p.wall.prepareLoss(0.5))
	p.can = f.mechanisms()
}

// probeQueue opens the queues and sends a packet through one.
func (p *part) probeQueue(addrs []netip.Addr) error {
	if err := p.wall.queueing; err != nil {
		return err
	}
	var err error
	if p.engine == nil {
		if p.engine, err = newEngine(uint64(time.Now().UnixNano())); err != nil {
			return err
		}
	}
	target, ok := neighbour(addrs)
	if !ok {
		return errors.New("node has no IPv4 address to exercise the packet queue with")
	}
	rule := Rule{Peer: "nobody", Addrs: []netip.Addr{target}, Shape: cluster.Shape{Loss: 1, Duplicate: 1}}
	if err := p.change(Rules{Out: []Rule{rule}}); err != nil {
		return err
	}
	counted := p.exercise(target)
	return errors.Join(counted, p.change(Rules{}))
}

// exercise sends to an address, and is nil if a queue saw it.
func (p *part) exercise(target netip.Addr) error {
	c, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(target, 9)))
	if err != nil {
		return fmt.Errorf("exercise the packet queue: %w", err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("capstan")); err != nil {
		return fmt.Errorf("exercise the packet queue: %w", err)
	}
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(100 * time.Microsecond) {
		if p.engine.count(laneOut, "nobody") > 0 {
			return nil
		}
	}
	return errors.New("the kernel's packet queue passes packets by")
}

// neighbour is an address on the node's own network that it is not itself. It
// gets no packet.
func neighbour(addrs []netip.Addr) (netip.Addr, bool) {
	for _, a := range addrs {
		if a.Is4() {
			b := a.As4()
			b[3] ^= 1
			return netip.AddrFrom4(b), true
		}
	}
	return netip.Addr{}, false
}

// clean takes away what an agent that was killed left.
func (n netem) clean() {
	for _, d := range n.devices {
		if out, err := run("tc", "qdisc", "show", "dev", d, "root"); err == nil && strings.HasPrefix(out, "qdisc htb 1: root") {
			// An error shows at the first shape.
			_, _ = run("tc", "qdisc", "del", "dev", d, "root")
		}
	}
}

// netemDelay is what a probe of netem lets a packet wait.
const netemDelay = 5 * time.Millisecond

// probeNetem delays a packet on the loopback, where nothing else is yet.
func probeNetem() (err error) {
	if _, err := run("tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", micros(netemDelay)); err != nil {
		return err
	}
	defer func() {
		_, e := run("tc", "qdisc", "del", "dev", "lo", "root")
		err = errors.Join(err, e)
	}()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	defer c.Close()
	start := time.Now()
	if _, err := c.WriteTo([]byte("capstan"), c.LocalAddr()); err != nil {
		return err
	}
	if err := c.SetReadDeadline(start.Add(time.Second)); err != nil {
		return err
	}
	if _, err := c.Read(make([]byte, 16)); err != nil {
		return err
	}
	if took := time.Since(start); took < netemDelay {
		return fmt.Errorf("netem does not delay: a packet took %v", took)
	}
	return nil
}
