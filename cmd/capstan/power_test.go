package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/reports"
	"github.com/capstan-dev/capstan/targets/sim"
)

var (
	seeds   = flag.Int("seeds", 2, "seeds for each planted bug in TestPower")
	healthy = flag.Int("healthy", 3, "seeds for each healthy system in TestPowerHealthy")
)

// simRun runs the command line in this process and returns the results.
func simRun(t *testing.T, args ...string) reports.Results {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	var out, errs bytes.Buffer
	code := execute(append([]string{"run", "--json", "-o", dir}, args...), &out, &errs)
	var res reports.Results
	if err := json.Unmarshal(out.Bytes(), &res); err != nil {
		t.Fatalf("capstan run %v: exit %d: %v\n%s", args, code, err, errs.String())
	}
	return res
}

func bugArgs(b sim.Bug, bug string, seed int) []string {
	return []string{"sim/" + b.Topology, "--workload", b.Workload, "--fault", b.Fault,
		"--level", "bug=" + bug, "--seed", fmt.Sprint(seed)}
}

// TestPower plants every bug of the sim and counts in how many seeds the
// checks find it. Each must be found at least once, and never without a
// witness; the rates are printed.
func TestPower(t *testing.T) {
	for _, b := range sim.Bugs() {
		t.Run(b.Topology+"/"+b.Name, func(t *testing.T) {
			found := 0
			for seed := range *seeds {
				res := simRun(t, bugArgs(b, b.Name, seed+1)...)
				if res.Verdict == checker.Invalid {
					found++
				}
			}
			t.Logf("found in %d of %d seeds (%s, fault %s)", found, *seeds, b.Workload, b.Fault)
			if found == 0 {
				t.Errorf("%s: not found in %d seeds: %s", b.Name, *seeds, b.Doc)
			}
		})
	}
}

// TestPowerHealthy runs the systems that keep their promise; none may be
// accused.
func TestPowerHealthy(t *testing.T) {
	systems := []struct{ target, workload, fault string }{
		{"sim/raft", "register", "partition"},
		{"sim/raft", "register", "partition,kill,pause,clock"},
		{"sim/raft", "set", "partition,kill:all"},
		{"sim/raft", "counter", "partition,pause"},
		{"sim/sync", "register", "partition,kill,pause,clock"},
		{"sim/sync", "set", "partition:primary,kill"},
		{"sim/crdt", "counter", "partition,kill"},
		{"sim/crdt", "set", "partition,pause"},
	}
	began := time.Now()
	runs := 0
	for _, s := range systems {
		t.Run(s.target+"/"+s.workload+"/"+s.fault, func(t *testing.T) {
			valid := 0
			for seed := range *healthy {
				res := simRun(t, s.target, "--workload", s.workload, "--fault", s.fault, "--seed", fmt.Sprint(seed+1))
				runs++
				switch res.Verdict {
				case checker.Valid:
					valid++
				case checker.Invalid:
					t.Errorf("seed %d is accused: %s", seed+1, res.Reason)
				default:
					t.Logf("seed %d is unknown: %s", seed+1, res.Reason)
				}
			}
			t.Logf("%d of %d seeds valid", valid, *healthy)
			if valid == 0 {
				t.Error("not one run was strong enough to be valid")
			}
		})
	}
	t.Logf("%d runs in %v", runs, time.Since(began).Round(time.Millisecond))
}
