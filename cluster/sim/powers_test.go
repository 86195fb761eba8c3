package sim_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/cluster/sim"
)

var n1n2 = cluster.Link{From: "n1", To: "n2"}

func cutOf(l cluster.Link, how cluster.Cut) cluster.LinkState {
	return cluster.LinkState{Cut: map[cluster.Link]cluster.Cut{l: how}}
}

func shapeOf(l cluster.Link, s cluster.Shape) cluster.LinkState {
	return cluster.LinkState{Shape: map[cluster.Link]cluster.Shape{l: s}}
}

// arrivals notes when messages arrive.
func arrivals(got *[]string) func(*sim.Config) {
	return func(c *sim.Config) {
		c.Trace = func(at time.Duration, from, to int, msg any) { *got = append(*got, fmt.Sprint(at, " ", msg)) }
	}
}

func TestHeldMessagesComeInOrderAtTheHeal(t *testing.T) {
	var got []string
	w, _ := world(t, arrivals(&got))
	net, n := w.Cluster().Net, senders(w)
	must(t, net.Apply(t.Context(), cutOf(n1n2, cluster.Hold)))
	for i := range 3 {
		n[0].Send(1, i)
	}
	w.Wait(t.Context(), 50*ms)
	if counters, err := net.Counters(t.Context()); err != nil || counters[n1n2] != 3 || len(counters) != 1 {
		t.Errorf("counters %v, %v", counters, err)
	}
	must(t, net.Apply(t.Context(), cluster.LinkState{}))
	w.Wait(t.Context(), 60*ms)
	if want := []string{"50ms 0", "50ms 1", "50ms 2"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	// A link that is dropped instead of opened loses what it held.
	got = nil
	must(t, net.Apply(t.Context(), cutOf(n1n2, cluster.Hold)))
	n[0].Send(1, "lost")
	w.Wait(t.Context(), 80*ms)
	must(t, net.Apply(t.Context(), cutOf(n1n2, cluster.Drop)))
	must(t, net.Apply(t.Context(), cluster.LinkState{}))
	w.Wait(t.Context(), 100*ms)
	if len(got) > 0 {
		t.Errorf("got %q", got)
	}
}

func TestShapes(t *testing.T) {
	const sent = 4000
	tests := map[string]struct {
		shape            cluster.Shape
		arrived, twice   float64
		late, overtaking float64
		p50              time.Duration
	}{
		"delay":     {cluster.Shape{Delay: 50 * ms}, 1, 0, 1, 0, 60 * ms},
		"jitter":    {cluster.Shape{Delay: 50 * ms, Jitter: 10 * ms}, 1, 0, 1, 0, 65 * ms},
		"loss":      {cluster.Shape{Loss: 0.1}, 0.9, 0, 0, 0, 10 * ms},
		"corrupt":   {cluster.Shape{Corrupt: 0.2}, 0.8, 0, 0, 0, 10 * ms},
		"duplicate": {cluster.Shape{Duplicate: 0.1}, 1, 0.1, 0, 0, 10 * ms},
		"reorder":   {cluster.Shape{Reorder: 0.25, Delay: 40 * ms}, 1, 0, 0.75, 0.25, 50 * ms},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w, _ := world(t, nil)
			net := w.Cluster().Net
			must(t, net.Apply(t.Context(), shapeOf(n1n2, tt.shape)))
			qs, err := net.Measure(t.Context(), []cluster.Link{n1n2, {From: "n2", To: "n1"}}, sent, 8*time.Second)
			must(t, err)
			q, back := qs[n1n2], qs[cluster.Link{From: "n2", To: "n1"}]
			near := func(what string, got int, want float64) {
				if share := float64(got) / sent; share < want-0.03 || share > want+0.03 {
					t.Errorf("%s: %d of %d, want a share of %v", what, got, sent, want)
				}
			}
			near("arrived", q.Arrived, tt.arrived)
			near("twice", q.Duplicates, tt.twice)
			near("overtaking", q.Reordered, tt.overtaking)
			if q.P50 < tt.p50-6*ms || q.P50 > tt.p50+6*ms || q.Sent != sent {
				t.Errorf("p50 %v of %d, want about %v", q.P50, q.Sent, tt.p50)
			}
			if back.Arrived != sent || back.P50 != 10*ms || back.Max != 10*ms {
				t.Errorf("the way back is shaped, too: %+v", back)
			}
		})
	}
}

func TestRateLimitsWhatALinkCarries(t *testing.T) {
	var got []string
	w, _ := world(t, arrivals(&got))
	must(t, w.Cluster().Net.Apply(t.Context(), shapeOf(n1n2, cluster.Shape{Rate: 800_000}))) // 100 messages a second
	for i := range 3 {
		senders(w)[0].Send(1, i)
	}
	w.Wait(t.Context(), time.Second)
	if want := []string{"20ms 0", "30ms 1", "40ms 2"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Measuring changes nothing of what happens to messages.
func TestCanariesDisturbNothing(t *testing.T) {
	run := func(measure bool) []string {
		var got []string
		w, _ := world(t, func(c *sim.Config) {
			arrivals(&got)(c)
			c.Link.Jitter, c.Loss, c.Duplicate = 3*ms, 0.2, 0.2
		})
		net := w.Cluster().Net
		must(t, net.Apply(t.Context(), shapeOf(n1n2, cluster.Shape{Delay: 5 * ms, Jitter: 2 * ms, Loss: 0.1})))
		for i := range 20 {
			senders(w)[0].Send(1, i)
			if measure {
				w.Go(func() {
					_, err := net.Probe(context.Background())
					must(t, err)
				})
			}
			w.Wait(t.Context(), w.Now()+10*ms)
		}
		return got
	}
	if a, b := run(false), run(true); !slices.Equal(a, b) {
		t.Errorf("without canaries %q\nwith %q", a, b)
	}
}

func TestClientsThatAreCutOff(t *testing.T) {
	in, out := cluster.Link{From: cluster.Clients, To: "n1"}, cluster.Link{From: "n1", To: cluster.Clients}
	for _, l := range []cluster.Link{in, out} {
		w, lines := world(t, nil)
		net := w.Cluster().Net
		c := dial(t, w, "n1")
		watch, err := w.Watch("n1")
		must(t, err)
		must(t, net.Apply(t.Context(), cutOf(l, cluster.Drop)))
		if err := call(t, w, c, "hello"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v cut: call: %v", l, err)
		}
		if heard := strings.Contains(strings.Join(*lines, "\n"), "asked hello"); heard != (l == out) {
			t.Errorf("%v cut: the node was asked: %v", l, heard)
		}
		short, cancel := w.WithTimeout(t.Context(), time.Second)
		if _, err := w.Dial(short, "n1", 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v cut: dial: %v", l, err)
		}
		cancel()
		must(t, call(t, w, watch, "role")) // questions of the harness pass
		must(t, call(t, w, dial(t, w, "n2"), "hello"))
		reach, err := net.Probe(t.Context())
		must(t, err)
		for x, arrived := range reach {
			if arrived == (x == l) {
				t.Errorf("%v cut: %v arrived: %v", l, x, arrived)
			}
		}
		must(t, net.Apply(t.Context(), cluster.LinkState{}))
		must(t, call(t, w, c, "again"))
	}
}

func TestClientsThatAreSlow(t *testing.T) {
	w, _ := world(t, nil)
	c := dial(t, w, "n1")
	must(t, w.Cluster().Net.Apply(t.Context(), shapeOf(cluster.Link{From: "n1", To: cluster.Clients}, cluster.Shape{Delay: 70 * ms})))
	start := w.Now()
	must(t, call(t, w, c, "hello"))
	if took := w.Now() - start; took != 72*ms {
		t.Errorf("took %v, want 72ms", took)
	}
}

func TestWhatTheSimCannotDoIsSaid(t *testing.T) {
	w, _ := world(t, nil)
	c := w.Cluster()
	for _, s := range []cluster.LinkState{cutOf(n1n2, cluster.Reject), shapeOf(n1n2, cluster.Shape{Corrupt: 0.1, Disguise: true})} {
		if c.Net.Can(s) == nil || c.Net.Apply(t.Context(), s) == nil {
			t.Errorf("%v can be had", s)
		}
	}
	for _, d := range []cluster.Disk{{Full: true}, {ReadOnly: true}, {SyncErrors: 0.1}} {
		if c.Disks.Can(d) == nil || c.Disks.Apply(t.Context(), "n1", d) == nil {
			t.Errorf("%v can be had", d)
		}
	}
	if _, err := c.Disks.Damage(t.Context(), "n1", cluster.Damage{Flips: 1}); err == nil {
		t.Error("files were damaged")
	}
	if c.Limits != nil || c.Why["Limits"] == "" || c.Why["Members"] == "" {
		t.Errorf("why %v", c.Why)
	}
}

func TestStopKeepsWhatKillLoses(t *testing.T) {
	for _, tt := range []struct {
		end  func(*cluster.Cluster) error
		want string
	}{
		{func(c *cluster.Cluster) error { return c.Procs.Stop(t.Context(), "n1") }, "[save write]"},
		{func(c *cluster.Cluster) error { return c.Disks.Crash(t.Context(), "n1") }, "[save]"},
	} {
		w, lines := world(t, nil)
		c := dial(t, w, "n1")
		must(t, call(t, w, c, "save"))
		must(t, call(t, w, c, "write"))
		must(t, tt.end(w.Cluster()))
		must(t, w.Cluster().Procs.Start(t.Context(), "n1"))
		if last := (*lines)[len(*lines)-1]; !strings.HasSuffix(last, "n1 boots with "+tt.want) {
			t.Errorf("last line %q, want %s", last, tt.want)
		}
	}
}

func TestSuspendIsNotPause(t *testing.T) {
	w, _ := world(t, nil)
	procs := w.Cluster().Procs
	must(t, procs.Suspend(t.Context(), "n1"))
	must(t, procs.Resume(t.Context(), "n1"))
	if s, _ := procs.State(t.Context(), "n1"); s != cluster.Suspended {
		t.Errorf("state %v after a resume", s)
	}
	must(t, procs.Continue(t.Context(), "n1"))
	if s, _ := procs.State(t.Context(), "n1"); s != cluster.Running {
		t.Errorf("state %v", s)
	}
}

func TestClocksDrift(t *testing.T) {
	w, _ := world(t, nil)
	clocks := w.Cluster().Clocks
	must(t, clocks.Skew(t.Context(), "n1", cluster.Skew{Offset: time.Second, Drift: -0.1}))
	began := w.Now()
	must(t, w.Sleep(t.Context(), 20*time.Second))
	got, err := clocks.Offset(t.Context(), "n1")
	must(t, err)
	if want := time.Second - (w.Now()-began)/10; (got - want).Abs() > time.Microsecond {
		t.Errorf("%v off, want %v", got, want)
	}
	if node := senders(w)[0].Clock().Sub(senders(w)[1].Clock()); (node - got).Abs() > time.Microsecond {
		t.Errorf("the node sees %v, its host says %v", node, got)
	}
}

func TestSlowDisks(t *testing.T) {
	w, _ := world(t, nil)
	disks := w.Cluster().Disks
	c := dial(t, w, "n1")
	must(t, disks.Apply(t.Context(), "n1", cluster.Disk{Delay: 30 * ms}))
	start := w.Now()
	must(t, call(t, w, c, "save"))
	if took := w.Now() - start; took != (2+5+30)*ms {
		t.Errorf("took %v", took)
	}
	r, err := disks.Probe(t.Context(), "n1")
	if err != nil || r.Sync != 35*ms || r.Err != "" {
		t.Errorf("probe %+v, %v", r, err)
	}
	must(t, disks.Apply(t.Context(), "n1", cluster.Disk{}))
	if r, _ := disks.Probe(t.Context(), "n1"); r.Sync != 5*ms {
		t.Errorf("probe %+v after the heal", r)
	}
}
