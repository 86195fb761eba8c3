package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/capstan-dev/capstan/cluster/agent"
	"github.com/capstan-dev/capstan/cluster/agent/host/lossy"
)

// backing is what lies under a volume that is not plain.
type backing interface {
	// set brings a state into force, or says why it cannot be had.
	set(Disk) error
	// crash loses what was not synced, and mounts again.
	crash() error
	// commit makes everything durable, as if it were synced.
	commit() error
}

// disks are the volumes of a run.
type disks struct {
	mu      sync.Mutex
	volumes map[string]backing
}

func newDisks() *disks { return &disks{volumes: map[string]backing{}} }

func dataDir(volume string) string { return filepath.Join(VolumesDir, volume, "_data") }

// mount puts a volume on its backing, or finds it there: what an agent that is
// dead has mounted may be in use.
func (d *disks) mount(_ context.Context, v Volume) (agent.None, error) {
	dir, back := dataDir(v.Name), filepath.Join(BackDir, v.Name)
	var b backing
	var err error
	switch v.Backing {
	case Loop:
		b, err = openLoop(dir, back, v.Name, v.Size)
	case FUSE:
		b, err = mountLossy(dir, back)
	default:
		err = fmt.Errorf("no backing %q", v.Backing)
	}
	if err != nil {
		return agent.None{}, fmt.Errorf("mount volume %s: %w", v.Name, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.volumes[v.Name] = b
	return agent.None{}, nil
}

// unmountAll takes all mounts off a folder.
func unmountAll(dir string) error {
	for {
		switch err := unix.Unmount(dir, unix.MNT_DETACH); err {
		case nil:
		case unix.EINVAL: // nothing is mounted there
			return nil
		default:
			return fmt.Errorf("unmount %s: %w", dir, err)
		}
	}
}

func (d *disks) backing(volume string) backing {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.volumes[volume]
}

func (d *disks) set(_ context.Context, want Disk) (agent.None, error) {
	b := d.backing(want.Volume)
	if b == nil {
		if want != (Disk{Volume: want.Volume}) {
			return agent.None{}, fmt.Errorf("volume %s is plain: its disk is the host's", want.Volume)
		}
		return agent.None{}, nil
	}
	return agent.None{}, b.set(want)
}

func (d *disks) crash(_ context.Context, v Volume) (agent.None, error) {
	b := d.backing(v.Name)
	if b == nil {
		return agent.None{}, fmt.Errorf("volume %s is plain: it loses nothing", v.Name)
	}
	return agent.None{}, b.crash()
}

// wipe empties a volume, for good.
func (d *disks) wipe(_ context.Context, v Volume) (agent.None, error) {
	dir := dataDir(v.Name)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return agent.None{}, fmt.Errorf("empty volume %s: %w", v.Name, err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return agent.None{}, fmt.Errorf("empty volume %s: %w", v.Name, err)
		}
	}
	if b := d.backing(v.Name); b != nil {
		return agent.None{}, b.commit()
	}
	return agent.None{}, nil
}

func (d *disks) heal() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	for name, b := range d.volumes {
		errs = append(errs, b.set(Disk{Volume: name}))
	}
	return errors.Join(errs...)
}

// close unmounts all volumes. Who uses them keeps what is mounted until it ends;
// with a mount of package lossy that is dead.
func (d *disks) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	for name := range d.volumes {
		errs = append(errs, unmountAll(dataDir(name)))
	}
	return errors.Join(errs...)
}

// fuse is a volume on package lossy.
type fuse struct{ fs *lossy.FS }

// mountLossy mounts anew in any case: without its agent a mount is dead.
func mountLossy(dir, back string) (backing, error) {
	if err := unmountAll(dir); err != nil {
		return nil, err
	}
	f, err := lossy.Mount(dir, back)
	return fuse{f}, err
}

func (f fuse) set(d Disk) error {
	f.fs.Set(lossy.Faults{
		ReadOnly: d.ReadOnly, Full: d.Full, Delay: time.Duration(d.Delay),
		ReadErrors: d.ReadErrors, WriteErrors: d.WriteErrors, SyncErrors: d.SyncErrors,
	})
	return nil
}

func (f fuse) crash() error  { return f.fs.Crash() }
func (f fuse) commit() error { return f.fs.Commit() }
