package append

import (
	"slices"

	"github.com/capstan-dev/capstan/checker/txn/adya"
	"github.com/capstan-dev/capstan/checker/txn/infer"
	"github.com/capstan-dev/capstan/checker/txn/log"
)

// state is what a transaction knows of a key by what it did before.
type state struct {
	txn int32 // +1: of which transaction this is the state
	// read is the last read before, if any, and readAt its place in the
	// transaction; first the first one, and most the one of the longest list.
	read, first, most       log.Mop
	readAt, firstAt, mostAt int32
	reads                   bool
	// appended counts its appends since the last read, or in all, the first
	// of which is at from.
	appended int32
	from     int32
	updated  bool // it appended after its first read
}

// update is a transaction that read a version of a key and then appended.
type update struct {
	read log.Mop
	txn  int32
	at   int32
}

// transactions looks at what each ok transaction read.
func (x *versions) transactions(f *infer.Finds) {
	states := make([]state, len(x.l.Keys))
	updates := newUpdates(x)
	for t := range x.l.Txns {
		if x.l.Txns[t].Outcome != log.OK {
			continue
		}
		mops := x.l.Of(int32(t))
		for i, m := range mops {
			s := &states[m.Key]
			if s.txn != int32(t)+1 {
				*s = state{txn: int32(t) + 1}
			}
			if m.Fun == log.Append {
				if s.reads {
					x.futureRead(f, int32(t), int32(i), m, s)
					if !s.updated {
						s.updated = true
						updates.add(update{s.first, int32(t), s.firstAt})
					}
				}
				if s.appended == 0 {
					s.from = int32(i)
				}
				s.appended++
				continue
			}
			x.aborted(f, int32(t), int32(i), m)
			x.intermediateRead(f, int32(t), int32(i), m)
			if (s.reads || s.appended > 0) && !x.expected(mops[:i], m, s) {
				x.internal(f, int32(t), int32(i), m, s)
			}
			s.saw(m, int32(i), x)
		}
	}
	updates.report(f, x)
}

// saw takes in a read.
func (s *state) saw(m log.Mop, i int32, x *versions) {
	if !s.reads {
		s.reads, s.first, s.firstAt, s.most, s.mostAt = true, m, i, m, i
	} else if len(x.l.Elements(m)) > len(x.l.Elements(s.most)) {
		s.most, s.mostAt = m, i
	}
	s.read, s.readAt, s.appended = m, i, 0
}

// expected says whether a read is what the transaction did before it lets one
// expect: the last read, if any, and its own appends behind that.
func (x *versions) expected(before []log.Mop, m log.Mop, s *state) bool {
	if s.reads && s.appended == 0 && m.Fun == s.read.Fun && m.Value == s.read.Value {
		return true
	}
	got := x.l.Elements(m)
	own := len(got) - int(s.appended)
	if own < 0 {
		return false
	}
	if s.reads {
		last := x.l.Elements(s.read)
		if own != len(last) || !(m.Fun == log.List && s.read.Fun == log.List) && !slices.Equal(got[:own], last) {
			return false
		}
	}
	if s.appended == 0 {
		return true
	}
	for _, w := range before[s.from:] {
		if w.Fun == log.Append && w.Key == m.Key {
			if got[own] != w.Value {
				return false
			}
			own++
		}
	}
	return true
}

func (x *versions) at(t, i int32) int32 { return x.l.Txns[t].First + i }

// final is the last element of a list, or Nil.
func final(list []log.Value) log.Value {
	if len(list) == 0 {
		return log.Nil
	}
	return list[len(list)-1]
}

func (x *versions) internal(f *infer.Finds, t, i int32, m log.Mop, s *state) {
	f.Add(adya.Internal, func() infer.Found {
		want, at := log.Nil, s.readAt
		if s.reads {
			want = final(x.l.Elements(s.read))
		}
		if s.appended > 0 {
			for j, w := range x.l.Of(t)[:i] {
				if w.Fun == log.Append && w.Key == m.Key {
					want, at = w.Value, int32(j)
				}
			}
		}
		return infer.Found{
			Key: m.Key, Txns: []int32{t, t}, Mops: []int32{x.at(t, i), x.at(t, at)},
			Values: []log.Value{want, final(x.l.Elements(m))},
		}
	})
}

// futureRead looks whether a read before an append saw it.
func (x *versions) futureRead(f *infer.Finds, t, i int32, m log.Mop, s *state) {
	saw := false
	if s.most.Fun == log.Odd {
		saw = slices.Contains(x.l.Elements(s.most), m.Value)
	} else if v, there := x.version(m.Key, m.Value); there {
		saw = v < x.first[m.Key]+x.seen(s.most)
	}
	if saw {
		f.Add(adya.FutureRead, func() infer.Found {
			return infer.Found{Key: m.Key, Txns: []int32{t, t}, Mops: []int32{x.at(t, s.mostAt), x.at(t, i)}, Values: []log.Value{m.Value}}
		})
	}
}

// aborted looks for elements of failed transactions.
func (x *versions) aborted(f *infer.Finds, t, i int32, m log.Mop) {
	switch m.Fun {
	case log.List:
		v := x.failed[m.Key]
		if v == none || v >= x.first[m.Key]+x.seen(m) {
			return
		}
		x.abortedBy(f, t, i, m.Key, x.order[m.Key][v-x.first[m.Key]], x.writer[v])
	case log.Odd:
		for _, v := range x.l.Odd[m.Value] {
			if w := x.writerOf(m.Key, v); w != nobody && x.l.Txns[w].Outcome == log.Fail {
				x.abortedBy(f, t, i, m.Key, v, w)
				return
			}
		}
	}
}

func (x *versions) abortedBy(f *infer.Finds, t, i, key int32, v log.Value, w int32) {
	f.Add(adya.G1a, func() infer.Found {
		return infer.Found{Key: key, Txns: []int32{t, w}, Mops: []int32{x.at(t, i), x.appendOf(w, key, v)}, Values: []log.Value{v}}
	})
}

// intermediateRead looks whether the last element is not the last that its
// transaction appended.
func (x *versions) intermediateRead(f *infer.Finds, t, i int32, m log.Mop) {
	list := x.l.Elements(m)
	if len(list) == 0 {
		return
	}
	value := list[len(list)-1]
	var w int32
	if m.Fun == log.List {
		v := x.first[m.Key] + x.seen(m) - 1
		if !x.intermediate[v] {
			return
		}
		w = x.writer[v]
	} else if w = x.writerOf(m.Key, value); w == nobody || !x.appendsAfter(w, m.Key, value) {
		return
	}
	if w == t {
		return
	}
	f.Add(adya.G1b, func() infer.Found {
		return infer.Found{Key: m.Key, Txns: []int32{t, w}, Mops: []int32{x.at(t, i), x.appendOf(w, m.Key, value)}, Values: []log.Value{value}}
	})
}

// appendsAfter says whether a transaction appended to a key after that element.
func (x *versions) appendsAfter(t, key int32, v log.Value) bool {
	at := x.appendOf(t, key, v)
	for _, m := range x.l.Mops[at+1 : x.l.Txns[t].Last] {
		if m.Fun == log.Append && m.Key == key {
			return true
		}
	}
	return false
}
