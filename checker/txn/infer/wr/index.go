package wr

import (
	"math"

	"github.com/capstan-dev/capstan/checker/txn/log"
)

// index numbers the versions of all keys: slots. Values of a key that lie close
// together are found by arithmetic, others by a map. The first slot of a key is
// its initial version.
type index struct {
	keys  []span
	rest  map[uint64]int32
	slots int32
}

// span has the values [low, low+size) of a key at base+1 and on.
type span struct{ base, low, size int32 }

func newIndex(l *log.Log) *index {
	type stretch struct{ low, high, count int32 }
	of := make([]stretch, len(l.Keys))
	for i := range of {
		of[i] = stretch{low: math.MaxInt32, high: -1}
	}
	for i := range l.Mops {
		if m := &l.Mops[i]; m.Value >= 0 && (m.Fun == log.Write || m.Fun == log.Read) {
			s := &of[m.Key]
			s.low, s.high, s.count = min(s.low, int32(m.Value)), max(s.high, int32(m.Value)), s.count+1
		}
	}
	x := &index{keys: make([]span, len(l.Keys))}
	for k, s := range of {
		x.keys[k] = span{base: x.slots}
		x.slots++
		const sparse = 8 // slots that may be empty for each that is not
		if size := int64(s.high) - int64(s.low) + 1; s.count > 0 && size <= sparse*(int64(s.count)+8) {
			x.keys[k].low, x.keys[k].size = s.low, int32(size)
			x.slots += int32(size)
		}
	}
	return x
}

// slot is the version of a key that has a value.
func (x *index) slot(key int32, v log.Value) int32 {
	s := &x.keys[key]
	if v == log.Nil {
		return s.base
	}
	if at := int64(v) - int64(s.low); at >= 0 && at < int64(s.size) {
		return s.base + 1 + int32(at)
	}
	name := uint64(uint32(key))<<32 | uint64(uint32(v))
	at, ok := x.rest[name]
	if !ok {
		if x.rest == nil {
			x.rest = map[uint64]int32{}
		}
		at = x.slots
		x.slots++
		x.rest[name] = at
	}
	return at
}
