package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/targets/conform"
)

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
	wantRead(t, open(t, s, "n2"), 1, 10)

	conform.Isolate(t, s, "n2", cluster.Drop)
	conform.Must(t, open(t, s, "n2").Write(ctx, 2, 20))
	forced, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	conform.Must(t, c.Members.Transfer(forced, "n3"))
	conform.WantPrimaries(t, s, "n2", "n3")
	if got := s.Claim(); got != "" {
		t.Errorf("claim %q after a forced promotion", got)
	}
	conform.Must(t, open(t, s, "n3").Write(ctx, 3, 30))
	conform.Heal(t, s)
	ready(t, s)
	conform.WantPrimaries(t, s, "n3")
	wantRead(t, open(t, s, "n3"), 3, 30)
	if _, ok, err := open(t, s, "n3").Read(ctx, 2); ok || err != nil {
		t.Errorf("what only the old primary had is there: %t, %v", ok, err)
	}

	// A dead primary follows the new one when it starts again.
	conform.Must(t, c.Procs.Kill(ctx, "n3"))
	conform.Must(t, c.Members.Transfer(ctx, "n1"))
	conform.Must(t, c.Procs.Start(ctx, "n3"))
	ready(t, s)
	conform.WantPrimaries(t, s, "n1")
	wantRead(t, open(t, s, "n1"), 3, 30)
}
