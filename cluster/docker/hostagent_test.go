//go:build unix

package docker_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/cluster/docker"
)

// clockServer tells everybody who connects what time it is.
const clockServer = `
use IO::Socket::INET;
my $s = IO::Socket::INET->new(LocalPort => 8000, Listen => 9, ReuseAddr => 1) or die "listen: $!";
while (my $c = $s->accept) { print $c time, "\n"; close $c }
`

// breakingEnv makes TestBreakingChild be a harness that breaks what the host
// agent can break, and then hangs. Its value is the run id.
const breakingEnv = "CAPSTAN_TEST_BREAKING_CHILD"

// TestBreakingChild is run by others, as a process of its own.
func TestBreakingChild(t *testing.T) {
	id := os.Getenv(breakingEnv)
	if id == "" {
		t.Skip("runs as a child of TestHarnessDies only")
	}
	e := testEngine(t)
	nodes := serverNodes(t, e, 1)
	nodes[0].Server.Files[0].Content = []byte(clockServer)
	nodes[0].Server.User = ""
	c, err := e.Start(t.Context(), docker.Spec{RunID: id, Nodes: nodes, Disk: docker.DiskFUSE})
	must(t, err)
	addr, err := c.Addr("n1", 8000)
	must(t, err)
	until(t, 10*time.Second, func() error { _, err := timeAt(t, addr); return err })
	must(t, c.Clocks.Skew(t.Context(), "n1", cluster.Skew{Offset: time.Hour}))
	if off, err := timeAt(t, addr); err != nil || off < 59*time.Minute {
		t.Fatalf("%v off, %v", off, err)
	}
	apply(t, c, "n1", cluster.Disk{Full: true})
	must(t, c.Procs.Suspend(t.Context(), "n1"))
	fmt.Printf("\nbroken %s %s\n", c.Nodes[0].ServerID, addr)
	select {} // until the parent kills it
}

// timeAt is how far the server at an address is from the true time.
func timeAt(t *testing.T, addr string) (time.Duration, error) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(300*time.Millisecond)))
	b, err := io.ReadAll(conn)
	if err != nil {
		return 0, err
	}
	sec, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	return time.Until(time.Unix(sec, 0)), err
}

// TestHarnessDies: the agent heals by itself, and a sweep takes everything
// away, mounts included.
func TestHarnessDies(t *testing.T) {
	e := testEngine(t)
	id := runID(t)
	t.Cleanup(func() { _, _ = e.Clean(context.Background(), id) })
	cmd := exec.Command(os.Args[0], "-test.run=^TestBreakingChild$", "-test.v")
	cmd.Env = append(os.Environ(), breakingEnv+"="+id)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	var server, addr string
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if n, _ := fmt.Sscanf(lines.Text(), "broken %s %s", &server, &addr); n == 2 {
			break
		}
		t.Log("child: " + lines.Text())
	}
	if _, err := timeAt(t, addr); err == nil {
		t.Fatal("the server answers though it is suspended")
	}
	must(t, cmd.Process.Kill())
	_ = cmd.Wait() // killed
	took := until(t, 10*time.Second, func() error {
		off, err := timeAt(t, addr)
		if err == nil && off.Abs() > 2*time.Second {
			err = fmt.Errorf("%v off", off)
		}
		return err
	})
	text, code, err := e.Exec(t.Context(), server, "sh", "-c", "echo x >/data/x")
	if err := errors.Join(err); err != nil || code != 0 {
		t.Errorf("write to the healed disk: %s, %v", text, err)
	}
	t.Logf("harness killed: process, clock and disk are sound after %v", took)
	removed, err := e.Sweep(t.Context())
	must(t, err)
	t.Logf("sweep removed %v", removed)
	left, err := e.Clean(t.Context(), id)
	if err != nil || !left.Empty() {
		t.Errorf("after the sweep there was left: %v, %v", left, err)
	}
	wantNoMounts(t, id)
}
