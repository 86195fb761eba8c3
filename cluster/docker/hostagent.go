package docker

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"sync"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

	"github.com/capstan-dev/capstan/cluster"
	onhost "github.com/capstan-dev/capstan/cluster/agent/host"
)

// roleHost is the role of the container with the host agent.
const roleHost = "host"

// hostAgent is the run's agent that sees the processes of the host, and the
// nodes' volumes: for what cannot be done from beside a node. It is made when
// it is needed first.
type hostAgent struct {
	c *Cluster

	mu     sync.Mutex // held while the agent is made
	agent  *remote
	count  int   // of agents so far
	lapsed error // a dead one's faults
}

// get makes the agent if there is none that lives. A dead one may have taken
// faults with it, which the next who asks learns from takeLapse.
func (h *hostAgent) get(ctx context.Context) (*remote, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.agent != nil && !h.agent.isGone() {
		return h.agent, nil
	}
	if err := h.c.alive.Err(); err != nil {
		return nil, fmt.Errorf("start host agent: the cluster is closed: %w", err)
	}
	if h.agent != nil {
		h.lapsed = fmt.Errorf("%w: %w", cluster.ErrLapsed, h.agent.gone)
		h.c.log.Warn("host agent is gone, another one takes over", "err", h.agent.gone)
		h.agent.close()
		h.agent = nil
	}
	h.count++
	a, err := h.start(ctx)
	if err != nil {
		return nil, fmt.Errorf("start host agent: %w", err)
	}
	h.agent = a
	return a, nil
}

// living is the agent if one was made and lives, else nil.
func (h *hostAgent) living() *remote {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.agent == nil || h.agent.isGone() {
		return nil
	}
	return h.agent
}

// made says whether there ever was one.
func (h *hostAgent) made() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count > 0
}

// takeLapse returns, once, that faults have ended by themselves.
func (h *hostAgent) takeLapse() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	err := h.lapsed
	h.lapsed = nil
	if h.agent != nil {
		err = errors.Join(err, h.agent.takeLapse())
	}
	return err
}

// call makes one request of the agent, and makes the agent for it.
func (h *hostAgent) call(ctx context.Context, verb string, args, result any) error {
	a, err := h.get(ctx)
	if err != nil {
		return err
	}
	return a.call(ctx, verb, args, result)
}

// number of the agent, in the name of its container.
func (h *hostAgent) number() string { return strconv.Itoa(h.count) }

func (h *hostAgent) start(ctx context.Context) (*remote, error) {
	p, err := h.c.e.program(ctx)
	if err != nil {
		return nil, err
	}
	image, err := h.c.e.EnsureImage(ctx, HolderImage())
	if err != nil {
		return nil, err
	}
	labels := h.c.labels(nil)
	labels[labelRole] = roleHost
	made, err := h.c.e.api.ContainerCreate(ctx,
		&container.Config{
			Image: image.Ref, Labels: labels, Entrypoint: append(slices.Clone(p.argv), "agent", "host"),
			OpenStdin: true, StdinOnce: true, AttachStdin: true, AttachStdout: true, AttachStderr: true,
		}, h.config(), nil, nil, h.c.name("host", h.number()))
	if err != nil {
		return nil, fmt.Errorf("create container: %w", err)
	}
	if err := h.c.copyFiles(ctx, made.ID, p.files); err != nil {
		return nil, err
	}
	conn, err := h.c.e.api.ContainerAttach(ctx, made.ID, container.AttachOptions{Stream: true, Stdin: true, Stdout: true, Stderr: true})
	if err != nil {
		return nil, fmt.Errorf("attach: %w", err)
	}
	if err := h.c.e.api.ContainerStart(ctx, made.ID, container.StartOptions{}); err != nil {
		conn.Close()
		return nil, fmt.Errorf("start container: %w", err)
	}
	a := newRemote("host", conn, h.c.log)
	if err := h.prepare(ctx, a); err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

// config has what the agent needs and no more. Privileged would be simpler,
// and is refused by engines that run in containers themselves.
func (h *hostAgent) config() *container.HostConfig {
	config := &container.HostConfig{
		NetworkMode: "none", PidMode: "host", UsernsMode: "host", LogConfig: logging(),
		CapAdd:      []string{"SYS_PTRACE", "KILL"},
		SecurityOpt: []string{"apparmor=unconfined"},
	}
	propagation := mount.PropagationRSlave
	switch h.c.disk {
	case DiskLoop:
		config.Devices = []container.DeviceMapping{device("/dev/loop-control")}
		config.DeviceCgroupRules = []string{"b 7:* rwm"} // the loop devices
	case DiskFUSE:
		config.Devices = []container.DeviceMapping{device("/dev/fuse")}
	}
	if h.c.disk.backed() {
		config.CapAdd = append(config.CapAdd, "SYS_ADMIN", "MKNOD")
		propagation = mount.PropagationRShared
	}
	for _, n := range h.c.Nodes {
		for _, v := range n.volumes {
			config.Mounts = append(config.Mounts, mount.Mount{
				Type: mount.TypeBind, Source: path.Dir(v.mountpoint), Target: path.Join(onhost.VolumesDir, v.name),
				BindOptions: &mount.BindOptions{Propagation: propagation},
			})
			if v.behind != "" {
				config.Mounts = append(config.Mounts, mount.Mount{
					Type: mount.TypeVolume, Source: v.behind, Target: path.Join(onhost.BackDir, v.name),
				})
			}
		}
	}
	return config
}

func device(path string) container.DeviceMapping {
	return container.DeviceMapping{PathOnHost: path, PathInContainer: path, CgroupPermissions: "rwm"}
}

// prepare mounts the volumes, and starts the lease.
func (h *hostAgent) prepare(ctx context.Context, a *remote) error {
	var mounts []func() error
	for _, n := range h.c.Nodes {
		for _, v := range n.volumes {
			if v.behind == "" {
				continue
			}
			args := onhost.Volume{Name: v.name, Backing: onhost.Backing(h.c.disk), Size: diskSize}
			mounts = append(mounts, func() error { return a.call(ctx, onhost.VerbMount, args, nil) })
		}
	}
	if err := join(mounts...); err != nil {
		return err
	}
	return h.c.lease(ctx, a)
}

// close ends the agent's stdin: it heals and exits.
func (h *hostAgent) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.agent != nil {
		h.agent.close()
	}
}
