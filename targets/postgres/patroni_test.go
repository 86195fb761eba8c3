package postgres_test

import (
	"errors"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/targets/conform"
)

// TestFailover kills Patroni's leader: a standby takes over by itself, with all
// that was acknowledged, and the dead one follows it when it is back.
func TestFailover(t *testing.T) {
	s := start(t, "patroni", "timing=fast", "synchronous_mode=on")
	c := s.Cluster()
	ctx := t.Context()
	primaries, err := c.Primaries(ctx)
	if err != nil || len(primaries) != 1 {
		t.Fatalf("the primaries are %v, %v", primaries, err)
	}
	old := primaries[0]
	conform.Must(t, open(t, s, old).Write(ctx, 1, 10))
	conform.Must(t, c.Procs.Kill(ctx, old))
	began := time.Now()
	var next string
	conform.Wait(t, 30*time.Second, func() error {
		now, err := c.Primaries(ctx)
		if err == nil && (len(now) != 1 || now[0] == old) {
			err = errors.New("there is no other primary")
		}
		if err == nil {
			next = now[0]
		}
		return err
	})
	t.Logf("%s is primary %v after %s was killed", next, time.Since(began), old)
	wantRead(t, open(t, s, next), 1, 10)
	conform.Must(t, c.Procs.Start(ctx, old))
	ready(t, s)
	if state, err := c.Procs.State(ctx, old); err != nil || state != cluster.Running {
		t.Errorf("the old primary is %s, %v", state, err)
	}

	// A switchover, as an operator asks for it. In this mode Patroni grants it to
	// the synchronous standby only.
	for _, n := range c.Served() {
		if n == next {
			continue
		}
		if err = c.Members.Transfer(ctx, n); err == nil {
			next = n
			break
		}
		t.Logf("switchover to %s: %v", n, err)
	}
	conform.Must(t, err)
	ready(t, s)
	conform.WantPrimaries(t, s, next)
	wantRead(t, open(t, s, next), 1, 10)
}
