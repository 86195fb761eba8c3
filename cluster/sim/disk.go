package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/capstan-dev/capstan/cluster"
)

// disk is a log of records. A crash keeps those that were synced.
type disk struct {
	h       *host
	rng     *rand.Rand
	records []any
	safe    int // how many of them are synced
	busy    bool
	slow    time.Duration // added to each sync
	goal    int           // how many will be when the sync under way is done
	now     []func()      // called then
	next    []func()      // called after the sync that follows
}

func (d *disk) append(record any) { d.records = append(d.records, record) }

func (d *disk) durable() []any { return d.records[:d.safe:d.safe] }

// sync gathers what is asked for while the disk is busy into one sync, as
// group commit does.
func (d *disk) sync(done func()) {
	d.next = append(d.next, done)
	if !d.busy {
		d.begin()
	}
}

func (d *disk) begin() {
	d.busy = true
	d.goal = len(d.records)
	d.now, d.next = d.next, d.now[:0]
	d.h.w.post(d.h.w.now+d.h.w.cfg.Sync.draw(d.rng)+d.slow, d.h, hostSynced, 0, d.h.life, nil)
}

// written ends a sync of the machine; the process hears of it as its state
// allows.
func (d *disk) written(life uint32) {
	if life != d.h.life {
		return
	}
	d.safe = d.goal
	for _, f := range d.now {
		d.h.handle(hostTimer, 0, life, f)
	}
	if life != d.h.life {
		return
	}
	clear(d.now)
	d.busy = false
	if len(d.next) > 0 {
		d.begin()
	}
}

// crash loses what was not synced.
func (d *disk) crash() {
	clear(d.records[d.safe:])
	d.records = d.records[:d.safe]
	d.busy = false
	d.now, d.next = nil, nil
}

// disks is the power over the disks.
type disks struct{ w *World }

// Can implements cluster.Disks. A simulated disk is a log of records, of which
// only syncs take time.
func (disks) Can(want cluster.Disk) error {
	want.Delay = 0
	if want != (cluster.Disk{}) {
		return errors.New("a simulated disk can be slow and forget, but neither be full nor err")
	}
	return nil
}

// Apply implements cluster.Disks.
func (d disks) Apply(ctx context.Context, node string, want cluster.Disk) error {
	h, err := d.w.host(node)
	if err != nil {
		return err
	}
	if err := d.Can(want); err != nil {
		return err
	}
	if h.disk.slow != want.Delay {
		h.logf("each sync takes %v longer", want.Delay)
		h.disk.slow = want.Delay
	}
	return ctx.Err()
}

// CrashLoses implements cluster.Disks.
func (disks) CrashLoses() error { return nil }

// Crash implements cluster.Disks. Killing a simulated process loses as much.
func (d disks) Crash(ctx context.Context, node string) error {
	return processes(d).Kill(ctx, node)
}

// Damage implements cluster.Disks.
func (disks) Damage(context.Context, string, cluster.Damage) ([]string, error) {
	return nil, errors.New("a simulated disk has no files to damage")
}

// Probe implements cluster.Disks: it syncs nothing beside the node's own disk.
func (d disks) Probe(ctx context.Context, node string) (cluster.DiskReport, error) {
	h, err := d.w.host(node)
	if err != nil {
		return cluster.DiskReport{}, err
	}
	took := d.w.cfg.Sync.Base + h.disk.slow
	if err := d.w.Sleep(ctx, took); err != nil {
		return cluster.DiskReport{}, fmt.Errorf("probe the disk of %s: %w", node, err)
	}
	return cluster.DiskReport{Sync: took}, nil
}

var _ cluster.Disks = disks{}
