//go:build unix

package docker_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/cluster/docker"
)

// childEnv makes TestCuttingChild be a harness that cuts and then hangs. Its
// value is the run id.
const childEnv = "CAPSTAN_TEST_CUTTING_CHILD"

// TestCuttingChild is run by others, as a process of its own.
func TestCuttingChild(t *testing.T) {
	id := os.Getenv(childEnv)
	if id == "" {
		t.Skip("runs as a child of TestDeadMan only")
	}
	e := testEngine(t)
	c, err := e.Start(t.Context(), docker.Spec{RunID: id, Nodes: serverNodes(t, e, 3)})
	if err != nil {
		t.Fatal(err)
	}
	until(t, 10*time.Second, func() error { _, err := greet(t.Context(), c, "n2"); return err })
	cut := apart([]string{"n1"}, []string{"n2", "n3"})
	if err := c.Net.Apply(t.Context(), cut); err != nil {
		t.Fatal(err)
	}
	expect(t, c, cut)
	if err := c.Procs.Pause(t.Context(), "n3"); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("\ncut %s %s\n", c.Nodes[0].ServerID, c.Nodes[1].IP)
	select {} // until the parent kills it
}

// cuttingChild starts the child and returns it with n1's server and n2's
// address.
func cuttingChild(t *testing.T, id string) (child *os.Process, n1, n2 string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestCuttingChild$", "-test.v")
	cmd.Env = append(os.Environ(), childEnv+"="+id)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// An error is that it is dead already.
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if n, _ := fmt.Sscanf(lines.Text(), "cut %s %s", &n1, &n2); n == 2 {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return cmd.Process, n1, n2
		}
		t.Log("child: " + lines.Text())
	}
	t.Fatal("the child ended")
	return nil, "", ""
}

// TestDeadMan kills and hangs a harness in the middle of a cut.
func TestDeadMan(t *testing.T) {
	e := testEngine(t)
	for _, tt := range []struct {
		name   string
		signal os.Signal
	}{{"killed", syscall.SIGKILL}, {"hung", syscall.SIGSTOP}} {
		t.Run(tt.name, func(t *testing.T) {
			id := runID(t)
			t.Cleanup(func() { _, _ = e.Clean(context.Background(), id) })
			child, n1, n2 := cuttingChild(t, id)
			if passes(t.Context(), e, n1, n2) == nil {
				t.Fatal("nothing is cut")
			}
			if err := child.Signal(tt.signal); err != nil {
				t.Fatal(err)
			}
			took := until(t, 10*time.Second, func() error { return passes(t.Context(), e, n1, n2) })
			t.Logf("%s in the middle of a cut: traffic passes again after %v", tt.name, took)

			if tt.signal == syscall.SIGSTOP {
				// Hung is not dead: its run is not for others to remove.
				removed, err := e.Sweep(t.Context())
				if err != nil || strings.Contains(removed.String(), id) {
					t.Errorf("sweep removed a living run: %v, %v", removed, err)
				}
			}
			if err := child.Kill(); err != nil && err != os.ErrProcessDone {
				t.Fatal(err)
			}
			if _, err := child.Wait(); err != nil {
				t.Fatal(err)
			}
			removed, err := e.Sweep(t.Context())
			if err != nil {
				t.Error(err)
			}
			t.Logf("sweep removed %v", removed)
			left, err := e.Clean(t.Context(), id)
			if err != nil || !left.Empty() {
				t.Errorf("after the sweep there was left: %v, %v", left, err)
			}
		})
	}
}
