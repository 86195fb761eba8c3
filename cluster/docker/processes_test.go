package docker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/cluster/docker"
)

// greet reads what the node's server says to a client.
func greet(ctx context.Context, c *docker.Cluster, node string) (string, error) {
	addr, err := c.Addr(node, 8000)
	if err != nil {
		return "", err
	}
	d := net.Dialer{Timeout: time.Second}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return "", err
	}
	b, err := io.ReadAll(conn)
	if err == nil && len(b) == 0 {
		err = io.ErrUnexpectedEOF
	}
	return string(b), err
}

func wantState(t *testing.T, c *docker.Cluster, node string, want cluster.State) {
	t.Helper()
	if s, err := c.Procs.State(t.Context(), node); err != nil || s != want {
		t.Errorf("%s is %s (%v), want %s", node, s, err, want)
	}
}

func TestProcesses(t *testing.T) {
	e := testEngine(t)
	start := time.Now()
	c := testCluster(t, e, serverNodes(t, e, 3))
	t.Logf("3 nodes with servers up in %v", time.Since(start))
	ctx := t.Context()
	answers := func() error {
		got, err := greet(ctx, c, "n1")
		if err == nil && got != "hello from n1\n" {
			err = fmt.Errorf("n1 said %q", got)
		}
		return err
	}
	until(t, 10*time.Second, answers)
	wantState(t, c, "n1", cluster.Running)

	cut := apart([]string{"n1"}, []string{"n2", "n3"})
	if err := c.Net.Apply(ctx, cut); err != nil {
		t.Fatal(err)
	}
	ip := c.Nodes[0].IP

	for range 2 { // idempotent
		if err := c.Procs.Kill(ctx, "n1"); err != nil {
			t.Fatal(err)
		}
		wantState(t, c, "n1", cluster.Dead)
	}
	if err := c.Alive(ctx); err == nil || !strings.Contains(err.Error(), "n1: server is dead (exit code 137)") ||
		!strings.Contains(err.Error(), "\tready") {
		t.Errorf("a dead server gives %v", err)
	}
	expect(t, c, cut)
	for range 2 {
		if err := c.Procs.Start(ctx, "n1"); err != nil {
			t.Fatal(err)
		}
	}
	until(t, 10*time.Second, answers)
	if c.Nodes[0].IP != ip {
		t.Errorf("address changed from %v to %v", ip, c.Nodes[0].IP)
	}
	expect(t, c, cut)

	for range 2 {
		if err := c.Procs.Pause(ctx, "n1"); err != nil {
			t.Fatal(err)
		}
		wantState(t, c, "n1", cluster.Paused)
	}
	if got, err := greet(ctx, c, "n1"); err == nil {
		t.Errorf("paused n1 said %q", got)
	}
	expect(t, c, cut)
	for range 2 {
		if err := c.Procs.Resume(ctx, "n1"); err != nil {
			t.Fatal(err)
		}
		wantState(t, c, "n1", cluster.Running)
	}
	until(t, 10*time.Second, answers)
	expect(t, c, cut)

	// A paused server can be killed and started.
	if err := errors.Join(c.Procs.Pause(ctx, "n1"), c.Procs.Kill(ctx, "n1")); err != nil {
		t.Fatal(err)
	}
	wantState(t, c, "n1", cluster.Dead)
	if err := c.Procs.Start(ctx, "n1"); err != nil {
		t.Fatal(err)
	}
	until(t, 10*time.Second, answers)

	dir := t.TempDir()
	if err := c.Logs(ctx, dir); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(filepath.Join(dir, "n1", "echo.log"))
	if err != nil || strings.Count(string(log), "ready") != 3 {
		t.Errorf("log of n1: %q, %v", log, err)
	}
}

func TestBareNodeHasNoServer(t *testing.T) {
	c := testCluster(t, testEngine(t), docker.Bare(1))
	if err := c.Procs.Kill(t.Context(), "n1"); err == nil || !strings.Contains(err.Error(), "n1: node has no server") {
		t.Errorf("kill a bare node: %v", err)
	}
	if err := c.Procs.Kill(t.Context(), "n9"); err == nil || !strings.Contains(err.Error(), "no node n9") {
		t.Errorf("kill a node that is not: %v", err)
	}
}
