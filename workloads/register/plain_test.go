package register_test

import (
	"testing"
	"time"

	"github.com/capstan-dev/capstan/checker/linear"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/workloads"
	"github.com/capstan-dev/capstan/workloads/gen"
	"github.com/capstan-dev/capstan/workloads/register"
)

// TestWithoutCAS: a system that says that it has no compare-and-set is asked
// for none any more, on any key.
func TestWithoutCAS(t *testing.T) {
	src := register.New(linear.Options{}).Source(workloads.Params{Seed: 1, Concurrency: 4, Nodes: 1, OpsPerKey: 20})
	told, asked := false, map[string]int{}
	for now := range 2000 {
		all := []int{0, 1, 2, 3}
		step, status := src.Next(gen.View{Now: time.Duration(now), All: all, Free: all, Processes: all})
		if status != gen.Ready {
			t.Fatalf("status %v", status)
		}
		e := history.Event{Process: step.Worker, Kind: history.Invoke, F: step.Op.F, Value: step.Op.Value}
		src.Observe(step.Worker, e)
		e.Kind = history.OK
		if e.F == "cas" {
			if told {
				t.Fatalf("asked for a compare-and-set after it was told that there is none")
			}
			e.Kind, e.Err, told = history.Fail, history.ErrNotOffered.Error()+": plain", true
		}
		src.Observe(step.Worker, e)
		asked[e.F]++
	}
	if asked["cas"] != 1 || asked["read"] < 800 || asked["write"] < 800 {
		t.Errorf("asked %v", asked)
	}
}
