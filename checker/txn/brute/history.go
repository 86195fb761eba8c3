// Package brute decides tiny histories of transactions straight from the
// definitions of the models, with everything tried: all orders of commits, all
// snapshots, all sets of visible transactions, all orders of versions, with and
// without each transaction of unknown outcome. It is what the fast checker is
// tested against and shares nothing with it but the log.
//
// Sources: Adya, Weak Consistency (thesis, 1999), chapters 3 and 4, for orders
// of versions; Cerone, Bernardi and Gotsman (CONCUR 2015) for visibility;
// Papadimitriou (JACM 1979) for serial orders.
package brute

import (
	"slices"

	"github.com/capstan-dev/capstan/checker/txn/log"
)

// op is one micro-operation: a write of value, or a read that saw seen: a list,
// or nothing or one value of a register.
type op struct {
	write bool
	key   int32
	value log.Value
	seen  []log.Value
}

// txn is a transaction that happened or may have.
type txn struct {
	ok               bool
	place            int // in the log
	process          int32
	invoke, complete int32
	ops              []op
}

// History is a history to be judged.
type History struct {
	lists bool
	keys  int
	// txns are those that are ok, then those of unknown outcome.
	txns []txn
	oks  int
	// failed are the values that failed transactions wrote.
	failed map[keyed]bool
}

type keyed struct {
	key   int32
	value log.Value
}

// New takes a history from a log: of at most 8 transactions that did not fail.
func New(l *log.Log) *History {
	members := membersOf(l)
	h := &History{keys: max(len(l.Keys), len(members)), failed: map[keyed]bool{}}
	for t := range l.Txns {
		x := txn{place: t, ok: l.Txns[t].Outcome == log.OK, process: l.Txns[t].Process, invoke: l.Txns[t].Invoke, complete: l.Txns[t].Complete}
		for _, m := range l.Of(int32(t)) {
			h.lists = h.lists || m.Fun == log.Append || m.Fun == log.List || m.Fun == log.Odd
			switch {
			case m.Fun == log.Add || m.Fun == log.Set:
				x.ops = append(x.ops, members.ops(m, l.Elements(m))...)
			case m.Fun == log.Append || m.Fun == log.Write:
				x.ops = append(x.ops, op{write: true, key: m.Key, value: m.Value})
			case !x.ok || m.Fun == log.Blind:
			case m.Fun == log.Read && m.Value == log.Nil:
				x.ops = append(x.ops, op{key: m.Key})
			case m.Fun == log.Read:
				x.ops = append(x.ops, op{key: m.Key, seen: []log.Value{m.Value}})
			default:
				x.ops = append(x.ops, op{key: m.Key, seen: l.Elements(m)})
			}
		}
		if l.Txns[t].Outcome == log.Fail {
			for _, o := range x.ops {
				h.failed[keyed{o.key, o.value}] = true
			}
			continue
		}
		h.txns = append(h.txns, x)
	}
	slices.SortStableFunc(h.txns, func(a, b txn) int {
		switch {
		case a.ok == b.ok:
			return 0
		case a.ok:
			return -1
		}
		return 1
	})
	for _, t := range h.txns {
		if t.ok {
			h.oks++
		}
	}
	return h
}

// members has a number for each element of each set: a set is as many registers
// as there are elements, each of which is in it or not yet.
type members map[keyed]int32

func membersOf(l *log.Log) members {
	all := members{}
	number := func(e keyed) {
		if _, known := all[e]; !known {
			all[e] = int32(len(all))
		}
	}
	for _, m := range l.Mops {
		switch m.Fun {
		case log.Add:
			number(keyed{m.Key, m.Value})
		case log.Set:
			for _, v := range l.Elements(m) {
				number(keyed{m.Key, v})
			}
		}
	}
	return all
}

// ops are a micro-operation on a set as operations on its elements.
func (all members) ops(m log.Mop, seen []log.Value) []op {
	if m.Fun == log.Add {
		return []op{{write: true, key: all[keyed{m.Key, m.Value}], value: m.Value}}
	}
	var out []op
	for e, n := range all {
		switch {
		case e.key != m.Key:
		case slices.Contains(seen, e.value):
			out = append(out, op{key: n, seen: []log.Value{e.value}})
		default:
			out = append(out, op{key: n})
		}
	}
	return out
}

// order says which transactions are known to come before which.
type order func(a, b *txn) bool

// none is no order.
func none(_, _ *txn) bool { return false }

// realtime: the first was over before the second began.
func realtime(a, b *txn) bool {
	return a.ok && b.invoke != log.Never && a.complete < b.invoke
}

// session: one process did both, and knows both. What it does not know is its
// last, and binds nobody, as in Elle.
func session(a, b *txn) bool {
	return a.ok && b.ok && a.process == b.process && a.place < b.place
}

func (t *txn) writes(key int32) bool {
	return slices.ContainsFunc(t.ops, func(o op) bool { return o.write && o.key == key })
}

// fits says whether all reads of a transaction see what they must, if values
// gives what a key has at its start.
func (h *History) fits(t *txn, values func(key int32) []log.Value) bool {
	var own []op
	for _, o := range t.ops {
		if o.write {
			own = append(own, o)
		} else if !h.same(o, values(o.key), own) {
			return false
		}
	}
	return true
}

// same compares a read with the values of a key in order, and own writes.
func (h *History) same(read op, values []log.Value, own []op) bool {
	want := slices.Clone(values)
	for _, o := range own {
		if o.key == read.key {
			want = append(want, o.value)
		}
	}
	if !h.lists && len(want) > 1 {
		want = want[len(want)-1:]
	}
	return slices.Equal(want, read.seen)
}

// exposes says whether a transaction reads a list after it appended to it,
// which tells what stands right before the append.
func (h *History) exposes(t *txn, key int32) bool {
	wrote := false
	for _, o := range t.ops {
		if h.lists && o.key == key && !o.write && wrote {
			return true
		}
		wrote = wrote || o.key == key && o.write
	}
	return false
}

// values are what some transactions wrote to a key.
func (h *History) values(done []*txn, key int32) []log.Value {
	var out []log.Value
	for _, t := range done {
		for _, o := range t.ops {
			if o.write && o.key == key {
				out = append(out, o.value)
			}
		}
	}
	return out
}
