package predicate

import (
	"fmt"
	"slices"

	"github.com/capstan-dev/capstan/checker/txn/adya"
	"github.com/capstan-dev/capstan/checker/txn/graph"
	"github.com/capstan-dev/capstan/checker/txn/infer"
	"github.com/capstan-dev/capstan/checker/txn/log"
)

// dependency is an edge with its evidence.
type dependency struct {
	from, to int32
	class    graph.Class
}

type inference struct {
	*Universe
	clues *clues
	out   infer.Inference
	// updates are the reads of each version by transactions that wrote the key
	// afterwards; updated has the versions in their order.
	updates map[written][]int32
	updated []written
	// last are the transactions for which an edge to or from each transaction
	// was added last, by class, so that none is added twice.
	last [graph.RWP + 1][]int32
	// apart is the last predicate read that looked at each key by itself, and
	// not for a clue.
	apart []int32
	// sought is the edge whose evidence is looked for; nil if all are.
	sought   *dependency
	evidence *infer.Evidence
}

// Infer finds the dependencies:
//
//	wr: who read a version, or looked at it by a predicate, and who wrote it
//	rw: who read a version, by key or as an answer to a predicate, and who wrote
//	a later one
//	rwp: who looked at a version by a predicate, and who wrote a later one which
//	changes whether it matches
//	ww: who wrote the first version, and who wrote a later one
//
// Several transactions that read one version by its key and then wrote the key
// are a lost update, in whatever order their versions came.
// Between several writes of a key after its first version no order is inferred.
// It is an error if two transactions wrote one value to a key.
func (u *Universe) Infer(*log.Log) (*infer.Inference, error) {
	if err := u.versions(); err != nil {
		return nil, err
	}
	x := u.inference(u.clues())
	for i := range x.last {
		x.last[i] = slices.Repeat([]int32{infer.None}, len(u.Log.Txns))
	}
	for k := range u.keys {
		x.overwritten(int32(k))
	}
	for t := range u.Log.Txns {
		if u.Log.Txns[t].Outcome == log.OK {
			x.transaction(int32(t))
		}
	}
	for _, v := range x.updated {
		x.lostUpdate(v, x.updates[v])
	}
	x.out.Evidence = func(from, to int32, c graph.Class) infer.Evidence {
		return u.evidence(x.clues, dependency{from, to, c})
	}
	return &x.out, nil
}

func (u *Universe) inference(c *clues) *inference {
	return &inference{Universe: u, clues: c, updates: map[written][]int32{}, apart: slices.Repeat([]int32{infer.None}, len(u.keys))}
}

// evidence infers an edge again, to tell why it is there: there are many edges,
// and few are told of.
func (u *Universe) evidence(c *clues, d dependency) infer.Evidence {
	x := u.inference(c)
	x.sought = &d
	switch d.class {
	case graph.WW:
		for k := range u.keys {
			x.overwritten(int32(k))
		}
	case graph.WR:
		x.transaction(d.to)
	default:
		x.transaction(d.from)
	}
	return *x.evidence
}

// edge adds an edge of transaction t to or from another one.
func (x *inference) edge(t, from, to int32, c graph.Class, e infer.Evidence) {
	if from == to || from == infer.None || to == infer.None {
		return
	}
	if x.sought != nil {
		if x.evidence == nil && *x.sought == (dependency{from, to, c}) {
			x.evidence = &e
		}
		return
	}
	if last := &x.last[c][from+to-t]; *last != t {
		*last = t
		x.out.Edges = append(x.out.Edges, graph.NewEdge(from, to, c))
	}
}

func (x *inference) overwritten(k int32) {
	all := x.keys[k].installed
	if all[0].txn == infer.None {
		return
	}
	for _, v := range all[1:] {
		x.edge(all[0].txn, all[0].txn, v.txn, graph.WW, infer.Evidence{Key: k, FromMop: all[0].mop, ToMop: v.mop, Value: all[0].value, Next: v.value})
	}
}

// transaction takes in the reads of an ok transaction.
func (x *inference) transaction(t int32) {
	own := map[int32]int32{} // its last micro-operation on each key
	for i := x.Log.Txns[t].First; i < x.Log.Txns[t].Last; i++ {
		m := x.Log.Mops[i]
		if m.Fun == log.Predicate {
			x.predicateRead(t, i)
			continue
		}
		if m.Fun == log.Read {
			if before, ok := own[m.Key]; ok {
				x.inner(t, i, before)
			} else {
				x.read(t, i)
			}
		}
		own[m.Key] = i
	}
}

// inner looks at a read of what the transaction touched before.
func (x *inference) inner(t, mop, before int32) {
	want, got := x.Log.Mops[before].Value, x.Log.Mops[mop].Value
	if want == x.dead {
		want = log.Nil
	}
	if want != got {
		x.out.Found.Add(adya.Internal, func() infer.Found {
			return infer.Found{Key: x.Log.Mops[mop].Key, Txns: []int32{t, t}, Mops: []int32{mop, before}, Values: []log.Value{want, got}}
		})
		x.judge(t, mop, x.Log.Mops[mop].Key, got)
	}
}

// read looks at a read by key.
func (x *inference) read(t, mop int32) {
	m := x.Log.Mops[mop]
	if m.Value != log.Nil && !x.judge(t, mop, m.Key, m.Value) {
		return
	}
	v := x.known[written{m.Key, m.Value}]
	if m.Value == log.Nil {
		v = x.absent(t, m.Key)
	}
	if v == nil {
		return
	}
	if rest := x.Log.Mops[mop:x.Log.Txns[t].Last]; slices.ContainsFunc(rest, func(o log.Mop) bool { return o.Key == m.Key && o.Fun.Writes() }) {
		version := written{m.Key, v.value}
		if x.updates[version] == nil {
			x.updated = append(x.updated, version)
		}
		x.updates[version] = append(x.updates[version], mop)
	}
	x.edge(t, v.txn, t, graph.WR, infer.Evidence{Key: m.Key, FromMop: v.mop, ToMop: mop, Value: v.value, Next: log.Nil})
	for _, next := range x.later(m.Key, v) {
		x.edge(t, t, next.txn, graph.RW, infer.Evidence{Key: m.Key, FromMop: mop, ToMop: next.mop, Value: v.value, Next: next.value})
	}
}

// lostUpdate: several reads of a version whose transactions wrote the key.
func (x *inference) lostUpdate(v written, reads []int32) {
	if len(reads) < 2 {
		return
	}
	x.out.Found.Add(adya.LostUpdate, func() infer.Found {
		f := infer.Found{Key: v.key, Mops: reads, Values: []log.Value{v.value}}
		for _, mop := range reads {
			at, _ := slices.BinarySearchFunc(x.Log.Txns, mop+1, func(t log.Txn, i int32) int { return int(t.Last - i) })
			f.Txns = append(f.Txns, int32(at))
		}
		return f
	})
}

// predicateRead looks at all keys of which a predicate read says something: those
// that it returned, those that its transaction wrote, and the clues.
func (x *inference) predicateRead(t, mop int32) {
	a := x.reads[mop]
	for _, f := range a.found {
		x.apart[f.key] = mop
		if x.believes(t, mop, f.key, f.value) {
			x.through(t, mop, f.key, x.known[f])
		}
	}
	for _, m := range x.Log.Mops[x.Log.Txns[t].First:x.Log.Txns[t].Last] {
		if !m.Fun.Writes() || x.apart[m.Key] == mop {
			continue
		}
		x.apart[m.Key] = mop
		if v, several := x.unlike(t, m.Key, a.test); !several && !x.wrote(t, mop, m.Key) {
			x.unseen(t, mop, clue{m.Key, v})
		}
	}
	for _, c := range x.clues.told(a.test) {
		if x.apart[c.key] != mop {
			x.unseen(t, mop, c)
		}
	}
}

// unseen takes in that a predicate read did not return a key.
func (x *inference) unseen(t, mop int32, c clue) {
	if c.version == nil {
		x.out.Found.Add(adya.PredicateReadMiss, func() infer.Found { return x.miss(t, mop, c.key) })
		return
	}
	x.through(t, mop, c.key, c.version)
}

// wrote says whether a transaction wrote a key before a micro-operation: then a
// read need not have looked at a version of others.
func (x *inference) wrote(t, mop, k int32) bool {
	return slices.ContainsFunc(x.Log.Mops[x.Log.Txns[t].First:mop], func(m log.Mop) bool { return m.Key == k && m.Fun.Writes() })
}

// wroteValue says the same of one value.
func (x *inference) wroteValue(t, mop, k int32, value log.Value) bool {
	return slices.ContainsFunc(x.Log.Mops[x.Log.Txns[t].First:mop], func(m log.Mop) bool { return m.Key == k && m.Value == value && m.Fun.Writes() })
}

// believes says whether what a predicate read returned of a key tells of another
// transaction's version.
func (x *inference) believes(t, mop, k int32, value log.Value) bool {
	switch {
	case !x.reads[mop].test.matches(x.Log.Text(value)):
		x.out.Open = append(x.out.Open, fmt.Sprintf("%s: %s returned key %s as %s, which does not match: nothing follows from that",
			x.Log.Name(t), x.Log.Text(x.Log.Mops[mop].Value), x.Log.Keys[k], x.Log.Text(value)))
		return false
	case x.wroteValue(t, mop, k, value):
		return false
	}
	return x.judge(t, mop, k, value)
}

// through adds what follows from having looked at a version.
func (x *inference) through(t, mop, k int32, v *version) {
	by, why := x.reads[mop].test, ""
	found := x.matches(by, v)
	if !found {
		why = "every other version of the key would have matched"
	}
	x.edge(t, v.txn, t, graph.WR, infer.Evidence{Key: k, FromMop: v.mop, ToMop: mop, Value: v.value, Next: log.Nil, Why: why})
	for _, next := range x.later(k, v) {
		if found {
			x.edge(t, t, next.txn, graph.RW, infer.Evidence{Key: k, FromMop: mop, ToMop: next.mop, Value: v.value, Next: next.value})
		}
		if found != x.matches(by, next) {
			x.edge(t, t, next.txn, graph.RWP, infer.Evidence{Key: k, FromMop: mop, ToMop: next.mop, Value: v.value, Next: next.value, Why: why})
		}
	}
}

func (x *inference) miss(t, mop, k int32) infer.Found {
	f := infer.Found{Key: k, Txns: []int32{t}, Mops: []int32{mop}}
	for _, v := range x.keys[k].installed {
		if v.txn == t {
			continue
		}
		f.Txns, f.Mops, f.Values = append(f.Txns, v.txn), append(f.Mops, v.mop), append(f.Values, v.value)
	}
	return f
}

// judge looks at where a value came from; it is false if it must not have been
// seen.
func (x *inference) judge(t, mop, k int32, value log.Value) bool {
	if value == log.Nil {
		return true
	}
	kind, v := "", x.known[written{k, value}]
	switch {
	case v == nil:
		kind = adya.GarbageRead
	case v.failed:
		kind = adya.G1a
	case v.inner && v.txn != t:
		kind = adya.G1b
	case v.txn == t && !x.wroteValue(t, mop, k, value):
		kind = adya.FutureRead
	default:
		return true
	}
	x.out.Found.Add(kind, func() infer.Found {
		f := infer.Found{Key: k, Txns: []int32{t}, Mops: []int32{mop}, Values: []log.Value{value}}
		if v != nil {
			f.Txns, f.Mops = append(f.Txns, v.txn), append(f.Mops, v.mop)
		}
		return f
	})
	return false
}
