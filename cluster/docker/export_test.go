package docker

import (
	"bytes"
	"cmp"
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/cluster/agent/links"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/pkg/stdcopy"
)

// Exec runs a command in a container and returns its output and exit code.
func (e *Engine) Exec(ctx context.Context, id string, cmd ...string) (string, int, error) {
	made, err := e.api.ContainerExecCreate(ctx, id, container.ExecOptions{Cmd: cmd, AttachStdout: true, AttachStderr: true})
	if err != nil {
		return "", 0, err
	}
	conn, err := e.api.ContainerExecAttach(ctx, made.ID, container.ExecAttachOptions{})
	if err != nil {
		return "", 0, err
	}
	defer conn.Close()
	var out bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, &out, conn.Reader); err != nil {
		return "", 0, err
	}
	done, err := e.api.ContainerExecInspect(ctx, made.ID)
	return out.String(), done.ExitCode, err
}

// KillHolder ends a node's holder without a chance to heal.
func (c *Cluster) KillHolder(ctx context.Context, node string) error {
	n, err := c.node(node)
	if err != nil {
		return err
	}
	return c.e.api.ContainerKill(ctx, n.HolderID, "KILL")
}

// OrphanVolume makes a volume with the labels of a run that has nothing else.
func (e *Engine) OrphanVolume(ctx context.Context, name string, labels map[string]string) error {
	_, err := e.api.VolumeCreate(ctx, volume.CreateOptions{Name: name, Labels: labels})
	return err
}

// DeadOwner are the labels of a run of a process that is no more.
func DeadOwner(run string) map[string]string {
	me := self()
	me.start = "1"
	return withRun(me, run)
}

// LivingOwner are the labels of a run of this process.
func LivingOwner(run string) map[string]string { return withRun(self(), run) }

func withRun(o owner, run string) map[string]string {
	l := o.labels(time.Now())
	l[labelRun], l[labelCluster] = run, run
	return l
}

// TestRun is a run that differs from one of this process in what is set.
type TestRun struct {
	Host, Boot, PIDNS, Start string
	Keep, HolderRuns, Old    bool
}

// Abandoned says whether a sweep would remove the run.
func Abandoned(r TestRun) bool {
	o, now := self(), time.Now()
	o.host, o.boot = cmp.Or(r.Host, o.host), cmp.Or(r.Boot, o.boot)
	o.pidns, o.start = cmp.Or(r.PIDNS, o.pidns), cmp.Or(r.Start, o.start)
	made := now
	if r.Old {
		made = now.Add(-2 * youth)
	}
	labels := o.labels(made)
	labels[labelCluster], labels[labelRole], labels[labelKeep] = "run", "holder", strconv.FormatBool(r.Keep)
	holder := container.Summary{Labels: labels, State: "exited"}
	if r.HolderRuns {
		holder.State = "running"
	}
	return inventory{containers: []container.Summary{holder}}.abandoned(self(), now)["run"]
}

// Hang stops renewing the leases, as a harness that hangs does.
func (c *Cluster) Hang() {
	c.stop()
	c.leases.Wait()
}

// Volley sends n canaries over a link, and returns a function that tells what
// arrived of them until now.
func (w *Network) Volley(ctx context.Context, l cluster.Link, n int) (func() cluster.Quality, error) {
	f := newFlock()
	f.Count = n
	seen := func() cluster.Quality {
		got := &arrivals{}
		if err := w.collect(ctx, f, got); err != nil {
			return cluster.Quality{}
		}
		return got.seen[route{l, false}]
	}
	return seen, w.release(ctx, f, []cluster.Link{l})
}

// Clock is the one that all agents read.
func Clock() int64 { return links.Clock() }

// Watch streams canaries over links for a while, about one each millisecond,
// and returns when the first and the last came over each, on Clock.
func (w *Network) Watch(ctx context.Context, ls []cluster.Link, d time.Duration) func() (map[cluster.Link][2]int64, error) {
	f := newFlock()
	f.Count, f.Millis = int(d.Milliseconds()), int(d.Milliseconds())
	sent := make(chan error, 1)
	go func() { sent <- w.release(ctx, f, ls) }()
	return func() (map[cluster.Link][2]int64, error) {
		if err := <-sent; err != nil {
			return nil, err
		}
		var mu sync.Mutex
		times := map[cluster.Link][2]int64{}
		err := w.each(func(m *member) error {
			var as []links.Arrival
			err := m.agent.call(ctx, links.VerbSeen, f.Nonce, &as)
			mu.Lock()
			defer mu.Unlock()
			for _, a := range as {
				times[cluster.Link{From: a.From, To: m.name}] = [2]int64{a.First, a.Last}
			}
			return err
		})
		w.forget(f)
		return times, err
	}
}

// StartIPv4 starts a cluster as on an engine without IPv6.
func (e *Engine) StartIPv4(ctx context.Context, spec Spec) (*Cluster, error) {
	image, err := e.EnsureImage(ctx, HolderImage())
	if err != nil {
		return nil, err
	}
	c := e.newCluster(spec)
	return c, c.up(ctx, image.Ref, false)
}

// RemoveImage forgets a tag, and the image if it was the last one.
func (e *Engine) RemoveImage(ctx context.Context, ref string) error {
	_, err := e.api.ImageRemove(ctx, ref, image.RemoveOptions{Force: true})
	return err
}
