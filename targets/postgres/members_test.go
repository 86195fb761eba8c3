package postgres_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/internal/require"
	"github.com/capstan-dev/capstan/targets/conform"
)

func TestMembers(t *testing.T) {
	s := start(t, "async", "read=replica")
	c := s.Cluster()
	m := c.Members
	ctx := t.Context()
	wantMembers := func(want ...string) {
		t.Helper()
		conform.Wait(t, 10*time.Second, func() error {
			got, err := m.List(ctx)
			if err == nil && !slices.Equal(got, want) {
				err = errMembers(got)
			}
			return err
		})
	}
	wantMembers("n1", "n2", "n3")
	if err := m.Remove(ctx, "n1"); err == nil || !strings.Contains(err.Error(), "no failover") {
		t.Errorf("remove the primary: %v", err)
	}
	conform.Must(t, open(t, s, "n1").Write(ctx, 1, 10))
	conform.Must(t, m.Remove(ctx, "n3"))
	if state, err := c.Procs.State(ctx, "n3"); err != nil || state != cluster.Dead {
		t.Errorf("a removed node is %s, %v", state, err)
	}
	wantMembers("n1", "n2")
	ready(t, s)
	conform.Must(t, open(t, s, "n1").Write(ctx, 2, 20))
	conform.Must(t, m.Add(ctx, "n3"))
	ready(t, s)
	wantMembers("n1", "n2", "n3")
	wantRead(t, open(t, s, "n3"), 1, 10)
	wantRead(t, open(t, s, "n3"), 2, 20)

	// To another image, and back: the layers differ, the server does not.
	image := s.Versions()["image"]
	for _, n := range []string{"n2", "n1"} {
		began := time.Now()
		conform.Must(t, m.Upgrade(ctx, n, image))
		ready(t, s)
		t.Logf("%s runs its new image after %v", n, time.Since(began))
	}
	conform.Must(t, m.Upgrade(ctx, "n2", ""))
	ready(t, s)
	wantRead(t, open(t, s, "n2"), 2, 20)
	conform.Must(t, open(t, s, "n1").Write(ctx, 3, 30))
}

type errMembers []string

func (e errMembers) Error() string { return "members are " + strings.Join(e, ", ") }

// TestClock asks PostgreSQL for its own time.
func TestClock(t *testing.T) {
	s := start(t, "single")
	c := s.Cluster()
	if c.Clocks == nil {
		require.Skip(t, "docker", errors.New(c.Why["Clocks"]))
	}
	idle := open(t, s, "n1") // its backend was forked before the clock was shifted
	for _, want := range []time.Duration{100 * time.Second, -time.Hour, 0} {
		began := time.Now()
		conform.Must(t, c.Clocks.Skew(t.Context(), "n1", cluster.Skew{Offset: want}))
		took := time.Since(began)
		got, err := c.Clocks.Offset(t.Context(), "n1")
		if err != nil || (got-want).Abs() > time.Second {
			t.Errorf("a new session is %v off, %v; want %v", got, err, want)
		}
		old, err := idle.ClockOffset(t.Context())
		if err != nil || (old-want).Abs() > time.Second {
			t.Errorf("an old session is %v off, %v; want %v", old, err, want)
		}
		t.Logf("%v in %v: %v off", want, took, got)
	}
	conform.Must(t, c.Clocks.Skew(t.Context(), "n1", cluster.Skew{Offset: time.Minute}))
	conform.Must(t, c.Procs.Kill(t.Context(), "n1"))
	conform.Must(t, c.Procs.Start(t.Context(), "n1"))
	ready(t, s)
	if got, err := c.Clocks.Offset(t.Context(), "n1"); err != nil || (got-time.Minute).Abs() > time.Second {
		t.Errorf("after a restart it is %v off, %v", got, err)
	}
}
