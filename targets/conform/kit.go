package conform

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/cluster/docker"
	"github.com/capstan-dev/capstan/internal/require"
	"github.com/capstan-dev/capstan/targets"
)

// Request is for a topology of its default size at its default levels, with
// changes "name=value".
func Request(t *testing.T, target targets.Target, topology string, changes ...string) targets.Spec {
	t.Helper()
	spec := targets.Spec{
		Topology: topology, Levels: map[string]string{}, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		RunID: fmt.Sprintf("%s-%d", regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(t.Name()), "-"), os.Getpid()),
	}
	top := find(t, target, topology)
	spec.Nodes = top.Nodes
	for _, l := range top.Levels {
		spec.Levels[l.Name] = l.Default
		if len(l.Values) > 0 {
			spec.Levels[l.Name] = l.Values[0]
		}
	}
	for _, c := range changes {
		name, value, _ := strings.Cut(c, "=")
		if _, ok := spec.Levels[name]; !ok {
			t.Fatalf("%s/%s has no level %s", target.Name(), topology, name)
		}
		spec.Levels[name] = value
	}
	return spec
}

func find(t *testing.T, target targets.Target, topology string) targets.Topology {
	t.Helper()
	all := target.Topologies()
	i := slices.IndexFunc(all, func(top targets.Topology) bool { return top.Name == topology })
	if i < 0 {
		t.Fatalf("%s has no topology %s", target.Name(), topology)
	}
	return all[i]
}

// Boot starts a system in containers. The end of the test removes it and looks
// what is left.
func Boot(ctx context.Context, t *testing.T, target targets.Target, spec targets.Spec) targets.System {
	t.Helper()
	e, err := docker.Connect(t.Context(), nil)
	if err != nil {
		require.Skip(t, "docker", err)
	}
	t.Cleanup(func() { e.Close() })
	s, err := target.Start(ctx, spec)
	if s != nil {
		t.Cleanup(func() { takeDown(t, e, s, spec.RunID) })
	}
	Must(t, err)
	return s
}

func takeDown(t *testing.T, e *docker.Engine, s targets.System, id string) {
	ctx := context.Background()
	if t.Failed() {
		if err := s.Logs(ctx, t.ArtifactDir()); err != nil {
			t.Logf("logs: %v", err)
		}
	}
	if err := s.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
	left, err := e.Clean(ctx, id)
	if err != nil || !left.Empty() {
		t.Errorf("after close there was left: %v, %v", left, err)
	}
}

// Start boots a system that is ready within the limit after it has started.
func Start(t *testing.T, target targets.Target, spec targets.Spec, limit time.Duration) targets.System {
	t.Helper()
	began := time.Now()
	s := Boot(t.Context(), t, target, spec)
	started := time.Since(began)
	Ready(t, s, limit)
	t.Logf("%s/%s: started in %.1f s, ready after %.1f s; %v", target.Name(), spec.Topology,
		started.Seconds(), time.Since(began).Seconds(), s.Versions())
	return s
}

// Ready fails the test if the system is not ready within the limit.
func Ready(t *testing.T, s targets.System, limit time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	Must(t, s.Ready(ctx))
}

// Open connects a process to a node until the test ends.
func Open[C io.Closer](t *testing.T, s targets.System, node string, limit time.Duration) C {
	t.Helper()
	c, err := s.Open(Within(t, limit), node, 0)
	Must(t, err)
	t.Cleanup(func() { c.Close() })
	return c.(C)
}

// Within is a context for one call.
func Within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// Must ends the test if there is an error.
func Must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Wait asks cond again and again until it is nil, and returns how long that took.
func Wait(t *testing.T, limit time.Duration, cond func() error) time.Duration {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for err := cond(); err != nil; err = cond() {
		if time.Since(began) > limit {
			t.Fatalf("not within %v: %v", limit, err)
		}
		<-tick.C
	}
	return time.Since(began)
}

// WantPrimaries checks who believes to be primary.
func WantPrimaries(t *testing.T, s targets.System, want ...string) {
	t.Helper()
	if got, err := s.Cluster().Primaries(t.Context()); err != nil || !slices.Equal(got, want) {
		t.Errorf("the primaries are %v, %v; want %v", got, err, want)
	}
}

// Isolate cuts a node off from all others.
func Isolate(t *testing.T, s targets.System, node string, how cluster.Cut) {
	t.Helper()
	state := cluster.LinkState{Cut: map[cluster.Link]cluster.Cut{}}
	for _, l := range cluster.Links(s.Cluster().Nodes) {
		if l.From == node || l.To == node {
			state.Cut[l] = how
		}
	}
	Must(t, s.Cluster().Net.Apply(t.Context(), state))
}

// Heal takes away what was done to the network.
func Heal(t *testing.T, s targets.System) {
	t.Helper()
	Must(t, s.Cluster().Net.Apply(t.Context(), cluster.LinkState{}))
}
