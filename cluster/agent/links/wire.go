// Package links is the part of the agent that breaks the links of one node: it
// lives in the node's network namespace, cuts with iptables, shapes with tc
// netem or by holding packets in a queue of its own, and sends and counts the
// canaries that prove it.
package links

import (
	"fmt"
	"net/netip"

	"github.com/capstan-dev/capstan/cluster"
)

// The verbs of this part.
const (
	// VerbHello takes Hello, prepares everything and answers Facts.
	VerbHello = "links.hello"
	// VerbLoad takes Rules and prepares them; VerbCommit puts them in force
	// and answers Done; VerbAbort forgets them.
	VerbLoad   = "links.load"
	VerbCommit = "links.commit"
	VerbAbort  = "links.abort"
	// VerbCounters answers Counts.
	VerbCounters = "links.counters"
	// VerbSend takes Flock and sends it. VerbSeen takes a nonce and answers
	// []Arrival, VerbForget lets go of it.
	VerbSend   = "links.send"
	VerbSeen   = "links.seen"
	VerbForget = "links.forget"
	// VerbReset takes []netip.Addr and answers how many connections to these
	// it ended.
	VerbReset = "links.reset"
)

// Hello introduces the node to its agent.
type Hello struct {
	Name string
	// Port is the UDP port of the canaries.
	Port int
}

// Facts are what the agent found.
type Facts struct {
	// V4 and V6 say which families can be cut, Why what is missing.
	V4, V6 bool
	Why    string
	// Kind is the kind of iptables that works, "nft" or "legacy".
	Kind string
	// NoQueue, NoNetem, NoLoss and NoReset say why packets cannot be handed to
	// the agent, tc netem or a lossy rule of iptables cannot be had, and
	// connections cannot be reset; each is empty if it was exercised.
	NoQueue, NoNetem, NoLoss, NoReset string
	// Addrs are all addresses of the node, link-local ones included, but not
	// those of its loopback.
	Addrs []netip.Addr
}

func (f Facts) mechanisms() mechanisms {
	return mechanisms{loss: f.NoLoss == "", queue: f.NoQueue == "", netem: f.NoNetem == ""}
}

// Netem is true if what the node sends can be shaped by tc netem.
func (f Facts) Netem() bool { return f.mechanisms().netem }

// Can is nil, or says why the node cannot have the rule on what it sends (out)
// or gets.
func (f Facts) Can(r Rule, out bool) error {
	if f.mechanisms().of(r, out) == byQueue && f.NoQueue != "" {
		return fmt.Errorf("tc netem cannot do it here, and packets cannot be queued: %s", f.NoQueue)
	}
	return nil
}

// Mechanism says in words how the node does the rule.
func (f Facts) Mechanism(r Rule, out bool) string {
	return map[mechanism]string{
		byNone: "iptables", byLoss: "iptables statistic", byQueue: "NFQUEUE", byNetem: "tc netem",
	}[f.mechanisms().of(r, out)]
}

// Rules are the desired state of all links of one node. The zero value is the
// healed one.
type Rules struct {
	// In are the links that end at this node, Out those that begin here. The
	// driver says each thing to the end that can do it.
	In, Out []Rule
	// Fence confines the node: it may not talk over connections that it opens
	// itself to anyone but Friends, so that there is no way around a cut
	// through the host.
	Fence   bool
	Friends []netip.Addr
}

// Rule is what is to happen on the link to or from one peer.
type Rule struct {
	Peer  string
	Addrs []netip.Addr
	Cut   cluster.Cut
	Shape cluster.Shape
}

// Done says when a commit was complete.
type Done struct {
	// At is CLOCK_MONOTONIC in nanoseconds, which all containers of a host
	// share.
	At int64
	// Overflow is how many packets of held links had to be dropped before,
	// because there were too many.
	Overflow uint64
}

// Counts are packets by peer, of the rules in force.
type Counts struct{ In, Out map[string]uint64 }

// Flock is canaries to send.
type Flock struct {
	Nonce   string
	Targets []netip.Addr
	// Count is how many go to each target, spread over Millis.
	Count, Millis int
}

// Arrival is what came of a flock from one sender over one family.
type Arrival struct {
	From string
	V6   bool
	// First and Last are when the first and the last one came, by
	// CLOCK_MONOTONIC in nanoseconds.
	First, Last int64
	cluster.Quality
}
