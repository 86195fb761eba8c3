package docker_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/cluster/docker"
)

func TestSweepSparesTheLiving(t *testing.T) {
	e := testEngine(t)
	id := runID(t)
	for name, labels := range map[string]map[string]string{
		id + "-dead":   docker.DeadOwner(id + "-dead"),
		id + "-living": docker.LivingOwner(id + "-living"),
	} {
		if err := e.OrphanVolume(t.Context(), name, labels); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	for run, want := range map[string]string{id + "-dead": "nothing", id + "-living": "volumes " + id + "-living"} {
		if got, err := e.Clean(t.Context(), run); err != nil || got.String() != want {
			t.Errorf("after the sweep there was of %s: %v, %v; want %s", run, got, err, want)
		}
	}
}

// TestKeep leaves a cluster to look at, for clean to remove.
func TestKeep(t *testing.T) {
	e := testEngine(t)
	id := runID(t)
	c, err := e.Start(t.Context(), docker.Spec{RunID: id, Nodes: serverNodes(t, e, 3), Keep: true})
	if err != nil {
		t.Fatal(err)
	}
	until(t, 10*time.Second, func() error { _, err := greet(t.Context(), c, "n2"); return err })
	if err := c.Net.Apply(t.Context(), apart([]string{"n1"}, []string{"n2", "n3"})); err != nil {
		t.Fatal(err)
	}
	if err := c.Procs.Pause(t.Context(), "n3"); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, 10*time.Second, func() error { _, err := greet(t.Context(), c, "n1"); return err })
	if err := passes(t.Context(), e, c.Nodes[0].ServerID, c.Nodes[1].IP.String()); err != nil {
		t.Errorf("kept cluster is not healed: %v", err)
	}
	if removed, err := e.Sweep(t.Context()); err != nil || strings.Contains(removed.String(), id) {
		t.Errorf("sweep removed a kept run: %v, %v", removed, err)
	}
	removed, err := e.Clean(t.Context(), id)
	if err != nil || len(removed.Containers) != 6 || len(removed.Networks) != 1 || len(removed.Volumes) != 3 {
		t.Errorf("clean removed %v, %v", removed, err)
	}
}

// TestSameRunID: two clusters of one id live side by side, and the end of one
// is not the end of the other.
func TestSameRunID(t *testing.T) {
	e := testEngine(t)
	id := runID(t)
	start := func() *docker.Cluster {
		c, err := e.Start(t.Context(), docker.Spec{RunID: id, Nodes: docker.Bare(2)})
		if c != nil {
			t.Cleanup(func() {
				if err := c.Close(context.Background()); err != nil {
					t.Error(err)
				}
			})
		}
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first, second := start(), start()
	if err := first.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(t, second, links())
}
