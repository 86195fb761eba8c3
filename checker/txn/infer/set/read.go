package set

import (
	"slices"

	"github.com/capstan-dev/capstan/checker/txn/adya"
	"github.com/capstan-dev/capstan/checker/txn/graph"
	"github.com/capstan-dev/capstan/checker/txn/infer"
	"github.com/capstan-dev/capstan/checker/txn/log"
)

// transaction takes in the reads of an ok transaction.
func (x *sets) transaction(t int32) {
	for i := x.log.Txns[t].First; i < x.log.Txns[t].Last; i++ {
		if x.log.Mops[i].Fun == log.Set {
			x.look(t, i)
			x.internal(t, i)
		}
	}
}

// look is one read: what it saw, and what it missed.
func (x *sets) look(t, mop int32) {
	m := x.log.Mops[mop]
	x.reads++
	for _, v := range x.log.Elements(m) {
		n := x.numbers[element{m.Key, v}]
		if x.read[n] == x.reads {
			x.find(adya.DuplicateElements, t, mop, infer.None, n)
			continue
		}
		x.read[n] = x.reads
		x.saw(t, mop, n)
	}
	for _, n := range x.adds[m.Key] {
		if x.read[n] != x.reads {
			x.missed(t, mop, n)
		}
	}
}

// saw is that a read has an element.
func (x *sets) saw(t, mop, n int32) {
	a := &x.added[n]
	switch {
	case a.txn == infer.None:
		x.find(adya.GarbageRead, t, mop, infer.None, n)
	case a.txn == t && a.mop > mop:
		x.find(adya.FutureRead, t, mop, t, n)
	case a.txn == t:
	case x.log.Txns[a.txn].Outcome == log.Fail:
		x.find(adya.G1a, t, mop, a.txn, n)
	default:
		x.part[a.txn] = x.reads
		if x.sees[a.txn] != t+1 {
			x.sees[a.txn] = t + 1
			x.out.Edges = append(x.out.Edges, graph.NewEdge(a.txn, t, graph.WR))
		}
	}
}

// missed is that a read does not have an element. If it has another one of the
// same transaction, it saw the set between the two adds.
func (x *sets) missed(t, mop, n int32) {
	a := &x.added[n]
	if a.txn == t || x.log.Txns[a.txn].Outcome == log.Fail {
		return
	}
	if x.part[a.txn] == x.reads {
		x.part[a.txn] = 0 // told once
		x.find(adya.G1b, t, mop, a.txn, n)
	}
	if x.misses[a.txn] == t+1 {
		return
	}
	x.misses[a.txn] = t + 1
	if x.room == 0 {
		x.left++
		return
	}
	x.room--
	x.out.Edges = append(x.out.Edges, graph.NewEdge(t, a.txn, graph.RW))
}

// find adds an anomaly about an element that a read has, or should have.
func (x *sets) find(kind string, t, mop, other, n int32) {
	x.out.Found.Add(kind, func() infer.Found {
		a := x.added[n]
		f := infer.Found{Key: a.key, Txns: []int32{t}, Mops: []int32{mop}, Values: []log.Value{a.value}}
		if other != infer.None {
			f.Txns, f.Mops = append(f.Txns, other), append(f.Mops, a.mop)
		}
		return f
	})
}

// internal holds a read against what its transaction did before: it must have
// its own adds and what its last read of the set had, and then nothing else.
func (x *sets) internal(t, mop int32) {
	m := x.log.Mops[mop]
	want, last := x.expected(t, mop)
	for _, w := range want {
		x.before[w.element] = x.reads
		if x.read[w.element] != x.reads {
			x.contradicts(t, mop, w)
			return
		}
	}
	if last == infer.None {
		return
	}
	for _, v := range x.log.Elements(m) {
		if n := x.numbers[element{m.Key, v}]; x.before[n] != x.reads {
			x.contradicts(t, mop, expectation{n, last})
			return
		}
	}
}

// expectation is an element that a read must have, by an earlier
// micro-operation.
type expectation struct{ element, mop int32 }

// expected are the elements that a read must have by what its transaction did
// before, back to its last read of the set; None if it is the first.
func (x *sets) expected(t, mop int32) (want []expectation, last int32) {
	for at := mop - 1; at >= x.log.Txns[t].First; at-- {
		m := x.log.Mops[at]
		switch {
		case m.Key != x.log.Mops[mop].Key:
		case m.Fun == log.Add:
			want = append(want, expectation{x.numbers[element{m.Key, m.Value}], at})
		default:
			for _, v := range x.log.Elements(m) {
				want = append(want, expectation{x.numbers[element{m.Key, v}], at})
			}
			return want, at
		}
	}
	return want, infer.None
}

func (x *sets) contradicts(t, mop int32, e expectation) {
	x.out.Found.Add(adya.Internal, func() infer.Found {
		a := x.added[e.element]
		return infer.Found{Key: a.key, Txns: []int32{t, t}, Mops: []int32{mop, e.mop}, Values: []log.Value{a.value, log.Nil}}
	})
}

// evidence finds the micro-operations that make an edge.
func (x *sets) evidence(from, to int32, c graph.Class) infer.Evidence {
	a, b := &x.log.Txns[from], &x.log.Txns[to]
	for i := a.First; i < a.Last; i++ {
		for j := b.First; j < b.Last; j++ {
			e := infer.Evidence{Key: x.log.Mops[i].Key, FromMop: i, ToMop: j, Value: log.Nil, Next: log.Nil}
			switch c {
			case graph.WR:
				if e.Value = x.log.Mops[i].Value; x.has(j, i) == yes {
					return e
				}
			case graph.RW:
				if e.Next = x.log.Mops[j].Value; x.has(i, j) == no {
					return e
				}
			}
		}
	}
	return infer.NoEvidence()
}

type answer uint8

// Whether a read has what was added; different if they are of two sets, or no
// read and add.
const (
	different answer = iota
	yes
	no
)

func (x *sets) has(read, add int32) answer {
	r, a := x.log.Mops[read], x.log.Mops[add]
	switch {
	case r.Fun != log.Set || a.Fun != log.Add || r.Key != a.Key:
		return different
	case slices.Contains(x.log.Elements(r), a.Value):
		return yes
	}
	return no
}
