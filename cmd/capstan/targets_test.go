package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/cluster/docker"
	"github.com/capstan-dev/capstan/reports"
	"github.com/capstan-dev/capstan/targets"
)

// atOnce is how many clusters run beside each other: their limits add up to
// less than 20 GiB.
const atOnce = 3

// enoughOK is how many operations must succeed. It is less than what a verdict
// needs: consensus between six servers on Java, beside other clusters on two
// cores, may answer only a few calls a second, and the verdict is unknown then.
const enoughOK = 20

// TestEachTopologyUnderPartition runs every topology that can be had here for 15
// seconds while its network is cut, all the way to the report: its faults are
// proven, operations succeed, no promise is refuted, and nothing is left.
func TestEachTopologyUnderPartition(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes")
	}
	eng := engine(t)
	slots := make(chan struct{}, atOnce)
	eachTopology(func(target targets.Target, top targets.Topology) {
		if target.Name() == "sim" || top.External {
			return
		}
		t.Run(target.Name()+"/"+top.Name, func(t *testing.T) {
			t.Parallel()
			slots <- struct{}{}
			defer func() { <-slots }()
			underPartition(t, eng, target, top)
		})
	})
}

func underPartition(t *testing.T, eng *docker.Engine, target targets.Target, top targets.Topology) {
	id := "it-" + target.Name() + "-" + top.Name
	dir := filepath.Join(t.TempDir(), id)
	var out, errs bytes.Buffer
	code := execute([]string{"run", target.Name() + "/" + top.Name, "--time-limit", "15s", "-o", dir}, &out, &errs)
	leftNothing(t, eng, id)
	if code == exitEnvironment && strings.Contains(errs.String(), docker.ErrNoImage.Error()) && !buildable(target) {
		t.Skipf("there is only an official image, and no registry to get it from")
	}
	run, err := reports.Load(dir)
	if err != nil {
		t.Fatalf("exit code %d, %v\n%s", code, err, errs.String())
	}
	t.Logf("%s: %s; %d operations ok, ready after %.1f s, claim %q", run.Results.Verdict, run.Results.Reason,
		run.Results.Operations.OK, run.Info.Boot.Seconds(), run.Info.Claim)
	if code != verdictCode(run.Results.Verdict) {
		t.Errorf("exit code %d for %v\n%s", code, run.Results.Verdict, errs.String())
	}
	if run.Results.Operations.OK < enoughOK {
		t.Errorf("%d operations are ok", run.Results.Operations.OK)
	}
	for _, c := range run.Results.Checks {
		if c.Name == "faults" && c.Verdict != checker.Valid {
			t.Errorf("faults: %s", c.Reason)
		}
	}
	if reports.RefutesClaim(run) {
		t.Errorf("the claim %q is refuted:\n%s", run.Info.Claim, out.String())
	}
	if _, err := os.Stat(filepath.Join(dir, "report.html")); err != nil {
		t.Error(err)
	}
}

// buildable: all of a target's images can be built here.
func buildable(target targets.Target) bool {
	i, ok := target.(targets.Images)
	if !ok {
		return false
	}
	for _, img := range i.Images() {
		if img.Files == nil {
			return false
		}
	}
	return true
}
