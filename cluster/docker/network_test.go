package docker_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/cluster/docker"
)

func TestGrudges(t *testing.T) {
	e := testEngine(t)
	start := time.Now()
	c := testCluster(t, e, bare5())
	t.Logf("5 bare nodes up in %v", time.Since(start))
	ring := links()
	for i, a := range c.Nodes {
		for j, b := range c.Nodes {
			if d := (j - i + 5) % 5; d == 2 || d == 3 {
				ring.Cut[cluster.Link{From: a.Name, To: b.Name}] = cluster.Drop
			}
		}
	}
	for _, tt := range []struct {
		name string
		want cluster.LinkState
	}{
		{"healed", links()},
		{"isolated", apart([]string{"n3"}, []string{"n1", "n2", "n4", "n5"})},
		{"halves", apart([]string{"n1", "n2"}, []string{"n3", "n4", "n5"})},
		{"alone", apart([]string{"n1"}, []string{"n2"}, []string{"n3"}, []string{"n4"}, []string{"n5"})},
		{"majorities ring", ring},
		{"bridge", apart([]string{"n1", "n2"}, []string{"n4", "n5"})},
		{"one way", links("n1>n2")},
		{"deaf", links("n2>n1", "n3>n1", "n4>n1", "n5>n1")},
		{"healed again", cluster.LinkState{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for range 2 { // idempotent
				if err := c.Net.Apply(t.Context(), tt.want); err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				expect(t, c, tt.want)
				took := time.Since(start)
				dropped, err := c.Net.Counters(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for l, n := range dropped {
					if n == 0 || tt.want.Cut[l] == cluster.Open {
						t.Errorf("%v dropped %d packets, cut %v", l, n, tt.want.Cut[l])
					}
				}
				if len(dropped) != len(tt.want.Cut) {
					t.Errorf("counters for %d links, cut %d", len(dropped), len(tt.want.Cut))
				}
				last := c.Net.Timings()[len(c.Net.Timings())-1]
				t.Logf("committed %v (loaded %v), skew %v, proven in %v", last.Committed, last.Loaded, last.Skew, took)
			}
		})
	}
}

// in runs a command in a node's holder.
func in(t *testing.T, e *docker.Engine, n *docker.Node, cmd ...string) string {
	t.Helper()
	out, code, err := e.Exec(t.Context(), n.HolderID, cmd...)
	if err != nil || code != 0 {
		t.Fatalf("%v in %s: exit %d, %v: %s", cmd, n.Name, code, err, out)
	}
	return out
}

// TestRules looks at what is in iptables: both families, our chain first,
// strangers' rules untouched.
func TestRules(t *testing.T) {
	e := testEngine(t)
	c := testCluster(t, e, docker.Bare(3))
	n1, n2 := c.Nodes[0], c.Nodes[1]
	const foreign = "-A INPUT -s 203.0.113.9/32 -j DROP"
	in(t, e, n1, "iptables", "-A", "INPUT", "-s", "203.0.113.9", "-j", "DROP")
	natBefore := in(t, e, n1, "iptables", "-t", "nat", "-S")

	if err := c.Net.Apply(t.Context(), links("n2>n1")); err != nil {
		t.Fatal(err)
	}
	wantRules(t, in(t, e, n1, "iptables", "-S"), "-A INPUT ! -i lo -j CAPSTAN-IN\n"+foreign, "-A CAPSTAN-IN -s "+n2.IP.String()+"/32 -j DROP")
	wantRules(t, in(t, e, n1, "ip6tables", "-S"), "-A INPUT ! -i lo -j CAPSTAN-IN", "-A CAPSTAN-IN -s "+n2.IP6.String()+"/128 -j DROP", "-A CAPSTAN-IN -s fe80::")
	if got := in(t, e, n2, "iptables", "-S"); strings.Contains(got, "-d "+n1.IP.String()+"/32 -j DROP") {
		t.Errorf("the sender drops as well:\n%s", got)
	}

	if err := c.Net.Apply(t.Context(), cluster.LinkState{}); err != nil {
		t.Fatal(err)
	}
	for _, tool := range []string{"iptables", "ip6tables"} {
		if got := in(t, e, n1, tool, "-S", "CAPSTAN-IN"); got != "-N CAPSTAN-IN\n" {
			t.Errorf("after the heal:\n%s", got)
		}
	}
	wantRules(t, in(t, e, n1, "iptables", "-S"), "-A INPUT ! -i lo -j CAPSTAN-IN\n"+foreign)
	if got := in(t, e, n1, "iptables", "-t", "nat", "-S"); got != natBefore {
		t.Errorf("nat was\n%sand is\n%s", natBefore, got)
	}
}

func wantRules(t *testing.T, got string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("no rule %q in\n%s", w, got)
		}
	}
}

// TestNoWayAround: a node must not reach a cut-off peer through the gateway
// and the peer's published port.
func TestNoWayAround(t *testing.T) {
	e := testEngine(t)
	c := testCluster(t, e, serverNodes(t, e, 2))
	until(t, 10*time.Second, func() error { _, err := greet(t.Context(), c, "n2"); return err })
	published, err := c.Addr("n2", 8000)
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(published, ":")
	gateway := c.Nodes[0].IP.As4()
	gateway[3] = 1
	for addr, want := range map[string]string{
		c.Nodes[1].IP.String() + ":8000":               "in",
		netip.AddrFrom4(gateway).String() + ":" + port: "",
	} {
		got := in(t, e, c.Nodes[0], "perl", "-MIO::Socket::INET", "-e",
			`print "in" if IO::Socket::INET->new(PeerAddr => "`+addr+`", Timeout => 1)`)
		if got != want {
			t.Errorf("from n1 to %s: %q, want %q", addr, got, want)
		}
	}
}

// TestAgentKilled: the node's network goes with its holder, rules and all, and
// comes back with the next state of the links, which tells of it.
func TestAgentKilled(t *testing.T) {
	e := testEngine(t)
	c := testCluster(t, e, lineNodes(t, e, 3))
	until(t, 10*time.Second, func() error { return reachable(t, e, c, c.Nodes[1].IP) })
	cut := links("n1>n2", "n2>n1")
	bring(t, c, cut)
	if err := c.KillHolder(t.Context(), "n2"); err != nil {
		t.Fatal(err)
	}
	until(t, 5*time.Second, func() error {
		if _, err := c.Net.Probe(t.Context()); err == nil || !strings.Contains(err.Error(), "n2: agent is gone") || strings.Contains(err.Error(), "n1") {
			return fmt.Errorf("probe: %w", err)
		}
		return nil
	})
	start := time.Now()
	if err := c.Net.Apply(t.Context(), cut); !errors.Is(err, cluster.ErrLapsed) || !strings.Contains(err.Error(), "n2: ") {
		t.Errorf("apply after a holder was killed: %v", err)
	}
	t.Logf("killed and brought back in %v", time.Since(start))
	until(t, 5*time.Second, func() error { return seesAll(c, cut) })
	bring(t, c, cluster.LinkState{})
	until(t, 10*time.Second, func() error { return reachable(t, e, c, c.Nodes[1].IP) })
	addr, err := c.Addr("n2", 8000)
	if err != nil {
		t.Fatal(err)
	}
	until(t, 5*time.Second, func() error { _, err := ask(nil, addr); return err })
}

// seesAll is nil if canaries find the links as wanted.
func seesAll(c *docker.Cluster, want cluster.LinkState) error {
	reach, err := c.Net.Probe(context.Background())
	for l, arrived := range reach {
		if arrived != (want.Cut[l] == cluster.Open) {
			err = errors.Join(err, fmt.Errorf("%v arrived: %t", l, arrived))
		}
	}
	return err
}

func TestUnknownLink(t *testing.T) {
	c := testCluster(t, testEngine(t), docker.Bare(2))
	for _, l := range []string{"n1>n9", "n1>n1", ">n1"} {
		if err := c.Net.Apply(t.Context(), links(l)); err == nil || !strings.Contains(err.Error(), "no link from") {
			t.Errorf("cut %s: %v", l, err)
		}
	}
}

// TestLapsedCut: a harness that hung for too long and goes on is told that its
// cut did not last.
func TestLapsedCut(t *testing.T) {
	e := testEngine(t)
	c := testCluster(t, e, docker.Bare(2))
	if err := c.Net.Apply(t.Context(), links("n1>n2")); err != nil {
		t.Fatal(err)
	}
	c.Hang()
	took := until(t, 10*time.Second, func() error {
		if strings.Contains(in(t, e, c.Nodes[1], "iptables", "-S", "CAPSTAN-IN"), "DROP") {
			return errors.New("n2 still drops")
		}
		return nil
	})
	t.Logf("healed %v after the last word", took)
	if err := c.Net.Apply(t.Context(), links("n1>n2")); !errors.Is(err, cluster.ErrLapsed) || !strings.Contains(err.Error(), "n2: fault ended") {
		t.Errorf("apply after the lapse: %v", err)
	}
	expect(t, c, links("n1>n2"))
	if err := c.Net.Apply(t.Context(), cluster.LinkState{}); err != nil {
		t.Errorf("apply after that: %v", err)
	}
}

// TestWithoutIPv6 is a cluster on an engine that has none.
func TestWithoutIPv6(t *testing.T) {
	e := testEngine(t)
	c, err := e.StartIPv4(t.Context(), docker.Spec{RunID: runID(t), Nodes: docker.Bare(2)})
	if c != nil {
		t.Cleanup(func() {
			if err := c.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []cluster.LinkState{links("n1>n2"), ways(cluster.Reject, "n1>n2", "n2>n1"), ways(cluster.Hold, "n2>n1"), {}} {
		bring(t, c, s)
		expect(t, c, s)
	}
	if got := c.Families(); got != "IPv4" {
		t.Errorf("families %s", got)
	}
}

// TestMeans says what this machine has; every link can be cut everywhere.
func TestMeans(t *testing.T) {
	c := testCluster(t, testEngine(t), docker.Bare(2))
	text := strings.Join(c.Net.Means(), "\n")
	if !strings.Contains(text, "cuts: iptables-") {
		t.Error(text)
	}
	t.Log("\n" + text)
	for name, s := range map[string]cluster.Shape{
		"no probability": {Loss: 1.5}, "negative": {Delay: -1}, "nothing to skip": {Reorder: 0.1}, "no distribution": {Delay: 1, Distribution: "odd"},
	} {
		if err := c.Net.Can(shaped(s, "n1>n2")); err == nil {
			t.Errorf("%s: it can", name)
		}
	}
}
