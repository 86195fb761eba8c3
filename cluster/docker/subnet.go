package docker

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"strings"

	"github.com/docker/docker/api/types/network"
)

// Subnets are /24s of 10.128.0.0/9, which neither Docker's own pools nor home
// networks use by default. Nodes count from .11, the gateway is .1.
const (
	subnets    = 1 << 15
	gateway    = 1
	firstNode  = 11
	maxNodes   = 240
	poolTrials = 32
)

var errNoSubnet = errors.New("no free subnet in 10.128.0.0/9")

// plan is the addresses of one run's network.
type plan struct {
	v4, v6 netip.Prefix
}

func planOf(n uint32) plan {
	hi, lo := byte(128+n>>8&127), byte(n)
	v6 := [16]byte{0: 0xfd, 1: 0xca, 2: 0x95, 3: 0x7a, 4: hi, 5: lo}
	return plan{
		v4: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, hi, lo, 0}), 24),
		v6: netip.PrefixFrom(netip.AddrFrom16(v6), 64),
	}
}

// gateways are the addresses that the host has in the network.
func (p plan) gateways(v6 bool) []netip.Addr {
	gs := []netip.Addr{host(p.v4, gateway)}
	if v6 {
		gs = append(gs, host(p.v6, gateway))
	}
	return gs
}

// host is the n-th address of a subnet.
func host(p netip.Prefix, n int) netip.Addr {
	b := p.Addr().AsSlice()
	b[len(b)-1] = byte(n)
	a, _ := netip.AddrFromSlice(b)
	return a
}

// createNetwork makes the run's network on a free subnet. The search starts
// at a place of the run's own, so that runs side by side seldom collide, and
// goes on where the engine finds an overlap that could not be seen from here.
func (e *Engine) createNetwork(ctx context.Context, name, runID string, labels map[string]string, v6 bool) (string, plan, error) {
	taken, err := e.takenSubnets(ctx)
	if err != nil {
		return "", plan{}, err
	}
	h := fnv.New32a()
	h.Write([]byte(runID))
	trials := 0
	for i := uint32(0); i < subnets && trials < poolTrials; i++ {
		p := planOf((h.Sum32() + i) % subnets)
		if overlaps(p.v4, taken) || overlaps(p.v6, taken) {
			continue
		}
		trials++
		id, err := e.tryNetwork(ctx, name, p, labels, v6)
		if err == nil {
			return id, p, nil
		}
		if !strings.Contains(strings.ToLower(err.Error()), "overlap") {
			return "", plan{}, fmt.Errorf("create network %s: %w", name, err)
		}
	}
	return "", plan{}, fmt.Errorf("create network %s: %w", name, errNoSubnet)
}

func (e *Engine) tryNetwork(ctx context.Context, name string, p plan, labels map[string]string, v6 bool) (string, error) {
	config := []network.IPAMConfig{{Subnet: p.v4.String(), Gateway: host(p.v4, gateway).String()}}
	if v6 {
		config = append(config, network.IPAMConfig{Subnet: p.v6.String(), Gateway: host(p.v6, gateway).String()})
	}
	made, err := e.api.NetworkCreate(ctx, name, network.CreateOptions{
		Driver: "bridge", EnableIPv6: &v6, Labels: labels,
		IPAM: &network.IPAM{Driver: "default", Config: config},
	})
	return made.ID, err
}

// takenSubnets are those of the engine's networks and of this machine.
func (e *Engine) takenSubnets(ctx context.Context) ([]netip.Prefix, error) {
	nets, err := e.api.NetworkList(ctx, network.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list networks: %w", err)
	}
	var taken []netip.Prefix
	add := func(s string) {
		if p, err := netip.ParsePrefix(s); err == nil {
			taken = append(taken, p.Masked())
		}
	}
	for _, n := range nets {
		for _, c := range n.IPAM.Config {
			add(c.Subnet)
		}
	}
	if addrs, err := net.InterfaceAddrs(); err == nil && !e.remote() {
		for _, a := range addrs {
			add(a.String())
		}
	}
	return taken, nil
}

func overlaps(p netip.Prefix, taken []netip.Prefix) bool {
	for _, t := range taken {
		if p.Overlaps(t) {
			return true
		}
	}
	return false
}
