package sim

import "math/rand/v2"

// disk is a log of records. A crash keeps those that were synced.
type disk struct {
	h       *host
	rng     *rand.Rand
	records []any
	safe    int // how many of them are synced
	busy    bool
	goal    int      // how many will be when the sync under way is done
	now     []func() // called then
	next    []func() // called after the sync that follows
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
	d.h.w.post(d.h.w.now+d.h.w.cfg.Sync.draw(d.rng), d.h, hostSynced, 0, d.h.life, nil)
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
