package cluster

import (
	"context"
	"errors"
	"time"
)

// Clients stands for the harness in links: Link{Clients, "n1"} carries what
// clients send to n1, Link{"n1", Clients} the answers.
const Clients = "clients"

// Link is directed: the packets from one node to another.
type Link struct{ From, To string }

// Links are all links between nodes, in the order of the nodes.
func Links(nodes []string) []Link {
	var all []Link
	for _, from := range nodes {
		for _, to := range nodes {
			if from != to {
				all = append(all, Link{From: from, To: to})
			}
		}
	}
	return all
}

// Cut is what happens to the packets of a link.
type Cut uint8

// The ways to cut a link. Of two that are wanted at the same time the larger
// one is in force.
const (
	Open Cut = iota
	// Reject answers TCP with a reset and everything else with an ICMP error:
	// the sender learns at once.
	Reject
	// Hold keeps the packets and delivers them, in order, when the link is
	// opened again.
	Hold
	// Drop drops at the receiver; the sender learns nothing.
	Drop
)

// Shape is what a link does to the packets that it carries. The zero value
// carries them as they come.
type Shape struct {
	// Delay is added to each packet; Jitter is the spread of that delay, by
	// Distribution.
	Delay, Jitter time.Duration
	Distribution  Distribution
	// Loss, Duplicate, Reorder and Corrupt are probabilities for each packet.
	// A reordered packet skips the delay. A corrupted one has one bit of its
	// payload flipped.
	Loss, Duplicate, Reorder, Corrupt float64
	// Disguise makes the checksums of corrupted packets right again, so that
	// they reach the application instead of looking like loss.
	Disguise bool
	// Rate in bits a second; 0 is no limit.
	Rate int64
}

// Distribution of delays around the mean.
type Distribution string

// The distributions; the empty one is Uniform.
const (
	Uniform Distribution = "uniform" // Delay ± Jitter
	Normal  Distribution = "normal"  // Jitter is the standard deviation
	Pareto  Distribution = "pareto"  // a long tail above Delay, of scale Jitter
)

// LinkState is the desired state of all links. The zero value is the healed
// network.
type LinkState struct {
	// Cut holds the links that are cut, and how.
	Cut map[Link]Cut
	// Shape holds the links that are not as they come.
	Shape map[Link]Shape
}

// Reach is what canary traffic measured: for each ordered pair of nodes
// whether packets from From arrived at To. Links from and to Clients are in it
// where they can be measured.
type Reach map[Link]bool

// Quality is what canaries measured on one link.
type Quality struct {
	// Sent and Arrived count canaries; Duplicates those that came again,
	// Reordered those that came before one sent earlier, Corrupted those that
	// came with another content.
	Sent, Arrived, Duplicates, Reordered, Corrupted int
	// Min, P50, P99 and Max are one-way latencies.
	Min, P50, P99, Max time.Duration
}

// ErrLapsed marks a fault that ended before it was healed, e.g. because this
// process hung for longer than the lease that keeps it. Whatever was to be
// done was done; the fault before it did not last.
var ErrLapsed = errors.New("fault ended before its time")

// Mechanism is for networks that have several means to shape a link.
type Mechanism interface {
	// Mechanism says by which one a link is or would be shaped, in words.
	Mechanism(Link, Shape) string
}

// Network changes and measures links.
type Network interface {
	// Can is nil, or says why this network cannot have that state.
	Can(LinkState) error
	// Apply makes the links be as told, all of them. It is idempotent, and
	// returns when the state is in force everywhere. An error that wraps
	// ErrLapsed speaks of the state before.
	Apply(context.Context, LinkState) error
	// Probe sends canaries over every link in both directions and reports
	// which ones arrived. It is traffic over the same links, not a look at
	// the rules.
	Probe(context.Context) (Reach, error)
	// Measure sends count canaries over each of the links, spread over the
	// given time, and waits for those that are late.
	Measure(ctx context.Context, links []Link, count int, over time.Duration) (map[Link]Quality, error)
	// Counters are the packets that the rules of each link have dropped,
	// held or shaped since they are in force; a link without rules has none.
	Counters(context.Context) (map[Link]uint64, error)
	// Reset ends the established TCP connections over the links, so that they
	// are opened anew instead of waiting out their back-off.
	Reset(ctx context.Context, links []Link) error
}
