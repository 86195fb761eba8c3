package sim

import (
	"context"
	"fmt"
	"time"

	"github.com/capstan-dev/capstan/cluster"
)

// Config shapes a simulated cluster. The zero value of a delay is none.
type Config struct {
	Seed  uint64
	Nodes []string
	// Link is the one-way delay between two nodes, Client that between a
	// client and its node, Sync the time that a disk takes to sync, Boot that
	// of a process to start.
	Link, Client, Sync Delay
	Boot               time.Duration
	// Loss and Duplicate are the shares of messages between nodes that are
	// lost and that arrive twice. Messages of a link arrive in order.
	Loss, Duplicate float64
	// Trace sees each message between nodes as it is delivered, if not nil.
	Trace func(at time.Duration, from, to int, msg any)
}

// LAN gives the delays of one region with several zones.
func LAN(seed uint64, nodes []string) Config {
	return Config{
		Seed:   seed,
		Nodes:  nodes,
		Link:   Delay{Base: time.Millisecond, Jitter: 500 * time.Microsecond},
		Client: Delay{Base: 300 * time.Microsecond, Jitter: 200 * time.Microsecond},
		Sync:   Delay{Base: 800 * time.Microsecond, Jitter: 400 * time.Microsecond},
		Boot:   100 * time.Millisecond,
	}
}

// Server is the process of a node: a state machine that the world drives. Its
// methods and callbacks run one at a time and must not wait.
type Server interface {
	// Receive takes a message from another node, by index. Messages are
	// values that nobody changes after sending.
	Receive(from int, msg any)
	// Request takes a call of a client, and replies to it now, later or never.
	Request(*Call)
}

// Boot makes the process of a node, from what is on its disk.
type Boot func(*Env) Server

// World is a simulated cluster: a kernel with nodes and links.
type World struct {
	*Kernel
	cfg     Config
	boot    Boot
	hosts   []*host
	links   []link
	byName  map[string]int
	clients uint64
	opened  time.Duration // when the first client connected; 0 if none has
}

// NewWorld makes the nodes and starts their processes.
func NewWorld(cfg Config, boot Boot) *World {
	n := len(cfg.Nodes)
	w := &World{
		Kernel: New(),
		cfg:    cfg,
		boot:   boot,
		links:  make([]link, (n+1)*(n+1)),
		byName: make(map[string]int, n),
	}
	for i := range w.links {
		from, to := uint64(i/(n+1)), uint64(i%(n+1))
		w.links[i].rng = stream(cfg.Seed, streamLink, from, to)
		w.links[i].shaper = stream(cfg.Seed, streamShape, from, to)
		w.links[i].canary = stream(cfg.Seed, streamCanary, from, to)
	}
	for i, name := range cfg.Nodes {
		w.byName[name] = i
		w.hosts = append(w.hosts, newHost(w, i, name))
	}
	for _, h := range w.hosts {
		h.start()
	}
	return w
}

// Cluster gives the powers over the world. The caller adds what only the
// system on it can answer.
func (w *World) Cluster() *cluster.Cluster {
	return &cluster.Cluster{
		Nodes:   append([]string(nil), w.cfg.Nodes...),
		Runtime: w,
		Net:     network{w},
		Procs:   processes{w},
		Clocks:  clocks{w},
		Disks:   disks{w},
		Why: map[string]string{
			"Limits":  "a simulated process computes in no time and needs no memory",
			"Members": "the nodes of a simulated cluster are fixed",
		},
	}
}

// Log is what the node's processes have logged.
func (w *World) Log(node string) []byte {
	if i, ok := w.byName[node]; ok {
		return w.hosts[i].log
	}
	return nil
}

// Opened is when the first client connected.
func (w *World) Opened() time.Duration { return w.opened }

// host finds a node by name.
func (w *World) host(node string) (*host, error) {
	i, ok := w.byName[node]
	if !ok {
		return nil, fmt.Errorf("find node %q: no such node", node)
	}
	return w.hosts[i], nil
}

var _ cluster.Runtime = (*World)(nil)

// pass is how long an answer from a node's own host takes, e.g. of its date.
func (w *World) pass(ctx context.Context) error {
	return w.Sleep(ctx, 2*w.cfg.Client.Base)
}
