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
	"slices"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/history"
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

// boot brings the system up, behind proxies.
func boot(t *testing.T, target targets.Target, topology string, changes []string) *suite {
	s := &suite{proxies: newProxies(t), faults: find(t, target, topology).Faults}
	spec := Request(t, target, topology, changes...)
	spec.Route = s.proxies.route
	s.System = Start(t, target, spec, bootLimit)
	s.node = s.writable(t)
	return s
}

// open connects a new process to a node.
func (s *suite) open(t *testing.T, node string) io.Closer {
	t.Helper()
	s.next++
	c, err := s.Open(Within(t, callLimit), node, s.next)
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
		primaries, err := c.Primaries(Within(t, callLimit))
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
		err := probes[0].do(Within(t, callLimit), conn, s.number())
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
		err := call(Within(t, opLimit))
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
	Isolate(t, s, c.Served()[0], cluster.Drop)
	for _, n := range c.Served() {
		conn, err := s.Open(Within(t, callLimit), n, s.number())
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
	Heal(t, s)
	began := time.Now()
	Ready(t, s, bootLimit)
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
	Must(t, p.do(Within(t, callLimit), conn, x))
	Must(t, procs.Kill(t.Context(), s.node))
	if err := p.do(Within(t, time.Second), conn, s.number()); err == nil {
		t.Errorf("%s on a dead node succeeded", p.name)
	}
	if c, err := s.Open(Within(t, time.Second), s.node, s.number()); err == nil {
		// Some connections are made with the first call only.
		if err := p.do(Within(t, time.Second), c, s.number()); err == nil {
			t.Error("a dead node takes calls")
		}
		c.Close()
	} else if !errors.Is(err, history.ErrNotApplied) {
		t.Errorf("open a dead node: %v, want a certain failure", err)
	}
	Must(t, procs.Start(t.Context(), s.node))
	began := time.Now()
	Ready(t, s, bootLimit)
	t.Logf("ready %.1f s after the restart", time.Since(began).Seconds())
	node := s.writable(t)
	n, err := p.count(Within(t, callLimit), s.open(t, node), x)
	if node != s.node {
		t.Logf("%s took over from %s; what was acknowledged before is there %d times, %v", node, s.node, n, err)
	} else if err != nil || n != 1 {
		t.Errorf("what was acknowledged before the kill is there %d times, %v", n, err)
	}
}
