package mysql_test

import (
	"slices"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/conform"
	"github.com/capstan-dev/capstan/targets/mysql"
)

// start brings up a ready system at default levels; it is removed at the end of
// the test, and nothing may be left of it.
func start(t *testing.T, topology string) targets.System {
	t.Helper()
	return conform.Start(t, mysql.Target{}, conform.Request(t, mysql.Target{}, topology), readyLimit)
}

// readyLimit is how long the system may take until it is ready.
const readyLimit = 90 * time.Second

func ready(t *testing.T, s targets.System) {
	t.Helper()
	conform.Ready(t, s, readyLimit)
}

func open(t *testing.T, s targets.System, node string) *mysql.Conn {
	t.Helper()
	return conform.Open[*mysql.Conn](t, s, node, 10*time.Second)
}

func wantRead(t *testing.T, s targets.System, node string, key, want int) {
	t.Helper()
	if v, ok, err := open(t, s, node).Read(t.Context(), key); err != nil || ok != (want != 0) || v != want {
		t.Errorf("read %d of %s: %d, %t, %v; want %d", key, node, v, ok, err, want)
	}
}

// TestTransfer hands over the primary's role as an operator does: in order,
// which loses nothing, and by force while the old primary is out of reach, which
// loses what only that one has.
func TestTransfer(t *testing.T) {
	s := start(t, "async")
	c := s.Cluster()
	ctx := t.Context()
	conform.Must(t, open(t, s, "n1").Write(ctx, 1, 10))
	conform.Must(t, c.Members.Transfer(ctx, "n2"))
	conform.WantPrimaries(t, s, "n2")
	ready(t, s)
	if got := s.Claim(); got != "linearizable" {
		t.Errorf("claim %q after a hand-over in order", got)
	}
	wantRead(t, s, "n2", 1, 10)

	conform.Isolate(t, s, "n2", cluster.Drop)
	conform.Must(t, open(t, s, "n2").Write(ctx, 2, 20))
	conform.Must(t, c.Members.Transfer(ctx, "n3"))
	conform.WantPrimaries(t, s, "n2", "n3")
	if got := s.Claim(); got != "" {
		t.Errorf("claim %q after a forced promotion", got)
	}
	conform.Must(t, open(t, s, "n3").Write(ctx, 3, 30))
	conform.Heal(t, s)
	ready(t, s)
	conform.WantPrimaries(t, s, "n3")
	wantRead(t, s, "n3", 3, 30)
	wantRead(t, s, "n3", 2, 0)

	// A dead primary follows the new one when it starts again.
	conform.Must(t, c.Procs.Kill(ctx, "n3"))
	conform.Must(t, c.Members.Transfer(ctx, "n1"))
	conform.Must(t, c.Procs.Start(ctx, "n3"))
	ready(t, s)
	conform.WantPrimaries(t, s, "n1")
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
	conform.Must(t, m.Remove(ctx, "n3"))
	ready(t, s)
	wantMembers("n1", "n2")
	conform.Must(t, open(t, s, "n1").Write(ctx, 1, 10))
	conform.Must(t, m.Add(ctx, "n3"))
	ready(t, s)
	wantMembers("n1", "n2", "n3")
	if m.Transfer != nil {
		if err := m.Remove(ctx, "n1"); err == nil {
			t.Error("the primary was removed")
		}
	}
}
