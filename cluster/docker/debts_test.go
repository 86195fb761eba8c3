package docker_test

import (
	"context"
	"strings"
	"testing"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/cluster/docker"
)

// TestAttachedIsPutBack: containers of others run on as they did, whoever ends
// the faults.
func TestAttachedIsPutBack(t *testing.T) {
	e := testEngine(t)
	img, err := e.EnsureImage(t.Context(), docker.HolderImage())
	must(t, err)
	id := runID(t)
	var servers []string
	for _, n := range []string{"-a", "-b"} {
		server, err := e.StartForeign(t.Context(), id+n, img.Ref, []string{"sh", "-c", "while :; do sleep 1; done"}, map[string]string{id: "yes"})
		if server != "" {
			t.Cleanup(func() { must(t, e.RemoveForeign(context.Background(), server)) })
		}
		must(t, err)
		servers = append(servers, server)
	}
	for name, end := range map[string]func(*docker.Cluster) error{
		"close": func(c *docker.Cluster) error { return c.Close(t.Context()) },
		"clean": func(c *docker.Cluster) error { _, err := e.Clean(t.Context(), id); return err },
	} {
		t.Run(name, func(t *testing.T) {
			c, err := e.Attach(t.Context(), docker.AttachSpec{RunID: id, Labels: []string{id}})
			if c != nil {
				defer c.Close(context.Background())
			}
			must(t, err)
			a, b := c.Nodes[0].Name, c.Nodes[1].Name
			must(t, c.Limits.Limit(t.Context(), a, cluster.Limits{CPU: 0.2, Headroom: 64 << 20}))
			must(t, c.Procs.Suspend(t.Context(), a))
			wantState(t, c, a, cluster.Suspended)
			must(t, c.Procs.Pause(t.Context(), a))
			must(t, c.Procs.Kill(t.Context(), b))
			if state, cpu, memory, err := e.Looks(t.Context(), servers[0]); state != "paused" || cpu != 0.2 || memory == 0 || err != nil {
				t.Errorf("disturbed: %s, %v CPUs, %d bytes, %v", state, cpu, memory, err)
			}
			must(t, end(c))
			facts, err := e.Facts(t.Context())
			must(t, err)
			if state, cpu, memory, err := e.Looks(t.Context(), servers[0]); state != "running" || cpu != 0 || memory != facts.Memory || err != nil {
				t.Errorf("put back: %s, %v CPUs, %d bytes, %v", state, cpu, memory, err)
			}
			if state, _, _, err := e.Looks(t.Context(), servers[1]); state != "running" || err != nil {
				t.Errorf("put back: %s, %v", state, err)
			}
			if out, _, err := e.Exec(t.Context(), servers[0], "sh", "-c", "read -r l </proc/1/stat; echo $l"); err != nil || strings.Contains(out, ") T ") {
				t.Errorf("the first process is %q, %v", out, err)
			}
			left, err := e.Clean(t.Context(), id)
			if err != nil || !left.Empty() {
				t.Errorf("there was left: %v, %v", left, err)
			}
		})
	}
}
