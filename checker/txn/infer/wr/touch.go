package wr

import (
	"fmt"

	"github.com/capstan-dev/capstan/checker/txn/adya"
	"github.com/capstan-dev/capstan/checker/txn/infer"
	"github.com/capstan-dev/capstan/checker/txn/log"
)

// version is one value that a register had.
type version struct {
	value log.Value
	// writer is the ok or info transaction that wrote it, failed one that
	// failed; None if there is none.
	writer, failed int32
	mop            int32 // the first of the writer, or else of the failed one
	inner          bool  // its writer overwrote it
}

// touch is what a transaction that may have happened did to one key, seen from
// outside: what it read before it wrote, and what it wrote last.
type touch struct {
	txn, key          int32
	read, write       int32 // slots; None
	readMop, writeMop int32
	state, stateMop   int32 // the slot that its next read must see, and why
}

// first is the version that a touch met first, last the one it left.
func (t *touch) first() int32 {
	if t.read != infer.None {
		return t.read
	}
	return t.write
}

func (t *touch) last() int32 {
	if t.write != infer.None {
		return t.write
	}
	return t.read
}

// inner is a read that contradicts its own transaction.
type innerRead struct {
	touch, expected, expectedMop, slot, mop int32
}

// tables are what one pass over a log gathers.
type tables struct {
	log      *log.Log
	index    *index
	versions []version // by slot
	touches  []touch   // by transaction, in order of the log
	begin    []int32   // the first touch of each transaction, and the end
	inner    []innerRead
	found    infer.Finds
}

// gather makes one pass over the log.
func gather(l *log.Log) (*tables, error) {
	t := &tables{log: l, index: newIndex(l), begin: make([]int32, len(l.Txns)+1)}
	t.versions = make([]version, t.index.slots)
	for i := range t.versions {
		t.versions[i] = version{writer: infer.None, failed: infer.None, mop: infer.None}
	}
	for _, k := range t.index.keys {
		t.versions[k.base].value = log.Nil
	}
	t.touches = make([]touch, 0, len(l.Mops))
	latest := make([]int32, len(l.Keys)) // the last touch of each key, plus one
	for i := range l.Txns {
		t.begin[i] = int32(len(t.touches))
		x := &l.Txns[i]
		for n := x.First; n < x.Last; n++ {
			m := &l.Mops[n]
			if m.Fun == log.Blind {
				continue
			}
			if m.Fun != log.Write && m.Fun != log.Read {
				return nil, fmt.Errorf("infer from registers: %s has a micro-operation that is neither r nor w of a value", l.Name(int32(i)))
			}
			slot := t.slot(m)
			if x.Outcome == log.Fail {
				t.failed(int32(i), n, slot)
				continue
			}
			at := latest[m.Key] - 1
			if at < t.begin[i] {
				at = int32(len(t.touches))
				t.touches = append(t.touches, touch{txn: int32(i), key: m.Key, read: infer.None, write: infer.None, readMop: infer.None, writeMop: infer.None, state: infer.None})
				latest[m.Key] = at + 1
			}
			if m.Fun == log.Read {
				t.read(at, n, slot)
			} else if err := t.write(at, n, slot); err != nil {
				return nil, err
			}
		}
	}
	t.begin[len(l.Txns)] = int32(len(t.touches))
	return t, nil
}

func (t *tables) slot(m *log.Mop) int32 {
	s := t.index.slot(m.Key, m.Value)
	for int(s) >= len(t.versions) {
		t.versions = append(t.versions, version{writer: infer.None, failed: infer.None, mop: infer.None})
	}
	t.versions[s].value = m.Value
	return s
}

func (t *tables) failed(txn, mop, slot int32) {
	v := &t.versions[slot]
	if t.log.Mops[mop].Fun != log.Write || v.failed != infer.None {
		return
	}
	v.failed = txn
	if v.writer == infer.None {
		v.mop = mop
	}
}

func (t *tables) read(at, mop, slot int32) {
	x := &t.touches[at]
	switch {
	case x.state == infer.None:
		x.read, x.readMop = slot, mop
	case x.state != slot:
		t.inner = append(t.inner, innerRead{at, x.state, x.stateMop, slot, mop})
	}
	x.state, x.stateMop = slot, mop
}

func (t *tables) write(at, mop, slot int32) error {
	x, v := &t.touches[at], &t.versions[slot]
	if v.writer != infer.None && v.writer != x.txn {
		return fmt.Errorf("infer from registers: key %s: both %s and %s write %s, but the values of a key must be unique to tell its versions apart",
			t.log.Keys[x.key], t.log.Name(v.writer), t.log.Name(x.txn), t.log.Text(t.log.Mops[mop].Value))
	}
	if t.log.Mops[mop].Value == log.Nil {
		return fmt.Errorf("infer from registers: key %s: %s writes nil, which is the initial value", t.log.Keys[x.key], t.log.Name(x.txn))
	}
	if x.write != infer.None && x.write != slot {
		t.versions[x.write].inner = true
	}
	if v.writer == infer.None { // it may write a value of its own again
		v.writer, v.mop = x.txn, mop
	}
	v.inner = false
	x.write, x.writeMop, x.state, x.stateMop = slot, mop, slot, mop
	return nil
}

// judge finds the anomalies that need no order of versions.
func (t *tables) judge() {
	for _, r := range t.inner {
		x := &t.touches[r.touch]
		t.found.Add(adya.Internal, func() infer.Found {
			return infer.Found{Key: x.key, Txns: []int32{x.txn, x.txn}, Mops: []int32{r.mop, r.expectedMop}, Values: []log.Value{t.versions[r.expected].value, t.versions[r.slot].value}}
		})
		t.judgeRead(x, r.slot, r.mop)
	}
	first := map[int32][]int32{} // touches that read a version and then wrote, by slot
	latest := make([]int32, len(t.versions))
	var order []int32
	for i := range t.touches {
		x := &t.touches[i]
		if x.read == infer.None {
			continue
		}
		t.judgeRead(x, x.read, x.readMop)
		if x.write == infer.None || t.log.Txns[x.txn].Outcome != log.OK {
			continue
		}
		before := latest[x.read] - 1
		latest[x.read] = int32(i) + 1
		switch all := first[x.read]; {
		case before < 0:
		case all == nil:
			first[x.read] = []int32{before, int32(i)}
			order = append(order, x.read)
		default:
			first[x.read] = append(all, int32(i))
		}
	}
	for _, slot := range order {
		t.lostUpdate(slot, first[slot])
	}
}

// lostUpdate: several transactions read one version and wrote the key.
func (t *tables) lostUpdate(slot int32, touches []int32) {
	t.found.Add(adya.LostUpdate, func() infer.Found {
		f := infer.Found{Key: t.touches[touches[0]].key, Values: []log.Value{t.versions[slot].value}}
		for _, i := range touches {
			f.Txns, f.Mops = append(f.Txns, t.touches[i].txn), append(f.Mops, t.touches[i].readMop)
		}
		return f
	})
}

// judgeRead looks at where a value that was read came from.
func (t *tables) judgeRead(x *touch, slot, mop int32) {
	if slot == t.index.keys[x.key].base {
		return
	}
	v := &t.versions[slot]
	add := func(kind string, writer int32) {
		t.found.Add(kind, func() infer.Found {
			f := infer.Found{Key: x.key, Txns: []int32{x.txn}, Mops: []int32{mop}, Values: []log.Value{v.value}}
			if writer != infer.None {
				f.Txns, f.Mops = append(f.Txns, writer), append(f.Mops, v.mop)
			}
			return f
		})
	}
	switch {
	case v.writer == infer.None && v.failed == infer.None:
		add(adya.GarbageRead, infer.None)
	case v.writer == infer.None:
		add(adya.G1a, v.failed)
	case v.writer == x.txn && v.mop > mop:
		add(adya.FutureRead, x.txn)
	case v.inner && v.writer != x.txn:
		add(adya.G1b, v.writer)
	}
}
