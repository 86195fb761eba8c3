package predicate

import (
	"fmt"
	"slices"

	"github.com/capstan-dev/capstan/checker/txn/adya"
	"github.com/capstan-dev/capstan/checker/txn/graph"
	"github.com/capstan-dev/capstan/checker/txn/infer"
	"github.com/capstan-dev/capstan/checker/txn/log"
)

// versions finds all versions of all keys.
func (u *Universe) versions() error {
	u.keys = make([]key, len(u.Log.Keys))
	for t := range u.Log.Txns {
		x := &u.Log.Txns[t]
		for i := x.First; i < x.Last; i++ {
			m := u.Log.Mops[i]
			if !writes(m) {
				continue
			}
			k := &u.keys[m.Key]
			for n := range k.versions {
				v := &k.versions[n]
				if v.txn == int32(t) {
					v.inner = true
				} else if m.Fun != log.Delete && v.alive && v.value == m.Value && !v.failed && x.Outcome != log.Fail {
					return fmt.Errorf("key %s: both %s and %s write %s, but the values of a key must be unique to tell its versions apart",
						u.Log.Keys[m.Key], u.Log.Name(v.txn), u.Log.Name(int32(t)), u.Log.Text(m.Value))
				}
			}
			k.versions = append(k.versions, version{value: m.Value, txn: int32(t), mop: i, alive: m.Fun != log.Delete, failed: x.Outcome == log.Fail})
		}
	}
	u.first()
	return nil
}

func writes(m log.Mop) bool { return m.Fun == log.Insert || m.Fun == log.Write || m.Fun == log.Delete }

// first puts the version that came before all others in front: that of init, or
// else unborn. Init is trusted: its keys never were unborn.
func (u *Universe) first() {
	for k := range u.keys {
		all := u.keys[k].versions
		at := slices.IndexFunc(all, func(v version) bool { return u.init != infer.None && v.txn == u.init })
		if at >= 0 {
			v := all[at]
			u.keys[k].versions = slices.Insert(slices.Delete(all, at, at+1), 0, v)
			continue
		}
		u.keys[k].versions = slices.Insert(all, 0, version{value: u.unborn, txn: infer.None, mop: infer.None})
	}
}

// installed are the versions of a key that may have been seen after a commit.
func (u *Universe) installed(k int32) []*version {
	var out []*version
	for i := range u.keys[k].versions {
		if v := &u.keys[k].versions[i]; !v.inner && !v.failed {
			out = append(out, v)
		}
	}
	return out
}

// known is a version by its value; nil if nobody wrote it. A transaction may
// write a value again, and one that failed what another one wrote: the version
// that was installed counts, and only then others.
func (u *Universe) known(k int32, value log.Value) *version {
	var best *version
	for i := range u.keys[k].versions {
		v := &u.keys[k].versions[i]
		if v.alive && v.value == value && (best == nil || best.failed && !v.failed || best.inner && !v.inner && !v.failed) {
			best = v
		}
	}
	return best
}

// absent is the version that t saw when it read nothing; nil if there are
// several. A key of init that was never deleted can have been missed by a read
// only before init.
func (u *Universe) absent(t, k int32) *version {
	var found *version
	for _, v := range u.installed(k) {
		if v.alive || v.txn == t {
			continue
		}
		if found != nil {
			return nil
		}
		found = v
	}
	if found == nil {
		return &version{value: u.unborn, txn: infer.None, mop: infer.None}
	}
	return found
}

// looked is the version of a key that a predicate read of t looked at, if that
// can be told: the one it returned, or the only one of others that it would not
// have returned.
func (u *Universe) looked(t, k int32, a answer) (v *version, miss bool) {
	if value, ok := a.found[k]; ok {
		return u.known(k, value), false
	}
	var found *version
	for _, v := range u.installed(k) {
		if u.matches(a, v) || v.txn == t {
			continue
		}
		if found != nil {
			return nil, false
		}
		found = v
	}
	return found, found == nil
}

func (u *Universe) matches(a answer, v *version) bool {
	return v.alive && a.test.matches(u.Log.Text(v.value))
}

// dependency is an edge with its evidence.
type dependency struct {
	from, to int32
	class    graph.Class
}

type inference struct {
	*Universe
	out  infer.Inference
	seen map[dependency]infer.Evidence
	// updates are the reads of each version by transactions that wrote the key
	// afterwards; updated has the versions in their order.
	updates map[updated][]int32
	updated []updated
}

// updated is a version that somebody read and then replaced.
type updated struct {
	key   int32
	value log.Value
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
	x := &inference{Universe: u, seen: map[dependency]infer.Evidence{}, updates: map[updated][]int32{}}
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
	x.out.Evidence = func(from, to int32, c graph.Class) infer.Evidence { return x.seen[dependency{from, to, c}] }
	return &x.out, nil
}

func (x *inference) edge(from, to int32, c graph.Class, e infer.Evidence) {
	d := dependency{from, to, c}
	if _, ok := x.seen[d]; ok || from == to || from == infer.None || to == infer.None {
		return
	}
	x.seen[d] = e
	x.out.Edges = append(x.out.Edges, graph.NewEdge(from, to, c))
}

func (x *inference) overwritten(k int32) {
	all := x.installed(k)
	if len(all) == 0 || all[0].txn == infer.None {
		return
	}
	for _, v := range all[1:] {
		x.edge(all[0].txn, v.txn, graph.WW, infer.Evidence{Key: k, FromMop: all[0].mop, ToMop: v.mop, Value: all[0].value, Next: v.value})
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
	v := x.known(m.Key, m.Value)
	if m.Value == log.Nil {
		v = x.absent(t, m.Key)
	}
	if v == nil {
		return
	}
	if rest := x.Log.Mops[mop:x.Log.Txns[t].Last]; slices.ContainsFunc(rest, func(o log.Mop) bool { return o.Key == m.Key && writes(o) }) {
		version := updated{m.Key, v.value}
		if x.updates[version] == nil {
			x.updated = append(x.updated, version)
		}
		x.updates[version] = append(x.updates[version], mop)
	}
	x.edge(v.txn, t, graph.WR, infer.Evidence{Key: m.Key, FromMop: v.mop, ToMop: mop, Value: v.value, Next: log.Nil})
	for _, next := range x.later(m.Key, v) {
		x.edge(t, next.txn, graph.RW, infer.Evidence{Key: m.Key, FromMop: mop, ToMop: next.mop, Value: v.value, Next: next.value})
	}
}

// lostUpdate: several reads of a version whose transactions wrote the key.
func (x *inference) lostUpdate(v updated, reads []int32) {
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

// later are the versions that certainly came after one.
func (x *inference) later(k int32, v *version) []*version {
	all := x.installed(k)
	switch {
	case v.txn == infer.None && all[0].txn != infer.None:
		return all // before init
	case all[0].txn == v.txn:
		return all[1:]
	}
	return nil
}

// predicateRead looks at all keys through a predicate.
func (x *inference) predicateRead(t, mop int32) {
	a := x.reads[mop]
	for k := range int32(len(x.keys)) {
		if value, ok := a.found[k]; !ok && x.wrote(t, mop, k) || ok && !x.believes(t, mop, k, value) {
			continue
		}
		v, miss := x.looked(t, k, a)
		if miss {
			x.out.Found.Add(adya.PredicateReadMiss, func() infer.Found { return x.miss(t, mop, k) })
		}
		if v != nil {
			x.through(t, mop, k, v)
		}
	}
}

// wrote says whether a transaction wrote a key before a micro-operation: then a
// read need not have looked at a version of others.
func (x *inference) wrote(t, mop, k int32) bool {
	return slices.ContainsFunc(x.Log.Mops[x.Log.Txns[t].First:mop], func(m log.Mop) bool { return m.Key == k && writes(m) })
}

// wroteValue says the same of one value.
func (x *inference) wroteValue(t, mop, k int32, value log.Value) bool {
	return slices.ContainsFunc(x.Log.Mops[x.Log.Txns[t].First:mop], func(m log.Mop) bool { return m.Key == k && m.Value == value && writes(m) })
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
	a, why := x.reads[mop], ""
	_, found := a.found[k]
	if !found {
		why = "every other version of the key would have matched"
	}
	x.edge(v.txn, t, graph.WR, infer.Evidence{Key: k, FromMop: v.mop, ToMop: mop, Value: v.value, Next: log.Nil, Why: why})
	for _, next := range x.later(k, v) {
		if found {
			x.edge(t, next.txn, graph.RW, infer.Evidence{Key: k, FromMop: mop, ToMop: next.mop, Value: v.value, Next: next.value})
		}
		if x.matches(a, v) != x.matches(a, next) {
			x.edge(t, next.txn, graph.RWP, infer.Evidence{Key: k, FromMop: mop, ToMop: next.mop, Value: v.value, Next: next.value, Why: why})
		}
	}
}

func (x *inference) miss(t, mop, k int32) infer.Found {
	f := infer.Found{Key: k, Txns: []int32{t}, Mops: []int32{mop}}
	for _, v := range x.installed(k) {
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
	kind, v := "", x.known(k, value)
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
