package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/volume"
)

// startServer makes the container of the node's server and starts it.
func (c *Cluster) startServer(ctx context.Context, n *Node) error {
	s := n.spec.Server
	if s == nil {
		return nil
	}
	mounts, err := c.volumes(ctx, n)
	if err != nil {
		return err
	}
	labels := c.labels(n)
	labels[labelRole] = "server"
	made, err := c.e.api.ContainerCreate(ctx,
		&container.Config{
			Image: s.Image, User: s.User, Env: s.Env, Entrypoint: s.Entrypoint, Cmd: s.Cmd, Labels: labels,
		},
		&container.HostConfig{
			NetworkMode: container.NetworkMode("container:" + n.HolderID),
			Mounts:      mounts,
			LogConfig:   logging(),
			ShmSize:     s.ShmSize,
			Resources:   container.Resources{Memory: s.Memory, MemorySwap: s.Memory, NanoCPUs: int64(s.CPUs * 1e9)},
		}, nil, nil, c.name(n.Name))
	if err != nil {
		return fmt.Errorf("%s: create server: %w", n.Name, err)
	}
	n.ServerID = made.ID
	if err := c.copyFiles(ctx, made.ID, s.Files); err != nil {
		return fmt.Errorf("%s: %w", n.Name, err)
	}
	return c.Procs.Start(ctx, n.Name)
}

func (c *Cluster) volumes(ctx context.Context, n *Node) (mounts []mount.Mount, err error) {
	for i, target := range n.spec.Server.Volumes {
		name := c.name(n.Name, strconv.Itoa(i))
		if _, err := c.e.api.VolumeCreate(ctx, volume.CreateOptions{Name: name, Labels: c.labels(n)}); err != nil {
			return nil, fmt.Errorf("%s: create volume: %w", n.Name, err)
		}
		mounts = append(mounts, mount.Mount{Type: mount.TypeVolume, Source: name, Target: target})
	}
	return mounts, nil
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

// Alive returns an error for every server that is dead, with its exit code
// and the last lines of its log.
func (c *Cluster) Alive(ctx context.Context) error {
	return c.each(func(n *Node) error {
		if n.ServerID == "" {
			return nil
		}
		s, err := c.e.state(ctx, n.ServerID)
		if err != nil {
			return fmt.Errorf("%s: %w", n.Name, err)
		}
		if s.Running {
			return nil
		}
		return c.obituary(ctx, n, s)
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
