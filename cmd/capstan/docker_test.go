package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/cluster/docker"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/internal/require"
	"github.com/capstan-dev/capstan/reports"
)

func engine(t *testing.T) *docker.Engine {
	t.Helper()
	eng, err := docker.Connect(t.Context(), nil)
	if err != nil {
		require.Skip(t, "docker", err)
	}
	t.Cleanup(func() { eng.Close() })
	return eng
}

// binary builds capstan as a program of its own, to be killed.
func binary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "capstan")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return path
}

// leftNothing fails if anything of a run is still in the engine.
func leftNothing(t *testing.T, eng *docker.Engine, run string) {
	t.Helper()
	removed, err := eng.Clean(context.WithoutCancel(t.Context()), run)
	if err != nil || !removed.Empty() {
		t.Errorf("left behind: %v, %v", removed, err)
	}
}

// TestPostgresReplicaServesStaleReads is the whole of capstan on a real
// cluster: standbys that are cut off from the primary serve what is old.
func TestPostgresReplicaServesStaleReads(t *testing.T) {
	eng := engine(t)
	dir := filepath.Join(t.TempDir(), "it-stale")
	var out, errs bytes.Buffer
	code := execute([]string{"run", "postgres/async", "--level", "read=replica", "--fault", "partition:primary",
		"--time-limit", "15s", "--json", "-o", dir}, &out, &errs)
	var res reports.Results
	if err := json.Unmarshal(out.Bytes(), &res); err != nil || code != exitInvalid {
		t.Fatalf("exit %d, %v\n%s", code, err, errs.String())
	}
	if res.Checks[0].Verdict != checker.Invalid || len(res.Checks[0].Anomalies) == 0 {
		t.Errorf("no witness: %s", res.Reason)
	}
	if res.Checks[1].Verdict != checker.Valid {
		t.Errorf("the cut was not proven: %s", res.Checks[1].Reason)
	}
	for _, rate := range res.Availability.Totals {
		if rate.Phase == "during faults" && rate.Side == "majority" && rate.F == "write" && rate.OK > 0 {
			t.Errorf("standbys took %d writes", rate.OK)
		}
	}
	for _, name := range []string{"n1", "n2", "n3"} {
		logs, err := filepath.Glob(filepath.Join(dir, "nodes", name, "*.log"))
		if err != nil || len(logs) == 0 {
			t.Errorf("no logs of %s", name)
		}
	}
	leftNothing(t, eng, "it-stale")
}

// TestPostgresSetOnSyncStandbys runs the other workload on the other topology.
func TestPostgresSetOnSyncStandbys(t *testing.T) {
	eng := engine(t)
	dir := filepath.Join(t.TempDir(), "it-sync")
	var out, errs bytes.Buffer
	code := execute([]string{"run", "postgres/sync", "--workload", "set", "--fault", "partition:primary,kill:primary",
		"--time-limit", "25s", "-o", dir}, &out, &errs)
	if code != exitValid || !strings.Contains(out.String(), "NO VIOLATION FOUND") {
		t.Errorf("exit %d\n%s\n%s", code, out.String(), errs.String())
	}
	leftNothing(t, eng, "it-sync")
}

// TestKilledRunLeavesAPrefixAndIsSwept kills capstan in the middle of a cut:
// what it recorded can be judged, and clean removes what it left.
func TestKilledRunLeavesAPrefixAndIsSwept(t *testing.T) {
	eng := engine(t)
	dir := filepath.Join(t.TempDir(), "it-killed")
	bin := binary(t)
	cmd := exec.Command(bin, "run", "postgres/async", "--level", "read=replica", "--fault", "partition:primary", "-o", dir)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	cut := waitFor(t, time.Minute, func() bool {
		h, _ := history.ReadFile(filepath.Join(dir, "history.jsonl"))
		return h != nil && len(history.Windows(h)) > 0 && history.Windows(h)[0].Proven
	})
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed, and says so
	if !cut {
		t.Fatalf("no cut was proven\n%s", errs.String())
	}
	out, err := exec.Command(bin, "check", dir).Output()
	if got := exitText(err); got != "1" && got != "3" {
		t.Errorf("checking the prefix: exit %s\n%s", got, out)
	}
	// Another run may have swept it already.
	out, err = exec.Command(bin, "clean", "--run", "it-killed").Output()
	if err != nil || !strings.Contains(string(out), "it-killed") && !strings.Contains(string(out), "nothing to remove") {
		t.Errorf("clean: %v\n%s", err, out)
	}
	leftNothing(t, eng, "it-killed")
}

// TestInterruptHealsAndReports stops a run with one signal.
func TestInterruptHealsAndReports(t *testing.T) {
	eng := engine(t)
	dir := filepath.Join(t.TempDir(), "it-stopped")
	cmd := exec.Command(binary(t), "run", "postgres/single", "--fault", "pause", "-o", dir)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	paused := waitFor(t, time.Minute, func() bool {
		h, _ := history.ReadFile(filepath.Join(dir, "history.jsonl"))
		return h != nil && len(history.Windows(h)) > 0 && history.Windows(h)[0].Proven
	})
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if got := exitText(cmd.Wait()); got != "130" || !paused {
		t.Errorf("exit %s, paused %v\n%s", got, paused, errs.String())
	}
	run, err := reports.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if ws := history.Windows(run.History); !run.Info.Interrupted || len(ws) != 1 || !ws[0].Healed {
		t.Errorf("interrupted %v, windows %+v", run.Info.Interrupted, ws)
	}
	leftNothing(t, eng, "it-stopped")
}

// waitFor asks until cond is true or the time is up.
func waitFor(t *testing.T, limit time.Duration, cond func() bool) bool {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); time.Now().Before(end); <-tick.C {
		if cond() {
			return true
		}
	}
	return false
}

func TestNoEngineLeavesNoHistory(t *testing.T) {
	t.Setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
	dir := filepath.Join(t.TempDir(), "none")
	var out, errs bytes.Buffer
	if code := execute([]string{"run", "postgres/single", "--fault", "none", "-o", dir}, &out, &errs); code != exitEnvironment {
		t.Errorf("exit %d\n%s", code, errs.String())
	}
	if _, err := os.Stat(filepath.Join(dir, "history.jsonl")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a history was begun: %v", err)
	}
}
