package docker

import (
	"context"
	"errors"
	"fmt"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/capstan-dev/capstan/cluster"
	onhost "github.com/capstan-dev/capstan/cluster/agent/host"
)

// stopTimeout is how long a server may take to end by itself.
const stopTimeout = 20 * time.Second

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

// disturb is the server of a node that is about to be changed.
func (p *Processes) disturb(ctx context.Context, node string) (string, error) {
	id, err := p.server(node)
	if err != nil {
		return "", err
	}
	n, err := p.c.node(node)
	if err != nil {
		return "", err
	}
	return id, p.c.owe(ctx, n)
}

// Kill implements cluster.Processes. It returns when the process is dead, and
// with it all others of its container. Paused ones die as well.
func (p *Processes) Kill(ctx context.Context, node string) error {
	id, err := p.disturb(ctx, node)
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

// Stop implements cluster.Processes. A server that is paused or suspended goes
// on first, or it could not end by itself. It is an error if the server had to
// be killed.
func (p *Processes) Stop(ctx context.Context, node string) error {
	id, err := p.disturb(ctx, node)
	if err != nil {
		return err
	}
	before, err := p.State(ctx, node)
	if err != nil || before == cluster.Dead {
		return err
	}
	if err := errors.Join(p.Resume(ctx, node), p.Continue(ctx, node)); err != nil {
		if now, serr := p.State(ctx, node); serr == nil && now == cluster.Dead {
			return nil // it has ended by itself meanwhile
		}
		return err
	}
	seconds := int(stopTimeout.Seconds())
	start := time.Now()
	if err := p.c.e.api.ContainerStop(ctx, id, container.StopOptions{Timeout: &seconds}); err != nil {
		return fmt.Errorf("%s: stop server: %w", node, err)
	}
	if time.Since(start) >= stopTimeout {
		return fmt.Errorf("%s: stop server: it did not end within %v and was killed", node, stopTimeout)
	}
	return nil
}

// Start implements cluster.Processes.
func (p *Processes) Start(ctx context.Context, node string) error {
	n, err := p.c.node(node)
	if err != nil {
		return err
	}
	before, err := p.State(ctx, node)
	if err != nil || before != cluster.Dead {
		return err
	}
	if err := p.c.Disks.ready(ctx, n); err != nil {
		return fmt.Errorf("%s: start server: %w", node, err)
	}
	if err := p.c.e.api.ContainerStart(ctx, n.ServerID, container.StartOptions{}); err != nil {
		return fmt.Errorf("%s: start server: %w", node, err)
	}
	if n.foreign {
		return p.c.reattach(ctx, n)
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
	id, err := p.disturb(ctx, node)
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

// Suspend implements cluster.Processes. The server process is the container's
// first one, or, where that is a shell or an init, the oldest child of it that
// has lived for half a second, and so on.
func (p *Processes) Suspend(ctx context.Context, node string) error {
	return p.signal(ctx, node, "suspend", onhost.VerbSuspend)
}

// Continue implements cluster.Processes.
func (p *Processes) Continue(ctx context.Context, node string) error {
	if !p.c.host.made() {
		return nil // nothing was suspended
	}
	return p.signal(ctx, node, "continue", onhost.VerbContinue)
}

func (p *Processes) signal(ctx context.Context, node, verb, request string) error {
	id, err := p.disturb(ctx, node)
	if err != nil {
		return err
	}
	if err := p.c.host.call(ctx, request, onhost.Container{Container: id}, nil); err != nil {
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
		return p.runningState(ctx, node, id)
	}
	return cluster.Dead, nil
}

// runningState tells a server process that runs from one that was stopped by a
// signal. That takes the host agent; without it nothing was.
func (p *Processes) runningState(ctx context.Context, node, id string) (cluster.State, error) {
	a := p.c.host.living()
	if a == nil {
		return cluster.Running, nil
	}
	var process onhost.Process
	if err := a.call(ctx, onhost.VerbProcess, onhost.Container{Container: id}, &process); err != nil {
		return "", fmt.Errorf("%s: look at the server process: %w", node, err)
	}
	switch {
	case process.PID == 0:
		return cluster.Dead, nil
	case process.Stopped:
		return cluster.Suspended, nil
	}
	return cluster.Running, nil
}

func (e *Engine) state(ctx context.Context, id string) (*container.State, error) {
	c, err := e.api.ContainerInspect(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("inspect container: %w", err)
	}
	return c.State, nil
}
