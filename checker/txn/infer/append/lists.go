package append

import (
	"github.com/capstan-dev/capstan/checker/txn/adya"
	"github.com/capstan-dev/capstan/checker/txn/infer"
	"github.com/capstan-dev/capstan/checker/txn/log"
)

// orders finds what is wrong with the lists of each key: elements that are
// there twice or from nowhere, versions upon aborted ones, and reads that
// contradict each other.
func (x *versions) orders(f *infer.Finds) {
	for k := range x.order {
		key := int32(k)
		if _, twice := x.distinct[key]; twice {
			x.repeated(f, key, x.l.Longest[k], func() (int32, int32) { return x.longest(key) })
		}
		if first := x.garbage[k]; first != none {
			for v := first; v < x.first[k+1]; v++ {
				if x.writer[v] == nobody {
					at := int(v - x.first[k])
					x.nowhere(f, key, x.order[k][at], func() (int32, int32) { return x.reader(key, at+1) })
				}
			}
		}
		if x.failed[k] != none {
			x.dirtyUpdates(f, key)
		}
	}
	for _, b := range x.backward {
		x.turned(f, b)
	}
	if len(x.l.Odd) > 0 {
		x.oddLists(f)
	}
}

// turned finds the appends of a transaction in a list in another order than its
// own.
func (x *versions) turned(f *infer.Finds, b turn) {
	f.Add(adya.IncompatibleOrder, func() infer.Found {
		first := x.first[b.key]
		earlier, later := x.order[b.key][b.earlier-first], x.order[b.key][b.later-first]
		reader, read := x.reader(b.key, int(b.earlier-first)+1)
		return infer.Found{
			Key: b.key, Txns: []int32{reader, b.txn}, Values: []log.Value{later, earlier},
			Mops: []int32{read, x.appendOf(b.txn, b.key, earlier)},
		}
	})
}

// reader is the first ok transaction that read that many versions of a key or
// more, and its micro-operation.
func (x *versions) reader(key int32, least int) (txn, mop int32) {
	return x.readerOf(func(m log.Mop) bool { return m.Key == key && m.Fun == log.List && int(x.seen(m)) >= least })
}

// readerOf is the first ok transaction with such a read.
func (x *versions) readerOf(such func(log.Mop) bool) (txn, mop int32) {
	for t := range x.l.Txns {
		if x.l.Txns[t].Outcome != log.OK {
			continue
		}
		for i, m := range x.l.Of(int32(t)) {
			if such(m) {
				return int32(t), x.l.Txns[t].First + int32(i)
			}
		}
	}
	return infer.None, infer.None
}

// longest is the first reader of the longest list of a key.
func (x *versions) longest(key int32) (txn, mop int32) {
	return x.readerOf(func(m log.Mop) bool {
		return m.Key == key && m.Fun == log.List && int(m.Value) == len(x.l.Longest[key])
	})
}

func (x *versions) repeated(f *infer.Finds, key int32, list []log.Value, reader func() (int32, int32)) {
	seen := map[log.Value]bool{}
	for _, v := range list {
		if !seen[v] {
			seen[v] = true
			continue
		}
		f.Add(adya.DuplicateElements, func() infer.Found {
			t, m := reader()
			return infer.Found{Key: key, Txns: []int32{t}, Mops: []int32{m}, Values: []log.Value{v}}
		})
		return
	}
}

func (x *versions) nowhere(f *infer.Finds, key int32, v log.Value, reader func() (int32, int32)) {
	f.Add(adya.GarbageRead, func() infer.Found {
		t, m := reader()
		return infer.Found{Key: key, Txns: []int32{t}, Mops: []int32{m}, Values: []log.Value{v}}
	})
}

// dirtyUpdates finds versions of ok transactions that come after one that was
// aborted, with none but unknown ones between.
func (x *versions) dirtyUpdates(f *infer.Finds, key int32) {
	aborted := int32(none)
	for v := x.failed[key]; v < x.first[key+1]; v++ {
		w := x.writer[v]
		if w == nobody {
			continue
		}
		switch x.l.Txns[w].Outcome {
		case log.Fail:
			aborted = v
		case log.OK:
			if aborted == none {
				continue
			}
			from := aborted
			f.Add(adya.DirtyUpdate, func() infer.Found {
				a, b := x.order[key][from-x.first[key]], x.order[key][v-x.first[key]]
				return infer.Found{
					Key: key, Txns: []int32{w, x.writer[from]}, Values: []log.Value{a, b},
					Mops: []int32{x.appendOf(w, key, b), x.appendOf(x.writer[from], key, a)},
				}
			})
			aborted = none
		}
	}
}

// appendOf is the micro-operation that appended an element.
func (x *versions) appendOf(t, key int32, v log.Value) int32 {
	for i, m := range x.l.Of(t) {
		if m.Fun == log.Append && m.Key == key && m.Value == v {
			return x.l.Txns[t].First + int32(i)
		}
	}
	return infer.None
}

// oddLists looks at each odd list once.
func (x *versions) oddLists(f *infer.Finds) {
	done := make([]bool, len(x.l.Odd))
	garbage := map[element]bool{}
	for t := range x.l.Txns {
		for i, m := range x.l.Of(int32(t)) {
			if m.Fun != log.Odd || done[m.Value] {
				continue
			}
			done[m.Value] = true
			txn, mop := int32(t), x.l.Txns[t].First+int32(i)
			list := x.l.Odd[m.Value]
			x.incompatible(f, m.Key, txn, mop, list)
			x.repeated(f, m.Key, list, func() (int32, int32) { return txn, mop })
			for _, v := range list {
				e := element{m.Key, v}
				if _, seen := x.version(m.Key, v); !seen && x.writerOf(m.Key, v) == nobody && !garbage[e] {
					garbage[e] = true
					x.nowhere(f, m.Key, v, func() (int32, int32) { return txn, mop })
				}
			}
		}
	}
}

// incompatible is an odd list beside the longest.
func (x *versions) incompatible(f *infer.Finds, key, txn, mop int32, list []log.Value) {
	f.Add(adya.IncompatibleOrder, func() infer.Found {
		at := 0
		longest := x.l.Longest[key]
		for at < len(list) && at < len(longest) && list[at] == longest[at] {
			at++
		}
		differ := []log.Value{log.Nil, log.Nil}
		for i, l := range [][]log.Value{list, longest} {
			if at < len(l) {
				differ[i] = l[at]
			}
		}
		other, otherMop := x.longest(key)
		return infer.Found{Key: key, Txns: []int32{txn, other}, Mops: []int32{mop, otherMop}, Values: differ}
	})
}
