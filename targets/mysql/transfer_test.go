package mysql_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/cluster/docker"
	"github.com/capstan-dev/capstan/internal/require"
	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/mysql"
)

// start brings up a ready system at default levels; it is removed at the end of
// the test, and nothing may be left of it.
func start(t *testing.T, topology string) targets.System {
	t.Helper()
	e, err := docker.Connect(t.Context(), nil)
	if err != nil {
		require.Skip(t, "docker", err)
	}
	t.Cleanup(func() { e.Close() })
	spec := targets.Spec{
		Topology: topology, Levels: map[string]string{}, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		RunID: fmt.Sprintf("%s-%d", strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-")), os.Getpid()),
	}
	for _, top := range (mysql.Target{}).Topologies() {
		if top.Name == topology {
			spec.Nodes = top.Nodes
			for _, l := range top.Levels {
				spec.Levels[l.Name] = l.Values[0]
			}
		}
	}
	s, err := mysql.Target{}.Start(t.Context(), spec)
	if s != nil {
		t.Cleanup(func() {
			if err := s.Close(context.Background()); err != nil {
				t.Errorf("close: %v", err)
			}
			if left, err := e.Clean(context.Background(), spec.RunID); err != nil || !left.Empty() {
				t.Errorf("after close there was left: %v, %v", left, err)
			}
		})
	}
	must(t, err)
	ready(t, s)
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func ready(t *testing.T, s targets.System) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	must(t, s.Ready(ctx))
}

func open(t *testing.T, s targets.System, node string) *mysql.Conn {
	t.Helper()
	c, err := s.Open(t.Context(), node, 0)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c.(*mysql.Conn)
}

func wantRead(t *testing.T, s targets.System, node string, key, want int) {
	t.Helper()
	if v, ok, err := open(t, s, node).Read(t.Context(), key); err != nil || ok != (want != 0) || v != want {
		t.Errorf("read %d of %s: %d, %t, %v; want %d", key, node, v, ok, err, want)
	}
}

func wantPrimaries(t *testing.T, c *cluster.Cluster, want ...string) {
	t.Helper()
	if got, err := c.Primaries(t.Context()); err != nil || !slices.Equal(got, want) {
		t.Errorf("the primaries are %v, %v; want %v", got, err, want)
	}
}

// alone cuts a node off from the others.
func alone(node string, others ...string) cluster.LinkState {
	s := cluster.LinkState{Cut: map[cluster.Link]cluster.Cut{}}
	for _, o := range others {
		s.Cut[cluster.Link{From: node, To: o}] = cluster.Drop
		s.Cut[cluster.Link{From: o, To: node}] = cluster.Drop
	}
	return s
}

// TestTransfer hands over the primary's role as an operator does: in order,
// which loses nothing, and by force while the old primary is out of reach, which
// loses what only that one has.
func TestTransfer(t *testing.T) {
	s := start(t, "async")
	c := s.Cluster()
	ctx := t.Context()
	must(t, open(t, s, "n1").Write(ctx, 1, 10))
	must(t, c.Members.Transfer(ctx, "n2"))
	wantPrimaries(t, c, "n2")
	ready(t, s)
	if got := s.Claim(); got != "linearizable" {
		t.Errorf("claim %q after a hand-over in order", got)
	}
	wantRead(t, s, "n2", 1, 10)

	must(t, c.Net.Apply(ctx, alone("n2", "n1", "n3")))
	must(t, open(t, s, "n2").Write(ctx, 2, 20))
	must(t, c.Members.Transfer(ctx, "n3"))
	wantPrimaries(t, c, "n2", "n3")
	if got := s.Claim(); got != "" {
		t.Errorf("claim %q after a forced promotion", got)
	}
	must(t, open(t, s, "n3").Write(ctx, 3, 30))
	must(t, c.Net.Apply(ctx, cluster.LinkState{}))
	ready(t, s)
	wantPrimaries(t, c, "n3")
	wantRead(t, s, "n3", 3, 30)
	wantRead(t, s, "n3", 2, 0)

	// A dead primary follows the new one when it starts again.
	must(t, c.Procs.Kill(ctx, "n3"))
	must(t, c.Members.Transfer(ctx, "n1"))
	must(t, c.Procs.Start(ctx, "n3"))
	ready(t, s)
	wantPrimaries(t, c, "n1")
	wantRead(t, s, "n1", 3, 30)
}

// TestMembers takes nodes out and puts them back on empty disks.
func TestMembers(t *testing.T) {
	for _, topology := range []string{"async", "galera"} {
		t.Run(topology, func(t *testing.T) { testMembers(t, start(t, topology)) })
	}
}

func testMembers(t *testing.T, s targets.System) {
	m := s.Cluster().Members
	ctx := t.Context()
	wantMembers := func(want ...string) {
		t.Helper()
		got, err := m.List(ctx)
		slices.Sort(got)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("the members are %v, %v; want %v", got, err, want)
		}
	}
	wantMembers("n1", "n2", "n3")
	must(t, m.Remove(ctx, "n3"))
	ready(t, s)
	wantMembers("n1", "n2")
	must(t, open(t, s, "n1").Write(ctx, 1, 10))
	must(t, m.Add(ctx, "n3"))
	ready(t, s)
	wantMembers("n1", "n2", "n3")
	if m.Transfer != nil {
		if err := m.Remove(ctx, "n1"); err == nil {
			t.Error("the primary was removed")
		}
	}
}
