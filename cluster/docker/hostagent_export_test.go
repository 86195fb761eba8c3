package docker

import (
	"context"
	"errors"

	"github.com/docker/docker/api/types/container"
)

// KillHostAgent ends the host agent without a chance to heal.
func (c *Cluster) KillHostAgent(ctx context.Context) error {
	a := c.host.living()
	if a == nil {
		return errors.New("there is no host agent")
	}
	if err := c.e.api.ContainerKill(ctx, c.name("host", c.host.number()), "KILL"); err != nil {
		return err
	}
	<-a.done
	return nil
}

// StartForeign runs a container as somebody else would.
func (e *Engine) StartForeign(ctx context.Context, name, image string, cmd []string, labels map[string]string) (string, error) {
	made, err := e.api.ContainerCreate(ctx,
		&container.Config{Image: image, Cmd: cmd, Labels: labels}, &container.HostConfig{}, nil, nil, name)
	if err != nil {
		return "", err
	}
	return made.ID, e.api.ContainerStart(ctx, made.ID, container.StartOptions{})
}

// RemoveForeign removes it.
func (e *Engine) RemoveForeign(ctx context.Context, id string) error {
	return e.api.ContainerRemove(ctx, id, container.RemoveOptions{Force: true})
}

// Looks says how a container is: its state, and its limits of CPU and memory.
func (e *Engine) Looks(ctx context.Context, id string) (state string, cpu float64, memory int64, err error) {
	c, err := e.api.ContainerInspect(ctx, id)
	if err != nil {
		return "", 0, 0, err
	}
	return c.State.Status, cpuLimit(c.HostConfig.Resources), c.HostConfig.Memory, nil
}
