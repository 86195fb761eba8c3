package docker_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/cluster/docker"
)

// diskCluster is a node with a server whose volume lies on a backing.
func diskCluster(t *testing.T, e *docker.Engine, disk docker.DiskBacking) *docker.Cluster {
	t.Helper()
	nodes := serverNodes(t, e, 1)
	nodes[0].Server.User = "" // writes files by exec
	return testSpec(t, e, docker.Spec{RunID: runID(t), Nodes: nodes, Disk: disk})
}

// testSpec is testCluster with a whole request.
func testSpec(t testing.TB, e *docker.Engine, spec docker.Spec) *docker.Cluster {
	t.Helper()
	start := time.Now()
	c, err := e.Start(t.Context(), spec)
	if c != nil {
		t.Cleanup(func() {
			if err := c.Close(context.Background()); err != nil {
				t.Errorf("close: %v", err)
			}
			left, err := e.Clean(context.Background(), spec.RunID)
			if err != nil || !left.Empty() {
				t.Errorf("after close there was left: %v, %v", left, err)
			}
			wantNoMounts(t, spec.RunID)
		})
	}
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	t.Logf("up in %v", time.Since(start))
	return c
}

// wantNoMounts looks on this host, if the engine is on it, for what a run has
// mounted.
func wantNoMounts(t testing.TB, id string) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, "capstan-"+id) {
			t.Errorf("still mounted: %s", line)
		}
	}
}

// sh runs a command in the node's server.
func sh(t testing.TB, e *docker.Engine, c *docker.Cluster, node int, script string) string {
	t.Helper()
	out, code, err := e.Exec(t.Context(), c.Nodes[node].ServerID, "sh", "-c", script)
	if err != nil || code != 0 {
		t.Fatalf("%s: exit code %d, %v: %s", script, code, err, out)
	}
	return strings.TrimSpace(out)
}

func probe(t testing.TB, c *docker.Cluster, node string) cluster.DiskReport {
	t.Helper()
	r, err := c.Disks.Probe(t.Context(), node)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func apply(t testing.TB, c *docker.Cluster, node string, d cluster.Disk) {
	t.Helper()
	if err := c.Disks.Apply(t.Context(), node, d); err != nil {
		t.Fatal(err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestCrash: what was synced stays, and what was not is lost.
func TestCrash(t *testing.T) {
	e := testEngine(t)
	for _, disk := range []docker.DiskBacking{docker.DiskLoop, docker.DiskFUSE} {
		t.Run(string(disk), func(t *testing.T) {
			c := diskCluster(t, e, disk)
			if err := c.Disks.CrashLoses(); err != nil {
				t.Error(err)
			}
			sh(t, e, c, 0, "echo synced >/data/a && sync /data/a && sync /data")
			for round := range 3 {
				sh(t, e, c, 0, "echo unsynced >>/data/a; echo unsynced >/data/b")
				start := time.Now()
				must(t, c.Disks.Crash(t.Context(), "n1"))
				t.Logf("crash took %v", time.Since(start))
				wantState(t, c, "n1", cluster.Dead)
				must(t, c.Procs.Start(t.Context(), "n1"))
				if got := sh(t, e, c, 0, "cat /data/a; ls /data"); got != "synced\na" {
					t.Errorf("after crash %d: %q", round, got)
				}
			}
			// A kill alone loses nothing.
			sh(t, e, c, 0, "echo unsynced >/data/b")
			must(t, c.Procs.Kill(t.Context(), "n1"))
			must(t, c.Procs.Start(t.Context(), "n1"))
			if got := sh(t, e, c, 0, "cat /data/b"); got != "unsynced" {
				t.Errorf("after a kill: %q", got)
			}
		})
	}
}

func TestDiskFaults(t *testing.T) {
	e := testEngine(t)
	for i, tt := range []struct {
		disk docker.DiskBacking
		want cluster.Disk
		err  string
	}{
		{docker.DiskLoop, cluster.Disk{Full: true}, "no space left on device"},
		{docker.DiskFUSE, cluster.Disk{Full: true}, "no space left on device"},
		{docker.DiskFUSE, cluster.Disk{ReadOnly: true}, "read-only file system"},
		{docker.DiskFUSE, cluster.Disk{WriteErrors: 1}, "write: input/output error"},
		{docker.DiskFUSE, cluster.Disk{SyncErrors: 1}, "sync: input/output error"},
		{docker.DiskFUSE, cluster.Disk{ReadErrors: 1}, "read: input/output error"},
	} {
		t.Run(fmt.Sprintf("%s-%d", tt.disk, i), func(t *testing.T) {
			c := diskCluster(t, e, tt.disk)
			if r := probe(t, c, "n1"); r.Err != "" || r.Write <= 0 || r.Sync <= 0 || r.Read <= 0 {
				t.Errorf("a sound disk: %+v", r)
			}
			must(t, c.Disks.Can(tt.want))
			for range 2 { // idempotent
				apply(t, c, "n1", tt.want)
			}
			if r := probe(t, c, "n1"); !strings.Contains(r.Err, tt.err) {
				t.Errorf("%+v: %+v", tt.want, r)
			}
			apply(t, c, "n1", cluster.Disk{})
			if r := probe(t, c, "n1"); r.Err != "" {
				t.Errorf("after the heal: %+v", r)
			}
			sh(t, e, c, 0, "echo x >/data/x && sync /data/x && cat /data/x")
		})
	}
}

func TestSlowDisk(t *testing.T) {
	e := testEngine(t)
	c := diskCluster(t, e, docker.DiskFUSE)
	const delay = 50 * time.Millisecond
	apply(t, c, "n1", cluster.Disk{Delay: delay})
	slow := probe(t, c, "n1")
	apply(t, c, "n1", cluster.Disk{})
	sound := probe(t, c, "n1")
	if slow.Err != "" || slow.Write < delay || slow.Sync < delay || slow.Read < delay {
		t.Errorf("a slow disk: %+v", slow)
	}
	if sound.Err != "" || sound.Write+sound.Sync+sound.Read > slow.Write+slow.Sync+slow.Read {
		t.Errorf("a sound disk: %+v, a slow one: %+v", sound, slow)
	}
}

// TestPlainDisk can be probed and damaged, and says what it cannot.
func TestPlainDisk(t *testing.T) {
	e := testEngine(t)
	c := diskCluster(t, e, "")
	if err := c.Disks.CrashLoses(); err == nil || !strings.Contains(err.Error(), "plain") {
		t.Errorf("crash: %v", err)
	}
	for _, want := range []cluster.Disk{{Full: true}, {ReadOnly: true}, {Delay: 1}, {ReadErrors: 1}} {
		if c.Disks.Can(want) == nil || c.Disks.Apply(t.Context(), "n1", want) == nil {
			t.Errorf("a plain disk takes %+v", want)
		}
	}
	apply(t, c, "n1", cluster.Disk{})
	if r := probe(t, c, "n1"); r.Err != "" {
		t.Errorf("probe: %+v", r)
	}
	sh(t, e, c, 0, "mkdir /data/d; head -c 10000 /dev/zero >/data/d/zero; echo x >/data/other")
	did, err := c.Disks.Damage(t.Context(), "n1", cluster.Damage{Files: "z*", Flips: 3, Truncate: 100, Seed: 7})
	if err != nil || len(did) != 4 {
		t.Errorf("damage: %q, %v", did, err)
	}
	for _, line := range did {
		if !strings.HasPrefix(line, "d/zero: ") {
			t.Errorf("damage: %s", line)
		}
	}
	if got := sh(t, e, c, 0, "tr -d '\\000' </data/d/zero | wc -c; wc -c </data/d/zero; cat /data/other"); got != "3\n9900\nx" {
		t.Errorf("after the damage: %q of %q", got, did)
	}
	must(t, c.Procs.Kill(t.Context(), "n1"))
	if r := probe(t, c, "n1"); r.Err != "" {
		t.Errorf("probe without a server: %+v", r)
	}
	must(t, c.Wipe(t.Context(), "n1"))
	must(t, c.Procs.Start(t.Context(), "n1"))
	if got := sh(t, e, c, 0, "ls -A /data"); got != "" {
		t.Errorf("after a wipe: %q", got)
	}
}

// TestHostAgentDies: the disks are gone with it, which is told, and a restart
// of the server brings them back. Clocks stay off, and the next agent heals
// them.
func TestHostAgentDies(t *testing.T) {
	e := testEngine(t)
	for _, disk := range []docker.DiskBacking{docker.DiskLoop, docker.DiskFUSE} {
		t.Run(string(disk), func(t *testing.T) {
			c := diskCluster(t, e, disk)
			sh(t, e, c, 0, "echo x >/data/x && sync /data/x")
			apply(t, c, "n1", cluster.Disk{Full: true})
			skew(t, c, cluster.Skew{Offset: time.Hour})
			must(t, c.KillHostAgent(t.Context()))
			wantOffset(t, c, time.Hour)
			err := c.Disks.Apply(t.Context(), "n1", cluster.Disk{})
			if !errors.Is(err, cluster.ErrLapsed) {
				t.Errorf("heal after the agent's death: %v", err)
			}
			skew(t, c, cluster.Skew{})
			wantOffset(t, c, 0)
			must(t, c.Procs.Kill(t.Context(), "n1"))
			must(t, c.Procs.Start(t.Context(), "n1"))
			if got := sh(t, e, c, 0, "cat /data/x; echo y >/data/y; sync /data/y"); got != "x" {
				t.Errorf("after the restart: %q", got)
			}
			if r := probe(t, c, "n1"); r.Err != "" {
				t.Errorf("after the restart: %+v", r)
			}
			must(t, c.Disks.Crash(t.Context(), "n1"))
			must(t, c.Procs.Start(t.Context(), "n1"))
			if got := sh(t, e, c, 0, "ls /data"); got != "x\ny" {
				t.Errorf("after a crash: %q", got)
			}
			must(t, c.KillHostAgent(t.Context())) // close has to clean up without it
		})
	}
}

// TestSeveralCleanAtOnce: leftovers with mounts are everybody's.
func TestSeveralCleanAtOnce(t *testing.T) {
	e := testEngine(t)
	c := diskCluster(t, e, docker.DiskFUSE)
	must(t, c.KillHostAgent(t.Context()))
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if _, err := e.Clean(t.Context(), c.RunID); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	wantNoMounts(t, c.RunID)
}
