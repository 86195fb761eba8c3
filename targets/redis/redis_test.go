package redis_test

import (
	"errors"
	"fmt"
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
	"github.com/capstan-dev/capstan/targets/conform"
	"github.com/capstan-dev/capstan/targets/redis"
	"github.com/capstan-dev/capstan/workloads/txn"
)

// start brings up a ready system at its defaults, with changes "name=value"; it
// is removed at the end.
func start(t *testing.T, topology string, changes ...string) targets.System {
	t.Helper()
	return conform.Start(t, redis.Target{}, conform.Request(t, redis.Target{}, topology, changes...), readyLimit)
}

// readyLimit is how long the system may take until it is ready.
const readyLimit = 90 * time.Second

func ready(t *testing.T, s targets.System) {
	t.Helper()
	conform.Ready(t, s, readyLimit)
}

func open(t *testing.T, s targets.System, node string) *redis.Conn {
	t.Helper()
	return conform.Open[*redis.Conn](t, s, node, 5*time.Second)
}

func wantDefinite(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, history.ErrNotApplied) {
		t.Errorf("%s: %v, want a definite failure", what, err)
	}
}

// takesOver waits until one of the nodes takes writes.
func takesOver(t *testing.T, s targets.System, nodes ...string) (string, time.Duration) {
	t.Helper()
	var who string
	took := conform.Wait(t, 30*time.Second, func() error {
		var errs []error
		for _, n := range nodes {
			c, err := s.Open(conform.Within(t, time.Second), n, 0)
			if err == nil {
				err = c.(*redis.Conn).Write(conform.Within(t, time.Second), 1, 2)
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
	conform.WantPrimaries(t, s, "n1")
	refusals(t, s, open(t, s, "n2"))
	old := open(t, s, "n1")
	conform.Must(t, old.Write(conform.Within(t, time.Second), 1, 1))
	conform.Isolate(t, s, "n1", cluster.Drop)
	heir, took := takesOver(t, s, "n2", "n3")
	t.Logf("failover to %s %v after the primary was isolated", heir, took)
	conform.WantPrimaries(t, s, "n1", heir)
	conform.Must(t, old.Write(conform.Within(t, time.Second), 5, 50))
	conform.Heal(t, s)
	began := time.Now()
	ready(t, s)
	t.Logf("ready %v after the heal", time.Since(began))
	conform.WantPrimaries(t, s, heir)
	c := open(t, s, heir)
	if _, there, err := c.Read(conform.Within(t, time.Second), 5); err != nil || there {
		t.Errorf("what the old primary acknowledged is there: %t, %v", there, err)
	}
	// A primary that was elected is one after its restart as well.
	conform.Must(t, s.Cluster().Procs.Kill(t.Context(), heir))
	next, took := takesOver(t, s, slices.DeleteFunc([]string{"n1", "n2", "n3"}, func(n string) bool { return n == heir })...)
	t.Logf("failover to %s %v after the primary was killed", next, took)
	conform.Must(t, s.Cluster().Procs.Start(t.Context(), heir))
	ready(t, s)
	conform.WantPrimaries(t, s, next)
}

// refusals: a replica does nothing of all this, and says so.
func refusals(t *testing.T, s targets.System, c *redis.Conn) {
	t.Helper()
	ctx := conform.Within(t, 5*time.Second)
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
	conform.Must(t, c.Write(conform.Within(t, time.Second), 1, 1))
	if v, _, err := open(t, s, "n3").Read(conform.Within(t, time.Second), 1); err != nil || v != 1 {
		t.Errorf("a replica that confirmed reads %d, %v", v, err)
	}
	conform.Must(t, s.Cluster().Procs.Pause(t.Context(), "n3"))
	err := c.Write(conform.Within(t, 2*time.Second), 1, 2)
	if err == nil || errors.Is(err, history.ErrNotApplied) || !strings.Contains(err.Error(), "1 replicas confirmed") {
		t.Errorf("a write that one replica did not confirm: %v", err)
	}
	if v, _, err := c.Read(conform.Within(t, time.Second), 1); err != nil || v != 2 {
		t.Errorf("it reads %d, %v", v, err)
	}
	if got, err := c.CAS(conform.Within(t, 2*time.Second), 1, 7, 8); err != nil || got.Done || got.Value != 2 {
		t.Errorf("what wrote nothing waits for nobody: %+v, %v", got, err)
	}
	conform.Must(t, s.Cluster().Procs.Resume(t.Context(), "n3"))
	ready(t, s)
}

// TestMinReplicas: a primary that is alone refuses writes after a while.
func TestMinReplicas(t *testing.T) {
	s := start(t, "sentinel", "min-replicas-to-write=1")
	c := open(t, s, "n1")
	conform.Must(t, c.Write(conform.Within(t, time.Second), 1, 1))
	conform.Isolate(t, s, "n1", cluster.Drop)
	took := conform.Wait(t, 20*time.Second, func() error {
		if err := c.Write(conform.Within(t, time.Second), 1, 2); !errors.Is(err, history.ErrNotApplied) {
			return fmt.Errorf("write: %v", err)
		}
		return nil
	})
	t.Logf("writes are refused %v after the isolation", took)
	conform.Heal(t, s)
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
			conform.Must(t, open(t, s, "n1").Write(conform.Within(t, time.Second), 1, 1))
			began := time.Now()
			conform.Must(t, m.Transfer(t.Context(), to))
			t.Logf("handed over in %v", time.Since(began))
			ready(t, s)
			conform.WantPrimaries(t, s, to)
			c := open(t, s, to)
			if v, _, err := c.Read(conform.Within(t, time.Second), 1); err != nil || v != 1 {
				t.Errorf("the new primary reads %d, %v", v, err)
			}
			conform.Must(t, c.Write(conform.Within(t, time.Second), 1, 2))
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
	conform.WantPrimaries(t, s, "n1")
	refusals(t, s, open(t, s, "n4"))
	conform.Isolate(t, s, "n1", cluster.Drop)
	_, took := takesOver(t, s, "n4")
	t.Logf("failover %v after the primary was isolated", took)
	conform.Heal(t, s)
	ready(t, s)
	conform.WantPrimaries(t, s, "n4")
	conform.Must(t, s.Cluster().Procs.Kill(t.Context(), "n4"))
	_, took = takesOver(t, s, "n1")
	t.Logf("failover %v after the primary was killed", took)
	conform.Must(t, s.Cluster().Procs.Start(t.Context(), "n4"))
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
		c, err := s.Open(conform.Within(t, time.Second), "store", 0)
		conform.Must(t, err)
		t.Cleanup(func() { c.Close() })
		return c.(*redis.Redlock)
	}
	a, b := client(), client()
	// A client learns only by trying that a connection broke, and a slow machine
	// may be too slow for its patience.
	acquire := func(r *redis.Redlock, key int, owner string) {
		t.Helper()
		conform.Wait(t, 5*time.Second, func() error {
			_, ok, err := r.Acquire(conform.Within(t, time.Second), key, owner, time.Minute)
			if err == nil && !ok {
				err = fmt.Errorf("%s does not get lock %d", owner, key)
			}
			return err
		})
	}
	refused := func(r *redis.Redlock, key int, owner string) {
		t.Helper()
		if _, ok, err := r.Acquire(conform.Within(t, time.Second), key, owner, time.Minute); err != nil || ok {
			t.Errorf("%s acquires lock %d: %t, %v", owner, key, ok, err)
		}
	}
	acquire(a, 1, "a")
	procs := s.Cluster().Procs
	conform.Must(t, procs.Kill(t.Context(), "n1"))
	conform.Must(t, procs.Kill(t.Context(), "n2"))
	refused(b, 1, "b")
	acquire(b, 2, "b")
	conform.Must(t, procs.Pause(t.Context(), "n3"))
	refused(a, 3, "a")
	conform.Must(t, procs.Resume(t.Context(), "n3"))
	conform.Must(t, procs.Kill(t.Context(), "n3"))
	for _, n := range []string{"n1", "n2", "n3"} {
		conform.Must(t, procs.Start(t.Context(), n))
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
	conform.Must(t, err)
	img, err := e.EnsureImage(t.Context(), docker.Image{Name: "capstan-test-layout", Files: fstest.MapFS{"Dockerfile": {
		Data: []byte("FROM " + base.Ref + "\nVOLUME /data\nWORKDIR /data\nENTRYPOINT [\"docker-entrypoint.sh\"]\nCMD [\"redis-server\"]\n"),
	}}})
	conform.Must(t, err)
	t.Setenv("CAPSTAN_IMAGES", "auto")
	t.Setenv("CAPSTAN_REDIS_IMAGE", img.Ref)
	s := start(t, "single")
	if got := s.Versions()["image"]; got != img.Ref {
		t.Errorf("runs %s, want %s", got, img.Ref)
	}
	conform.Must(t, open(t, s, "n1").Write(conform.Within(t, time.Second), 1, 10))
	conform.Must(t, s.Cluster().Procs.Kill(t.Context(), "n1"))
	conform.Must(t, s.Cluster().Procs.Start(t.Context(), "n1"))
	ready(t, s)
	if v, _, err := open(t, s, "n1").Read(conform.Within(t, time.Second), 1); err != nil || v != 10 {
		t.Errorf("read %d, %v", v, err)
	}
}
