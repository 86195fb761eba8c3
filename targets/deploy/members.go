package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/capstan-dev/capstan/cluster/docker"
)

// Members are the nodes that were not taken out of the system, in order.
func (d *Deployment) Members() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(d.cluster.Nodes), func(n string) bool { return d.removed[n] })
}

// Where asks these nodes at the same time, each for AskTimeout at most, and
// returns those that say yes, in order.
func (d *Deployment) Where(ctx context.Context, nodes []string, ask func(ctx context.Context, node string) bool) ([]string, error) {
	yes := make([]bool, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, AskTimeout)
			defer cancel()
			yes[i] = ask(ctx, n)
		})
	}
	wg.Wait()
	var found []string
	for i, n := range nodes {
		if yes[i] {
			found = append(found, n)
		}
	}
	return found, ctx.Err()
}

// Retire stops a node's server for good and takes the node out of Members.
func (d *Deployment) Retire(ctx context.Context, node string) error {
	if err := d.Docker.Procs.Stop(ctx, node); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.removed[node] = true
	return nil
}

// Renew starts a retired node on an empty disk.
func (d *Deployment) Renew(ctx context.Context, node string) error {
	if err := d.Docker.Wipe(ctx, node); err != nil {
		return err
	}
	d.mu.Lock()
	delete(d.removed, node)
	d.mu.Unlock()
	return d.Docker.Procs.Start(ctx, node)
}

// RenewAs starts a retired node on an empty disk, with another command: one that
// makes it join those that are there, say.
func (d *Deployment) RenewAs(ctx context.Context, node string, cmd []string) error {
	if err := errors.Join(d.Docker.Wipe(ctx, node), d.Docker.SetCmd(node, cmd)); err != nil {
		return err
	}
	d.mu.Lock()
	delete(d.removed, node)
	d.mu.Unlock()
	return d.Docker.Replace(ctx, node, "")
}

// Upgrade implements cluster.Members: it starts a node again from another
// image, which must know the data: a minor release, say.
func (d *Deployment) Upgrade(ctx context.Context, node, image string) error {
	if image != "" {
		got, err := d.Engine.EnsureImage(ctx, docker.Image{Ref: image})
		if err != nil {
			return fmt.Errorf("upgrade %s: %w", node, err)
		}
		image = got.Ref
	}
	if err := d.Docker.Replace(ctx, node, image); err != nil {
		return fmt.Errorf("upgrade %s: %w", node, err)
	}
	return nil
}
