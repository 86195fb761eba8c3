// Package conform holds the tests that every target must pass: it boots, names
// its primary, does its workloads' verbs, tells an unknown outcome from a
// certain one whichever answer is lost, retries nothing, obeys deadlines, comes
// back after a kill, is reachable on both sides of a cut, and leaves nothing
// behind.
package conform

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/cluster/docker"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/internal/require"
	"github.com/capstan-dev/capstan/targets"
)

const (
	// bootLimit is how long a cluster may take until it is ready.
	bootLimit = 3 * time.Minute
	// callLimit is for calls that nothing disturbs.
	callLimit = 10 * time.Second
	// opLimit is for calls whose answer is lost.
	opLimit = 500 * time.Millisecond
	// late is how much longer a call may take than its context.
	late = time.Second
	// settle is how long after a call its effect may show.
	settle = 250 * time.Millisecond
)

// Run tests a topology at its default levels, or with changes "name=value".
func Run(t *testing.T, target targets.Target, topology string, levels ...string) {
	s := boot(t, target, topology, levels)
	t.Run("verbs", s.verbs)
	t.Run("lost answers", s.lostAnswers)
	t.Run("deadline", s.deadline)
	t.Run("cut", s.cut)
	t.Run("kill", s.kill)
}

// suite is a system that is being tested.
type suite struct {
	targets.System
	proxies *proxies
	faults  []string // that the topology can have
	node    string   // where calls succeed
	next    int      // numbers keys and values
}

// boot brings the system up; its end removes it and looks what is left.
func boot(t *testing.T, target targets.Target, topology string, changes []string) *suite {
	e, err := docker.Connect(t.Context(), nil)
	if err != nil {
		require.Skip(t, "docker", err)
	}
	t.Cleanup(func() { e.Close() })
	spec, top := request(t, target, topology, changes)
	s := &suite{proxies: newProxies(t), faults: top.Faults}
	spec.Route = s.proxies.route
	spec.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	began := time.Now()
	sys, err := target.Start(t.Context(), spec)
	if sys != nil {
		t.Cleanup(func() { s.takeDown(t, e, sys, spec.RunID) })
	}
	must(t, err)
	s.System = sys
	started := time.Since(began)
	s.ready(t)
	t.Logf("%s/%s: started in %.1f s, ready after %.1f s; %v", target.Name(), topology,
		started.Seconds(), time.Since(began).Seconds(), sys.Versions())
	s.node = s.writable(t)
	return s
}

func request(t *testing.T, target targets.Target, topology string, changes []string) (targets.Spec, targets.Topology) {
	t.Helper()
	spec := targets.Spec{
		Topology: topology, Levels: map[string]string{},
		RunID: fmt.Sprintf("%s-%d", regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(t.Name()), "-"), os.Getpid()),
	}
	i := slices.IndexFunc(target.Topologies(), func(top targets.Topology) bool { return top.Name == topology })
	if i < 0 {
		t.Fatalf("%s has no topology %s", target.Name(), topology)
	}
	top := target.Topologies()[i]
	spec.Nodes = top.Nodes
	for _, l := range top.Levels {
		spec.Levels[l.Name] = l.Default
		if len(l.Values) > 0 {
			spec.Levels[l.Name] = l.Values[0]
		}
	}
	for _, c := range changes {
		name, value, _ := strings.Cut(c, "=")
		if _, ok := spec.Levels[name]; !ok {
			t.Fatalf("%s/%s has no level %s", target.Name(), topology, name)
		}
		spec.Levels[name] = value
	}
	return spec, top
}

func (s *suite) takeDown(t *testing.T, e *docker.Engine, sys targets.System, id string) {
	ctx := context.Background()
	if t.Failed() {
		if err := sys.Logs(ctx, t.ArtifactDir()); err != nil {
			t.Logf("logs: %v", err)
		}
	}
	if err := sys.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
	left, err := e.Clean(ctx, id)
	if err != nil || !left.Empty() {
		t.Errorf("after close there was left: %v, %v", left, err)
	}
}

func (s *suite) ready(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bootLimit)
	defer cancel()
	must(t, s.Ready(ctx))
}

// open connects a new process to a node.
func (s *suite) open(t *testing.T, node string) io.Closer {
	t.Helper()
	s.next++
	c, err := s.Open(within(t, callLimit), node, s.next)
	if err != nil {
		t.Fatalf("open %s: %v", node, err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// writable is the first node, the primaries before others, that takes a write.
// Whoever names primaries names one that does.
func (s *suite) writable(t *testing.T) string {
	t.Helper()
	c := s.Cluster()
	nodes := slices.Clone(c.Served())
	if c.Primaries != nil {
		primaries, err := c.Primaries(within(t, callLimit))
		if err != nil || len(primaries) == 0 {
			t.Fatalf("primaries: %v, %v", primaries, err)
		}
		for _, p := range primaries {
			if !slices.Contains(c.Nodes, p) {
				t.Errorf("primary %s is no node of %v", p, c.Nodes)
			}
		}
		nodes = primaries
	}
	var errs []error
	for _, n := range nodes {
		conn := s.open(t, n)
		probes := s.probes(conn)
		if len(probes) == 0 {
			t.Fatalf("the connection has no verb that changes anything")
		}
		err := probes[0].do(within(t, callLimit), conn, s.number())
		if err == nil {
			return n
		}
		errs = append(errs, fmt.Errorf("%s: %w", n, err))
	}
	t.Fatalf("no node takes writes: %v", errors.Join(errs...))
	return ""
}

// number is a new key or value.
func (s *suite) number() int { s.next++; return s.next }

// deadline: a frozen answer does not hold a call beyond its context, and leaves
// the outcome open.
func (s *suite) deadline(t *testing.T) {
	before := s.proxies.sessions()
	conn := s.open(t, s.node)
	p := s.probes(conn)[0]
	s.warm(t, p, conn)
	s.arm(before, mute, 0)
	for what, call := range map[string]func(context.Context) error{
		"write": func(ctx context.Context) error { return p.do(ctx, conn, s.number()) },
		"read":  func(ctx context.Context) error { _, err := p.count(ctx, conn, 0); return err },
	} {
		began := time.Now()
		err := call(within(t, opLimit))
		if took := time.Since(began); err == nil || took > opLimit+late {
			t.Errorf("a %s of %s without an answer took %v: %v", what, p.name, took, err)
		}
	}
}

// arm prepares the sessions that were opened since.
func (s *suite) arm(before map[*session]bool, w way, after int) {
	for ses := range s.proxies.sessions() {
		if !before[ses] {
			ses.arm(w, after)
		}
	}
}

// cut: clients reach the nodes on both sides of a cut; once it is healed the
// system is ready again.
func (s *suite) cut(t *testing.T) {
	c := s.Cluster()
	if c.Net == nil || len(c.Nodes) < 2 {
		t.Logf("one node cannot be cut")
		return
	}
	state := cluster.LinkState{Cut: map[cluster.Link]cluster.Cut{}}
	alone := c.Served()[0]
	for _, l := range cluster.Links(c.Nodes) {
		if l.From == alone || l.To == alone {
			state.Cut[l] = cluster.Drop
		}
	}
	must(t, c.Net.Apply(t.Context(), state))
	for _, n := range c.Served() {
		conn, err := s.Open(within(t, callLimit), n, s.number())
		if err != nil {
			// It may refuse, as long as it says so.
			var timeout interface{ Timeout() bool }
			if errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s is not reachable during the cut: %v", n, err)
			}
			continue
		}
		conn.Close()
	}
	must(t, c.Net.Apply(t.Context(), cluster.LinkState{}))
	began := time.Now()
	s.ready(t)
	t.Logf("ready %.1f s after the heal", time.Since(began).Seconds())
}

// kill: what was acknowledged survives the crash of its node, calls on the old
// connection do not succeed, and new connections are refused at once.
func (s *suite) kill(t *testing.T) {
	procs := s.Cluster().Procs
	if procs == nil {
		t.Logf("no process to kill: %s", s.Cluster().Why["Procs"])
		return
	}
	if !slices.Contains(s.faults, "kill") {
		t.Log("the topology is not to be killed")
		return
	}
	s.node = s.writable(t)
	conn := s.open(t, s.node)
	p := s.probes(conn)[0]
	x := s.number()
	must(t, p.do(within(t, callLimit), conn, x))
	must(t, procs.Kill(t.Context(), s.node))
	if err := p.do(within(t, time.Second), conn, s.number()); err == nil {
		t.Errorf("%s on a dead node succeeded", p.name)
	}
	if c, err := s.Open(within(t, time.Second), s.node, s.number()); err == nil {
		// Some connections are made with the first call only.
		if err := p.do(within(t, time.Second), c, s.number()); err == nil {
			t.Error("a dead node takes calls")
		}
		c.Close()
	} else if !errors.Is(err, history.ErrNotApplied) {
		t.Errorf("open a dead node: %v, want a certain failure", err)
	}
	must(t, procs.Start(t.Context(), s.node))
	began := time.Now()
	s.ready(t)
	t.Logf("ready %.1f s after the restart", time.Since(began).Seconds())
	node := s.writable(t)
	n, err := p.count(within(t, callLimit), s.open(t, node), x)
	if node != s.node {
		t.Logf("%s took over from %s; what was acknowledged before is there %d times, %v", node, s.node, n, err)
	} else if err != nil || n != 1 {
		t.Errorf("what was acknowledged before the kill is there %d times, %v", n, err)
	}
}

// within is a context for one call.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
