package sim

import (
	"fmt"
	"os"
	"reflect"
	"strconv"
	"testing"
	"time"
)

// seeds is how many each rate is measured over; CAPSTAN_SEEDS overrides it.
func seeds(normal int) int {
	if n, err := strconv.Atoi(os.Getenv("CAPSTAN_SEEDS")); err == nil {
		return n
	}
	return normal
}

func caught(t *testing.T, sc scenario, n int) int {
	t.Helper()
	hits := 0
	for seed := range n {
		sc.seed = uint64(seed + 1)
		r := drive(t, sc)
		if r.ok < 50 {
			t.Errorf("seed %d: only %d ok operations", sc.seed, r.ok)
		}
		if v := r.verdict(sc.verb); v != "" {
			hits++
		}
	}
	return hits
}

func small(topology, verb, fault string, levels map[string]string) scenario {
	return scenario{
		topology: topology, levels: levels, fault: fault,
		clients: 10, length: 16 * time.Second, keys: 3, verb: verb,
	}
}

func TestHealthyIsNeverAccused(t *testing.T) {
	for _, topology := range []string{"sync", "raft"} {
		for _, fault := range []string{"none", "partition:primary", "partition:halves", "kill:primary", "kill:all", "kill:majority", "pause:primary", "pause:majority", "clock:one"} {
			for _, verb := range []string{"register", "set", "counter"} {
				t.Run(fmt.Sprint(topology, "/", verb, "/", fault), func(t *testing.T) {
					t.Parallel()
					n := seeds(2)
					if hits := caught(t, small(topology, verb, fault, nil), n); hits > 0 {
						t.Errorf("accused in %d of %d seeds", hits, n)
					}
				})
			}
		}
	}
}

// The weaker topologies are clean where a bug of theirs is to be told from
// what they do not promise.
func TestBugsAreTheCause(t *testing.T) {
	for _, b := range Bugs() {
		t.Run(fmt.Sprint(b.Topology, "/", b.Workload, "/", b.Fault), func(t *testing.T) {
			n := seeds(1)
			if hits := caught(t, small(b.Topology, b.Workload, b.Fault, nil), n); hits > 0 {
				t.Errorf("accused in %d of %d seeds without %s", hits, n, b.Name)
			}
		})
	}
}

// Links that lose messages cost time, not consistency.
func TestHealthyOnLossyLinks(t *testing.T) {
	for _, topology := range []string{"sync", "raft", "crdt"} {
		for _, verb := range []string{"register", "set", "counter"} {
			if topology == "crdt" && verb == "register" {
				continue
			}
			sc := small(topology, verb, "partition:halves", nil)
			sc.loss = 0.03
			n := seeds(2)
			if hits := caught(t, sc, n); hits > 0 {
				t.Errorf("%s of %s accused in %d of %d seeds", verb, topology, hits, n)
			}
		}
	}
}

func TestAsyncIsCaught(t *testing.T) {
	n := seeds(10)
	hits := caught(t, small("async", "register", "partition:primary", nil), n)
	t.Logf("async under partition:primary: caught in %d of %d seeds", hits, n)
	if hits < n*9/10 {
		t.Errorf("caught in %d of %d seeds", hits, n)
	}
}

func TestBugsAreCaught(t *testing.T) {
	for _, b := range Bugs() {
		t.Run(b.Topology+"/"+b.Name, func(t *testing.T) {
			t.Parallel()
			n := seeds(3)
			sc := small(b.Topology, b.Workload, b.Fault, map[string]string{"bug": b.Name})
			hits := caught(t, sc, n)
			t.Logf("%s under %s: caught in %d of %d seeds", b.Workload, b.Fault, hits, n)
			if hits == 0 {
				t.Errorf("not caught in %d seeds", n)
			}
		})
	}
}

func TestSameSeedSameHistory(t *testing.T) {
	for _, topology := range []string{"async", "sync", "raft", "quorum", "lww"} {
		for _, fault := range []string{"partition:halves", "kill:majority"} {
			sc := small(topology, "register", fault, nil)
			sc.seed = 3
			a, b := drive(t, sc), drive(t, sc)
			if a.logs != b.logs || a.events != b.events || !reflect.DeepEqual(a.ops, b.ops) {
				t.Errorf("%s under %s: the same seed gave two histories", topology, fault)
			}
		}
	}
}

// BenchmarkMinute is 60 s of virtual time: 5 nodes and 10 clients that ask
// again as soon as they have an answer and have slept for 10 ms at the mean.
func BenchmarkMinute(b *testing.B) {
	for _, topology := range []string{"async", "sync", "raft", "quorum", "lww"} {
		b.Run(topology, func(b *testing.B) {
			sc := small(topology, "register", "partition:primary", nil)
			sc.length = time.Minute
			var events uint64
			var ok int
			for i := range b.N {
				sc.seed = uint64(i + 1)
				r := drive(b, sc)
				events += r.events
				ok += r.ok
			}
			b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(ok)/float64(b.N), "ok-ops/run")
		})
	}
}
