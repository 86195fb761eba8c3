package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/cluster/docker"
	"github.com/capstan-dev/capstan/history"
)

var kills = flag.Int("kills", 2, "how often each test of the harness' death kills it")

// mixed is faults of all sorts that overlap and follow each other closely.
var mixed = []string{
	"--fault", "partition 3s @1s", "--fault", "delay(100ms) 4s @2s", "--fault", "kill 2s @3s", "--fault", "clock 3s @4s",
	"--fault", "partition:halves 4s @6s", "--fault", "loss(0.3) 3s @6s", "--fault", "pause 2s @8s", "--fault", "isolate(primary) 5s @11s",
	"--fault", "clients(one) 3s @12s", "--fault", "suspend 2s @14s", "--fault", "partition(one, how=hold) 3s @17s",
	"--fault", "crash(non-primary) 2s @10s", "--fault", "disk-full(non-primary) 2s @18s", "--fault", "cpu(0.2) 3s @5s",
}

// TestHarnessDies kills capstan at random moments of a run with mixed faults.
// Its agents heal the network at once, and the next start leaves nothing of it.
func TestHarnessDies(t *testing.T) {
	harnessDies(t, "killed", func(p *os.Process) error { return p.Kill() }, 5*time.Second)
}

// TestHarnessHangs stops capstan in the same way: the agents' leases expire.
func TestHarnessHangs(t *testing.T) {
	harnessDies(t, "hung", func(p *os.Process) error { return p.Signal(syscall.SIGSTOP) }, 20*time.Second)
}

func harnessDies(t *testing.T, how string, end func(*os.Process) error, most time.Duration) {
	eng := engine(t)
	bin := binary(t)
	var took []time.Duration
	for i := range *kills {
		run := fmt.Sprintf("it-%s-%d-%d", how, os.Getpid(), i)
		dir := filepath.Join(t.TempDir(), run)
		cmd := exec.Command(bin, append([]string{"run", "postgres/async", "-o", dir, "--time-limit", "22s"}, mixed...)...)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		started := waitFor(t, time.Minute, func() bool {
			h, _ := history.ReadFile(filepath.Join(dir, "history.jsonl"))
			return h != nil && len(history.Windows(h)) > 0
		})
		if !started {
			_ = cmd.Process.Kill()
			t.Fatalf("no fault was injected: %v\n%s", cmd.Wait(), errs.String())
		}
		time.Sleep(rand.N(18 * time.Second))
		began := time.Now()
		if err := end(cmd.Process); err != nil {
			t.Fatal(err)
		}
		d, open := untilOpen(t, eng, run, began.Add(most))
		if !open {
			t.Errorf("%s: links were not whole %v later", run, most)
		}
		took = append(took, d)
		t.Logf("%s: in force: %s; all links open after %v", run, strings.Join(inForce(t, dir), ", "), d.Round(time.Millisecond))
		_ = cmd.Process.Kill() // the hung one, too
		_ = cmd.Wait()
		if _, err := eng.Sweep(t.Context()); err != nil { // what every start does first
			t.Errorf("sweep: %v", err)
		}
		leftNothing(t, eng, run)
		leftNothingOnHost(t, run)
	}
	slices.Sort(took)
	t.Logf("%d times %s: median %v, most %v until all links were open", len(took), how,
		took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
}

// leftNothingOnHost looks for mounts and loop devices of a run.
func leftNothingOnHost(t *testing.T, run string) {
	t.Helper()
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, run) {
			t.Errorf("mount left: %s", line)
		}
	}
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		// Gone meanwhile is fine.
		if file, err := os.ReadFile(f); err == nil && strings.Contains(string(file), run) {
			t.Errorf("loop device left on %s", file)
		}
	}
}

// inForce lists the faults that were when the history ended.
func inForce(t *testing.T, dir string) (names []string) {
	t.Helper()
	h, err := history.ReadFile(filepath.Join(dir, "history.jsonl"))
	if err != nil {
		t.Fatalf("the history is lost: %v", err)
	}
	for _, w := range history.Windows(h) {
		if !w.Stopped {
			names = append(names, w.Fault)
		}
	}
	return names
}

// dialPeers tries TCP to the nodes in its arguments. A refusal is an answer:
// the server may be dead, the link is open.
const dialPeers = `for n in "$@"; do timeout 0.4 bash -c "exec 3<>/dev/tcp/$n/5432" 2>/dev/null; [ $? = 124 ] && exit 9; done; exit 0`

// untilOpen measures by traffic of its own, in containers whose owner is dead,
// how long it takes until every node reaches every other.
func untilOpen(t *testing.T, eng *docker.Engine, run string, limit time.Time) (time.Duration, bool) {
	t.Helper()
	began := time.Now()
	nodes := []string{"n1", "n2", "n3"}
	reaches := func(node string) bool {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var out bytes.Buffer
		peers := slices.DeleteFunc(slices.Clone(nodes), func(n string) bool { return n == node })
		code, err := eng.Shell(ctx, run, node, docker.RoleHolder, append([]string{"bash", "-c", dialPeers, "dial"}, peers...),
			docker.Terminal{In: strings.NewReader(""), Out: &out, Err: &out})
		return err == nil && code == 0
	}
	for time.Now().Before(limit) {
		results := make(chan bool, len(nodes))
		for _, n := range nodes {
			go func() { results <- reaches(n) }()
		}
		whole := true
		for range nodes {
			whole = <-results && whole
		}
		if whole {
			return time.Since(began), true
		}
	}
	return time.Since(began), false
}
