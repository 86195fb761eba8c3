package harness_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/linear"
	"github.com/capstan-dev/capstan/checker/strength"
	"github.com/capstan-dev/capstan/harness"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/nemesis"
	"github.com/capstan-dev/capstan/plan"
	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/sim"
	"github.com/capstan-dev/capstan/workloads/register"
)

func simKinds() []nemesis.Kind {
	return []nemesis.Kind{nemesis.Partition(), nemesis.Isolate(), nemesis.Clients(),
		nemesis.Delay(), nemesis.Loss(), nemesis.Duplicate(), nemesis.Reorder(), nemesis.Corrupt(), nemesis.Rate(),
		nemesis.Kill(), nemesis.Stop(), nemesis.Pause(), nemesis.Suspend(), nemesis.Crash(), nemesis.Storm(), nemesis.Rolling(), nemesis.Rekill(),
		nemesis.Clock(), nemesis.Jump(), nemesis.Strobe(), nemesis.Drift(), nemesis.DiskSlow(), nemesis.Transfer(), nemesis.Mix()}
}

// simRun runs a schedule on sim/raft.
func simRun(t *testing.T, topology string, seed uint64, faults ...string) (*history.History, harness.Outcome) {
	t.Helper()
	p := plan.Default()
	p.Seed, p.TimeLimit, p.Faults = seed, 20*time.Second, nil
	for _, text := range faults {
		f, err := plan.ParseFault(text)
		if err != nil {
			t.Fatal(err)
		}
		p.Faults = append(p.Faults, f)
	}
	p.Fill()
	schedule, err := harness.Schedule(p, simKinds())
	if err != nil {
		t.Fatal(err)
	}
	sys, err := sim.Target{}.Start(t.Context(), targets.Spec{Topology: topology, Nodes: 5, Seed: harness.SystemSeed(seed),
		Levels: map[string]string{"read": "linearizable", "bug": "none"}})
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Close(t.Context())
	if err := sys.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, s := range schedule {
		if err := s.Fault.Applicable(sys.Cluster()); err != nil {
			t.Fatalf("%s: %v", s.Fault.Name(), err)
		}
	}
	var j tape
	out := harness.Run(t.Context(), t.Context(), harness.Config{Plan: p, System: sys, Workload: register.New(linear.Options{}),
		Schedule: schedule, Journal: &j, Phase: func(string) {}})
	return &history.History{Events: j.events}, out
}

// TestEveryFaultOfTheSim: each is proven in force, proven still to be at its
// end, and proven healed; and Raft stands it.
func TestEveryFaultOfTheSim(t *testing.T) {
	for _, text := range []string{
		"partition:one", "partition:halves", "partition:random", "partition:majority", "partition:minority-third", "partition:primary",
		"partition:primaries", "partition:ring", "partition:bridge", "partition:one-way", "partition(n1 n2 | n3 n4 n5)", "partition(halves, how=hold)",
		"isolate:primary", "isolate(minority, way=in, reset)", "clients:primary", "clients(minority, way=out, how=hold)",
		"delay:50ms", "delay(20ms, jitter=10ms, distribution=pareto)", "delay(100ms, of=primary)", "delay(30ms, between=clients..all)",
		"loss:0.1", "loss(0.3, of=n1)", "duplicate:0.2", "reorder:0.25", "corrupt:0.1", "rate:1mbit",
		"kill", "kill:primaries", "stop:minority", "pause:primary", "suspend:non-primary", "crash:minority", "storm(one, every=500ms)",
		"rolling(all, down=300ms, gap=300ms)", "rekill:primary",
		"clock:all", "clock(n1, offset=-5s)", "jump(all)", "strobe(minority)", "drift(n2, rate=-0.5)", "disk-slow:20ms", "transfer",
		"mix(kill, pause)", "isolate:primary + 1s kill:same", "pause:n1 + 500ms kill(n2)",
	} {
		t.Run(text, func(t *testing.T) {
			for seed := range uint64(2) {
				h, out := simRun(t, "raft", seed+1, text+" 5s @4s", "partition(one) 1s @13s")
				if len(out.Problems) > 0 {
					t.Error(out.Problems)
				}
				for _, w := range history.Windows(h) {
					if !w.Proven || !w.Last.Proven || !w.Healed || w.State != history.InForce {
						t.Errorf("seed %d: %s is %s: proven %v (%s), in the end %v (%s), healed %v (%s) %s %s", seed, w.Fault, w.State,
							w.Proven, w.Proof, w.Last.Proven, w.Last.Proof, w.Healed, w.After.Proof, w.StartErr, w.StopErr)
					}
				}
				if res := checker.Run(t.Context(), strength.NewFaults(strength.FaultsOptions{Expect: true}), h); res.Verdict != checker.Valid {
					t.Errorf("seed %d: %v: %s", seed, res.Verdict, res.Reason)
				}
			}
		})
	}
}

// TestSameSeedSameHistory: with many faults at a time, too.
func TestSameSeedSameHistory(t *testing.T) {
	draw := func(seed uint64) *history.History {
		h, out := simRun(t, "raft", seed, "partition 3s every 5s", "kill 2s every 4s", "delay(20ms, jitter=5ms) 6s @3s", "clock:all 3s @8s",
			"storm(minority, every=300ms) 4s @10s", "pause:primary 1s @op:500", "jump:all 3s @leader-change")
		if len(out.Problems) > 0 {
			t.Log(out.Problems)
		}
		return h
	}
	first, again, other := draw(1), draw(1), draw(2)
	if !reflect.DeepEqual(first, again) {
		for i := range min(len(first.Events), len(again.Events)) {
			if a, b := fmt.Sprint(first.Events[i]), fmt.Sprint(again.Events[i]); a != b {
				t.Fatalf("event %d: %s, then %s", i, a, b)
			}
		}
		t.Fatalf("%d events, then %d", len(first.Events), len(again.Events))
	}
	if reflect.DeepEqual(first, other) {
		t.Error("another seed gave the same history")
	}
	overlaps := 0
	ws := history.Windows(first)
	for i := 1; i < len(ws); i++ {
		if ws[i].Begin < ws[i-1].End {
			overlaps++
		}
	}
	if overlaps < 3 {
		t.Errorf("only %d faults overlap", overlaps)
	}
}
