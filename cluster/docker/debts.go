package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/volume"
)

// labelLimits has, on the record of a debt, the limits that a container had.
const labelLimits = "capstan.limits"

// owe records, before anything is done to the process of a container that
// capstan did not start, how it was. The record is an empty volume, whose
// labels say it all: whoever closes, sweeps or cleans finds it and settles the
// debt, also if this process is killed.
func (c *Cluster) owe(ctx context.Context, n *Node) error {
	if !n.foreign {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.owing {
		return nil
	}
	now, err := c.e.api.ContainerInspect(ctx, n.ServerID)
	if err != nil {
		return fmt.Errorf("%s: inspect container: %w", n.Name, err)
	}
	limits, err := json.Marshal(now.HostConfig.Resources)
	if err != nil {
		return fmt.Errorf("%s: write down its limits: %w", n.Name, err)
	}
	labels := c.labels(n)
	labels[labelTarget], labels[labelLimits] = n.ServerID, string(limits)
	if _, err := c.e.api.VolumeCreate(ctx, volume.CreateOptions{Name: c.name(n.Name, "debt"), Labels: labels}); err != nil {
		return fmt.Errorf("%s: write down how it was: %w", n.Name, err)
	}
	n.owing = true
	return nil
}

// settle makes the containers of such records be as they were: running, with
// the limits that they had.
func (e *Engine) settle(ctx context.Context, volumes []*volume.Volume) error {
	var errs []error
	for _, v := range volumes {
		id, limits := v.Labels[labelTarget], v.Labels[labelLimits]
		if id == "" || limits == "" {
			continue
		}
		if err := e.settleOne(ctx, id, limits); err != nil && !cerrdefs.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("put container %.12s back as it was: %w", id, err))
		}
	}
	return errors.Join(errs...)
}

func (e *Engine) settleOne(ctx context.Context, id, limits string) error {
	var original container.Resources
	if err := json.Unmarshal([]byte(limits), &original); err != nil {
		return fmt.Errorf("read its limits: %w", err)
	}
	now, err := e.api.ContainerInspect(ctx, id)
	if err != nil {
		return err
	}
	if now.State.Paused {
		if err := e.api.ContainerUnpause(ctx, id); err != nil {
			return err
		}
	}
	if now.HostConfig.Memory != original.Memory || now.HostConfig.CPUQuota != original.CPUQuota || now.HostConfig.NanoCPUs != original.NanoCPUs {
		facts, err := e.Facts(ctx)
		if err != nil {
			return err
		}
		u := container.UpdateConfig{Resources: asStarted(original, now.HostConfig.Resources, facts.Memory)}
		if _, err := e.api.ContainerUpdate(ctx, id, u); err != nil {
			return err
		}
	}
	if now.State.Running {
		// One that goes on already takes no notice.
		return e.api.ContainerKill(ctx, id, "CONT")
	}
	return e.api.ContainerStart(ctx, id, container.StartOptions{})
}
