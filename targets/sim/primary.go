package sim

import (
	"time"

	world "github.com/capstan-dev/capstan/cluster/sim"
)

// The timing of primary and backups.
const (
	beatEvery  = 100 * time.Millisecond
	silence    = 1000 * time.Millisecond // of the primary, before a backup moves
	silenceMax = 2000 * time.Millisecond // the backups draw from this range
	batchLimit = 512                     // entries in one message
)

// backupConfig says which of the two topologies a node runs.
type backupConfig struct {
	sync      bool // a majority has a write before it is acknowledged
	localRead bool
	bug       string
}

// entry is one place in the log.
type entry struct {
	view uint64
	id   opID
	op   op
}

// replica is a node of the topologies async and sync. There is one primary for
// each view; it puts writes into its log and streams the log to the backups.
// The views are decided by the nodes themselves: a backup that does not hear
// from the primary asks the others whether they agree (so that a node which is
// itself cut off changes nothing), and then for their votes for the next view.
// A node votes once a view, and only for a log that is not behind its own. A
// primary that was replaced learns it when it next hears of the new view, and
// drops what the new one does not have.
//
// async acknowledges a write when it is on the primary's own disk, and the
// primary answers reads by itself: what it acknowledged while it was cut off
// is lost. sync waits for a majority of disks, for writes, and before a read
// asks a majority whether it is still the primary.
type replica struct {
	env  *world.Env
	cfg  backupConfig
	disk syncer
	desk *desk

	view    uint64
	voted   int
	primary int // of the view, as far as known
	heard   time.Duration
	limit   time.Duration // of silence
	ballot  *ballot

	log     []entry // the entry at index i is log[i-1]
	cuts    int     // how often the tail was dropped
	durable int
	commit  int
	applied int
	store   *store

	lead *leadership // nil in backups
}

// leadership is what only a primary has.
type leadership struct {
	first   int // its own entry, which shows that its log is complete
	next    []int
	match   []int
	moved   []bool // the peer answered since the last beat
	contact []time.Duration
	round   uint64 // of asking whether this is still the primary
	seen    []uint64
	asked   []pendingRead // in the round
	waiting []pendingRead // for the next one
}

// pendingRead waits for the confirmation of its round, and then for the log.
type pendingRead struct {
	id opID
	op op
}

// The records on disk.
type (
	viewRecord struct {
		view  uint64
		voted int
	}
	tailRecord struct {
		prev    int
		entries []entry
	}
)

// appendMsg carries the log from prev on; without entries it is a heartbeat.
type appendMsg struct {
	view     uint64
	prev     int
	prevView uint64
	entries  []entry
	commit   int
	round    uint64
}

// appendedMsg answers: the log agrees up to match, or may agree up to there.
type appendedMsg struct {
	view  uint64
	ok    bool
	match int
	round uint64
}

func bootReplica(cfg backupConfig) world.Boot {
	return func(env *world.Env) world.Server {
		n := &replica{
			env:     env,
			cfg:     cfg,
			disk:    syncer{env: env, pretend: cfg.bug == bugNoFsync},
			desk:    newDesk(env),
			voted:   nobody,
			primary: nobody,
			store:   newStore(),
		}
		n.recover()
		n.hear()
		env.After(beatEvery, n.beat)
		return n
	}
}

// recover reads the disk. What of the log is committed is for the primary to
// say; in async all of it counts.
func (n *replica) recover() {
	for _, r := range n.env.Records() {
		switch r := r.(type) {
		case viewRecord:
			n.view, n.voted = r.view, r.voted
		case tailRecord:
			n.log = append(n.log[:r.prev], r.entries...)
		}
	}
	n.durable = len(n.log)
	if !n.cfg.sync {
		n.commitTo(n.durable)
	}
}

// Receive implements world.Server.
func (n *replica) Receive(from int, msg any) {
	switch m := msg.(type) {
	case appendMsg:
		n.onAppend(from, m)
	case appendedMsg:
		n.onAppended(from, m)
	case askVote:
		n.onAskVote(from, m)
	case voteMsg:
		n.onVote(from, m)
	case forward:
		n.onForward(from, m)
	case answer:
		n.desk.reply(m.id, m.res)
	}
}

// Request implements world.Server.
func (n *replica) Request(c *world.Call) {
	if _, ok := c.Body.(askRole); ok {
		c.Reply(role{primary: n.primary, ready: n.primary != nobody})
		return
	}
	o := c.Body.(op)
	switch {
	case o.reads() && n.cfg.localRead:
		c.Reply(n.store.read(o))
	case n.lead != nil:
		n.serve(n.take(c, o), o)
	case n.primary == nobody:
		c.Reply(reject("no primary is known"))
	default:
		n.pass(n.take(c, o), o)
	}
}

// take files a call.
func (n *replica) take(c *world.Call, o op) opID {
	id := n.desk.take(c)
	if n.cfg.bug == bugPhantomFail && !o.reads() {
		n.desk.giveUp(id)
	}
	return id
}

// pass forwards a request to the primary.
func (n *replica) pass(id opID, o op) {
	n.env.Send(n.primary, forward{id, o})
	switch {
	case n.cfg.bug == bugAckOnForward && !o.reads() && o.kind != opCAS:
		n.desk.reply(id, result{ok: true})
	case n.cfg.bug == bugDoubleApply && !o.reads():
		n.env.After(resendAfter, func() {
			if n.desk.waits(id) && n.primary != nobody {
				n.env.Send(n.primary, forward{id, o})
			}
		})
	}
}

func (n *replica) onForward(from int, m forward) {
	if n.lead == nil {
		n.env.Send(from, answer{m.id, reject("forwarded to a node that is not the primary")})
		return
	}
	n.serve(m.id, m.op)
}

// serve takes a request as the primary.
func (n *replica) serve(id opID, o op) {
	switch {
	case !o.reads():
		n.propose(entry{view: n.view, id: id, op: o})
	case !n.cfg.sync || n.cfg.bug == bugStaleRead:
		n.finish(id, n.store.read(o))
	default:
		n.lead.waiting = append(n.lead.waiting, pendingRead{id, o})
		n.confirm()
	}
}

// finish answers a request, here or through the node that took it.
func (n *replica) finish(id opID, res result) {
	if n.desk.mine(id) {
		n.desk.reply(id, res)
	} else if int(id.node) != n.env.ID() {
		n.env.Send(int(id.node), answer{id, res})
	}
}

// beat is the clock of a node.
func (n *replica) beat() {
	n.env.After(beatEvery, n.beat)
	if n.lead != nil {
		n.beatPrimary()
	} else if n.env.Now()-n.heard > n.limit {
		n.askToMove()
	}
}

// hear notes that the primary lives, and draws how long to wait for it.
func (n *replica) hear() {
	n.heard = n.env.Now()
	n.limit = silence + time.Duration(n.env.Rand().Int64N(int64(silenceMax-silence)))
}

// follow enters a view, or learns who its primary is.
func (n *replica) follow(view uint64, primary int) {
	if view > n.view {
		n.view, n.voted = view, nobody
		n.env.Append(viewRecord{view, nobody})
	} else if n.primary == primary {
		return
	}
	n.primary = primary
	n.ballot = nil
	if primary != nobody {
		n.env.Logf("view %d: the primary is %s", view, n.env.Name(primary))
	}
	n.retire()
}

// retire ends a primary. What it has not acknowledged may still be committed
// by the next one.
func (n *replica) retire() {
	if n.lead == nil {
		return
	}
	n.env.Logf("view %d: no longer primary, log ends at %d, committed %d", n.view, len(n.log), n.commit)
	n.lead = nil
	n.desk.replyAll(result{outcome: unknown, why: "the primary changed"})
}
