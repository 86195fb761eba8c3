package postgres_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/cluster"
)

func wantPrimaries(t *testing.T, c *cluster.Cluster, want ...string) {
	t.Helper()
	if got, err := c.Primaries(t.Context()); err != nil || !slices.Equal(got, want) {
		t.Errorf("the primaries are %v, %v; want %v", got, err, want)
	}
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
	wantRead(t, open(t, s, "n2"), 1, 10)

	must(t, c.Net.Apply(ctx, isolate("n2", "n1", "n3")))
	must(t, open(t, s, "n2").Write(ctx, 2, 20))
	forced, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	must(t, c.Members.Transfer(forced, "n3"))
	wantPrimaries(t, c, "n2", "n3")
	if got := s.Claim(); got != "" {
		t.Errorf("claim %q after a forced promotion", got)
	}
	must(t, open(t, s, "n3").Write(ctx, 3, 30))
	must(t, c.Net.Apply(ctx, cluster.LinkState{}))
	ready(t, s)
	wantPrimaries(t, c, "n3")
	wantRead(t, open(t, s, "n3"), 3, 30)
	if _, ok, err := open(t, s, "n3").Read(ctx, 2); ok || err != nil {
		t.Errorf("what only the old primary had is there: %t, %v", ok, err)
	}

	// A dead primary follows the new one when it starts again.
	must(t, c.Procs.Kill(ctx, "n3"))
	must(t, c.Members.Transfer(ctx, "n1"))
	must(t, c.Procs.Start(ctx, "n3"))
	ready(t, s)
	wantPrimaries(t, c, "n1")
	wantRead(t, open(t, s, "n1"), 3, 30)
}
