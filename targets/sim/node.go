package sim

import (
	"time"

	world "github.com/capstan-dev/capstan/cluster/sim"
)

// nobody is where a node's index is expected and there is none.
const nobody = -1

// askRole asks a node what it believes to be. The answer is a role.
type askRole struct{}

// role is a node's belief: its primary, or nobody, and whether it can serve.
type role struct {
	primary int
	ready   bool
}

// opID names a request by the node that took it from a client, the life of its
// process, and a number.
type opID struct {
	node, life uint32
	seq        uint64
}

// forward hands a client's request to the primary; answer is the reply.
type (
	forward struct {
		id opID
		op op
	}
	answer struct {
		id  opID
		res result
	}
)

// desk keeps the calls that a node took and that others work on.
type desk struct {
	env   *world.Env
	seq   uint64
	open  map[uint64]*world.Call
	order []ticket // oldest first
}

type ticket struct {
	seq uint64
	at  time.Duration
}

// patience is how long a node remembers a call that nothing answers; clients
// have given up by then.
const patience = 30 * time.Second

func newDesk(env *world.Env) *desk {
	return &desk{env: env, open: map[uint64]*world.Call{}}
}

// take files a call and gives it a name.
func (d *desk) take(c *world.Call) opID {
	d.seq++
	d.open[d.seq] = c
	d.order = append(d.order, ticket{d.seq, d.env.Now()})
	for len(d.order) > 0 && d.env.Now()-d.order[0].at > patience {
		delete(d.open, d.order[0].seq)
		d.order = d.order[1:]
	}
	return opID{node: uint32(d.env.ID()), life: d.env.Life(), seq: d.seq}
}

// mine tells whether this process gave that name.
func (d *desk) mine(id opID) bool {
	return id.node == uint32(d.env.ID()) && id.life == d.env.Life()
}

// waits tells whether the call is still to be answered.
func (d *desk) waits(id opID) bool { return d.mine(id) && d.open[id.seq] != nil }

// reply answers the call of that name, once.
func (d *desk) reply(id opID, res result) {
	if c := d.open[id.seq]; c != nil && d.mine(id) {
		delete(d.open, id.seq)
		c.Reply(res)
	}
}

// replyAll answers every call that is open, oldest first.
func (d *desk) replyAll(res result) {
	for _, t := range d.order {
		if c := d.open[t.seq]; c != nil {
			delete(d.open, t.seq)
			c.Reply(res)
		}
	}
	d.order = d.order[:0]
}

// giveUp says that a call failed if it takes long: a planted bug.
func (d *desk) giveUp(id opID) {
	d.env.After(giveUpAfter, func() { d.reply(id, reject("it took too long")) })
}

// writeBack is how often a disk is synced for a node that does not wait for it.
const writeBack = time.Second

// syncer waits for the disk, or pretends to.
type syncer struct {
	env     *world.Env
	pretend bool // planted bug no-fsync
	pending bool
}

// sync calls f when what was appended is safe.
func (s *syncer) sync(f func()) {
	if !s.pretend {
		s.env.Sync(f)
		return
	}
	s.env.After(0, f)
	if !s.pending {
		s.pending = true
		s.env.After(writeBack, func() {
			s.pending = false
			s.env.Sync(func() {})
		})
	}
}
