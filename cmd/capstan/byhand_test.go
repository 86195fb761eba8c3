package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/harness/live"
)

// byHand runs the commands of one test against sockets of its own.
type byHand struct {
	t   *testing.T
	bin string
	env []string
}

func newByHand(t *testing.T) *byHand {
	t.Helper()
	// A socket's path is short.
	dir, err := os.MkdirTemp("", "capstan-hand-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Setenv("XDG_RUNTIME_DIR", dir)
	return &byHand{t, binary(t), append(os.Environ(), "XDG_RUNTIME_DIR="+dir, "TMPDIR="+dir)}
}

// run runs a command that is to end with an exit code, and returns its output.
func (b *byHand) run(code string, args ...string) string {
	b.t.Helper()
	cmd := exec.Command(b.bin, args...)
	cmd.Env = b.env
	out, err := cmd.CombinedOutput()
	got := "0"
	if err != nil {
		got = exitText(err)
	}
	if got != code {
		b.t.Fatalf("capstan %s: exit %s, want %s\n%s", strings.Join(args, " "), got, code, out)
	}
	return string(out)
}

func (b *byHand) sees(out string, want ...string) {
	b.t.Helper()
	for _, w := range want {
		if !strings.Contains(out, w) {
			b.t.Errorf("no %q in\n%s", w, out)
		}
	}
}

func TestBreakAClusterByHand(t *testing.T) {
	eng := engine(t)
	name := fmt.Sprintf("it-hand-%d", os.Getpid())
	b := newByHand(t)
	b.sees(b.run("64", "fault", "add", "kill"), "no cluster is up")
	b.sees(b.run("0", "fault", "ls"), "no cluster is up")
	b.sees(b.run("0", "up", "postgres/async", "--nodes", "2", "--name", name, "-d"), "n1", "primary", "postgres://", "no fault is in force")
	t.Cleanup(func() { leftNothing(t, eng, name) })
	b.sees(b.run("64", "up", "postgres/single", "--name", name), "is up already")
	b.sees(b.run("64", "fault", "add", "isolate(primry)"), `did you mean "primary"?`)
	b.sees(b.run("64", "fault", "add", "kill 2s @5s"), "begins now")

	b.sees(b.run("0", "fault", "add", "isolate(primary)"), "fault 1", "in force", "{n1 | n2}")
	b.sees(b.run("0", "fault", "add", "pause(n2)"), "n2 is paused")
	b.sees(b.run("0", "fault", "ls"), "isolate:primary", "paused")
	b.sees(b.run("69", "shell", "n2", "true"), "is paused")
	b.sees(b.run("0", "fault", "heal", "2"), "n2 is running")
	b.sees(b.run("0", "fault", "heal", "1"), "healed", "0 cut")
	b.sees(b.run("64", "fault", "heal", "1"), "no fault 1")
	b.sees(b.run("0", "fault", "add", "suspend(n2) 1s"), "heals in")
	if !waitFor(t, 20*time.Second, func() bool { return strings.Contains(b.run("0", "fault", "ls"), "no fault is in force") }) {
		t.Error("a fault with a time did not heal by itself")
	}
	b.sees(b.run("0", "shell", "n1", "psql", "-h", "127.0.0.1", "-U", "postgres", "-Atc", "select 6 * 7"), "42")
	b.run("7", "shell", "n1", "--", "sh", "-c", "exit 7")
	b.sees(b.run("0", "shell", "--net", "n1", "iptables", "-S"), "CAPSTAN-IN")
	b.sees(b.run("0", "fault", "add", "stop(n1)"), "n1 is dead")
	b.sees(b.run("0", "fault", "heal"), "all is healed")
	b.sees(b.run("0", "down"), "is down")
	b.sees(b.run("64", "down"), "no cluster is up")
}

// TestKeeperDies kills the process that keeps a cluster: its socket does not
// stand in the way of the next one, which sweeps the first away.
func TestKeeperDies(t *testing.T) {
	eng := engine(t)
	name := fmt.Sprintf("it-keeper-%d", os.Getpid())
	b := newByHand(t)
	b.run("0", "up", "postgres/single", "--name", name, "-d")
	t.Cleanup(func() { leftNothing(t, eng, name) })
	c, err := live.Find(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b.run("0", "fault", "add", "pause(n1)")
	if err := syscall.Kill(s.PID, syscall.SIGKILL); err != nil {
		t.Fatalf("kill %s: %v", strconv.Itoa(s.PID), err)
	}
	if !waitFor(t, 10*time.Second, func() bool { return syscall.Kill(s.PID, 0) != nil }) {
		t.Fatal("it is still there")
	}
	b.sees(b.run("0", "fault", "ls"), "no cluster is up")
	b.run("0", "up", "postgres/single", "--name", name, "-d")
	b.sees(b.run("0", "fault", "ls"), "n1  running")
	b.run("0", "down")
}
