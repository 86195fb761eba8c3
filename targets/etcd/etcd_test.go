package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/cluster/docker"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/internal/require"
	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/etcd"
)

// levels are the defaults, with changes "name=value".
func levels(changes ...string) map[string]string {
	l := map[string]string{}
	for _, level := range (etcd.Target{}).Topologies()[0].Levels {
		l[level.Name] = level.Values[0]
	}
	for _, c := range changes {
		name, value, _ := strings.Cut(c, "=")
		l[name] = value
	}
	return l
}

// start brings up a ready system of three members, which is removed at the end.
func start(t *testing.T, topology string, changes ...string) targets.System {
	t.Helper()
	e, err := docker.Connect(t.Context(), nil)
	if err != nil {
		require.Skip(t, "docker", err)
	}
	t.Cleanup(func() { e.Close() })
	id := fmt.Sprintf("%s-%d", strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-")), os.Getpid())
	s, err := etcd.Target{}.Start(t.Context(), targets.Spec{
		Topology: topology, Nodes: 3, Levels: levels(changes...), RunID: id,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if s != nil {
		t.Cleanup(func() {
			if err := s.Close(context.Background()); err != nil {
				t.Errorf("close: %v", err)
			}
			if left, err := e.Clean(context.Background(), id); err != nil || !left.Empty() {
				t.Errorf("after close there was left: %v, %v", left, err)
			}
		})
	}
	must(t, err)
	ready(t, s)
	return s
}

func ready(t *testing.T, s targets.System) {
	t.Helper()
	must(t, s.Ready(within(t, time.Minute)))
}

func open(t *testing.T, s targets.System, node string) *etcd.Conn {
	t.Helper()
	c, err := s.Open(within(t, 5*time.Second), node, 0)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c.(*etcd.Conn)
}

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

// wait asks cond again and again until it is nil.
func wait(t *testing.T, limit time.Duration, cond func() error) time.Duration {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for err := cond(); err != nil; err = cond() {
		if time.Since(began) > limit {
			t.Fatalf("not within %v: %v", limit, err)
		}
		<-tick.C
	}
	return time.Since(began)
}

// leader is the only member that takes itself for the leader.
func leader(t *testing.T, s targets.System) string {
	t.Helper()
	var name string
	wait(t, 10*time.Second, func() error {
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

func isolate(t *testing.T, s targets.System, node string) {
	t.Helper()
	state := cluster.LinkState{Cut: map[cluster.Link]cluster.Cut{}}
	for _, o := range others(s, node) {
		state.Cut[cluster.Link{From: node, To: o}] = cluster.Drop
		state.Cut[cluster.Link{From: o, To: node}] = cluster.Drop
	}
	must(t, s.Cluster().Net.Apply(t.Context(), state))
}

// writable waits until a node takes writes.
func writable(t *testing.T, s targets.System, node string, value int) time.Duration {
	t.Helper()
	return wait(t, 20*time.Second, func() error {
		c, err := s.Open(within(t, time.Second), node, 0)
		if err != nil {
			return err
		}
		defer c.Close()
		return c.(*etcd.Conn).Write(within(t, time.Second), 1, value)
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
			must(t, c.Write(within(t, time.Second), 1, 1))
			isolate(t, s, old)
			if p, err := s.Cluster().Primaries(t.Context()); err != nil || !slices.Contains(p, old) {
				t.Logf("right after the cut %v lead, %v", p, err)
			}
			took := writable(t, s, others(s, old)[0], 2)
			t.Logf("failover %v after the leader was isolated", took)
			if v, _, err := c.Read(within(t, time.Second), 1); err != nil || v != 1 {
				t.Errorf("the isolated member reads %d, %v; want the old value 1", v, err)
			}
			err := c.Write(within(t, time.Second), 1, 3)
			if err == nil || errors.Is(err, history.ErrNotApplied) {
				t.Errorf("a write on the isolated member: %v, want it unknown", err)
			}
			must(t, s.Cluster().Net.Apply(t.Context(), cluster.LinkState{}))
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
	must(t, open(t, s, old).Write(within(t, time.Second), 1, 1))
	must(t, s.Cluster().Procs.Kill(t.Context(), old))
	t.Logf("failover %v after the leader was killed", writable(t, s, others(s, old)[0], 2))
	must(t, s.Cluster().Procs.Start(t.Context(), old))
	ready(t, s)
	if v, _, err := open(t, s, old).Read(within(t, time.Second), 1); err != nil || v != 2 {
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
			must(t, m.Transfer(ctx, to))
			wait(t, 5*time.Second, func() error {
				if now := leader(t, s); now != to {
					return fmt.Errorf("%s leads", now)
				}
				return nil
			})
			must(t, open(t, s, old).Write(within(t, time.Second), 7, 70))
			for _, gone := range []string{to, old} { // a leader and a follower
				must(t, m.Remove(ctx, gone))
				if got, err := m.List(ctx); err != nil || !slices.Equal(got, others(s, gone)) {
					t.Errorf("without %s the members are %v, %v", gone, got, err)
				}
				ready(t, s)
				must(t, m.Add(ctx, gone))
				ready(t, s)
				if got, err := m.List(ctx); err != nil || !slices.Equal(got, s.Cluster().Nodes) {
					t.Errorf("the members are %v, %v", got, err)
				}
				if v, _, err := open(t, s, gone).Read(within(t, time.Second), 7); err != nil || v != 70 {
					t.Errorf("%s reads %d, %v", gone, v, err)
				}
			}
			must(t, s.Cluster().Procs.Kill(ctx, to))
			must(t, s.Cluster().Procs.Start(ctx, to))
			ready(t, s)
			must(t, m.Upgrade(ctx, to, ""))
			ready(t, s)
		})
	}
}

// TestFencing: what was fenced off neither writes nor reads.
func TestFencing(t *testing.T) {
	s := start(t, "v3.7", "fencing=token")
	ctx := within(t, 30*time.Second)
	a, b := open(t, s, "n1"), open(t, s, "n2")
	first, ok, err := a.Acquire(ctx, 1, "a", time.Second)
	if err != nil || !ok || first == 0 {
		t.Fatalf("acquire: %d, %t, %v", first, ok, err)
	}
	if _, err := a.Load(ctx, 1); err != nil {
		t.Error(err)
	}
	var second int64
	wait(t, 10*time.Second, func() error {
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
	must(t, err)
	img, err := e.EnsureImage(t.Context(), docker.Image{Name: "capstan-test-layout", Files: fstest.MapFS{"Dockerfile": {
		Data: []byte("FROM " + base.Ref + " AS base\nFROM scratch\nCOPY --from=base /usr/local/bin/etcd /usr/local/bin/etcd\nCMD [\"/usr/local/bin/etcd\"]\n"),
	}}})
	must(t, err)
	t.Setenv("CAPSTAN_IMAGES", "auto")
	t.Setenv("CAPSTAN_ETCD_IMAGE", img.Ref)
	s := start(t, "v3.7")
	if got := s.Versions()["image"]; got != img.Ref {
		t.Errorf("runs %s, want %s", got, img.Ref)
	}
	must(t, open(t, s, "n1").Write(within(t, time.Second), 1, 10))
	must(t, s.Cluster().Procs.Kill(t.Context(), "n3"))
	must(t, s.Cluster().Procs.Start(t.Context(), "n3"))
	ready(t, s)
	if v, _, err := open(t, s, "n3").Read(within(t, time.Second), 1); err != nil || v != 10 {
		t.Errorf("read %d, %v", v, err)
	}
}
