// Package append infers the dependencies of transactions that append to lists
// and read them. The elements of a key are unique, so that each read tells the
// versions before it in their order: Elle's recoverability (Kingsbury and
// Alvaro, VLDB 2020, section 4).
package append

import (
	"fmt"

	"github.com/capstan-dev/capstan/checker/txn/infer"
	"github.com/capstan-dev/capstan/checker/txn/log"
)

// Infer finds the dependencies and the anomalies that need no cycle. It is an
// error if the transactions are of another kind, or if an element was appended
// to its key twice: then nothing follows from reading it.
func Infer(l *log.Log) (*infer.Inference, error) {
	x := newVersions(l)
	if err := x.writers(); err != nil {
		return nil, err
	}
	x.commit()
	out := &infer.Inference{Evidence: x.evidence}
	var reads infer.Finds
	wait := beside(func() { x.transactions(&reads) })
	x.orders(&out.Found)
	out.Edges, out.Barriers = x.edges()
	wait()
	out.Found.Merge(&reads)
	return out, nil
}

// beside runs a function in a goroutine of its own. The caller waits for it, and
// panics if it did.
func beside(f func()) (wait func()) {
	done := make(chan any)
	go func() {
		defer func() { done <- recover() }()
		f()
	}()
	return func() {
		if p := <-done; p != nil {
			panic(p)
		}
	}
}

// nobody wrote an element.
const nobody = -1

// versions has the elements of each key in the order that was observed.
type versions struct {
	l *log.Log
	// order has, of each key, the distinct elements of its longest list, which
	// are the versions first[key], first[key]+1 and so on.
	order [][]log.Value
	first []int32
	place []places
	// By version: the transaction that appended it, or nobody; whether that
	// appended another to the key later; the last version up to this one that
	// was committed, or none.
	writer       []int32
	intermediate []bool
	committed    []int32
	// distinct counts, for keys whose longest list has an element twice, the
	// versions up to each length.
	distinct map[int32][]int32
	// unobserved are the appends of transactions that did not fail to lists
	// in which nobody saw them, by key.
	unobserved []pending
	from       []int32 // by key: where its own begin
	// failed is the first version of a key whose transaction failed, garbage
	// the first that nobody wrote; none if there is none.
	failed, garbage []int32
	// backward are the appends of a transaction that stand before an earlier
	// one of its own.
	backward []turn
	// elsewhere are the writers of elements that are in odd lists only.
	elsewhere map[element]int32
}

// pending is an append that nobody saw.
type pending struct {
	key, txn int32
	value    log.Value
}

// turn is a version that a transaction appended and that stands after one
// which it appended later.
type turn struct{ key, txn, earlier, later int32 }

type element struct {
	key   int32
	value log.Value
}

const none = -1

func newVersions(l *log.Log) *versions {
	n := len(l.Keys)
	x := &versions{
		l: l, order: make([][]log.Value, n), first: make([]int32, n+1), place: make([]places, n),
		failed: make([]int32, n), garbage: make([]int32, n), distinct: map[int32][]int32{}, elsewhere: map[element]int32{},
	}
	room := 0
	for k := range n {
		x.order[k] = l.Longest[k]
		x.place[k] = newPlaces(l.Longest[k])
		room += x.place[k].room()
	}
	tables := make([]int32, room)
	for k := range n {
		tables = x.place[k].fill(x.order[k], tables)
		if x.place[k].twice {
			x.dedup(int32(k))
		}
		x.first[k+1] = x.first[k] + int32(len(x.order[k]))
		x.failed[k], x.garbage[k] = none, none
	}
	total := x.first[n]
	x.writer, x.committed = make([]int32, total), make([]int32, total)
	x.intermediate = make([]bool, total)
	for i := range x.writer {
		x.writer[i] = nobody
	}
	return x
}

// dedup takes the distinct elements of a list with repetitions.
func (x *versions) dedup(key int32) {
	list := x.order[key]
	seen := map[log.Value]bool{}
	var order []log.Value
	counts := []int32{0}
	for _, v := range list {
		if !seen[v] {
			seen[v] = true
			order = append(order, v)
		}
		counts = append(counts, int32(len(order)))
	}
	x.order[key], x.distinct[key] = order, counts
	x.place[key] = newPlaces(order)
	x.place[key].fill(order, make([]int32, x.place[key].room()))
}

// version finds the version of an element that was observed.
func (x *versions) version(key int32, v log.Value) (int32, bool) {
	at, ok := x.place[key].find(v)
	return x.first[key] + at, ok
}

// writers finds who appended each element.
func (x *versions) writers() error {
	odd := x.oddElements()
	var lost []pending
	last := make([]int32, len(x.l.Keys)) // by key: the version that the current transaction appended last, +1
	for t := range x.l.Txns {
		mops := x.l.Of(int32(t))
		for _, m := range mops {
			if m.Fun == log.Write || m.Fun == log.Read && m.Value != log.Nil {
				return fmt.Errorf("event %d: not a transaction on lists: it reads or writes a register", x.event(int32(t)))
			}
			if m.Fun != log.Append {
				continue
			}
			before := last[m.Key] - 1
			if before >= 0 {
				x.intermediate[before] = true
				last[m.Key] = 0
			}
			v, seen := x.version(m.Key, m.Value)
			if !seen {
				lost = append(lost, pending{m.Key, int32(t), m.Value})
				continue
			}
			if x.writer[v] != nobody {
				return x.appendedTwice(m, x.writer[v], int32(t))
			}
			if v < before {
				x.backward = append(x.backward, turn{m.Key, int32(t), before, v})
			}
			x.writer[v] = int32(t)
			last[m.Key] = v + 1
		}
		for _, m := range mops {
			last[m.Key] = 0
		}
	}
	return x.settleLost(lost, odd)
}

func (x *versions) event(t int32) int32 {
	if e := x.l.Txns[t].CompleteIndex; e != log.Never {
		return e
	}
	return x.l.Txns[t].InvokeIndex
}

func (x *versions) appendedTwice(m log.Mop, a, b int32) error {
	return fmt.Errorf("%s was appended to key %s twice, at events %d and %d: nothing follows from reading it",
		x.l.Text(m.Value), x.l.Keys[m.Key], x.event(a), x.event(b))
}

// oddElements are the elements of odd lists that are in no longest one.
func (x *versions) oddElements() map[element]bool {
	if len(x.l.Odd) == 0 {
		return nil
	}
	odd := map[element]bool{}
	for _, m := range x.l.Mops {
		if m.Fun != log.Odd {
			continue
		}
		for _, v := range x.l.Odd[m.Value] {
			if _, seen := x.version(m.Key, v); !seen {
				odd[element{m.Key, v}] = true
			}
		}
	}
	return odd
}

// settleLost sorts what is not in the longest lists by keys.
func (x *versions) settleLost(lost []pending, odd map[element]bool) error {
	x.from = make([]int32, len(x.l.Keys)+1)
	for _, p := range lost {
		x.from[p.key+1]++
	}
	for k := range x.l.Keys {
		x.from[k+1] += x.from[k]
	}
	sorted := make([]pending, len(lost))
	at := append([]int32(nil), x.from...)
	for _, p := range lost {
		sorted[at[p.key]] = p
		at[p.key]++
	}
	x.unobserved = sorted[:0]
	seen := map[log.Value]int32{}
	begin := int32(0)
	for k := range x.l.Keys {
		end := x.from[k+1]
		for _, p := range sorted[begin:end] {
			if other, twice := seen[p.value]; twice {
				return x.appendedTwice(log.Mop{Key: p.key, Value: p.value}, other, p.txn)
			}
			if end-begin > 1 {
				seen[p.value] = p.txn
			}
			switch {
			case odd[element{p.key, p.value}]:
				x.elsewhere[element{p.key, p.value}] = p.txn
			case x.l.Txns[p.txn].Outcome != log.Fail:
				x.unobserved = append(x.unobserved, p)
			}
		}
		clear(seen)
		begin = end
		x.from[k+1] = int32(len(x.unobserved))
	}
	return nil
}

// pendingOf are the appends to a key that nobody saw.
func (x *versions) pendingOf(key int32) []pending { return x.unobserved[x.from[key]:x.from[key+1]] }

// commit finds the versions that were committed, or may have been.
func (x *versions) commit() {
	for k := range x.order {
		last := int32(none)
		for v := x.first[k]; v < x.first[k+1]; v++ {
			switch w := x.writer[v]; {
			case w == nobody:
				if x.garbage[k] == none {
					x.garbage[k] = v
				}
			case x.l.Txns[w].Outcome == log.Fail:
				if x.failed[k] == none {
					x.failed[k] = v
				}
			default:
				last = v
			}
			x.committed[v] = last
		}
	}
}

// seen is how many versions of the key a read of a list that is not odd saw.
func (x *versions) seen(m log.Mop) int32 {
	if counts, twice := x.distinct[m.Key]; twice {
		return counts[m.Value]
	}
	return int32(m.Value)
}

// last is the last committed version that a read saw, or none.
func (x *versions) last(m log.Mop) int32 {
	n := x.seen(m)
	if n == 0 {
		return none
	}
	return x.committed[x.first[m.Key]+n-1]
}

// next is the first committed version that a read did not see, or none.
func (x *versions) next(m log.Mop) int32 {
	return x.nextFrom(m.Key, x.first[m.Key]+x.seen(m))
}

func (x *versions) nextFrom(key, v int32) int32 {
	for ; v < x.first[key+1]; v++ {
		if x.committed[v] == v {
			return v
		}
	}
	return none
}

// oddWriter is who appended the last element of an odd list, unless it failed.
func (x *versions) oddWriter(m log.Mop) int32 {
	list := x.l.Odd[m.Value]
	w := x.writerOf(m.Key, list[len(list)-1])
	if w != nobody && x.l.Txns[w].Outcome == log.Fail {
		return nobody
	}
	return w
}

// writerOf is who appended an element.
func (x *versions) writerOf(key int32, v log.Value) int32 {
	if at, seen := x.version(key, v); seen {
		return x.writer[at]
	}
	if w, there := x.elsewhere[element{key, v}]; there {
		return w
	}
	return nobody
}
