package docker

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/cluster/agent"
)

// closeTimeout bounds the removal of a cluster.
const closeTimeout = time.Minute

// Spec is a request for a cluster.
type Spec struct {
	// RunID labels everything that is made. It may have letters, digits, and
	// any of _.- and begins with a letter or digit.
	RunID string
	Nodes []NodeSpec
	// Keep leaves the containers running after Close.
	Keep bool
	// Disk is what the servers' volumes lie on, and so what can be done to
	// them.
	Disk DiskBacking
	// Now asks a node for its own time; nil where the system cannot be asked.
	// Where clocks are shifted it is the witness.
	Now func(ctx context.Context, node string) (time.Time, error)
}

// NodeSpec is one node.
type NodeSpec struct {
	// Name is the node's host name and DNS alias.
	Name string
	// Ports of the node to publish on the engine's loopback.
	Ports []int
	// Server is the container that joins the holder; nil for a bare node,
	// which is a holder alone.
	Server *Server
}

// Server is the container of the system under test.
type Server struct {
	// Name is what runs, e.g. "postgres"; it names the log file.
	Name string
	// Image is present, see Engine.EnsureImage.
	Image           string
	User            string
	Env             []string
	Entrypoint, Cmd []string
	// Files are put into the container before its first start.
	Files []File
	// Volumes are the paths at which the container gets volumes, removed with
	// the run.
	Volumes []string
	// StopSignal is what the server's manual says to end it, e.g. "SIGINT";
	// empty is the image's.
	StopSignal string
	// Faketime is the file that libfaketime reads, by FAKETIME_TIMESTAMP_FILE,
	// in an image that is made for it; empty in others.
	Faketime string
	// Memory in bytes and CPUs limit the container; 0 is no limit.
	Memory int64
	CPUs   float64
	// ShmSize is the size of /dev/shm in bytes; 0 is the engine's default.
	ShmSize int64
}

// File is put into a container.
type File struct {
	Path    string
	Mode    int64
	Content []byte
}

// Bare is n nodes without servers: n1, n2, ...
func Bare(n int) []NodeSpec {
	nodes := make([]NodeSpec, n)
	for i := range nodes {
		nodes[i].Name = "n" + strconv.Itoa(i+1)
	}
	return nodes
}

// Node is one running node.
type Node struct {
	Name string
	// IP and IP6 are the addresses in the run's network.
	IP, IP6 netip.Addr
	// HolderID and ServerID are the containers; ServerID is empty for a bare
	// node.
	HolderID, ServerID string

	spec    NodeSpec
	ports   map[int]int
	agent   *remote // in the holder
	volumes []nodeVolume
	earlier []byte // the logs of server containers that were replaced

	mu    sync.Mutex
	owing bool // something was recorded to be put back, see Cluster.owe

	// foreign: capstan did not start the server, which may get another network
	// namespace with each start; its holder is the agent beside it then, shared
	// the network that it has in common with the others.
	foreign    bool
	shared     string
	generation int // counts agents
}

// Cluster is a running set of nodes.
type Cluster struct {
	RunID string
	Nodes []*Node
	Net   *Network
	Procs *Processes
	// Clocks, Disks and Limits work on whatever servers there are.
	Clocks *Clocks
	Disks  *Disks
	Limits *Resources

	id      string
	e       *Engine
	log     *slog.Logger
	keep    bool
	owner   map[string]string // labels
	network string
	sidecar string // image of agents beside containers of others
	disk    DiskBacking
	host    *hostAgent

	leases sync.WaitGroup
	alive  context.Context // until the cluster is detached
	stop   context.CancelFunc
}

var validRunID = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

// Start makes a cluster: network, holders, servers. It first sweeps away what
// dead runs left. It returns when every server's process was started and
// canaries pass over every link; whether a server answers is for its target
// to ask. The half-built cluster comes with the error, to be closed; it is
// nil only if nothing was made.
func (e *Engine) Start(ctx context.Context, spec Spec) (*Cluster, error) {
	if err := e.check(spec); err != nil {
		return nil, err
	}
	removed, err := e.Sweep(ctx)
	if err != nil {
		e.log.Warn("sweep is incomplete", "err", err)
	}
	if !removed.Empty() {
		e.log.Info("removed what dead runs left", "what", removed.String())
	}
	image, err := e.EnsureImage(ctx, HolderImage())
	if err != nil {
		return nil, err
	}
	c := e.newCluster(spec)
	err = c.up(ctx, image.Ref, true)
	var no6 *noIPv6Error
	if errors.As(err, &no6) {
		e.log.Info("cluster goes without IPv6", "cause", no6.Err)
		if err := c.remove(ctx); err != nil {
			return c, err
		}
		c = e.newCluster(spec)
		err = c.up(ctx, image.Ref, false)
	}
	return c, err
}

func (e *Engine) check(spec Spec) error {
	if !validRunID.MatchString(spec.RunID) {
		return fmt.Errorf("run id %q is no name for containers", spec.RunID)
	}
	if n := len(spec.Nodes); n < 1 || n > maxNodes {
		return fmt.Errorf("%d nodes, want 1 to %d", n, maxNodes)
	}
	if e.remote() {
		return &Error{
			Doing: "use the engine at " + e.Host(), Err: errors.New("it is on another machine"),
			Advice: "nodes' ports are published on the engine's loopback, out of reach from here: run capstan on that machine",
		}
	}
	return nil
}

func (e *Engine) newCluster(spec Spec) *Cluster {
	id := strings.ToLower(rand.Text())
	c := &Cluster{
		RunID: spec.RunID, id: id, e: e, log: e.log, keep: spec.Keep,
		owner: self().labels(time.Now()), disk: cmp.Or(spec.Disk, DiskPlain),
	}
	for _, n := range spec.Nodes {
		c.Nodes = append(c.Nodes, &Node{Name: n.Name, spec: n})
	}
	c.alive, c.stop = context.WithCancel(context.Background())
	c.Net = newNetwork(c.log)
	c.Net.bring = c.bring
	c.Procs = &Processes{c: c}
	c.host = &hostAgent{c: c}
	c.Clocks, c.Disks, c.Limits = newClocks(c, spec.Now), &Disks{c: c}, newResources(c)
	return c
}

func (c *Cluster) up(ctx context.Context, holder string, v6 bool) error {
	id, plan, err := c.e.createNetwork(ctx, c.name(), c.RunID, c.labels(nil), v6)
	if err != nil {
		if v6 && !errors.Is(err, errNoSubnet) {
			return &noIPv6Error{err}
		}
		return err
	}
	c.network, c.Net.gateways = id, plan.gateways(v6)
	for i, n := range c.Nodes {
		n.IP, n.IP6 = host(plan.v4, firstNode+i), host(plan.v6, firstNode+i)
	}
	if err := join(
		func() error { return c.startHolders(ctx, holder, v6) },
		func() error { return c.createVolumes(ctx) },
	); err != nil {
		return err
	}
	// The first canaries wait for the kernel's IPv6 addresses, which takes a
	// while; the servers start in the meantime.
	return join(
		func() error { return c.Net.settle(ctx, v6) },
		func() error { return c.each(func(n *Node) error { return c.startServer(ctx, n) }) },
	)
}

// labels are those of the owner and the run, and of the node if there is one.
func (c *Cluster) labels(n *Node) map[string]string {
	l := maps.Clone(c.owner)
	l[labelRun], l[labelCluster] = c.RunID, c.id
	l[labelKeep] = strconv.FormatBool(c.keep)
	if n != nil {
		l[labelNode] = n.Name
	}
	return l
}

// name is that of a thing in the engine. Runs of the same id side by side do
// not get into each other's way.
func (c *Cluster) name(of ...string) string {
	return strings.Join(append([]string{"capstan", c.RunID, c.id[:4]}, of...), "-")
}

func (c *Cluster) node(name string) (*Node, error) {
	for _, n := range c.Nodes {
		if n.Name == name {
			return n, nil
		}
	}
	return nil, fmt.Errorf("no node %s", name)
}

// each runs f for all nodes at the same time.
func (c *Cluster) each(f func(*Node) error) error {
	fs := make([]func() error, len(c.Nodes))
	for i, n := range c.Nodes {
		fs[i] = func() error { return f(n) }
	}
	return join(fs...)
}

// join runs all at the same time and returns all errors.
func join(fs ...func() error) error {
	errs := make([]error, len(fs))
	var wg sync.WaitGroup
	for i, f := range fs {
		wg.Go(func() { errs[i] = f() })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Addr is where clients reach a published port of a node.
func (c *Cluster) Addr(node string, port int) (string, error) {
	n, err := c.node(node)
	if err != nil {
		return "", err
	}
	p, ok := n.ports[port]
	if !ok {
		return "", fmt.Errorf("%s: port %d is not published", node, port)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(p)), nil
}

// Endpoints are the addresses at which clients reach a node.
func (c *Cluster) Endpoints(node string) (all []string) {
	n, err := c.node(node)
	if err != nil {
		return nil
	}
	for _, port := range slices.Sorted(maps.Keys(n.ports)) {
		all = append(all, net.JoinHostPort("127.0.0.1", strconv.Itoa(n.ports[port])))
	}
	return all
}

// Cluster is the view that the harness and the faults have.
func (c *Cluster) Cluster() *cluster.Cluster {
	v := &cluster.Cluster{
		Net: c.Net, Procs: c.Procs, Clocks: c.Clocks, Disks: c.Disks, Limits: c.Limits,
		Why: map[string]string{},
	}
	if err := c.Clocks.can(); err != nil {
		v.Clocks, v.Why["Clocks"] = nil, err.Error()
	}
	for _, n := range c.Nodes {
		v.Nodes = append(v.Nodes, n.Name)
	}
	return v
}

// Families tells which IP families canaries use.
func (c *Cluster) Families() string {
	if c.Net.v6 {
		return "IPv4 and IPv6"
	}
	return "IPv4"
}

// Close heals and removes the cluster; with Keep it heals and leaves it. It
// does its work also when ctx has ended. It may be called twice.
func (c *Cluster) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	if c.keep {
		return c.leave(ctx)
	}
	return c.remove(ctx)
}

func (c *Cluster) leave(ctx context.Context) error {
	err := c.each(func(n *Node) error {
		if n.agent == nil {
			return nil
		}
		return n.agent.call(ctx, agent.VerbKeep, agent.None{}, nil)
	})
	if a := c.host.living(); a != nil {
		err = errors.Join(err, a.call(ctx, agent.VerbKeep, agent.None{}, nil))
	}
	err = errors.Join(err, c.Limits.heal(ctx))
	c.detach()
	return err
}

func (c *Cluster) remove(ctx context.Context) error {
	c.detach()
	_, err := c.e.remove(ctx, labelCluster+"="+c.id)
	return err
}

func (c *Cluster) detach() {
	c.stop()
	c.Net.close()
	c.leases.Wait()
	c.host.close()
	for _, n := range c.Nodes {
		if n.agent != nil {
			n.agent.close()
		}
	}
}

// lease starts an agent's lease and renews it every second, to tell that the
// harness is alive. It goes on until the cluster is detached: faults are
// healed after a run's context has ended.
func (c *Cluster) lease(ctx context.Context, a *remote) error {
	if err := a.call(ctx, agent.VerbLease, agent.Lease{Millis: int(leaseTime.Milliseconds())}, nil); err != nil {
		return err
	}
	c.leases.Go(func() {
		tick := time.NewTicker(renewEvery)
		defer tick.Stop()
		for {
			select {
			case <-c.alive.Done():
				return
			case <-a.done:
				return
			case <-tick.C:
			}
			if err := a.call(c.alive, agent.VerbRenew, agent.None{}, nil); err != nil && c.alive.Err() == nil {
				c.log.Warn("lease is not renewed", "agent", a.name, "err", err)
			}
		}
	})
	return nil
}

// noIPv6Error says that a cluster cannot be had with IPv6.
type noIPv6Error struct{ Err error }

func (e *noIPv6Error) Error() string { return e.Err.Error() }
func (e *noIPv6Error) Unwrap() error { return e.Err }
