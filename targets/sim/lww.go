package sim

import (
	"slices"

	world "github.com/capstan-dev/capstan/cluster/sim"
)

// setKey is the cell of the set in topology lww.
const setKey = -1

// fanout is how many random peers a node gossips with each beat.
const fanout = 2

// gossipLimit is how many cells go into one message.
const gossipLimit = 1024

// lwwNode is a node of the topology lww. It answers all requests by itself, in
// any partition, and gossips its cells. Of two values of a cell the one with
// the later clock survives, and nobody hears that the other is gone. The set
// is one value that is read, extended and written back, so additions at two
// nodes at a time overwrite each other.
type lwwNode struct {
	env   *world.Env
	disk  syncer
	cells map[int]stamped
	// changes lists the keys in order of their changes; peers are sent what
	// comes after the place that they have acknowledged.
	changes []int
	acked   []int
}

// stamped is a cell with either kind of value. The set is never changed.
type stamped struct {
	cell
	set intset
}

// The messages and the record of lww.
type (
	lwwRecord struct {
		key  int
		cell stamped
	}
	lwwGossip struct {
		life  uint32
		upTo  int
		cells []lwwRecord
	}
	lwwAck struct {
		life uint32
		upTo int
	}
)

func bootLWW(bug string) world.Boot {
	return func(env *world.Env) world.Server {
		n := &lwwNode{
			env:   env,
			disk:  syncer{env: env, pretend: bug == bugNoFsync},
			cells: map[int]stamped{},
			acked: make([]int, env.Size()),
		}
		for _, r := range env.Records() {
			r := r.(lwwRecord)
			n.merge(r)
		}
		env.After(beatEvery, n.beat)
		return n
	}
}

// merge takes a cell if it is newer.
func (n *lwwNode) merge(r lwwRecord) bool {
	old, ok := n.cells[r.key]
	if ok && !r.cell.newer(old.cell) {
		return false
	}
	n.cells[r.key] = r.cell
	n.changes = append(n.changes, r.key)
	return true
}

// Request implements world.Server.
func (n *lwwNode) Request(c *world.Call) {
	if _, ok := c.Body.(askRole); ok {
		c.Reply(role{primary: nobody, ready: true})
		return
	}
	o := c.Body.(op)
	old, found := n.cells[o.key]
	switch o.kind {
	case opRead:
		c.Reply(result{value: old.v, ok: found})
	case opAll:
		c.Reply(result{all: n.cells[setKey].set.list(), ok: true})
	case opWrite:
		n.write(c, o.key, stamped{cell: cell{v: o.a}})
	case opCAS:
		if !found || old.v != o.a {
			c.Reply(result{value: old.v, found: found})
			return
		}
		n.write(c, o.key, stamped{cell: cell{v: o.b}})
	case opAdd:
		set := n.cells[setKey].set.clone()
		set.add(o.key)
		n.write(c, setKey, stamped{set: set})
	}
}

// write stamps a value by the node's clock. If the cell has a later one, the
// write is lost, and acknowledged all the same.
func (n *lwwNode) write(c *world.Call, key int, v stamped) {
	v.at, v.node = n.env.Clock().UnixNano(), n.env.ID()
	n.keep(lwwRecord{key, v})
	n.disk.sync(func() { c.Reply(result{ok: true}) })
}

func (n *lwwNode) keep(r lwwRecord) {
	if n.merge(r) {
		n.env.Append(r)
	}
}

// beat gossips with some peers.
func (n *lwwNode) beat() {
	n.env.After(beatEvery, n.beat)
	for _, peer := range somePeers(n.env) {
		n.gossip(peer)
	}
}

// somePeers draws whom to gossip with.
func somePeers(env *world.Env) []int {
	var peers []int
	for range min(fanout, env.Size()-1) {
		peer := env.Rand().IntN(env.Size() - 1)
		if peer >= env.ID() {
			peer++
		}
		if !slices.Contains(peers, peer) {
			peers = append(peers, peer)
		}
	}
	return peers
}

// gossip sends what has changed since the peer's last acknowledgement.
func (n *lwwNode) gossip(peer int) {
	from := n.acked[peer]
	upTo := min(len(n.changes), from+gossipLimit)
	if from == upTo {
		return
	}
	m := lwwGossip{life: n.env.Life(), upTo: upTo}
	keys := slices.Clone(n.changes[from:upTo])
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		m.cells = append(m.cells, lwwRecord{key, n.cells[key]})
	}
	n.env.Send(peer, m)
}

// Receive implements world.Server. Gossip is acknowledged when it is safe, so
// that a peer that loses it gets it again.
func (n *lwwNode) Receive(from int, msg any) {
	switch m := msg.(type) {
	case lwwGossip:
		for _, r := range m.cells {
			n.keep(r)
		}
		n.disk.sync(func() { n.env.Send(from, lwwAck{m.life, m.upTo}) })
	case lwwAck:
		if m.life == n.env.Life() {
			n.acked[from] = max(n.acked[from], m.upTo)
		}
	}
}
