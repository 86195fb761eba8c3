package docker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/cluster/docker"
	"github.com/capstan-dev/capstan/internal/require"
)

// TestFaketime: an image that is made for libfaketime.
func TestFaketime(t *testing.T) {
	e := testEngine(t)
	if facts, err := e.Facts(t.Context()); err != nil || facts.Arch != "x86_64" {
		require.Skip(t, "x86_64", fmt.Errorf("the engine's processor is %s, %v", facts.Arch, err))
	}
	nodes := docker.Bare(1)
	nodes[0].Server = &docker.Server{
		Name: "sleep", Image: packaged(t, e, "faketime"), Cmd: []string{"sleep", "1000"}, Faketime: "/faketime",
		Env: []string{
			"LD_PRELOAD=/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1", "FAKETIME_TIMESTAMP_FILE=/faketime",
			"FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1",
		},
		Files: []docker.File{{Path: "/faketime", Mode: 0o644, Content: []byte("+0\n")}},
	}
	c := testSpec(t, e, docker.Spec{RunID: runID(t), Nodes: nodes})
	for _, want := range []time.Duration{0, 100 * time.Second, -90 * time.Minute, 0} {
		must(t, c.Clocks.Skew(t.Context(), "n1", cluster.Skew{Offset: want}))
		got, err := c.Clocks.Offset(t.Context(), "n1")
		if err != nil || (got-want).Abs() > time.Second {
			t.Errorf("%v off, %v; want %v", got, err, want)
		}
	}
	if err := c.Clocks.Skew(t.Context(), "n1", cluster.Skew{Drift: 0.1}); err == nil {
		t.Error("libfaketime drifts from a given moment on")
	}
}
