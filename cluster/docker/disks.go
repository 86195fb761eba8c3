package docker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	onhost "github.com/capstan-dev/capstan/cluster/agent/host"
)

// DiskBacking is what the servers' data volumes lie on.
type DiskBacking string

const (
	// DiskPlain is a folder of the engine, and costs nothing. The empty backing
	// means the same.
	DiskPlain DiskBacking = "plain"
	// DiskLoop is an ext4 of its own on a loop device: a crash is one as after a
	// power failure, and the disk can be full.
	DiskLoop DiskBacking = "loop"
	// DiskFUSE is a file system in our own process, package
	// agent/host/lossy, that can do all faults.
	DiskFUSE DiskBacking = "fuse"
)

// diskSize is that of a file system of its own. It takes only what is written.
const diskSize = 4 << 30

func (b DiskBacking) backed() bool { return b == DiskLoop || b == DiskFUSE }

// Disks breaks the disks under the servers' volumes. What can be done depends
// on what the volumes lie on, see Spec.Disk.
type Disks struct{ c *Cluster }

var (
	errPlain  = errors.New("the volumes are plain folders of the engine, on the host's own disk")
	errNoData = errors.New("no node has a data volume that capstan made")
)

func (d *Disks) any() bool {
	for _, n := range d.c.Nodes {
		if len(n.volumes) > 0 || n.spec.Server != nil && len(n.spec.Server.Volumes) > 0 {
			return true
		}
	}
	return false
}

// Can implements cluster.Disks.
func (d *Disks) Can(want cluster.Disk) error {
	switch {
	case want == (cluster.Disk{}):
		return nil
	case !d.any():
		return errNoData
	case d.c.disk == DiskFUSE:
		return nil
	case d.c.disk == DiskLoop && want == (cluster.Disk{Full: true}):
		return nil
	case d.c.disk == DiskLoop:
		return errors.New("ext4 on a loop device can be full and can crash; it is read-only only when nothing writes, and errors and delays need the fuse backing")
	}
	return fmt.Errorf("%w: they cannot be full, read-only, slow or broken", errPlain)
}

// CrashLoses implements cluster.Disks.
func (d *Disks) CrashLoses() error {
	switch {
	case !d.any():
		return errNoData
	case !d.c.disk.backed():
		return fmt.Errorf("%w: what was written outlives the server, synced or not", errPlain)
	}
	return nil
}

// Apply implements cluster.Disks.
func (d *Disks) Apply(ctx context.Context, node string, want cluster.Disk) error {
	n, err := d.c.node(node)
	if err != nil {
		return err
	}
	if err := d.Can(want); err != nil {
		return fmt.Errorf("%s: change disk: %w", node, err)
	}
	if want == (cluster.Disk{}) && !d.c.host.made() {
		return nil
	}
	for _, v := range n.volumes {
		args := onhost.Disk{
			Volume: v.name, ReadOnly: want.ReadOnly, Full: want.Full, Delay: int64(want.Delay),
			ReadErrors: want.ReadErrors, WriteErrors: want.WriteErrors, SyncErrors: want.SyncErrors,
		}
		if err := d.c.host.call(ctx, onhost.VerbDisk, args, nil); err != nil {
			return fmt.Errorf("%s: change disk: %w", node, err)
		}
	}
	if err := d.c.host.takeLapse(); err != nil {
		return fmt.Errorf("%s: change disk: %w", node, err)
	}
	return nil
}

// Crash implements cluster.Disks. The server is killed first, so that it sees
// no error that a power failure would not show it.
func (d *Disks) Crash(ctx context.Context, node string) error {
	n, err := d.c.node(node)
	if err != nil {
		return err
	}
	if err := d.CrashLoses(); err != nil {
		return fmt.Errorf("%s: crash: %w", node, err)
	}
	if err := d.c.Procs.Kill(ctx, node); err != nil {
		return err
	}
	for _, v := range n.volumes {
		if err := d.c.host.call(ctx, onhost.VerbCrash, onhost.Volume{Name: v.name}, nil); err != nil {
			return fmt.Errorf("%s: crash: %w", node, err)
		}
	}
	if err := d.c.host.takeLapse(); err != nil {
		return fmt.Errorf("%s: crash: %w", node, err)
	}
	return nil
}

// ready sees to it that a server finds its disk when it starts: a dead agent
// has taken the mounts with it.
func (d *Disks) ready(ctx context.Context, n *Node) error {
	if len(n.volumes) == 0 || !d.c.disk.backed() {
		return nil
	}
	_, err := d.c.host.get(ctx)
	return err
}

// Damage implements cluster.Disks. All of it is on the disk when it returns.
func (d *Disks) Damage(ctx context.Context, node string, w cluster.Damage) ([]string, error) {
	n, err := d.data(node)
	if err != nil {
		return nil, fmt.Errorf("%s: damage files: %w", node, err)
	}
	args := onhost.Damage{Volume: n.volumes[0].name, Files: w.Files, Flips: w.Flips, Truncate: w.Truncate, Seed: w.Seed}
	var did []string
	if err := d.c.host.call(ctx, onhost.VerbDamage, args, &did); err != nil {
		return did, fmt.Errorf("%s: damage files: %w", node, err)
	}
	return did, nil
}

// Probe implements cluster.Disks. It goes through the mount that the server's
// own process has, and through the agent's while there is no such process.
func (d *Disks) Probe(ctx context.Context, node string) (cluster.DiskReport, error) {
	n, err := d.data(node)
	if err != nil {
		return cluster.DiskReport{}, fmt.Errorf("%s: probe disk: %w", node, err)
	}
	v := n.volumes[0]
	args := onhost.Probe{Volume: v.name, Container: n.ServerID, Target: v.target}
	var got onhost.Probed
	if err := d.c.host.call(ctx, onhost.VerbProbe, args, &got); err != nil {
		return cluster.DiskReport{}, fmt.Errorf("%s: probe disk: %w", node, err)
	}
	return cluster.DiskReport{
		Write: time.Duration(got.Write), Sync: time.Duration(got.Sync), Read: time.Duration(got.Read), Err: got.Err,
	}, nil
}

// data is a node that has a data volume of ours; the first is probed and
// damaged.
func (d *Disks) data(node string) (*Node, error) {
	n, err := d.c.node(node)
	if err == nil && len(n.volumes) == 0 {
		err = errNoData
	}
	return n, err
}
