package docker

import (
	"context"
	"errors"
	"fmt"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/capstan-dev/capstan/cluster"
)

// Processes controls the servers. The holders, and with them addresses and
// rules, stay as they are. Each method is idempotent.
type Processes struct{ c *Cluster }

var errBare = errors.New("node has no server")

func (p *Processes) server(node string) (string, error) {
	n, err := p.c.node(node)
	if err != nil {
		return "", err
	}
	if n.ServerID == "" {
		return "", fmt.Errorf("%s: %w", node, errBare)
	}
	return n.ServerID, nil
}

// Kill implements cluster.Processes. It returns when the process is dead, and
// with it all others of its container. Paused ones die as well.
func (p *Processes) Kill(ctx context.Context, node string) error {
	id, err := p.server(node)
	if err != nil {
		return err
	}
	err = p.c.e.api.ContainerKill(ctx, id, "KILL")
	if err != nil && !cerrdefs.IsConflict(err) { // a conflict: it is not running
		return fmt.Errorf("%s: kill server: %w", node, err)
	}
	exited, failed := p.c.e.api.ContainerWait(ctx, id, container.WaitConditionNotRunning)
	select {
	case <-exited:
		return nil
	case err := <-failed:
		return fmt.Errorf("%s: wait for the killed server: %w", node, err)
	}
}

// Start implements cluster.Processes.
func (p *Processes) Start(ctx context.Context, node string) error {
	id, err := p.server(node)
	if err != nil {
		return err
	}
	if err := p.c.e.api.ContainerStart(ctx, id, container.StartOptions{}); err != nil {
		return fmt.Errorf("%s: start server: %w", node, err)
	}
	return nil
}

// Pause implements cluster.Processes: it freezes all processes of the server.
func (p *Processes) Pause(ctx context.Context, node string) error {
	return p.freeze(ctx, node, "pause", cluster.Paused, p.c.e.api.ContainerPause)
}

// Resume implements cluster.Processes.
func (p *Processes) Resume(ctx context.Context, node string) error {
	return p.freeze(ctx, node, "resume", cluster.Running, p.c.e.api.ContainerUnpause)
}

func (p *Processes) freeze(ctx context.Context, node, verb string, want cluster.State, do func(context.Context, string) error) error {
	id, err := p.server(node)
	if err != nil {
		return err
	}
	if err := do(ctx, id); err != nil {
		// Already so is as good.
		if s, serr := p.State(ctx, node); serr == nil && s == want {
			return nil
		}
		return fmt.Errorf("%s: %s server: %w", node, verb, err)
	}
	return nil
}

// State implements cluster.Processes.
func (p *Processes) State(ctx context.Context, node string) (cluster.State, error) {
	id, err := p.server(node)
	if err != nil {
		return "", err
	}
	s, err := p.c.e.state(ctx, id)
	if err != nil {
		return "", fmt.Errorf("%s: %w", node, err)
	}
	switch {
	case s.Paused:
		return cluster.Paused, nil
	case s.Running:
		return cluster.Running, nil
	}
	return cluster.Dead, nil
}

func (e *Engine) state(ctx context.Context, id string) (*container.State, error) {
	c, err := e.api.ContainerInspect(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("inspect container: %w", err)
	}
	return c.State, nil
}
