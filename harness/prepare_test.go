package harness_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/harness"
	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/sim"
	"github.com/capstan-dev/capstan/workloads"
	"github.com/capstan-dev/capstan/workloads/register"
)

// prepared is a system and a workload that needs preparing through its primary.
type prepared struct {
	targets.System
	workloads.Workload
	opened []string
	ready  int
	want   string // the node that can be used
}

func (*prepared) Name() string { return "prepared" }

func (p *prepared) Cluster() *cluster.Cluster {
	return &cluster.Cluster{Nodes: []string{"n1", "n2", "n3", "proxy"}, Serving: []string{"n1", "n2", "n3"},
		Primaries: func(context.Context) ([]string, error) { return []string{"n3"}, nil }}
}

func (p *prepared) Ready(context.Context) error { p.ready++; return nil }

type nodeConn string

func (nodeConn) Close() error { return nil }

func (p *prepared) Open(_ context.Context, node string, _ int) (io.Closer, error) {
	p.opened = append(p.opened, node)
	return nodeConn(node), nil
}

func (p *prepared) Prepare(_ context.Context, conn io.Closer) error {
	if string(conn.(nodeConn)) != p.want {
		return errors.New("not here")
	}
	return nil
}

func TestPrepareGoesToPrimariesFirst(t *testing.T) {
	for want, nodes := range map[string][]string{"n3": {"n3"}, "n2": {"n3", "n1", "n2"}} {
		p := &prepared{want: want}
		if err := harness.Prepare(t.Context(), p, p); err != nil || !slices.Equal(p.opened, nodes) || p.ready != 1 {
			t.Errorf("%s: %v, opened %v, asked %d times whether it is ready", want, err, p.opened, p.ready)
		}
	}
}

// writing prepares by a write.
type writing struct{ workloads.Workload }

func (writing) Name() string { return "writing" }

func (writing) Prepare(ctx context.Context, conn io.Closer) error {
	return conn.(register.Store).Write(ctx, 1, 2)
}

// In virtual time a call goes on only while the owner waits.
func TestPrepareInVirtualTime(t *testing.T) {
	sys, err := sim.Target{}.Start(t.Context(), targets.Spec{Topology: "raft", Nodes: 3, Seed: 1,
		Levels: map[string]string{"read": "linearizable", "bug": "none"}})
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Close(t.Context())
	if err := sys.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := harness.Prepare(t.Context(), sys, writing{}); err != nil {
		t.Error(err)
	}
}

func TestPrepareEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := &prepared{want: "none"}
	if err := harness.Prepare(ctx, p, p); err == nil || p.ready != 0 {
		t.Errorf("%v, asked %d times whether it is ready", err, p.ready)
	}
	if err := harness.Prepare(ctx, p, struct{ workloads.Workload }{}); err != nil {
		t.Errorf("a workload that needs nothing: %v", err)
	}
}
