package redis_test

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
	"github.com/capstan-dev/capstan/targets/redis"
	"github.com/capstan-dev/capstan/workloads/txn"
)

// start brings up a ready system at its defaults, with changes "name=value"; it
// is removed at the end.
func start(t *testing.T, topology string, changes ...string) targets.System {
	t.Helper()
	e, err := docker.Connect(t.Context(), nil)
	if err != nil {
		require.Skip(t, "docker", err)
	}
	t.Cleanup(func() { e.Close() })
	all := redis.Target{}.Topologies()
	top := all[slices.IndexFunc(all, func(top targets.Topology) bool { return top.Name == topology })]
	levels := map[string]string{}
	for _, l := range top.Levels {
		levels[l.Name] = l.Values[0]
	}
	for _, c := range changes {
		name, value, _ := strings.Cut(c, "=")
		levels[name] = value
	}
	id := fmt.Sprintf("%s-%d", strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-")), os.Getpid())
	s, err := redis.Target{}.Start(t.Context(), targets.Spec{
		Topology: topology, Nodes: top.Nodes, Levels: levels, RunID: id,
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
	must(t, s.Ready(within(t, 90*time.Second)))
}

func open(t *testing.T, s targets.System, node string) *redis.Conn {
	t.Helper()
	c, err := s.Open(within(t, 5*time.Second), node, 0)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c.(*redis.Conn)
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

func wantDefinite(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, history.ErrNotApplied) {
		t.Errorf("%s: %v, want a definite failure", what, err)
	}
}

func wantPrimaries(t *testing.T, s targets.System, want ...string) {
	t.Helper()
	if got, err := s.Cluster().Primaries(t.Context()); err != nil || !slices.Equal(got, want) {
		t.Errorf("primaries %v, %v; want %v", got, err, want)
	}
}

// isolate cuts a node off from all others.
func isolate(t *testing.T, s targets.System, node string) {
	t.Helper()
	state := cluster.LinkState{Cut: map[cluster.Link]cluster.Cut{}}
	for _, l := range cluster.Links(s.Cluster().Nodes) {
		if l.From == node || l.To == node {
			state.Cut[l] = cluster.Drop
		}
	}
	must(t, s.Cluster().Net.Apply(t.Context(), state))
}

// takesOver waits until one of the nodes takes writes.
func takesOver(t *testing.T, s targets.System, nodes ...string) (string, time.Duration) {
	t.Helper()
	var who string
	took := wait(t, 30*time.Second, func() error {
		var errs []error
		for _, n := range nodes {
			c, err := s.Open(within(t, time.Second), n, 0)
			if err == nil {
				err = c.(*redis.Conn).Write(within(t, time.Second), 1, 2)
				c.Close()
			}
			if err == nil {
				who = n
				return nil
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	})
	return who, took
}

// TestSentinelSplitBrain: an isolated primary goes on, and what it acknowledges
// is lost. Meanwhile there are two.
func TestSentinelSplitBrain(t *testing.T) {
	s := start(t, "sentinel")
	if got := s.Claim(); got != "" {
		t.Errorf("claim %q", got)
	}
	wantPrimaries(t, s, "n1")
	refusals(t, s, open(t, s, "n2"))
	old := open(t, s, "n1")
	must(t, old.Write(within(t, time.Second), 1, 1))
	isolate(t, s, "n1")
	heir, took := takesOver(t, s, "n2", "n3")
	t.Logf("failover to %s %v after the primary was isolated", heir, took)
	wantPrimaries(t, s, "n1", heir)
	must(t, old.Write(within(t, time.Second), 5, 50))
	must(t, s.Cluster().Net.Apply(t.Context(), cluster.LinkState{}))
	began := time.Now()
	ready(t, s)
	t.Logf("ready %v after the heal", time.Since(began))
	wantPrimaries(t, s, heir)
	c := open(t, s, heir)
	if _, there, err := c.Read(within(t, time.Second), 5); err != nil || there {
		t.Errorf("what the old primary acknowledged is there: %t, %v", there, err)
	}
	// A primary that was elected is one after its restart as well.
	must(t, s.Cluster().Procs.Kill(t.Context(), heir))
	next, took := takesOver(t, s, slices.DeleteFunc([]string{"n1", "n2", "n3"}, func(n string) bool { return n == heir })...)
	t.Logf("failover to %s %v after the primary was killed", next, took)
	must(t, s.Cluster().Procs.Start(t.Context(), heir))
	ready(t, s)
	wantPrimaries(t, s, next)
}

// refusals: a replica does nothing of all this, and says so.
func refusals(t *testing.T, s targets.System, c *redis.Conn) {
	t.Helper()
	ctx := within(t, 5*time.Second)
	_, _, err := c.Read(ctx, 1)
	wantDefinite(t, "read", err)
	wantDefinite(t, "write", c.Write(ctx, 1, 1))
	_, err = c.CAS(ctx, 1, 1, 2)
	wantDefinite(t, "compare and set", err)
	_, err = c.Transfer(ctx, 0, 1, 1)
	wantDefinite(t, "transfer", err)
	_, err = c.AppendTxn(ctx, []txn.Mop{{F: "r", Key: 1}})
	wantDefinite(t, "reading transaction", err)
	_, err = c.AppendTxn(ctx, []txn.Mop{{F: "append", Key: 1, Value: 1}})
	wantDefinite(t, "transaction", err)
	_, _, err = c.Acquire(ctx, 1, "x", time.Second)
	wantDefinite(t, "acquire", err)
	if c.Closed() {
		t.Error("refusals end the connection")
	}
	if _, err := c.ReadAll(ctx); !errors.Is(err, history.ErrNotApplied) {
		t.Errorf("read all: %v", err)
	}
}

// TestWait: a write that too few replicas confirm is there, and unknown.
func TestWait(t *testing.T) {
	s := start(t, "sentinel", "wait=2", "read=replica")
	c := open(t, s, "n1")
	must(t, c.Write(within(t, time.Second), 1, 1))
	if v, _, err := open(t, s, "n3").Read(within(t, time.Second), 1); err != nil || v != 1 {
		t.Errorf("a replica that confirmed reads %d, %v", v, err)
	}
	must(t, s.Cluster().Procs.Pause(t.Context(), "n3"))
	err := c.Write(within(t, 2*time.Second), 1, 2)
	if err == nil || errors.Is(err, history.ErrNotApplied) || !strings.Contains(err.Error(), "1 replicas confirmed") {
		t.Errorf("a write that one replica did not confirm: %v", err)
	}
	if v, _, err := c.Read(within(t, time.Second), 1); err != nil || v != 2 {
		t.Errorf("it reads %d, %v", v, err)
	}
	if got, err := c.CAS(within(t, 2*time.Second), 1, 7, 8); err != nil || got.Done || got.Value != 2 {
		t.Errorf("what wrote nothing waits for nobody: %+v, %v", got, err)
	}
	must(t, s.Cluster().Procs.Resume(t.Context(), "n3"))
	ready(t, s)
}

// TestMinReplicas: a primary that is alone refuses writes after a while.
func TestMinReplicas(t *testing.T) {
	s := start(t, "sentinel", "min-replicas-to-write=1")
	c := open(t, s, "n1")
	must(t, c.Write(within(t, time.Second), 1, 1))
	isolate(t, s, "n1")
	took := wait(t, 20*time.Second, func() error {
		if err := c.Write(within(t, time.Second), 1, 2); !errors.Is(err, history.ErrNotApplied) {
			return fmt.Errorf("write: %v", err)
		}
		return nil
	})
	t.Logf("writes are refused %v after the isolation", took)
	must(t, s.Cluster().Net.Apply(t.Context(), cluster.LinkState{}))
	ready(t, s)
}

func TestTransfer(t *testing.T) {
	for topology, to := range map[string]string{"sentinel": "n3", "cluster": "n4"} {
		t.Run(topology, func(t *testing.T) {
			s := start(t, topology)
			m := s.Cluster().Members
			if got, err := m.List(t.Context()); err != nil || len(got) != map[string]int{"sentinel": 3, "cluster": 6}[topology] {
				t.Errorf("members %v, %v", got, err)
			}
			must(t, open(t, s, "n1").Write(within(t, time.Second), 1, 1))
			began := time.Now()
			must(t, m.Transfer(t.Context(), to))
			t.Logf("handed over in %v", time.Since(began))
			ready(t, s)
			wantPrimaries(t, s, to)
			c := open(t, s, to)
			if v, _, err := c.Read(within(t, time.Second), 1); err != nil || v != 1 {
				t.Errorf("the new primary reads %d, %v", v, err)
			}
			must(t, c.Write(within(t, time.Second), 1, 2))
		})
	}
}

// TestCluster: the keys' shard fails over by the votes of the others.
func TestCluster(t *testing.T) {
	s := start(t, "cluster")
	if slot, err := open(t, s, "n1").Slot(t.Context()); err != nil || slot.(int64) >= 16384/3 {
		t.Errorf("slot %v is not the first node's, %v", slot, err)
	}
	if got := s.Cluster().Served(); !slices.Equal(got, []string{"n1", "n4"}) {
		t.Errorf("clients connect to %v", got)
	}
	wantPrimaries(t, s, "n1")
	refusals(t, s, open(t, s, "n4"))
	isolate(t, s, "n1")
	_, took := takesOver(t, s, "n4")
	t.Logf("failover %v after the primary was isolated", took)
	must(t, s.Cluster().Net.Apply(t.Context(), cluster.LinkState{}))
	ready(t, s)
	wantPrimaries(t, s, "n4")
	must(t, s.Cluster().Procs.Kill(t.Context(), "n4"))
	_, took = takesOver(t, s, "n1")
	t.Logf("failover %v after the primary was killed", took)
	must(t, s.Cluster().Procs.Start(t.Context(), "n4"))
	ready(t, s)
}

// TestRedlock: a minority may be down, a majority may not, and a server that
// keeps no log forgets who holds what.
func TestRedlock(t *testing.T) {
	s := start(t, "redlock", "appendonly=no")
	if s.Cluster().Primaries != nil {
		t.Error("independent servers have no primary")
	}
	client := func() *redis.Redlock {
		c, err := s.Open(within(t, time.Second), "store", 0)
		must(t, err)
		t.Cleanup(func() { c.Close() })
		return c.(*redis.Redlock)
	}
	a, b := client(), client()
	// A client learns only by trying that a connection broke, and a slow machine
	// may be too slow for its patience.
	acquire := func(r *redis.Redlock, key int, owner string) {
		t.Helper()
		wait(t, 5*time.Second, func() error {
			_, ok, err := r.Acquire(within(t, time.Second), key, owner, time.Minute)
			if err == nil && !ok {
				err = fmt.Errorf("%s does not get lock %d", owner, key)
			}
			return err
		})
	}
	refused := func(r *redis.Redlock, key int, owner string) {
		t.Helper()
		if _, ok, err := r.Acquire(within(t, time.Second), key, owner, time.Minute); err != nil || ok {
			t.Errorf("%s acquires lock %d: %t, %v", owner, key, ok, err)
		}
	}
	acquire(a, 1, "a")
	procs := s.Cluster().Procs
	must(t, procs.Kill(t.Context(), "n1"))
	must(t, procs.Kill(t.Context(), "n2"))
	refused(b, 1, "b")
	acquire(b, 2, "b")
	must(t, procs.Pause(t.Context(), "n3"))
	refused(a, 3, "a")
	must(t, procs.Resume(t.Context(), "n3"))
	must(t, procs.Kill(t.Context(), "n3"))
	for _, n := range []string{"n1", "n2", "n3"} {
		must(t, procs.Start(t.Context(), n))
	}
	ready(t, s)
	acquire(b, 1, "b") // a has it, too: three of five have forgotten
}

// TestOfficialLayout runs an image that is laid out like the official one: a
// volume at the data, and an entry point of its own.
func TestOfficialLayout(t *testing.T) {
	e, err := docker.Connect(t.Context(), nil)
	if err != nil {
		require.Skip(t, "docker", err)
	}
	defer e.Close()
	base, err := e.EnsureImage(t.Context(), redis.LocalImage())
	must(t, err)
	img, err := e.EnsureImage(t.Context(), docker.Image{Name: "capstan-test-layout", Files: fstest.MapFS{"Dockerfile": {
		Data: []byte("FROM " + base.Ref + "\nVOLUME /data\nWORKDIR /data\nENTRYPOINT [\"docker-entrypoint.sh\"]\nCMD [\"redis-server\"]\n"),
	}}})
	must(t, err)
	t.Setenv("CAPSTAN_IMAGES", "auto")
	t.Setenv("CAPSTAN_REDIS_IMAGE", img.Ref)
	s := start(t, "single")
	if got := s.Versions()["image"]; got != img.Ref {
		t.Errorf("runs %s, want %s", got, img.Ref)
	}
	must(t, open(t, s, "n1").Write(within(t, time.Second), 1, 10))
	must(t, s.Cluster().Procs.Kill(t.Context(), "n1"))
	must(t, s.Cluster().Procs.Start(t.Context(), "n1"))
	ready(t, s)
	if v, _, err := open(t, s, "n1").Read(within(t, time.Second), 1); err != nil || v != 10 {
		t.Errorf("read %d, %v", v, err)
	}
}
