package docker_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/cluster"
)

var errAlive = errors.New("the server lives")

// TestSuspend stops the server process alone, which is a shell's child here.
func TestSuspend(t *testing.T) {
	e := testEngine(t)
	nodes := serverNodes(t, e, 2)
	nodes[0].Server.Entrypoint = []string{"sh", "-c", "perl /srv/echo.pl & sleep 1000 & wait"}
	c := testCluster(t, e, nodes)
	ctx := t.Context()
	answers := func() error { _, err := greet(ctx, c, "n1"); return err }
	until(t, 10*time.Second, answers)
	time.Sleep(time.Second)              // a younger child is not taken for the server
	must(t, c.Procs.Continue(ctx, "n1")) // nothing to do
	for range 2 {                        // idempotent
		must(t, c.Procs.Suspend(ctx, "n1"))
		wantState(t, c, "n1", cluster.Suspended)
	}
	wantState(t, c, "n2", cluster.Running)
	if got, err := greet(ctx, c, "n1"); err == nil {
		t.Errorf("suspended n1 said %q", got)
	}
	states := sh(t, e, c, 0, `for p in /proc/[0-9]*; do read -r l <$p/stat && echo "$l"; done | cut -d' ' -f2,3`)
	if !strings.Contains(states, "(perl) T") || !strings.Contains(states, "(sleep) S") || !strings.Contains(states, "(sh) S") {
		t.Errorf("the server process alone should be stopped: %q", states)
	}
	// Paused it looks paused, and after that suspended again.
	must(t, c.Procs.Pause(ctx, "n1"))
	wantState(t, c, "n1", cluster.Paused)
	must(t, c.Procs.Resume(ctx, "n1"))
	wantState(t, c, "n1", cluster.Suspended)
	for range 2 {
		must(t, c.Procs.Continue(ctx, "n1"))
		wantState(t, c, "n1", cluster.Running)
	}
	until(t, 10*time.Second, answers)

	must(t, c.Procs.Suspend(ctx, "n1"))
	must(t, c.Procs.Kill(ctx, "n1"))
	wantState(t, c, "n1", cluster.Dead)
	must(t, c.Procs.Continue(ctx, "n1"))
	if err := c.Procs.Suspend(ctx, "n1"); err == nil {
		t.Error("a dead server can be suspended")
	}
	must(t, c.Procs.Start(ctx, "n1"))
	until(t, 10*time.Second, answers)
}

// TestSuspendEndsWithTheHarness: the lease is the same as that of the links.
func TestSuspendEndsWithTheHarness(t *testing.T) {
	e := testEngine(t)
	c := testCluster(t, e, serverNodes(t, e, 1))
	answers := func() error { _, err := greet(t.Context(), c, "n1"); return err }
	until(t, 10*time.Second, answers)
	must(t, c.Procs.Suspend(t.Context(), "n1"))
	if answers() == nil {
		t.Fatal("suspended n1 answers")
	}
	c.Hang()
	took := until(t, 11*time.Second, answers)
	t.Logf("after the harness hung, n1 answered again in %v", took)
}

func TestStop(t *testing.T) {
	e := testEngine(t)
	nodes := serverNodes(t, e, 1)
	nodes[0].Server.Entrypoint = []string{"perl", "-e", `$SIG{INT} = sub { print "bye\n"; exit 0 }; print "up\n"; $| = 1; sleep 1 while 1`}
	nodes[0].Server.StopSignal = "SIGINT"
	c := testCluster(t, e, nodes)
	ctx := t.Context()
	until(t, 10*time.Second, func() error { return c.Alive(ctx) })
	time.Sleep(300 * time.Millisecond) // for perl to set its handler
	must(t, c.Procs.Suspend(ctx, "n1"))
	must(t, c.Procs.Pause(ctx, "n1"))
	for range 2 {
		must(t, c.Procs.Stop(ctx, "n1"))
		wantState(t, c, "n1", cluster.Dead)
	}
	if err := c.Alive(ctx); err == nil || !strings.Contains(err.Error(), "exit code 0") || !strings.Contains(err.Error(), "bye") {
		t.Errorf("a stopped server: %v", err)
	}
}

// TestLimits measures what a busy server gets.
func TestLimits(t *testing.T) {
	e := testEngine(t)
	nodes := serverNodes(t, e, 1)
	nodes[0].Server.Entrypoint = []string{"perl", "-e", `my $x; while (1) { $x .= "x" x (1 << 20) if -e "/tmp/grow"; $x = "" if length($x) > 200 << 20 }`}
	nodes[0].Server.User = ""
	c := testCluster(t, e, nodes)
	ctx := t.Context()
	usage := func() cluster.Usage {
		u, err := c.Limits.Usage(ctx, "n1")
		must(t, err)
		t.Logf("%+v", u)
		return u
	}
	free := usage()
	must(t, c.Limits.Limit(ctx, "n1", cluster.Limits{CPU: 0.1}))
	if u := usage(); u.CPULimit != 0.1 || u.CPU > 0.15 || u.Throttled == 0 {
		t.Errorf("limited to a tenth of a CPU: %+v", u)
	}
	must(t, c.Limits.Limit(ctx, "n1", cluster.Limits{CPU: 0.5, Headroom: 32 << 20}))
	u := usage()
	if u.CPULimit != 0.5 || u.CPU > 0.6 || u.MemoryLimit-u.Memory > 33<<20 || u.MemoryLimit >= free.MemoryLimit {
		t.Errorf("limited to half a CPU and 32 MiB: %+v", u)
	}
	must(t, c.Limits.Limit(ctx, "n1", cluster.Limits{}))
	if u := usage(); u.CPULimit != 0 || u.Throttled != 0 || u.MemoryLimit < free.MemoryLimit/2 {
		t.Errorf("as started: %+v, before %+v", u, free)
	}
	// Beyond its memory the server is killed.
	must(t, c.Limits.Limit(ctx, "n1", cluster.Limits{Headroom: 16 << 20}))
	sh(t, e, c, 0, "touch /tmp/grow")
	until(t, 20*time.Second, func() error {
		if c.Alive(ctx) == nil {
			return errAlive
		}
		return nil
	})
	t.Log(c.Alive(ctx))
	must(t, c.Limits.Limit(ctx, "n1", cluster.Limits{}))
	must(t, c.Procs.Start(ctx, "n1"))
}
