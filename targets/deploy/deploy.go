// Package deploy is what targets in containers have in common: it gets the
// images, starts the cluster, waits until the system says that it is ready, and
// takes nodes out and puts them back. A target embeds a Deployment and adds what
// only it knows: how to ask its nodes, and how to speak to them.
package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/cluster/docker"
	"github.com/capstan-dev/capstan/targets"
)

// Config is how a target's topology runs in containers.
type Config struct {
	// Target is the target's name, for messages.
	Target string
	// Images by what runs in them, e.g. "postgres": the versions of a run name
	// them so.
	Images map[string]docker.Image
	// Nodes makes the nodes of the images, by the same names. A server without
	// limits gets those of the request, or Memory and CPUs.
	Nodes func(map[string]docker.ImageFacts) []docker.NodeSpec
	// Roles and Serving are those of the cluster, see cluster.Cluster.
	Roles   map[string]string
	Serving []string
	// Memory in bytes and CPUs limit a node, unless the request does.
	Memory int64
	CPUs   float64
	// Now asks a node for its own time, nil where it cannot be asked.
	Now func(ctx context.Context, node string) (time.Time, error)
}

// Deployment is a target's cluster in containers.
type Deployment struct {
	Spec   targets.Spec
	Log    *slog.Logger
	Engine *docker.Engine
	Docker *docker.Cluster

	target  string
	cluster *cluster.Cluster

	mu       sync.Mutex
	versions map[string]string
	removed  map[string]bool // nodes that were taken out of the system
}

// Start brings the containers up. It returns a half-made deployment with the
// error, to be closed; nil only if nothing was made.
func Start(ctx context.Context, spec targets.Spec, c Config) (*Deployment, error) {
	d := &Deployment{Spec: spec, Log: spec.Log, target: c.Target, versions: map[string]string{}, removed: map[string]bool{}}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	var err error
	if d.Engine, err = docker.Connect(ctx, d.Log); err != nil {
		return nil, err
	}
	if err := d.start(ctx, c); err != nil {
		err = fmt.Errorf("start %s/%s: %w", c.Target, spec.Topology, err)
		if d.Docker == nil {
			return nil, errors.Join(err, d.Engine.Close())
		}
		return d, err
	}
	return d, nil
}

func (d *Deployment) start(ctx context.Context, c Config) error {
	facts, err := d.Engine.Facts(ctx)
	if err != nil {
		return err
	}
	d.SetVersion("engine", facts.Version)
	d.SetVersion("kernel", facts.Kernel)
	images := map[string]docker.ImageFacts{}
	for _, name := range slices.Sorted(maps.Keys(c.Images)) {
		if images[name], err = d.Engine.EnsureImage(ctx, c.Images[name]); err != nil {
			return err
		}
		d.noteImage(name, images[name], len(c.Images) == 1)
	}
	d.Docker, err = d.Engine.Start(ctx, docker.Spec{
		RunID: d.Spec.RunID, Nodes: d.limited(c.Nodes(images), c), Keep: d.Spec.Keep,
		Disk: docker.DiskBacking(d.Spec.Disk), Now: c.Now,
	})
	if d.Docker != nil {
		d.cluster = d.Docker.Cluster()
		d.cluster.Roles, d.cluster.Serving = c.Roles, c.Serving
	}
	return err
}

// noteImage names an image among the versions: "image" if it is the only one,
// "NAME-image" otherwise.
func (d *Deployment) noteImage(name string, f docker.ImageFacts, only bool) {
	key := "image"
	if !only {
		key = name + "-image"
	}
	d.SetVersion(key, f.Ref)
	d.SetVersion(key+"-id", f.ID)
	if f.Digest != "" {
		d.SetVersion(key+"-digest", f.Digest)
	}
}

// limited gives each server its limits: the request's, else its own, else the
// target's.
func (d *Deployment) limited(nodes []docker.NodeSpec, c Config) []docker.NodeSpec {
	for _, n := range nodes {
		if s := n.Server; s != nil {
			s.Memory = cmp.Or(d.Spec.Memory, s.Memory, c.Memory)
			s.CPUs = cmp.Or(d.Spec.CPUs, s.CPUs, c.CPUs)
		}
	}
	return nodes
}

// Cluster implements targets.System.
func (d *Deployment) Cluster() *cluster.Cluster { return d.cluster }

// Versions implements targets.System.
func (d *Deployment) Versions() map[string]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.versions)
}

// SetVersion notes what runs, e.g. what the server said of itself.
func (d *Deployment) SetVersion(name, version string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.versions[name] = version
}

// Logs implements targets.System.
func (d *Deployment) Logs(ctx context.Context, dir string) error { return d.Docker.Logs(ctx, dir) }

// Close implements targets.System.
func (d *Deployment) Close(ctx context.Context) error {
	return errors.Join(d.Docker.Close(ctx), d.Engine.Close())
}

// Addr is where a node's port is reached from here. All that speaks to a node
// asks for it anew with each connection.
func (d *Deployment) Addr(node string, port int) (string, error) {
	addr, err := d.Docker.Addr(node, port)
	if err != nil || d.Spec.Route == nil {
		return addr, err
	}
	return d.Spec.Route(node, addr)
}
