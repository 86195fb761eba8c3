package etcd_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/cluster/docker"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/internal/require"
	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/conform"
	"github.com/capstan-dev/capstan/targets/etcd"
)

// start brings up a ready system of three members, which is removed at the end.
func start(t *testing.T, topology string, changes ...string) targets.System {
	t.Helper()
	spec := conform.Request(t, etcd.Target{}, topology, changes...)
	spec.Nodes = 3
	return conform.Start(t, etcd.Target{}, spec, readyLimit)
}

// readyLimit is how long the system may take until it is ready.
const readyLimit = time.Minute

func ready(t *testing.T, s targets.System) {
	t.Helper()
	conform.Ready(t, s, readyLimit)
}

func open(t *testing.T, s targets.System, node string) *etcd.Conn {
	t.Helper()
	return conform.Open[*etcd.Conn](t, s, node, 5*time.Second)
}

// leader is the only member that takes itself for the leader.
func leader(t *testing.T, s targets.System) string {
	t.Helper()
	var name string
	conform.Wait(t, 10*time.Second, func() error {
		p, err := s.Cluster().Primaries(t.Context())
		if err == nil && len(p) != 1 {
			err = fmt.Errorf("leaders: %v", p)
		}
		if err == nil {
			name = p[0]
		}
		return err
	})
	return name
}

// others are the nodes but one.
func others(s targets.System, not string) []string {
	return slices.DeleteFunc(slices.Clone(s.Cluster().Nodes), func(n string) bool { return n == not })
}

// writable waits until a node takes writes.
func writable(t *testing.T, s targets.System, node string, value int) time.Duration {
	t.Helper()
	return conform.Wait(t, 20*time.Second, func() error {
		c, err := s.Open(conform.Within(t, time.Second), node, 0)
		if err != nil {
			return err
		}
		defer c.Close()
		return c.(*etcd.Conn).Write(conform.Within(t, time.Second), 1, value)
	})
}

// TestStaleReads: a member that is cut off answers serializable reads from its
// own copy, and linearizable ones not at all.
func TestStaleReads(t *testing.T) {
	for _, topology := range []string{"v3.7", "v3.4"} {
		t.Run(topology, func(t *testing.T) {
			s := start(t, topology, "read=serializable")
			if got := s.Claim(); got != "" {
				t.Errorf("claim %q of serializable reads", got)
			}
			old := leader(t, s)
			c := open(t, s, old)
			conform.Must(t, c.Write(conform.Within(t, time.Second), 1, 1))
			conform.Isolate(t, s, old, cluster.Drop)
			if p, err := s.Cluster().Primaries(t.Context()); err != nil || !slices.Contains(p, old) {
				t.Logf("right after the cut %v lead, %v", p, err)
			}
			took := writable(t, s, others(s, old)[0], 2)
			t.Logf("failover %v after the leader was isolated", took)
			if v, _, err := c.Read(conform.Within(t, time.Second), 1); err != nil || v != 1 {
				t.Errorf("the isolated member reads %d, %v; want the old value 1", v, err)
			}
			err := c.Write(conform.Within(t, time.Second), 1, 3)
			if err == nil || errors.Is(err, history.ErrNotApplied) {
				t.Errorf("a write on the isolated member: %v, want it unknown", err)
			}
			conform.Heal(t, s)
			began := time.Now()
			ready(t, s)
			t.Logf("ready %v after the heal", time.Since(began))
		})
	}
}

// TestFailover kills the leader.
func TestFailover(t *testing.T) {
	s := start(t, "v3.7")
	old := leader(t, s)
	conform.Must(t, open(t, s, old).Write(conform.Within(t, time.Second), 1, 1))
	conform.Must(t, s.Cluster().Procs.Kill(t.Context(), old))
	t.Logf("failover %v after the leader was killed", writable(t, s, others(s, old)[0], 2))
	conform.Must(t, s.Cluster().Procs.Start(t.Context(), old))
	ready(t, s)
	if v, _, err := open(t, s, old).Read(conform.Within(t, time.Second), 1); err != nil || v != 2 {
		t.Errorf("the restarted member reads %d, %v", v, err)
	}
}

func TestMembers(t *testing.T) {
	for _, topology := range []string{"v3.7", "v3.4"} {
		t.Run(topology, func(t *testing.T) {
			s := start(t, topology)
			m := s.Cluster().Members
			ctx := t.Context()
			old := leader(t, s)
			to := others(s, old)[0]
			conform.Must(t, m.Transfer(ctx, to))
			conform.Wait(t, 5*time.Second, func() error {
				if now := leader(t, s); now != to {
					return fmt.Errorf("%s leads", now)
				}
				return nil
			})
			conform.Must(t, open(t, s, old).Write(conform.Within(t, time.Second), 7, 70))
			for _, gone := range []string{to, old} { // a leader and a follower
				conform.Must(t, m.Remove(ctx, gone))
				if got, err := m.List(ctx); err != nil || !slices.Equal(got, others(s, gone)) {
					t.Errorf("without %s the members are %v, %v", gone, got, err)
				}
				ready(t, s)
				conform.Must(t, m.Add(ctx, gone))
				ready(t, s)
				if got, err := m.List(ctx); err != nil || !slices.Equal(got, s.Cluster().Nodes) {
					t.Errorf("the members are %v, %v", got, err)
				}
				if v, _, err := open(t, s, gone).Read(conform.Within(t, time.Second), 7); err != nil || v != 70 {
					t.Errorf("%s reads %d, %v", gone, v, err)
				}
			}
			conform.Must(t, s.Cluster().Procs.Kill(ctx, to))
			conform.Must(t, s.Cluster().Procs.Start(ctx, to))
			ready(t, s)
			conform.Must(t, m.Upgrade(ctx, to, ""))
			ready(t, s)
		})
	}
}

// TestFencing: what was fenced off neither writes nor reads.
func TestFencing(t *testing.T) {
	s := start(t, "v3.7", "fencing=token")
	ctx := conform.Within(t, 30*time.Second)
	a, b := open(t, s, "n1"), open(t, s, "n2")
	first, ok, err := a.Acquire(ctx, 1, "a", time.Second)
	if err != nil || !ok || first == 0 {
		t.Fatalf("acquire: %d, %t, %v", first, ok, err)
	}
	if _, err := a.Load(ctx, 1); err != nil {
		t.Error(err)
	}
	var second int64
	conform.Wait(t, 10*time.Second, func() error {
		second, ok, err = b.Acquire(ctx, 1, "b", time.Second)
		if err == nil && !ok {
			err = errors.New("still held")
		}
		return err
	})
	if list, err := b.Load(ctx, 1); err != nil || len(list) > 0 {
		t.Errorf("load: %v, %v", list, err)
	}
	if _, err := a.Load(ctx, 1); !errors.Is(err, history.ErrNotApplied) {
		t.Errorf("load with an old token: %v", err)
	}
	// b has only read, and would lose what a writes now.
	if ok, err := a.Save(ctx, 1, []int{1}, first); err != nil || ok {
		t.Errorf("save with an old token: %t, %v", ok, err)
	}
	if ok, err := b.Save(ctx, 1, []int{2}, second); err != nil || !ok {
		t.Errorf("save with the new token: %t, %v", ok, err)
	}
}

// TestOfficialLayout runs an image that is laid out like the official one: the
// program and nothing else, not even a shell.
func TestOfficialLayout(t *testing.T) {
	e, err := docker.Connect(t.Context(), nil)
	if err != nil {
		require.Skip(t, "docker", err)
	}
	defer e.Close()
	base, err := e.EnsureImage(t.Context(), etcd.LocalImage("v3.7"))
	conform.Must(t, err)
	img, err := e.EnsureImage(t.Context(), docker.Image{Name: "capstan-test-layout", Files: fstest.MapFS{"Dockerfile": {
		Data: []byte("FROM " + base.Ref + " AS base\nFROM scratch\nCOPY --from=base /usr/local/bin/etcd /usr/local/bin/etcd\nCMD [\"/usr/local/bin/etcd\"]\n"),
	}}})
	conform.Must(t, err)
	t.Setenv("CAPSTAN_IMAGES", "auto")
	t.Setenv("CAPSTAN_ETCD_IMAGE", img.Ref)
	s := start(t, "v3.7")
	if got := s.Versions()["image"]; got != img.Ref {
		t.Errorf("runs %s, want %s", got, img.Ref)
	}
	conform.Must(t, open(t, s, "n1").Write(conform.Within(t, time.Second), 1, 10))
	conform.Must(t, s.Cluster().Procs.Kill(t.Context(), "n3"))
	conform.Must(t, s.Cluster().Procs.Start(t.Context(), "n3"))
	ready(t, s)
	if v, _, err := open(t, s, "n3").Read(conform.Within(t, time.Second), 1); err != nil || v != 10 {
		t.Errorf("read %d, %v", v, err)
	}
}
