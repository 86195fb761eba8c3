package nemesis_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/nemesis"
)

func TestGrudges(t *testing.T) {
	tests := map[string]struct {
		nodes, cut int
		sides      map[string]int
	}{
		"partition:one":                       {5, 8, map[string]int{"majority": 4, "minority": 1}},
		"partition:halves":                    {5, 12, map[string]int{"majority": 3, "minority": 2}},
		"partition:majority":                  {5, 12, map[string]int{"majority": 3, "minority": 2}},
		"partition:minority-third":            {7, 20, map[string]int{"majority": 5, "minority": 2}},
		"partition:primary":                   {5, 8, map[string]int{"majority": 4, "minority": 1}},
		"partition:primaries":                 {5, 8, map[string]int{"majority": 4, "minority": 1}},
		"partition:ring":                      {5, 10, map[string]int{"majority": 5}},
		"partition:bridge":                    {5, 8, map[string]int{"majority": 4, "bridge": 1}},
		"partition:one-way":                   {5, 4, map[string]int{"majority": 4, "minority": 1}},
		"partition(one-way, way=in)":          {3, 2, map[string]int{"majority": 2, "minority": 1}},
		"partition:roles":                     {6, 16, map[string]int{"majority": 4, "minority": 2}},
		"partition(n1 n2 | n3 n4 n5)":         {5, 12, map[string]int{"majority": 3, "minority": 2}},
		"partition(n1 | n2 | n3, how=reject)": {3, 6, map[string]int{"minority": 3}},
		"partition(witness | n1 n2)":          {3, 4, map[string]int{"majority": 2, "minority": 1}},
		"isolate:primary":                     {5, 8, map[string]int{"majority": 4, "minority": 1}},
		"isolate(n1 n2, way=out)":             {5, 6, map[string]int{"majority": 3, "minority": 2}},
	}
	for name, tt := range tests {
		for seed := range uint64(20) {
			synctest.Test(t, func(t *testing.T) {
				n, _, w := stage(t, tt.nodes, seed)
				d := start(t, n, name)
				if !d.Proven || d.State != history.InForce || d.Before == "" {
					t.Fatalf("%s: not proven: %s", name, d.Proof)
				}
				sides := map[string]int{}
				for _, s := range d.Sides {
					sides[s]++
				}
				if len(d.Cut) != tt.cut || fmt.Sprint(sides) != fmt.Sprint(tt.sides) {
					t.Errorf("%s: %d links cut, sides %v; want %d, %v", name, len(d.Cut), sides, tt.cut, tt.sides)
				}
				if strings.HasSuffix(name, "primary") && !slices.Equal(d.Nodes, []string{"n2"}) {
					t.Errorf("%s aimed at %v, the primary is n2", name, d.Nodes)
				}
				if h, err := n.Heal(t.Context(), d.ID); err != nil || h.State != history.Healed || w.whole() != nil {
					t.Errorf("%s: heal: %v, %+v, %v", name, err, h, w.whole())
				}
			})
		}
	}
}

// Above five nodes each node of a ring sees a majority, not all, and not the
// same one as all others.
func TestRingOfMany(t *testing.T) {
	for size := 6; size <= 30; size++ {
		synctest.Test(t, func(t *testing.T) {
			n, c, _ := stage(t, size, uint64(size))
			d := start(t, n, "partition:ring")
			seen := map[string]int{}
			for _, x := range c.Nodes {
				var sees []string
				for _, y := range c.Nodes {
					if !slices.Contains(d.Cut, [2]string{x, y}) {
						sees = append(sees, y)
					}
				}
				if 2*len(sees) <= size || len(sees) > size/2+3 {
					t.Errorf("%d nodes: %s sees %d", size, x, len(sees))
				}
				seen[fmt.Sprint(sees)]++
			}
			if len(seen) < size/2 {
				t.Errorf("%d nodes see only %d different majorities", size, len(seen))
			}
		})
	}
}

func TestEvenHalvesHaveNoMajority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _, _ := stage(t, 4, 1)
		for node, s := range start(t, n, "partition:halves").Sides {
			if s != nemesis.Minority {
				t.Errorf("%s is on side %s of an even split", node, s)
			}
		}
	})
}

// every is a fault of each kind, and variants.
var every = []string{
	"partition", "partition(halves, how=hold)", "partition(one, reset)", "isolate:minority", "clients:primary", "clients(n1, way=in, how=reject)",
	"delay:50ms", "delay(20ms, jitter=5ms, distribution=normal, of=primary)", "delay(1s, between=clients..n1)",
	"loss:0.1", "loss(0.5, of=n1, way=in)", "duplicate:0.2", "reorder:0.25", "corrupt:0.1", "corrupt(0.1, disguise)", "rate:1mbit",
	"kill", "kill(n1 n3)", "stop:all", "pause:majority", "suspend:witness", "crash:minority", "storm(one, every=200ms)", "rolling(all, down=100ms, gap=50ms)", "rekill",
	"clock", "clock(n1, offset=-5s)", "jump", "strobe", "strobe(all, offset=-1s, every=10ms)", "drift", "drift(n2, rate=-0.5)",
	"disk-full", "disk-readonly:all", "disk-slow:10ms", "disk-error", "disk-error(one, read=0.5, sync=0)", "disk-damage",
	"cpu:0.1", "memory:16MiB", "remove", "replace", "transfer", "upgrade:db:2", "mix(kill, pause)",
	"isolate:primary + 2s kill:same", "pause:primary + kill:same", "kill(n1) + 10ms disk-damage:same",
}

func TestEveryFaultIsProvenAndHealed(t *testing.T) {
	for _, text := range every {
		t.Run(text, func(t *testing.T) {
			for seed := range uint64(5) {
				synctest.Test(t, func(t *testing.T) {
					n, c, w := stage(t, 5, seed)
					f := parse(t, text)
					if err := f.Applicable(c); err != nil {
						t.Fatal(err)
					}
					d := start(t, n, text)
					if !d.Proven || d.State != history.InForce || d.Proof == "" {
						t.Fatalf("start is %s, not proven: %s", d.State, d.Proof)
					}
					time.Sleep(3 * time.Second)
					v, err := n.Verify(t.Context(), d.ID)
					if err != nil || !v.Proven {
						t.Fatalf("in the end: %v, not proven: %s", err, v.Proof)
					}
					h, err := n.Heal(t.Context(), d.ID)
					if err != nil || !h.Proven || h.State != history.Healed {
						t.Fatalf("heal: %v, %s: %s", err, h.State, h.Proof)
					}
					if err := w.whole(); err != nil || len(n.List()) != 0 {
						t.Errorf("after the heal: %v, %v", err, n.List())
					}
				})
			}
		})
	}
}

// A cluster that accepts every order and does nothing of it is found out.
func TestFaultThatDoesNotBiteIsNotProven(t *testing.T) {
	for _, text := range every {
		if strings.HasPrefix(text, "transfer") || strings.HasPrefix(text, "replace") || strings.HasPrefix(text, "upgrade") {
			continue // nobody but the verb itself can tell, see cluster.Members
		}
		t.Run(text, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, _, w := stage(t, 5, 1)
				w.lie = true
				d, err := n.Start(t.Context(), n.Number(), parse(t, text))
				if err == nil && d.Proven {
					t.Errorf("proven: %s", d.Proof)
				}
				w.lie = false
				if err := n.HealAll(t.Context()); err != nil || w.whole() != nil {
					t.Errorf("heal: %v, %v", err, w.whole())
				}
			})
		})
	}
}

// A fault that ends by itself is found out before the heal.
func TestFaultThatEndsEarlyIsNotProven(t *testing.T) {
	for _, text := range []string{"partition:one", "delay:50ms", "loss:0.5", "kill", "pause", "clock", "drift", "disk-full", "cpu:0.1", "remove"} {
		t.Run(text, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, _, w := stage(t, 5, 1)
				d := start(t, n, text)
				w.lie = true
				if v, err := n.Verify(t.Context(), d.ID); err == nil && v.Proven {
					t.Errorf("proven: %s", v.Proof)
				}
				w.lie = false
				if _, err := n.Heal(t.Context(), d.ID); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A heal that is not measured to be one is tried until it is.
func TestHealThatDoesNotHealIsNotProven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _, w := stage(t, 3, 1)
		d := start(t, n, "partition:one")
		w.err = errors.New("engine is gone")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if h, err := n.Heal(ctx, d.ID); err == nil || h.Proven || len(n.List()) != 1 {
			t.Errorf("heal: %v, %+v, list %v", err, h, n.List())
		}
		w.err = nil
		if h, err := n.Heal(t.Context(), d.ID); err != nil || !h.Proven || len(n.List()) != 0 {
			t.Errorf("second heal: %v, %+v", err, h)
		}
	})
}

func TestHalfInjectedFaultCanBeHealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _, w := stage(t, 3, 1)
		w.err = errors.New("engine is gone")
		d, err := n.Start(t.Context(), n.Number(), parse(t, "kill:all"))
		if err == nil || d.ID == 0 || d.State != history.Invalid {
			t.Fatalf("start: %v, %+v", err, d)
		}
		w.err = nil
		if h, err := n.Heal(t.Context(), d.ID); err != nil || !h.Proven || w.whole() != nil {
			t.Errorf("heal: %v, %+v, %v", err, h, w.whole())
		}
	})
}

// Whatever the order in which faults begin and end, the cluster is as those
// in force want it together, and as at first when all are healed.
func TestFaultsCompose(t *testing.T) {
	texts := []string{
		"partition:one", "partition(halves, how=hold)", "isolate:minority", "clients:one", "delay:50ms", "delay(20ms, of=n1)", "loss:0.1",
		"kill:minority", "stop", "pause:majority", "suspend", "crash", "clock(n1, offset=5s)", "clock(all, offset=-1s)", "drift:n1",
		"disk-full:minority", "disk-slow(10ms, of=all)", "disk-slow(5ms, of=n1)", "disk-error", "cpu:0.5", "cpu(0.2, of=all)", "memory:16MiB",
	}
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 9))
			n, _, w := stage(t, 5, seed)
			var live []int
			for range 25 {
				if len(live) > 0 && rng.IntN(5) < 2 {
					i := rng.IntN(len(live))
					if h, err := n.Heal(t.Context(), live[i]); err != nil || !h.Proven {
						t.Fatalf("heal: %v, %s", err, h.Proof)
					}
					live = slices.Delete(live, i, i+1)
				} else {
					d := start(t, n, texts[rng.IntN(len(texts))])
					if !d.Proven && !strings.Contains(d.Proof, "none of its servers runs") {
						t.Fatalf("seed %d: %s not proven: %s\nin force: %v", seed, d.Fault, d.Proof, n.List())
					}
					live = append(live, d.ID)
				}
				if err := w.is(n.Want()); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
			}
			rng.Shuffle(len(live), func(i, j int) { live[i], live[j] = live[j], live[i] })
			for _, id := range live {
				if h, err := n.Heal(t.Context(), id); err != nil || !h.Proven {
					t.Fatalf("heal: %v, %s", err, h.Proof)
				}
			}
			if err := w.whole(); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		})
	}
}

// is compares the cluster with what is wanted.
func (w *world) is(want nemesis.Want) error {
	for l := range want.Links.Cut {
		if w.links.Cut[l] != want.Links.Cut[l] {
			return fmt.Errorf("%v is cut by %v, want %v", l, w.links.Cut[l], want.Links.Cut[l])
		}
	}
	if len(w.links.Cut) != len(want.Links.Cut) || len(w.links.Shape) != len(want.Links.Shape) {
		return fmt.Errorf("links are %v, want %v", w.links, want.Links)
	}
	for l, s := range want.Links.Shape {
		if w.links.Shape[l] != s {
			return fmt.Errorf("%v has shape %v, want %v", l, w.links.Shape[l], s)
		}
	}
	for _, n := range w.nodes {
		if w.procs[n] != want.Procs[n].State() || w.disks[n] != want.Disks[n] || w.limits[n] != want.Limits[n] {
			return fmt.Errorf("%s is %v %v %v, want %v %v %v", n, w.procs[n], w.disks[n], w.limits[n], want.Procs[n].State(), want.Disks[n], want.Limits[n])
		}
		now, _ := fakeClocks{w}.Offset(context.Background(), n)
		if (now - want.Clocks[n].Offset).Abs() > time.Microsecond {
			return fmt.Errorf("%s is %v off, want %v", n, now, want.Clocks[n].Offset)
		}
	}
	return nil
}

func TestMerge(t *testing.T) {
	l := cluster.Link{From: "n1", To: "n2"}
	cut := func(c cluster.Cut) nemesis.Want {
		return nemesis.Want{Links: cluster.LinkState{Cut: map[cluster.Link]cluster.Cut{l: c}}}
	}
	shape := func(s cluster.Shape) nemesis.Want {
		return nemesis.Want{Links: cluster.LinkState{Shape: map[cluster.Link]cluster.Shape{l: s}}}
	}
	if got := nemesis.Merge(cut(cluster.Drop), cut(cluster.Reject)).Links.Cut[l]; got != cluster.Drop {
		t.Errorf("drop and reject come to %v", got)
	}
	got := nemesis.Merge(
		shape(cluster.Shape{Delay: time.Second, Jitter: 2, Loss: 0.5, Rate: 100}),
		shape(cluster.Shape{Delay: time.Second, Jitter: 3, Distribution: cluster.Pareto, Loss: 0.5, Duplicate: 0.1, Rate: 50})).Links.Shape[l]
	want := cluster.Shape{Delay: 2 * time.Second, Jitter: 5, Distribution: cluster.Pareto, Loss: 0.75, Duplicate: 0.1, Rate: 50}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	fate := func(f nemesis.Fate) nemesis.Want { return nemesis.Want{Procs: map[string]nemesis.Fate{"n1": f}} }
	if got := nemesis.Merge(fate(nemesis.Paused), fate(nemesis.Crashed), fate(nemesis.Suspended)).Procs["n1"]; got != nemesis.Crashed {
		t.Errorf("fates come to %v", got)
	}
	limits := nemesis.Merge(
		nemesis.Want{Limits: map[string]cluster.Limits{"n1": {CPU: 0.5}}},
		nemesis.Want{Limits: map[string]cluster.Limits{"n1": {CPU: 0.2, Headroom: 7}}}).Limits["n1"]
	if limits != (cluster.Limits{CPU: 0.2, Headroom: 7}) {
		t.Errorf("limits come to %+v", limits)
	}
}

// A process that two faults want is in the state of the stronger one, and in
// that of the other when the stronger one is healed.
func TestProcessesGoBackToTheWeakerFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _, w := stage(t, 3, 1)
		paused := start(t, n, "pause(n1)")
		killed := start(t, n, "kill(n1)")
		for _, id := range []int{killed.ID, paused.ID} {
			if _, err := n.Heal(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		want := []string{"n1 paused", "n1 dead", "n1 running", "n1 paused", "n1 running"}
		if !slices.Equal(w.log, want) {
			t.Errorf("got %q, want %q", w.log, want)
		}
	})
}

// Drifts go on while other faults come and go.
func TestDriftIsNotLostWhenAnotherClockFaultComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _, w := stage(t, 3, 1)
		start(t, n, "drift(n1, rate=0.5)") // takes 300 ms to show
		time.Sleep(10*time.Second - 300*time.Millisecond)
		jump := start(t, n, "clock(n1, offset=7s)")
		time.Sleep(10 * time.Second)
		if _, err := n.Heal(t.Context(), jump.ID); err != nil {
			t.Fatal(err)
		}
		if got, _ := (fakeClocks{w}).Offset(t.Context(), "n1"); got != 10*time.Second {
			t.Errorf("n1 is %v off after 20 s of a drift of 0.5, want 10s", got)
		}
	})
}

// A clock that takes long to be set lags by what it would have gained.
func TestDriftOfAClockThatIsSetSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _, w := stage(t, 3, 1)
		w.slow = 2 * time.Second
		for _, text := range []string{"drift(n1, rate=0.5)", "drift(n2, rate=-0.5)"} {
			if d := start(t, n, text); !d.Proven {
				t.Error(d.Proof)
			}
		}
		w.lie = true
		if v, err := n.Verify(t.Context(), 1); err != nil || v.Proven {
			t.Errorf("a clock that does not drift: %v, %s", err, v.Proof)
		}
	})
}

// Nobody can ask a dead server for its time. That is no proof at the start,
// and no doubt later.
func TestFaultOfAServerThatAnotherOneKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, text := range []string{"clock(n1, offset=5s)", "cpu(0.1, of=n1)"} {
			n, _, w := stage(t, 3, 1)
			before := start(t, n, text)
			killed := start(t, n, "kill(n1)")
			late := start(t, n, text)
			if late.Proven || !strings.Contains(late.Proof, "n1 is dead by another fault") {
				t.Errorf("%s is proven on a dead server: %s", text, late.Proof)
			}
			if v, err := n.Verify(t.Context(), before.ID); err != nil || !v.Proven {
				t.Errorf("%s: %v, %s", text, err, v.Proof)
			}
			for _, id := range []int{before.ID, late.ID, killed.ID} {
				if h, err := n.Heal(t.Context(), id); err != nil || !h.Proven {
					t.Errorf("heal: %v, %s", err, h.Proof)
				}
			}
			if err := w.whole(); err != nil {
				t.Error(err)
			}
		}
	})
}

// A server that dies of its disk is started again with the heal, unless another
// fault wants it dead.
func TestServerThatDiesOfItsDiskIsRevived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _, w := stage(t, 3, 1)
		full := start(t, n, "disk-full(n1 n2)")
		killed := start(t, n, "kill:n2")
		w.procs["n1"] = cluster.Dead
		h, err := n.Heal(t.Context(), full.ID)
		if err != nil || !h.Proven || !strings.Contains(h.Proof, "n1 had died of it and was started again") {
			t.Errorf("heal: %v, %s", err, h.Proof)
		}
		if w.procs["n1"] != cluster.Running || w.procs["n2"] != cluster.Dead {
			t.Errorf("processes %v", w.procs)
		}
		if _, err := n.Heal(t.Context(), killed.ID); err != nil || w.whole() != nil {
			t.Error(err, w.whole())
		}
	})
}

// A machine that was loaded while the links were measured as they come must not
// make a delay of the right length look too short, nor its heal.
func TestNoiseBeforeTheFault(t *testing.T) {
	for _, text := range []string{"delay:50ms", "loss:0.2"} {
		synctest.Test(t, func(t *testing.T) {
			n, _, w := stage(t, 3, 1)
			w.noisy = 1
			d := start(t, n, text)
			if !d.Proven {
				t.Error(d.Proof)
			}
			began := time.Now()
			if h, err := n.Heal(t.Context(), d.ID); err != nil || !h.Proven || time.Since(began) > time.Second {
				t.Errorf("heal: %v, %s after %v", err, h.Proof, time.Since(began))
			}
			d = start(t, n, text)
			w.noisy = 2 // of the next three measurements
			if v, err := n.Verify(t.Context(), d.ID); err != nil || !v.Proven {
				t.Errorf("in the end: %v, %s", err, v.Proof)
			}
			w.noisy = 3
			if v, err := n.Verify(t.Context(), d.ID); err != nil || v.Proven {
				t.Errorf("links that stay too slow: %v, %s", err, v.Proof)
			}
			w.noisy = 0
		})
	}
}

func TestLapsedFaultIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _, w := stage(t, 3, 1)
		a, b := start(t, n, "partition:one"), start(t, n, "kill")
		w.err = fmt.Errorf("apply: %w", cluster.ErrLapsed)
		c, err := n.Start(t.Context(), n.Number(), parse(t, "delay:50ms"))
		if err != nil || !c.Proven {
			t.Fatalf("the fault that comes after is the victim: %v, %s", err, c.Proof)
		}
		w.err = nil
		if v, err := n.Verify(t.Context(), a.ID); err != nil || v.Proven || v.State != history.Invalid {
			t.Errorf("verify: %v, %+v", err, v)
		}
		if h, err := n.Heal(t.Context(), a.ID); !errors.Is(err, cluster.ErrLapsed) || !h.Proven {
			t.Errorf("heal: %v, %+v", err, h)
		}
		if h, err := n.Heal(t.Context(), b.ID); err != nil || !h.Proven {
			t.Errorf("the other fault: %v, %+v", err, h)
		}
	})
}

func TestFaultsAtTheSameTimeFromManyTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _, w := stage(t, 5, 1)
		var all sync.WaitGroup
		for i := range 40 {
			f := parse(t, []string{"kill", "pause:minority", "partition", "delay:10ms", "clock", "disk-full", "cpu:0.1", "storm(one, every=20ms)"}[i%8])
			all.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				d, err := n.Start(t.Context(), n.Number(), f)
				if err != nil {
					t.Error(err)
				}
				time.Sleep(100 * time.Millisecond)
				if h, err := n.Heal(t.Context(), d.ID); err != nil || !h.Proven {
					t.Errorf("heal: %v, %s", err, h.Proof)
				}
			})
		}
		all.Wait()
		if err := w.whole(); err != nil {
			t.Error(err)
		}
	})
}

func TestResetOnlyWhereAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _, w := stage(t, 3, 1)
		for i, text := range []string{"partition:one", "partition(one, reset)"} {
			d := start(t, n, text)
			if _, err := n.Heal(t.Context(), d.ID); err != nil || w.resets != i {
				t.Errorf("%s: %v, %d resets", text, err, w.resets)
			}
		}
	})
}

func TestApplicable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		single, _ := newWorld(1)
		if err := parse(t, "partition").Applicable(single); err == nil {
			t.Error("partition of one node is applicable")
		}
		three, _ := newWorld(3)
		for text, want := range map[string]string{
			"partition:ring": "at least 4", "kill:n7": `no node or role "n7"`, "kill(n1 witnes1)": `did you mean "witness"?`,
			"partition(n1 | n9)": `no node or role "n9"`, "mix(kill, kill:n4)": "n4",
			"pause + kill:n5": "n5", "delay(1ms, between=n1..n6)": "n6",
		} {
			if err := parse(t, text).Applicable(three); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %s", text, err, want)
			}
		}
		three.Primaries, three.Disks, three.Limits, three.Clocks, three.Members = nil, nil, nil, nil, nil
		three.Why = map[string]string{"Procs": "it is a cloud service"}
		three.Procs = nil
		for _, text := range []string{"partition:primary", "isolate:primary", "disk-full", "cpu", "clock", "remove", "crash", "kill", "disk-damage"} {
			if err := parse(t, text).Applicable(three); err == nil {
				t.Errorf("%s is applicable without the power", text)
			}
		}
		if err := parse(t, "kill").Applicable(three); !strings.Contains(err.Error(), "cloud service") {
			t.Errorf("kill: %v", err)
		}
	})
}

// TestPartitionOfAnyShapeNeedsNoPrimary draws a partition while nobody is
// primary: only one that is about the primary cannot be had.
func TestPartitionOfAnyShapeNeedsNoPrimary(t *testing.T) {
	c, _ := newWorld(5)
	c.Primaries = func(context.Context) ([]string, error) { return nil, nil }
	for seed := range uint64(20) {
		if _, err := parse(t, "partition").Draw(t.Context(), c, rand.New(rand.NewPCG(seed, 0)), nil); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
	if _, err := parse(t, "partition:primary").Draw(t.Context(), c, rand.New(rand.NewPCG(1, 0)), nil); err == nil {
		t.Error("the primary was isolated, though there is none")
	}
}
