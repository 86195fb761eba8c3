package sim

import (
	world "github.com/capstan-dev/capstan/cluster/sim"
)

// replicas is how many nodes hold each key, where there are as many.
const replicas = 5

// quorumConfig shapes the nodes of topology quorum.
type quorumConfig struct {
	r, w string // one, quorum or all
	bug  string
}

// quorumNode is a node of the topology quorum, after Dynamo. Every node takes
// requests and coordinates them: it sends a write to all replicas of the key
// and answers when w have it, and answers a read with the newest of r replies.
// What is newer is told by the clock of the node that coordinated the write,
// so a wrong clock loses writes. A replica that was seen to be behind gets the
// newest value afterwards (read repair); the read does not wait for that, so a
// later read can still find an older value, also with r and w at quorum.
//
// A compare-and-set reads, compares and writes without isolation, as one does
// on such a store without transactions. The set has a cell for each element,
// so additions do not overwrite each other.
type quorumNode struct {
	env  *world.Env
	cfg  quorumConfig
	disk syncer
	seq  uint64
	open map[uint64]*quorumCall
	late []ticket

	cells map[int]cell
	set   intset
}

// cell is a value with the time of its writing.
type cell struct {
	at   int64
	node int
	v    int
}

func (c cell) newer(d cell) bool { return c.at > d.at || c.at == d.at && c.node > d.node }

// quorumCall is a request that a node coordinates.
type quorumCall struct {
	call  *world.Call
	op    op
	need  int
	acks  int
	wrote bool // it is in its second half, or has only that
	best  cell
	found bool
	union intset
	heard []reply // of the reads
}

type reply struct {
	from  int
	cell  cell
	found bool
	set   intset
}

// The messages and records of quorum. id 0 wants no answer.
type (
	putCell struct {
		id   uint64
		key  int
		cell cell
	}
	putSet struct {
		id  uint64
		set intset
	}
	stored  struct{ id uint64 }
	getCell struct {
		id  uint64
		key int
	}
	getSet  struct{ id uint64 }
	gotCell struct {
		id    uint64
		cell  cell
		found bool
	}
	gotSet struct {
		id  uint64
		set intset
	}
)

func bootQuorum(cfg quorumConfig) world.Boot {
	return func(env *world.Env) world.Server {
		n := &quorumNode{
			env:   env,
			cfg:   cfg,
			disk:  syncer{env: env, pretend: cfg.bug == bugNoFsync},
			open:  map[uint64]*quorumCall{},
			cells: map[int]cell{},
		}
		// Answers to an earlier process must not be taken for ours.
		n.seq = uint64(env.Life()) << 40
		for _, r := range env.Records() {
			switch r := r.(type) {
			case putCell:
				n.merge(r.key, r.cell)
			case putSet:
				n.set.merge(r.set)
			}
		}
		return n
	}
}

// merge takes a cell if it is newer.
func (n *quorumNode) merge(key int, c cell) bool {
	old, ok := n.cells[key]
	if ok && !c.newer(old) {
		return false
	}
	n.cells[key] = c
	return true
}

// Request implements world.Server.
func (n *quorumNode) Request(c *world.Call) {
	if _, ok := c.Body.(askRole); ok {
		c.Reply(role{primary: nobody, ready: true})
		return
	}
	o := c.Body.(op)
	if n.cfg.bug == bugSloppyRead && o.reads() {
		c.Reply(n.readOwn(o))
		return
	}
	id, q := n.begin(c, o)
	switch o.kind {
	case opWrite:
		n.write(id, q, o.a)
	case opAdd:
		q.wrote, q.need = true, n.quorum(n.cfg.w)
		var one intset
		one.add(o.key)
		n.sendWrite(q, 0, putSet{id, one})
	case opAll:
		n.toReplicas(0, getSet{id})
	default:
		n.toReplicas(o.key, getCell{id, o.key})
	}
}

// begin files a request, and forgets those that nobody waits for any more.
func (n *quorumNode) begin(c *world.Call, o op) (uint64, *quorumCall) {
	n.seq++
	q := &quorumCall{call: c, op: o, need: n.quorum(n.cfg.r)}
	n.open[n.seq] = q
	n.late = append(n.late, ticket{n.seq, n.env.Now()})
	for n.env.Now()-n.late[0].at > patience {
		delete(n.open, n.late[0].seq)
		n.late = n.late[1:]
	}
	return n.seq, q
}

// quorum is how many replicas a level asks for.
func (n *quorumNode) quorum(level string) int {
	all := min(replicas, n.env.Size())
	switch {
	case level == "one":
		return 1
	case level == "all":
		return all
	}
	return all/2 + 1
}

// write sends a new cell of the request's key.
func (n *quorumNode) write(id uint64, q *quorumCall, v int) {
	q.wrote, q.acks, q.need = true, 0, n.quorum(n.cfg.w)
	at := n.env.Clock().UnixNano()
	n.sendWrite(q, q.op.key, putCell{id, q.op.key, cell{at, n.env.ID(), v}})
}

// sendWrite sends a write to all replicas of a key.
func (n *quorumNode) sendWrite(q *quorumCall, key int, msg any) {
	if n.cfg.bug != bugAckBeforeSend {
		n.toReplicas(key, msg)
		return
	}
	n.env.After(sendEvery, func() { n.toReplicas(key, msg) })
	q.call.Reply(result{ok: true})
}

// readOwn answers a read from this node alone: a planted bug.
func (n *quorumNode) readOwn(o op) result {
	if o.kind == opAll {
		return result{all: n.set.list(), ok: true}
	}
	c, found := n.cells[o.key]
	return result{value: c.v, ok: found}
}

// toReplicas sends a message to all replicas of a key, this node included if
// it is one.
func (n *quorumNode) toReplicas(key int, msg any) {
	size := n.env.Size()
	first := int(uint(key) % uint(size))
	for i := range min(replicas, size) {
		if to := (first + i) % size; to != n.env.ID() {
			n.env.Send(to, msg)
		} else {
			n.env.After(0, func() { n.Receive(to, msg) })
		}
	}
}

// answerTo sends to a node, which may be this one.
func (n *quorumNode) answerTo(to int, msg any) {
	if to != n.env.ID() {
		n.env.Send(to, msg)
	} else {
		n.Receive(to, msg)
	}
}

// Receive implements world.Server.
func (n *quorumNode) Receive(from int, msg any) {
	switch m := msg.(type) {
	case putCell:
		n.put(from, m.id, n.merge(m.key, m.cell), m)
	case putSet:
		n.put(from, m.id, n.set.merge(m.set), m)
	case getCell:
		c, found := n.cells[m.key]
		n.answerTo(from, gotCell{m.id, c, found})
	case getSet:
		n.answerTo(from, gotSet{m.id, n.set.clone()})
	case stored:
		n.onStored(m.id)
	case gotCell:
		n.onReply(m.id, reply{from: from, cell: m.cell, found: m.found})
	case gotSet:
		n.onReply(m.id, reply{from: from, set: m.set})
	}
}

// put makes what a replica took safe, and acknowledges it.
func (n *quorumNode) put(from int, id uint64, changed bool, record any) {
	if changed {
		n.env.Append(record)
	}
	n.disk.sync(func() {
		if id != 0 {
			n.answerTo(from, stored{id})
		}
	})
}

// onStored counts the replicas that have a write.
func (n *quorumNode) onStored(id uint64) {
	q := n.open[id]
	if q == nil || !q.wrote {
		return
	}
	if q.acks++; q.acks == q.need {
		delete(n.open, id)
		q.call.Reply(result{ok: true})
	}
}

// onReply gathers what replicas have. Replies that come after the answer are
// still good for repair.
func (n *quorumNode) onReply(id uint64, r reply) {
	q := n.open[id]
	if q == nil || q.wrote && q.op.kind != opCAS {
		return
	}
	q.heard = append(q.heard, r)
	if r.found && (!q.found || r.cell.newer(q.best)) {
		q.best, q.found = r.cell, true
	}
	q.union.merge(r.set)
	if len(q.heard) == q.need && !q.wrote {
		n.conclude(id, q)
	}
	if q.op.reads() && len(q.heard) == min(replicas, n.env.Size()) {
		delete(n.open, id)
		n.repair(q)
	}
}

// conclude answers a read, or goes on to the second half of a compare-and-set.
func (n *quorumNode) conclude(id uint64, q *quorumCall) {
	switch {
	case q.op.kind == opAll:
		q.call.Reply(result{all: q.union.list(), ok: true})
		n.repairLater(id)
	case q.op.kind == opRead:
		q.call.Reply(result{value: q.best.v, ok: q.found})
		n.repairLater(id)
	case !q.found || q.best.v != q.op.a:
		delete(n.open, id)
		q.call.Reply(result{value: q.best.v, found: q.found})
	default:
		n.write(id, q, q.op.b)
	}
}

// repairLater repairs with what came, if not all replicas answer.
func (n *quorumNode) repairLater(id uint64) {
	n.env.After(beatEvery, func() {
		if q := n.open[id]; q != nil {
			delete(n.open, id)
			n.repair(q)
		}
	})
}

// repair brings the replicas that were heard up to date.
func (n *quorumNode) repair(q *quorumCall) {
	for _, r := range q.heard {
		switch {
		case q.op.kind == opAll && !r.set.covers(q.union):
			n.answerTo(r.from, putSet{0, q.union})
		case q.op.kind == opRead && q.found && (!r.found || q.best.newer(r.cell)):
			n.answerTo(r.from, putCell{0, q.op.key, q.best})
		}
	}
}
