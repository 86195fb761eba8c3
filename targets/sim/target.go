// Package sim is the embedded target: small but real replication protocols on
// simulated nodes in virtual time. Its topologies span what the CAP theorem
// leaves to choose from, and its planted bugs are the control group of the
// checkers.
package sim

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	world "github.com/capstan-dev/capstan/cluster/sim"
	"github.com/capstan-dev/capstan/targets"
)

// Target is the embedded one. The zero value is ready for use.
type Target struct{}

// Name implements targets.Target.
func (Target) Name() string { return "sim" }

// Doc implements targets.Target.
func (Target) Doc() string {
	return "replication protocols on simulated nodes in virtual time; needs nothing, and the same seed gives the same history"
}

// Topologies implements targets.Target.
func (Target) Topologies() []targets.Topology {
	var all []targets.Topology
	for _, t := range topologies() {
		all = append(all, t.describe())
	}
	return all
}

// topology is one protocol.
type topology struct {
	name, doc string
	nodes     int
	min       int
	levels    []targets.Level
	conn      io.Closer
	// connect dresses a connection as the topology's kind.
	connect func(*conn) io.Closer
	boot    func(levels map[string]string) world.Boot
	claim   func(levels map[string]string) string
	// led is true if there is a primary.
	led bool
	// transfers is true if the primary can hand over its role.
	transfers bool
}

const (
	defaultNodes = 5
	mostNodes    = 99
)

func (t topology) describe() targets.Topology {
	return targets.Topology{
		Name:   t.name,
		Doc:    t.doc,
		Nodes:  t.nodes,
		Min:    t.min,
		Max:    mostNodes,
		Levels: append(t.levels[:len(t.levels):len(t.levels)], bugLevel(t.name)),
		Faults: t.faults(),
		Conn:   t.conn,
	}
}

// faults lists the kinds of faults that the simulated nodes can have.
func (t topology) faults() []string {
	all := []string{"partition", "isolate", "clients",
		"delay", "loss", "duplicate", "reorder", "corrupt", "rate",
		"kill", "stop", "pause", "suspend", "crash", "storm", "rolling", "rekill",
		"clock", "jump", "strobe", "drift", "disk-slow", "mix"}
	if t.transfers {
		all = append(all, "transfer")
	}
	return all
}

func bugLevel(topology string) targets.Level {
	l := targets.Level{Name: "bug", Doc: "a planted bug, for tests of checkers", Values: []string{noBug}}
	for _, b := range Bugs() {
		if b.Topology == topology {
			l.Values = append(l.Values, b.Name)
		}
	}
	return l
}

// Start implements targets.Target.
func (Target) Start(ctx context.Context, spec targets.Spec) (targets.System, error) {
	for _, t := range topologies() {
		if t.name == spec.Topology {
			return start(ctx, t, spec)
		}
	}
	return nil, fmt.Errorf("start sim: no topology %q", spec.Topology)
}

func start(ctx context.Context, t topology, spec targets.Spec) (targets.System, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if spec.Nodes < t.min || spec.Nodes > mostNodes {
		return nil, fmt.Errorf("start sim/%s: %d nodes, want %d to %d", t.name, spec.Nodes, t.min, mostNodes)
	}
	var nodes []string
	for i := range spec.Nodes {
		nodes = append(nodes, fmt.Sprintf("n%d", i+1))
	}
	return build(t, spec, world.LAN(spec.Seed, nodes)), nil
}

func build(t topology, spec targets.Spec, cfg world.Config) *system {
	s := &system{topology: t, spec: spec, nodes: cfg.Nodes}
	s.world = world.NewWorld(cfg, t.boot(spec.Levels))
	s.cluster = s.world.Cluster()
	if t.transfers {
		s.cluster.Members = &cluster.Members{Transfer: s.transfer}
	}
	if t.led {
		s.cluster.Primaries = s.primaries
	} else {
		s.cluster.Why["Primaries"] = "sim/" + t.name + " has no primary: all nodes are alike"
	}
	return s
}

// system is a started topology.
type system struct {
	topology topology
	spec     targets.Spec
	nodes    []string
	world    *world.World
	cluster  *cluster.Cluster
	asker    []*world.Client // one for each node, for questions about roles
}

// Cluster implements targets.System.
func (s *system) Cluster() *cluster.Cluster { return s.cluster }

// Open implements targets.System.
func (s *system) Open(ctx context.Context, node string, process int) (io.Closer, error) {
	client, err := s.world.Dial(ctx, node, process)
	if err != nil {
		return nil, err
	}
	return s.topology.connect(&conn{node: node, client: client}), nil
}

// Claim implements targets.System.
func (s *system) Claim() string { return s.topology.claim(s.spec.Levels) }

// Versions implements targets.System.
func (s *system) Versions() map[string]string {
	v := map[string]string{"sim": "built in"}
	info, ok := debug.ReadBuildInfo()
	if !ok || s.topology.name != "raft" {
		return v
	}
	for _, m := range info.Deps {
		if m.Path == "go.etcd.io/raft/v3" {
			v[m.Path] = m.Version
		}
	}
	return v
}

// Logs implements targets.System.
func (s *system) Logs(_ context.Context, dir string) error {
	head := fmt.Appendf(nil, "# virtual seconds since the cluster began; the first client connected at %.6f\n", s.world.Opened().Seconds())
	for _, node := range s.nodes {
		at := filepath.Join(dir, node)
		if err := os.MkdirAll(at, 0o755); err != nil {
			return fmt.Errorf("write logs of %s: %w", node, err)
		}
		if err := os.WriteFile(filepath.Join(at, "node.log"), append(head[:len(head):len(head)], s.world.Log(node)...), 0o644); err != nil {
			return fmt.Errorf("write logs of %s: %w", node, err)
		}
	}
	return nil
}

// Close implements targets.System. A simulated cluster cannot be kept.
func (s *system) Close(context.Context) error {
	s.world.Close()
	return nil
}

// roleTimeout is how long a node may take to say what it believes to be: more
// than a healthy one ever does.
const roleTimeout = 200 * time.Millisecond

// roles asks all nodes at once; a node that does not answer has none.
func (s *system) roles(ctx context.Context) ([]*role, error) {
	for _, node := range s.nodes[len(s.asker):] {
		c, err := s.world.Watch(node)
		if err != nil {
			return nil, err
		}
		s.asker = append(s.asker, c)
	}
	limit, cancel := s.world.WithTimeout(ctx, roleTimeout)
	defer cancel()
	var calls []*world.Call
	for _, c := range s.asker {
		calls = append(calls, c.Start(askRole{}))
	}
	all := make([]*role, len(calls))
	for i, c := range calls {
		if v, err := c.Finish(limit); err == nil {
			r := v.(role)
			all[i] = &r
		}
	}
	return all, ctx.Err()
}

// primaries asks the nodes which of them believe to be primary.
func (s *system) primaries(ctx context.Context) ([]string, error) {
	roles, err := s.roles(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask for primaries: %w", err)
	}
	var names []string
	for i, r := range roles {
		if r != nil && r.primary == i {
			names = append(names, s.nodes[i])
		}
	}
	return names, nil
}
