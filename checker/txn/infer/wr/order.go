package wr

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/capstan-dev/capstan/checker/txn/infer"
	"github.com/capstan-dev/capstan/checker/txn/log"
)

// source is what tells that one version came before another.
type source uint8

const (
	initial source = iota
	given
	follows
	sequential
	linearizable
)

// arc says that a version of a key came before another. Both are numbered
// within the key; a and b are the touches that show it, None if there are none.
type arc struct {
	from, to int32
	a, b     int32
	by       source
}

// orders finds the order of the versions of one key after the other. It belongs
// to one goroutine.
type orders struct {
	*tables
	options Options
	process []int32 // of each transaction, numbered without gaps
	local   []int32 // by slot: its number within its key, plus one; shared, as keys have slots of their own

	// Of the key at hand:
	key     int32
	touches []int32 // in order of completion
	slots   []int32 // by local number
	latest  []seen  // by process
	arcs    []arc
	sorted  []arc   // room to sort
	count   []int32 // the same
	front   []int32 // room to sweep
	begun   []int32 // touches in order of invocation
	cyclic  []cyclic
}

type seen struct{ key, touch int32 }

// cyclic is a key whose versions have no order by what a source says.
type cyclic struct {
	key      int32
	versions []int32 // slots of a cycle
	touches  []int32 // that show it
	why      string
}

// number gives each version of the key that was touched a number; the initial
// one is 0.
func (o *orders) number(key int32, touches []int32) {
	o.key, o.touches, o.slots, o.arcs = key, touches, o.slots[:0], o.arcs[:0]
	o.see(o.index.keys[key].base)
	for _, i := range touches {
		x := &o.tables.touches[i]
		if x.read != infer.None {
			o.see(x.read)
		}
		if x.write != infer.None {
			o.see(x.write)
		}
	}
}

func (o *orders) see(slot int32) {
	if o.local[slot] == 0 {
		o.slots = append(o.slots, slot)
		o.local[slot] = int32(len(o.slots))
	}
}

// forget makes room for the next inference about the same key.
func (o *orders) forget() {
	for _, s := range o.slots {
		o.local[s] = 0
	}
}

// infer finds the order: what each source says is added to it, unless the order
// then has a cycle. The arcs that remain are sorted, one for each pair, the
// first source that tells it.
func (o *orders) infer() {
	if !o.options.some() {
		return
	}
	for n := range o.slots[1:] {
		o.arcs = append(o.arcs, arc{0, int32(n + 1), infer.None, infer.None, initial})
	}
	for _, s := range []struct {
		by   source
		used bool
		add  func()
	}{
		{given, o.options.Orders != nil, o.given},
		{follows, o.options.WritesFollowReads || o.options.Sequential || o.options.Linearizable, o.follows},
		{sequential, o.options.Sequential, o.sequential},
		{linearizable, o.options.Linearizable, o.linearizable},
	} {
		if !s.used {
			continue
		}
		before := len(o.arcs)
		s.add()
		if len(o.arcs) == before {
			continue
		}
		o.compact()
		if cycle := findCycle(len(o.slots), o.arcs); cycle != nil {
			o.cyclic = append(o.cyclic, o.contradiction(cycle))
			o.arcs = slices.DeleteFunc(o.arcs, func(a arc) bool { return a.by == s.by })
		}
	}
}

// contradiction tells a cycle of versions.
func (o *orders) contradiction(cycle []int32) cyclic {
	c := cyclic{key: o.key}
	var why []string
	for i, v := range cycle {
		c.versions = append(c.versions, o.slots[v])
		a, _ := o.find(v, cycle[(i+1)%len(cycle)])
		for _, x := range []int32{a.a, a.b} {
			if x != infer.None && !slices.Contains(c.touches, x) {
				c.touches = append(c.touches, x)
			}
		}
		why = append(why, o.why(a))
	}
	c.why = strings.Join(why, "; ")
	return c
}

// find is the arc from one version to another, by local numbers.
func (o *orders) find(from, to int32) (arc, bool) {
	at, ok := slices.BinarySearchFunc(o.arcs, arc{from: from, to: to}, byEnds)
	if !ok {
		return arc{}, false
	}
	return o.arcs[at], true
}

func byEnds(a, b arc) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) }

// compact sorts the arcs by their ends, with equal ones by source, and keeps the
// first of those that are equal.
func (o *orders) compact() {
	o.sort(func(a *arc) int32 { return a.to })
	o.sort(func(a *arc) int32 { return a.from })
	o.arcs = slices.CompactFunc(o.arcs, func(a, b arc) bool { return a.from == b.from && a.to == b.to })
}

// sort is a stable counting sort by one end.
func (o *orders) sort(end func(*arc) int32) {
	o.count = sized(o.count, len(o.slots)+1)
	clear(o.count)
	for i := range o.arcs {
		o.count[end(&o.arcs[i])+1]++
	}
	for v := 1; v < len(o.count); v++ {
		o.count[v] += o.count[v-1]
	}
	if cap(o.sorted) < len(o.arcs) {
		o.sorted = make([]arc, len(o.arcs), 2*len(o.arcs))
	}
	o.sorted = o.sorted[:len(o.arcs)]
	for i := range o.arcs {
		at := &o.count[end(&o.arcs[i])]
		o.sorted[*at] = o.arcs[i]
		*at++
	}
	o.arcs, o.sorted = o.sorted, o.arcs
}

// arc orders the slots u and v, as the touches a and b show.
func (o *orders) arc(u, v, a, b int32, by source) {
	x := arc{o.local[u] - 1, o.local[v] - 1, a, b, by}
	if n := len(o.arcs); u == v || n > 0 && o.arcs[n-1].from == x.from && o.arcs[n-1].to == x.to {
		return
	}
	o.arcs = append(o.arcs, x)
}

// given: the database tells the order.
func (o *orders) given() {
	at := map[string]int32{}
	for _, s := range o.slots {
		at[o.log.Text(o.versions[s].value)] = s
	}
	before := int32(infer.None)
	for _, v := range o.options.Orders[o.log.Keys[o.key]] {
		s, ok := at[v]
		if !ok {
			continue
		}
		if before != infer.None {
			o.arc(before, s, infer.None, infer.None, given)
		}
		before = s
	}
}

// follows: what a transaction wrote comes after what it read.
func (o *orders) follows() {
	for _, i := range o.touches {
		if x := &o.tables.touches[i]; x.read != infer.None && x.write != infer.None {
			o.arc(x.read, x.write, i, i, follows)
		}
	}
}

// sequential: each process meets the versions of a key in their order. What it
// does not know of binds nobody: a crashed write may take effect at any time
// after its invocation, also when its process has gone on.
func (o *orders) sequential() {
	for _, i := range o.touches {
		x := &o.tables.touches[i]
		if o.log.Txns[x.txn].Outcome != log.OK {
			continue
		}
		s := &o.latest[o.process[x.txn]]
		if s.key == o.key+1 {
			o.arc(o.tables.touches[s.touch].last(), x.first(), s.touch, i, sequential)
		}
		*s = seen{o.key + 1, i}
	}
}

// linearizable: whoever touches a key after another had completed meets a
// version that is no older. Swept over time with those completed transactions
// which no other completed one has followed.
func (o *orders) linearizable() {
	txns, touches := o.log.Txns, o.tables.touches
	o.begun = o.begun[:0]
	for _, i := range o.touches {
		if txns[touches[i].txn].Invoke != log.Never {
			o.begun = append(o.begun, i)
		}
	}
	slices.SortFunc(o.begun, func(a, b int32) int { return cmp.Compare(txns[touches[a].txn].Invoke, txns[touches[b].txn].Invoke) })
	front := o.front[:0] // in order of completion
	defer func() { o.front = front }()
	next := 0
	for _, i := range o.begun {
		began := txns[touches[i].txn].Invoke
		for ; next < len(o.touches) && txns[touches[o.touches[next]].txn].Complete < began; next++ {
			done := &txns[touches[o.touches[next]].txn]
			if done.Complete == log.Never {
				break
			}
			if done.Outcome == log.OK {
				front = append(o.unfollowed(front, done), o.touches[next])
			}
		}
		first := touches[i].first()
		for _, f := range front {
			o.arc(touches[f].last(), first, f, i, linearizable)
		}
	}
}

// unfollowed are those that had not completed before a transaction began.
func (o *orders) unfollowed(front []int32, done *log.Txn) []int32 {
	n := 0
	for n < len(front) && done.Invoke != log.Never && o.log.Txns[o.tables.touches[front[n]].txn].Complete < done.Invoke {
		n++
	}
	return slices.Delete(front, 0, n)
}

// why tells the reason of an arc.
func (o *orders) why(a arc) string {
	name := func(touch int32) string { return o.log.Name(o.tables.touches[touch].txn) }
	from, to := o.text(a.from), o.text(a.to)
	switch a.by {
	case given:
		return fmt.Sprintf("version-order: the database says %s, %s", from, to)
	case follows:
		return fmt.Sprintf("wfr-keys: %s read %s before it wrote %s", name(a.a), from, to)
	case sequential:
		return fmt.Sprintf("sequential-keys: one process met %s in %s and then %s in %s", from, name(a.a), to, name(a.b))
	case linearizable:
		return fmt.Sprintf("linearizable-keys: %s, which met %s, was completed before %s, which met %s, was invoked", name(a.a), from, name(a.b), to)
	}
	return "initial-state: nil comes first"
}

func (o *orders) text(version int32) string {
	if v := o.versions[o.slots[version]].value; v != log.Nil {
		return o.log.Text(v)
	}
	return "nil"
}
