package links

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/capstan-dev/capstan/cluster"
)

// The chains that are ours. Each is jumped to from the top of the kernel's
// chain of that direction.
const (
	chainIn  = "CAPSTAN-IN"
	chainOut = "CAPSTAN-OUT"
)

// family is IPv4 or IPv6.
type family struct {
	v6      bool
	base    string // of the commands' names
	resetBy string // the answer to what is rejected and not TCP
	// multicast and the like go on under a fence: neighbours are found by it.
	everyone []string
}

func families() []family {
	return []family{
		{base: "iptables", resetBy: "icmp-port-unreachable", everyone: []string{"224.0.0.0/4", "255.255.255.255/32"}},
		{v6: true, base: "ip6tables", resetBy: "icmp6-port-unreachable", everyone: []string{"ff00::/8"}},
	}
}

func (f family) has(a netip.Addr) bool { return a.Is4() != f.v6 }

// table is what a restore is fed for one family, up to its COMMIT. Drops of
// incoming packets are at the receiver, as on a real network: a sender that
// drops tells its own applications. What is rejected is rejected at the
// sender, so that it learns at once.
func (f family) table(r Rules, canaries int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*filter\n:%s - [0:0]\n:%s - [0:0]\n", chainIn, chainOut)
	for _, rule := range r.In {
		f.cut(&b, chainIn, "-s", rule)
	}
	for _, rule := range r.Out {
		f.cut(&b, chainOut, "-d", rule)
	}
	if r.Fence {
		f.fence(&b, r.Friends, canaries)
	}
	return b.String()
}

func (f family) cut(b *strings.Builder, chain, side string, r Rule) {
	for _, a := range r.Addrs {
		if !f.has(a) {
			continue
		}
		switch r.Cut {
		case cluster.Drop:
			fmt.Fprintf(b, "-A %s %s %s -j DROP\n", chain, side, a)
		case cluster.Reject:
			fmt.Fprintf(b, "-A %s %s %s -p tcp -j REJECT --reject-with tcp-reset\n", chain, side, a)
			fmt.Fprintf(b, "-A %s %s %s -j REJECT --reject-with %s\n", chain, side, a, f.resetBy)
		}
	}
}

// fence ends the connections that the node opened, but for those to friends.
// What it answers to others goes on: those are the clients.
func (f family) fence(b *strings.Builder, friends []netip.Addr, canaries int) {
	fmt.Fprintf(b, "-A %s -o lo -j RETURN\n", chainOut)
	fmt.Fprintf(b, "-A %s -p udp --sport %d -j RETURN\n", chainOut, canaries)
	for _, a := range friends {
		if f.has(a) {
			fmt.Fprintf(b, "-A %s -d %s -j RETURN\n", chainOut, a)
		}
	}
	for _, net := range f.everyone {
		fmt.Fprintf(b, "-A %s -d %s -j RETURN\n", chainOut, net)
	}
	fmt.Fprintf(b, "-A %s -m conntrack --ctdir ORIGINAL -j DROP\n", chainOut)
}
