package links

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/capstan-dev/capstan/cluster"
)

// Our chains. IN and OUT are jumped to from the top of the kernel's chains,
// in the tables filter and mangle, and are all that ever changes: their rules
// have the form "to or from that address: that target". The targets that take
// more to say are chains, made once.
const (
	chainIn       = "CAPSTAN-IN"
	chainOut      = "CAPSTAN-OUT"
	chainReject   = "CAPSTAN-REJECT"
	chainFence    = "CAPSTAN-FENCE"
	chainQueueIn  = "CAPSTAN-QUEUE-IN"
	chainQueueOut = "CAPSTAN-QUEUE-OUT"
	// chainCount is empty: it counts what is shaped elsewhere.
	chainCount = "CAPSTAN-COUNT"
	// chainLoss is completed with the parts in a million that it drops.
	chainLoss = "CAPSTAN-LOSS-"
)

// The queues, and the mark of packets that went through one.
const (
	queueIn, queueOut = 21347, 21348
	queueMark         = 0x63617073
)

// family is IPv4 or IPv6.
type family struct {
	v6      bool
	base    string // of the commands' names
	resetBy string // the answer to what is rejected and not TCP
	// everyone is multicast and the like: neighbours are found by it.
	everyone []string
}

func families() []family {
	return []family{
		{base: "iptables", resetBy: "icmp-port-unreachable", everyone: []string{"224.0.0.0/4", "255.255.255.255/32"}},
		{v6: true, base: "ip6tables", resetBy: "icmp6-port-unreachable", everyone: []string{"ff00::/8"}},
	}
}

func (f family) has(a netip.Addr) bool { return a.Is4() != f.v6 }

// chains is what makes the chains of the filter table. A reset passes: it is
// what tells the other end of a rejected connection.
func (f family) chains(canaries int, owned string) string {
	var b strings.Builder
	for _, c := range []string{chainIn, chainOut, chainReject, chainFence, chainCount} {
		fmt.Fprintf(&b, ":%s - [0:0]\n", c)
	}
	add := func(chain, rule string, args ...any) { fmt.Fprintf(&b, "-A "+chain+" "+rule+"\n", args...) }
	add(chainReject, "-p tcp --tcp-flags RST RST -j RETURN")
	add(chainReject, "-p tcp -j REJECT --reject-with tcp-reset")
	add(chainReject, "-j REJECT --reject-with %s", f.resetBy)
	// The fence ends connections that the node opened. What it answers to
	// others goes on: those are the clients.
	add(chainFence, "-p udp --sport %d -j RETURN", canaries)
	for _, net := range f.everyone {
		add(chainFence, "-d %s -j RETURN", net)
	}
	add(chainFence, "%s -j DROP", owned)
	return "*filter\n" + b.String() + "COMMIT\n"
}

// ownedMatches match packets of connections that the node opened: all of
// them, or, where the kernel does not track connections, their first.
func ownedMatches() []string { return []string{"-m conntrack --ctdir ORIGINAL", "-p tcp --syn"} }

// queues is what makes the chains of the mangle table. Without a listener its
// packets pass.
func (f family) queues() string {
	return fmt.Sprintf("*mangle\n:%s - [0:0]\n:%s - [0:0]\n:%s - [0:0]\n:%s - [0:0]\n", chainIn, chainOut, chainQueueIn, chainQueueOut) +
		fmt.Sprintf("-A %s -j NFQUEUE --queue-num %d --queue-bypass\n", chainQueueIn, queueIn) +
		fmt.Sprintf("-A %s -m mark ! --mark %#x -j NFQUEUE --queue-num %d --queue-bypass\n", chainQueueOut, queueMark, queueOut) +
		"COMMIT\n"
}

// losing is what makes the chain that drops a share of all packets.
func losing(loss float64) (chain, text string) {
	chain = fmt.Sprintf("%s%d", chainLoss, int(loss*1e6+0.5))
	return chain, fmt.Sprintf("*filter\n:%s - [0:0]\n-A %s -m statistic --mode random --probability %.6f -j DROP\nCOMMIT\n", chain, chain, loss)
}

// leastLoss is what a chain's name can say.
const leastLoss = 1e-6

// line is one rule: what comes from, or goes to, that address goes to that
// target.
type line struct {
	table, chain string
	addr         netip.Addr // any if it is not valid
	target       string
}

// lines are the rules of a state. What is dropped is dropped at the receiver,
// as on a real network: a sender that drops tells its own applications. What
// is rejected is rejected at the sender, so that it learns at once.
func lines(r Rules, m mechanisms) []line {
	var ls []line
	for _, rule := range r.In {
		ls = rule.lines(ls, chainIn, chainQueueIn, m)
	}
	for _, rule := range r.Out {
		ls = rule.lines(ls, chainOut, chainQueueOut, m)
	}
	if r.Fence {
		for _, a := range r.Friends {
			ls = append(ls, line{"filter", chainOut, a, "RETURN"})
		}
		ls = append(ls, line{"filter", chainOut, netip.Addr{}, chainFence})
	}
	return ls
}

func (r Rule) lines(ls []line, chain, queue string, m mechanisms) []line {
	for _, a := range r.Addrs {
		switch r.Cut {
		case cluster.Drop:
			ls = append(ls, line{"filter", chain, a, "DROP"})
		case cluster.Reject:
			ls = append(ls, line{"filter", chain, a, chainReject})
		}
		switch m.of(r, chain == chainOut) {
		case byLoss:
			c, _ := losing(r.Shape.Loss)
			ls = append(ls, line{"filter", chain, a, c})
		case byQueue:
			ls = append(ls, line{"mangle", chain, a, queue})
		case byNetem:
			ls = append(ls, line{"filter", chain, a, chainCount})
		}
	}
	return ls
}

// mechanism is how a rule beyond a plain cut is done.
type mechanism uint8

const (
	byNone mechanism = iota
	byLoss
	byQueue
	byNetem
)

// mechanisms are those that the kernel has.
type mechanisms struct{ loss, queue, netem bool }

// of chooses. A lossy link that only loses takes a rule of iptables, which
// costs nothing; not for what is sent, whose sender would be told. netem can
// do all else that is sent, but repair the checksums of what it corrupts.
func (m mechanisms) of(r Rule, out bool) mechanism {
	switch s := r.Shape; {
	case r.Cut == cluster.Hold:
		return byQueue
	case s == cluster.Shape{}:
		return byNone
	case m.loss && !out && s == cluster.Shape{Loss: s.Loss} && s.Loss >= leastLoss:
		return byLoss
	case m.netem && out && !s.Disguise:
		return byNetem
	}
	return byQueue
}

// table renders the rules of one table and family for iptables-restore, up to
// the COMMIT.
func (f family) table(name string, ls []line) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%s\n:%s - [0:0]\n:%s - [0:0]\n", name, chainIn, chainOut)
	for _, l := range ls {
		switch {
		case l.table != name:
		case !l.addr.IsValid():
			fmt.Fprintf(&b, "-A %s -j %s\n", l.chain, l.target)
		case f.has(l.addr):
			side := "-s"
			if l.chain == chainOut {
				side = "-d"
			}
			fmt.Fprintf(&b, "-A %s %s %s -j %s\n", l.chain, side, l.addr, l.target)
		}
	}
	return b.String()
}
