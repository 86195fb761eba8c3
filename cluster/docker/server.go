package docker

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/volume"

	"github.com/capstan-dev/capstan/cluster"
	onhost "github.com/capstan-dev/capstan/cluster/agent/host"
)

// startServer makes the container of the node's server and starts it.
func (c *Cluster) startServer(ctx context.Context, n *Node) error {
	if n.spec.Server == nil {
		return nil
	}
	if err := c.createServer(ctx, n, n.spec.Server.Image); err != nil {
		return err
	}
	return c.Procs.Start(ctx, n.Name)
}

// createServer makes the container, on the node's volumes.
func (c *Cluster) createServer(ctx context.Context, n *Node, image string) error {
	s := n.spec.Server
	var mounts []mount.Mount
	for _, v := range n.volumes {
		mounts = append(mounts, mount.Mount{Type: mount.TypeVolume, Source: v.name, Target: v.target})
	}
	labels := c.labels(n)
	labels[labelRole] = RoleServer
	made, err := c.e.api.ContainerCreate(ctx,
		&container.Config{
			Image: image, User: s.User, Env: s.Env, Entrypoint: s.Entrypoint, Cmd: s.Cmd, Labels: labels,
			StopSignal: s.StopSignal,
		},
		&container.HostConfig{
			NetworkMode: container.NetworkMode("container:" + n.HolderID),
			Mounts:      mounts,
			LogConfig:   logging(),
			ShmSize:     s.ShmSize,
			Resources:   initialLimits(s),
		}, nil, nil, c.name(n.Name))
	if err != nil {
		return fmt.Errorf("%s: create server: %w", n.Name, err)
	}
	n.ServerID = made.ID
	if err := c.copyFiles(ctx, made.ID, s.Files); err != nil {
		return fmt.Errorf("%s: %w", n.Name, err)
	}
	return nil
}

// Replace starts the node's server again from another image, which is present,
// on the node's volumes: an upgrade, or a downgrade. An empty image is the one
// that the cluster was started with. What the old container had outside of its
// volumes is gone.
func (c *Cluster) Replace(ctx context.Context, node, image string) error {
	n, err := c.node(node)
	if err != nil {
		return err
	}
	if n.spec.Server == nil {
		return fmt.Errorf("%s: replace server: %w", node, errBare)
	}
	if err := c.Procs.Stop(ctx, node); err != nil {
		return err
	}
	if err := c.saveEarlierLog(ctx, n); err != nil {
		return err
	}
	if err := c.e.api.ContainerRemove(ctx, n.ServerID, container.RemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
		return fmt.Errorf("%s: remove server: %w", node, err)
	}
	if err := c.createServer(ctx, n, cmp.Or(image, n.spec.Server.Image)); err != nil {
		return err
	}
	return errors.Join(c.Procs.Start(ctx, node), c.Clocks.follow(ctx, n))
}

// SetCmd gives the node's servers another command from the next one on that is
// made, see Replace.
func (c *Cluster) SetCmd(node string, cmd []string) error {
	n, err := c.node(node)
	if err != nil {
		return err
	}
	if n.spec.Server == nil {
		return fmt.Errorf("%s: set command: %w", node, errBare)
	}
	n.spec.Server.Cmd = cmd
	return nil
}

// saveEarlierLog keeps what a server wrote whose container is removed.
func (c *Cluster) saveEarlierLog(ctx context.Context, n *Node) error {
	var buf bytes.Buffer
	if err := c.copyLog(ctx, n.ServerID, "all", true, &buf); err != nil {
		return fmt.Errorf("%s: read log: %w", n.Name, err)
	}
	n.earlier = append(n.earlier, buf.Bytes()...)
	return nil
}

// Wipe empties the volumes of a node whose server is dead, as if its disk had
// been replaced.
func (c *Cluster) Wipe(ctx context.Context, node string) error {
	n, err := c.node(node)
	if err != nil {
		return err
	}
	if s, err := c.Procs.State(ctx, node); err != nil || s != cluster.Dead {
		return errors.Join(err, fmt.Errorf("%s: wipe: server is %s", node, s))
	}
	for _, v := range n.volumes {
		if err := c.host.call(ctx, onhost.VerbWipe, onhost.Volume{Name: v.name}, nil); err != nil {
			return fmt.Errorf("%s: %w", node, err)
		}
	}
	return nil
}

// nodeVolume is one of a node's data volumes.
type nodeVolume struct {
	name, target string
	// mountpoint is where the engine has it, on its host.
	mountpoint string
	// behind is the volume with the files, if this one is only where another
	// file system is mounted.
	behind string
}

// createVolumes makes all nodes' volumes, and where they are backed the agent
// that mounts them.
func (c *Cluster) createVolumes(ctx context.Context) error {
	any := false
	for _, n := range c.Nodes {
		if n.spec.Server == nil {
			continue
		}
		for i, target := range n.spec.Server.Volumes {
			v, err := c.createVolume(ctx, n, i, target)
			if err != nil {
				return fmt.Errorf("%s: create volume: %w", n.Name, err)
			}
			n.volumes = append(n.volumes, v)
			any = true
		}
	}
	if !any || !c.disk.backed() {
		return nil
	}
	_, err := c.host.get(ctx)
	return err
}

func (c *Cluster) createVolume(ctx context.Context, n *Node, i int, target string) (v nodeVolume, err error) {
	v = nodeVolume{name: c.name(n.Name, strconv.Itoa(i)), target: target}
	labels := c.labels(n)
	if c.disk.backed() {
		v.behind = v.name + "-behind"
		if _, err := c.e.api.VolumeCreate(ctx, volume.CreateOptions{Name: v.behind, Labels: labels}); err != nil {
			return v, err
		}
		labels = maps.Clone(labels)
		labels[labelDisk] = string(c.disk)
	}
	made, err := c.e.api.VolumeCreate(ctx, volume.CreateOptions{Name: v.name, Labels: labels})
	v.mountpoint = made.Mountpoint
	return v, err
}

func (c *Cluster) copyFiles(ctx context.Context, id string, files []File) error {
	if len(files) == 0 {
		return nil
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range files {
		h := tar.Header{Name: path.Clean(f.Path)[1:], Mode: f.Mode, Size: int64(len(f.Content))}
		if err := w.WriteHeader(&h); err != nil {
			return fmt.Errorf("pack file %s: %w", f.Path, err)
		}
		if _, err := w.Write(f.Content); err != nil {
			return fmt.Errorf("pack file %s: %w", f.Path, err)
		}
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("pack files: %w", err)
	}
	if err := c.e.api.CopyToContainer(ctx, id, "/", &buf, container.CopyToContainerOptions{}); err != nil {
		return fmt.Errorf("copy files into the server: %w", err)
	}
	return nil
}

// Alive returns an error for every one of these nodes whose server is dead, with
// its exit code and the last lines of its log, or whose agent is. No nodes means
// all.
func (c *Cluster) Alive(ctx context.Context, nodes ...string) error {
	return c.each(func(n *Node) error {
		if n.ServerID == "" || len(nodes) > 0 && !slices.Contains(nodes, n.Name) {
			return nil
		}
		s, err := c.e.state(ctx, n.ServerID)
		if err != nil {
			return fmt.Errorf("%s: %w", n.Name, err)
		}
		switch {
		case !s.Running:
			return c.obituary(ctx, n, s)
		case n.agent != nil && n.agent.whyGone() != nil:
			return fmt.Errorf("%w; the node has lost its network with it", n.agent.whyGone())
		}
		return nil
	})
}

func (c *Cluster) obituary(ctx context.Context, n *Node, s *container.State) error {
	how := "exit code " + strconv.Itoa(s.ExitCode)
	if s.OOMKilled {
		how += ", out of memory"
	}
	if s.Error != "" {
		how += ", " + s.Error
	}
	lines, err := c.Tail(ctx, n.Name, outputKept)
	return errors.Join(fmt.Errorf("%s: server is dead (%s)%s", n.Name, how, lines), err)
}
