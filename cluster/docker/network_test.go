package docker_test

import (
	"slices"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/cluster"
)

func TestGrudges(t *testing.T) {
	e := testEngine(t)
	start := time.Now()
	c := testCluster(t, e, bare5())
	t.Logf("5 bare nodes up in %v", time.Since(start))
	ring := cluster.LinkState{Cut: map[cluster.Link]bool{}}
	for i, a := range c.Nodes {
		for j, b := range c.Nodes {
			if d := (j - i + 5) % 5; d == 2 || d == 3 {
				ring.Cut[cluster.Link{From: a.Name, To: b.Name}] = true
			}
		}
	}
	for _, tt := range []struct {
		name string
		want cluster.LinkState
	}{
		{"healed", links()},
		{"isolated", apart([]string{"n3"}, []string{"n1", "n2", "n4", "n5"})},
		{"halves", apart([]string{"n1", "n2"}, []string{"n3", "n4", "n5"})},
		{"alone", apart([]string{"n1"}, []string{"n2"}, []string{"n3"}, []string{"n4"}, []string{"n5"})},
		{"majorities ring", ring},
		{"bridge", apart([]string{"n1", "n2"}, []string{"n4", "n5"})},
		{"one way", links("n1>n2")},
		{"deaf", links("n2>n1", "n3>n1", "n4>n1", "n5>n1")},
		{"healed again", cluster.LinkState{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for range 2 { // idempotent
				if err := c.Net.Apply(t.Context(), tt.want); err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				expect(t, c, tt.want)
				took := time.Since(start)
				dropped, err := c.Net.Dropped(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for l, n := range dropped {
					if n == 0 || !tt.want.Cut[l] {
						t.Errorf("%v dropped %d packets, cut %t", l, n, tt.want.Cut[l])
					}
				}
				if len(dropped) != len(tt.want.Cut) {
					t.Errorf("counters for %d links, cut %d", len(dropped), len(tt.want.Cut))
				}
				last := c.Net.Timings()[len(c.Net.Timings())-1]
				t.Logf("committed %v (loaded %v), skew %v, proven in %v", last.Committed, last.Loaded, last.Skew, took)
			}
		})
	}
}

// TestCutSpeed prints the figures of 20 cuts of a cluster of five.
func TestCutSpeed(t *testing.T) {
	c := testCluster(t, testEngine(t), bare5())
	halves := apart([]string{"n1", "n2"}, []string{"n3", "n4", "n5"})
	var cuts, heals, skews, healSkews []time.Duration
	for range 20 {
		for _, s := range []cluster.LinkState{halves, {}} {
			if err := c.Net.Apply(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			expect(t, c, s)
		}
		ts := c.Net.Timings()
		cut, heal := ts[len(ts)-2], ts[len(ts)-1]
		cuts, skews = append(cuts, cut.Committed), append(skews, cut.Skew)
		heals, healSkews = append(heals, heal.Committed), append(healSkews, heal.Skew)
	}
	for name, ds := range map[string][]time.Duration{
		"decision to all nodes cut": cuts, "skew of the cut": skews,
		"decision to all nodes healed": heals, "skew of the heal": healSkews,
	} {
		slices.Sort(ds)
		t.Logf("%-28s median %v, max %v", name, ds[len(ds)/2], ds[len(ds)-1])
	}
}
