package sim

import (
	"slices"

	world "github.com/capstan-dev/capstan/cluster/sim"
)

// crdtNode is a node of the topology crdt. It answers all requests by itself,
// in any partition, and gossips its whole state. The counter has a slot for
// each node, which only that node increments; the set only grows. Both merge
// without conflict, so nothing that was acknowledged is ever lost.
type crdtNode struct {
	env   *world.Env
	bug   string
	disk  syncer
	slots []int // what is safe to show: a node's own slot must never go back
	own   int   // its own slot, with what is not safe yet
	set   intset
}

// crdtState is the message and the record of crdt.
type crdtState struct {
	slots []int
	set   intset
}

// ownRecord is the record of an update of the node's own.
type ownRecord struct {
	slot    int
	element int
}

func bootCRDT(bug string) world.Boot {
	return func(env *world.Env) world.Server {
		n := &crdtNode{
			env:   env,
			bug:   bug,
			disk:  syncer{env: env, pretend: bug == bugNoFsync},
			slots: make([]int, env.Size()),
		}
		for _, r := range env.Records() {
			switch r := r.(type) {
			case crdtState:
				n.merge(r)
			case ownRecord:
				if bug != bugForgetSlot {
					n.slots[env.ID()] = max(n.slots[env.ID()], r.slot)
				}
				n.set.add(r.element)
			}
		}
		n.own = n.slots[env.ID()]
		env.After(beatEvery, n.beat)
		return n
	}
}

// Request implements world.Server.
func (n *crdtNode) Request(c *world.Call) {
	if _, ok := c.Body.(askRole); ok {
		c.Reply(role{primary: nobody, ready: true})
		return
	}
	switch o := c.Body.(op); o.kind {
	case opAdd:
		n.add(c, o.key)
	case opAll:
		c.Reply(result{all: n.set.list(), ok: true})
	case opGet:
		sum := 0
		for _, v := range n.slots {
			sum += v
		}
		c.Reply(result{value: sum, ok: true})
	}
}

// add shows an update when it is safe: if a peer saw a count that a crash then
// took back, the next increments would hide behind it.
func (n *crdtNode) add(c *world.Call, x int) {
	n.own += x
	slot := n.own
	n.env.Append(ownRecord{slot, x})
	n.disk.sync(func() {
		n.slots[n.env.ID()] = max(n.slots[n.env.ID()], slot)
		n.set.add(x)
		c.Reply(result{ok: true})
	})
}

// beat gossips with some peers.
func (n *crdtNode) beat() {
	n.env.After(beatEvery, n.beat)
	for _, peer := range somePeers(n.env) {
		n.env.Send(peer, crdtState{slices.Clone(n.slots), n.set.clone()})
	}
}

// Receive implements world.Server. What peers tell is shown when it is safe
// too: a read after a restart must not fall behind one before it.
func (n *crdtNode) Receive(_ int, msg any) {
	m := msg.(crdtState)
	if !n.news(m) {
		return
	}
	n.env.Append(m)
	n.disk.sync(func() { n.merge(m) })
}

// news tells whether a merge would change anything.
func (n *crdtNode) news(m crdtState) bool {
	for i, v := range m.slots {
		if v > n.slots[i] || v < n.slots[i] && n.bug == bugNonmonotonic {
			return true
		}
	}
	return !n.set.covers(m.set)
}

// merge takes the greater of each slot and all elements, unless a planted bug
// has it otherwise.
func (n *crdtNode) merge(m crdtState) {
	for i, v := range m.slots {
		old := n.slots[i]
		switch {
		case n.bug == bugNonmonotonic:
			n.slots[i] = v
		case n.bug == bugDoubleMerge && i != n.env.ID() && v > old:
			n.slots[i] = old + v
		default:
			n.slots[i] = max(old, v)
		}
	}
	if n.bug == bugNonmonotonic {
		n.own = n.slots[n.env.ID()]
	}
	switch {
	case n.bug != bugDropOnMerge:
		n.set.merge(m.set)
	case m.set.size() > n.set.size():
		n.set = m.set.clone()
	}
}
