package docker_test

import (
	"errors"
	"flag"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/cluster/docker"
)

const ms = time.Millisecond

// trials is how often each thing is timed.
var trials = flag.Int("trials", 3, "how often each thing is timed")

// series collects times by what they are of.
type series map[string][]time.Duration

func (s series) add(what string, d time.Duration) { s[what] = append(s[what], d) }

func (s series) log(t *testing.T) {
	for _, what := range slices.Sorted(func(yield func(string) bool) {
		for what := range s {
			if !yield(what) {
				return
			}
		}
	}) {
		ds := slices.Sorted(slices.Values(s[what]))
		t.Logf("%-44s median %6.2f ms   p99 %6.2f ms   n=%d", what,
			ds[len(ds)/2].Seconds()*1000, ds[(len(ds)*99+99)/100-1].Seconds()*1000, len(ds))
	}
}

// way changes the links; it returns when it believes that they are changed.
type way struct {
	name      string
	cut, heal func() error
	watch     time.Duration
}

// TestCutSpeed prints how long it takes to cut a cluster of five into 2|3 and
// to heal it, by the agents and by an exec of iptables-restore in each node,
// as a stream of canaries over the twelve links sees it.
func TestCutSpeed(t *testing.T) {
	e := testEngine(t)
	c := testCluster(t, e, bare5())
	halves := apart([]string{"n1", "n2"}, []string{"n3", "n4", "n5"})
	var ls []cluster.Link
	for l := range halves.Cut {
		ls = append(ls, l)
	}
	s := series{}
	by := func(state cluster.LinkState) func() error {
		return func() error { return c.Net.Apply(t.Context(), state) }
	}
	for _, w := range []way{
		{"agents", by(halves), by(cluster.LinkState{}), 600 * ms},
		{"exec", func() error { return execRules(t, e, c, halves) }, func() error { return execRules(t, e, c, cluster.LinkState{}) }, 1500 * ms},
	} {
		for range *trials {
			trial(t, c, s, w, ls, 1)
		}
	}
	for _, timing := range c.Net.Timings() {
		if timing.Cut > 0 {
			s.add("agents: cut, skew by the agents' clocks", timing.Skew)
		} else {
			s.add("agents: heal, skew by the agents' clocks", timing.Skew)
		}
	}
	s.log(t)
}

// trial cuts and heals once; round counts the attempts at it.
func trial(t *testing.T, c *docker.Cluster, s series, w way, ls []cluster.Link, round int) {
	t.Helper()
	for _, step := range []struct {
		name string
		do   func() error
		at   int // first or last arrival
	}{{"cut", w.cut, 1}, {"heal", w.heal, 0}} {
		watched := c.Net.Watch(t.Context(), ls, w.watch)
		time.Sleep(150 * time.Millisecond) // until all streams flow
		start := docker.Clock()
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		returned := docker.Clock()
		times, err := watched()
		if err == nil && len(times) != len(ls) && round < 10 {
			// The machine was too busy for the streams to flow in time.
			if err := w.heal(); err != nil {
				t.Fatal(err)
			}
			trial(t, c, s, w, ls, round+1)
			return
		}
		if err != nil || len(times) != len(ls) {
			t.Fatalf("%s: %s: canaries came over %d of %d links, %v; it took %v", w.name, step.name, len(times), len(ls), err, time.Duration(returned-start))
		}
		first, last := times[ls[0]][step.at], times[ls[0]][step.at]
		for _, at := range times {
			first, last = min(first, at[step.at]), max(last, at[step.at])
		}
		s.add(w.name+": "+step.name+", until it returns", time.Duration(returned-start))
		s.add(w.name+": "+step.name+", until all links are so", time.Duration(last-start))
		s.add(w.name+": "+step.name+", skew of the links", time.Duration(last-first))
	}
}

// execRules does the same by running iptables-restore in every holder at the
// same time, in chains of its own.
func execRules(t *testing.T, e *docker.Engine, c *docker.Cluster, state cluster.LinkState) error {
	addr := map[string]string{}
	for _, n := range c.Nodes {
		addr[n.Name] = n.IP.String()
	}
	errs := make([]error, len(c.Nodes))
	var wg sync.WaitGroup
	for i, n := range c.Nodes {
		text := "*filter\n:BESIDE - [0:0]\n:INPUT ACCEPT [0:0]\n-A INPUT -j BESIDE\n"
		for l := range state.Cut {
			if l.To == n.Name {
				text += "-A BESIDE -s " + addr[l.From] + " -j DROP\n"
			}
		}
		wg.Go(func() {
			out, code, err := e.Exec(t.Context(), n.HolderID, "sh", "-c", "iptables-restore --noflush <<E\n"+text+"COMMIT\nE")
			if err == nil && code != 0 {
				err = errors.New(out)
			}
			errs[i] = err
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// TestQueueSpeed prints what the packet queue does to packets.
func TestQueueSpeed(t *testing.T) {
	c := testCluster(t, testEngine(t), docker.Bare(2))
	l := link("n1>n2")
	// A shape that hits nothing, but takes every packet through the queue.
	idle := cluster.Shape{Duplicate: 1e-12}
	with := func(s cluster.Shape) cluster.LinkState { return shaped(s, "n1>n2") }
	s := series{}
	for range *trials {
		bring(t, c, cluster.LinkState{})
		plain := measure(t, c, l, 500)
		bring(t, c, with(idle))
		queued := measure(t, c, l, 500)
		bring(t, c, with(cluster.Shape{Delay: 50 * ms}))
		late := measure(t, c, l, 500)
		s.add("no queue, p50 of 500", plain.P50)
		s.add("queue without delay, p50 of 500", queued.P50)
		s.add("queue without delay adds", queued.P50-plain.P50)
		s.add("queue of 50 ms, p50 of 500", late.P50)
		s.add("queue of 50 ms, p99 of 500", late.P99)
	}
	t.Log(c.Net.Mechanism(l, idle))
	s.log(t)
	for _, rate := range []int{20_000, 50_000} {
		for _, shape := range []cluster.Shape{{}, idle, {Delay: 50 * ms}} {
			bring(t, c, with(shape))
			qs, err := c.Net.Measure(t.Context(), []cluster.Link{l}, 2*rate, 2*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			q := qs[l]
			t.Logf("%d packets/s, delay %v: %d of %d lost, p50 %v, p99 %v", rate, shape.Delay, q.Sent-q.Arrived, q.Sent, q.P50, q.P99)
		}
	}
	for name, shape := range map[string]cluster.Shape{"iptables": {Loss: 0.1}, "queue": {Loss: 0.1, Delay: ms}} {
		bring(t, c, with(shape))
		qs, err := c.Net.Measure(t.Context(), []cluster.Link{l}, 20_000, 4*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		q := qs[l]
		t.Logf("loss of 10 %% by %s (%s): %.2f %% of %d", name, strings.TrimSpace(c.Net.Mechanism(l, shape)), 100*float64(q.Sent-q.Arrived)/float64(q.Sent), q.Sent)
	}
}
