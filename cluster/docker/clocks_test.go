package docker_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/cluster/docker"
)

// packaged is an image with one more Debian package.
func packaged(t *testing.T, e *docker.Engine, packages string) string {
	t.Helper()
	img, err := e.EnsureImage(t.Context(), docker.Image{Name: "capstan-test-packages", Files: fstest.MapFS{"Dockerfile": {
		Data: []byte("FROM debian:bookworm-slim\nRUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends " +
			packages + " && rm -rf /var/lib/apt/lists/*\n"),
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return img.Ref
}

func skew(t *testing.T, c *docker.Cluster, s cluster.Skew) {
	t.Helper()
	start := time.Now()
	if err := c.Clocks.Skew(t.Context(), "n1", s); err != nil {
		t.Fatal(err)
	}
	t.Logf("skew %+v in %v", s, time.Since(start))
}

// wantOffset asks the cluster for the node's time.
func wantOffset(t *testing.T, c *docker.Cluster, want time.Duration) {
	t.Helper()
	got, err := c.Clocks.Offset(t.Context(), "n1")
	if err != nil || (got-want).Abs() > 200*time.Millisecond {
		t.Errorf("n1 is %v off, %v; want %v", got, err, want)
	}
}

// TestRedisFollowsItsClock: the time to live of a key is by the wall clock.
func TestRedisFollowsItsClock(t *testing.T) {
	e := testEngine(t)
	nodes := docker.Bare(1)
	nodes[0].Server = &docker.Server{
		Name: "redis", Image: packaged(t, e, "redis-server"), Volumes: []string{"/data"},
		Cmd: []string{"redis-server", "--save", "", "--protected-mode", "no", "--dir", "/data"},
	}
	c := testSpec(t, e, docker.Spec{RunID: runID(t), Nodes: nodes})
	redis := func(args string) string { return sh(t, e, c, 0, "redis-cli "+args) }
	until(t, 10*time.Second, func() error {
		_, code, err := e.Exec(t.Context(), c.Nodes[0].ServerID, "redis-cli", "ping")
		if err == nil && code != 0 {
			err = fmt.Errorf("exit code %d", code)
		}
		return err
	})
	redisOff := func() time.Duration {
		sec, err := strconv.ParseInt(strings.Fields(redis("time"))[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return time.Until(time.Unix(sec, 0))
	}
	uptime := func() string { return redis("info server | grep uptime_in_seconds") }
	before := uptime()
	redis("set k v ex 20")
	skew(t, c, cluster.Skew{Offset: 15 * time.Second})
	wantOffset(t, c, 15*time.Second)
	if got := redis("get k"); got != "v" {
		t.Errorf("a key of 20 s is gone after 15: %q", got)
	}
	skew(t, c, cluster.Skew{Offset: 160 * time.Second})
	wantOffset(t, c, 160*time.Second)
	if got := redis("get k"); got != "" {
		t.Errorf("a key of 20 s lives after 160 of redis' seconds: %q", got)
	}
	t.Logf("uptime by redis: %s, later %s", before, uptime())
	if off := redisOff(); off < 158*time.Second || off > 161*time.Second {
		t.Errorf("redis says that it is %v off", off)
	}

	// A restarted server gets the clock again, and so does a new container.
	must(t, c.Procs.Kill(t.Context(), "n1"))
	must(t, c.Procs.Start(t.Context(), "n1"))
	took := until(t, 5*time.Second, func() error {
		off, err := c.Clocks.Offset(t.Context(), "n1")
		if err == nil && off < 159*time.Second {
			err = fmt.Errorf("%v off", off)
		}
		return err
	})
	t.Logf("a restarted server has the clock again after %v", took)
	must(t, c.Replace(t.Context(), "n1", ""))
	until(t, 5*time.Second, func() error {
		off, err := c.Clocks.Offset(t.Context(), "n1")
		if err == nil && off < 159*time.Second {
			err = fmt.Errorf("%v off", off)
		}
		return err
	})
	// A paused one can be changed as well.
	must(t, c.Procs.Pause(t.Context(), "n1"))
	skew(t, c, cluster.Skew{Offset: -time.Hour, Drift: 1})
	must(t, c.Procs.Resume(t.Context(), "n1"))
	first, err := c.Clocks.Offset(t.Context(), "n1")
	must(t, err)
	time.Sleep(500 * time.Millisecond)
	second, err := c.Clocks.Offset(t.Context(), "n1")
	must(t, err)
	if gained := second - first; gained < 400*time.Millisecond || gained > time.Second || first > -50*time.Minute {
		t.Errorf("with drift 1 from -1h the clock went from %v to %v in half a second", first, second)
	}
	skew(t, c, cluster.Skew{})
	wantOffset(t, c, 0)
}

// TestEtcdFollowsItsClock: a lease lives by both clocks, so it outlives its time
// if the wall clock goes back. etcd is a Go program.
func TestEtcdFollowsItsClock(t *testing.T) {
	e := testEngine(t)
	nodes := docker.Bare(1)
	nodes[0].Server = &docker.Server{
		Name: "etcd", Image: packaged(t, e, "etcd-server etcd-client"), Volumes: []string{"/data"},
		Cmd: []string{"etcd", "--data-dir", "/data/etcd"}, Env: []string{"ETCDCTL_API=3"},
	}
	c := testSpec(t, e, docker.Spec{RunID: runID(t), Nodes: nodes})
	until(t, 20*time.Second, func() error {
		out, code, err := e.Exec(t.Context(), c.Nodes[0].ServerID, "etcdctl", "put", "up", "1")
		if err == nil && code != 0 {
			err = fmt.Errorf("exit code %d: %s", code, out)
		}
		return err
	})
	etcd := func(args string) string { return sh(t, e, c, 0, "etcdctl "+args) }
	// leaseLives grants 2 s, shifts the clock, and says whether the key is
	// there after 4.
	leaseLives := func(s cluster.Skew) bool {
		id := strings.Fields(etcd("lease grant 2"))[1]
		etcd("put k v --lease=" + id)
		skew(t, c, s)
		wantOffset(t, c, s.Offset)
		time.Sleep(4 * time.Second)
		return etcd("get k") != ""
	}
	if leaseLives(cluster.Skew{}) {
		t.Error("a lease of 2 s lives after 4")
	}
	if !leaseLives(cluster.Skew{Offset: -time.Hour}) {
		t.Error("a lease of 2 s is gone after 4, though the clock went back by an hour")
	}
	skew(t, c, cluster.Skew{})
	until(t, 10*time.Second, func() error {
		if etcd("get k") != "" {
			return fmt.Errorf("the lease lives on after the heal")
		}
		return nil
	})
	// Forward, the monotonic clock still holds it: 10 s are not over.
	id := strings.Fields(etcd("lease grant 10"))[1]
	etcd("put k v --lease=" + id)
	skew(t, c, cluster.Skew{Offset: time.Hour})
	time.Sleep(2 * time.Second)
	t.Logf("2 s after a lease of 10 s and a jump of an hour forward: %q", etcd("get k"))
	skew(t, c, cluster.Skew{})
	wantOffset(t, c, 0)
}
