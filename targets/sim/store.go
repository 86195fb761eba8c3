package sim

import (
	"maps"
	"math/bits"
	"slices"
)

// opKind is a verb that clients speak to nodes.
type opKind uint8

const (
	opNone opKind = iota // what a new primary puts into its log
	opRead
	opWrite
	opCAS
	opAdd // an element to the set, and as much to the counter
	opAll
	opGet
)

// op is a request: a key or element, and up to two values.
type op struct {
	kind      opKind
	key, a, b int
}

func (o op) reads() bool { return o.kind == opRead || o.kind == opAll || o.kind == opGet }

// outcome is what a node knows of a request when it answers.
type outcome uint8

const (
	done     outcome = iota
	rejected         // certainly without effect
	unknown
)

// result answers a request.
type result struct {
	outcome outcome
	ok      bool
	found   bool // a cas that was not ok found value
	value   int
	all     []int
	why     string
}

func reject(why string) result { return result{outcome: rejected, why: why} }

// store is the state that a log of operations leads to.
type store struct {
	registers map[int]int
	set       intset
	counter   int
}

func newStore() *store { return &store{registers: map[int]int{}} }

// apply changes the state, deterministically.
func (s *store) apply(o op) result {
	switch o.kind {
	case opWrite:
		s.registers[o.key] = o.a
	case opCAS:
		v, ok := s.registers[o.key]
		if !ok || v != o.a {
			return result{value: v, found: ok}
		}
		s.registers[o.key] = o.b
	case opAdd:
		s.set.add(o.key)
		s.counter += o.key
	}
	return result{ok: true}
}

// read looks at the state.
func (s *store) read(o op) result {
	switch o.kind {
	case opRead:
		v, ok := s.registers[o.key]
		return result{value: v, ok: ok}
	case opAll:
		return result{all: s.set.list(), ok: true}
	}
	return result{value: s.counter, ok: true}
}

// intset is a set of small non-negative numbers that is quick to copy and to
// merge: bits for the small ones, a map for the rest.
type intset struct {
	words []uint64
	more  map[int]bool
}

// mostBits bounds the memory of the bits.
const mostBits = 1 << 22

func (s *intset) add(x int) {
	if x < 0 || x >= mostBits {
		if s.more == nil {
			s.more = map[int]bool{}
		}
		s.more[x] = true
		return
	}
	for len(s.words) <= x/64 {
		s.words = append(s.words, 0)
	}
	s.words[x/64] |= 1 << (x % 64)
}

// merge adds all of t, and tells whether that changed anything.
func (s *intset) merge(t intset) (changed bool) {
	for len(s.words) < len(t.words) {
		s.words = append(s.words, 0)
	}
	for i, w := range t.words {
		changed = changed || w&^s.words[i] != 0
		s.words[i] |= w
	}
	for x := range t.more {
		changed = changed || !s.more[x]
		s.add(x)
	}
	return changed
}

// covers tells whether all of t is in s.
func (s intset) covers(t intset) bool {
	for i, w := range t.words {
		if w != 0 && (i >= len(s.words) || w&^s.words[i] != 0) {
			return false
		}
	}
	for x := range t.more {
		if !s.more[x] {
			return false
		}
	}
	return true
}

func (s intset) clone() intset {
	var c intset
	c.merge(s)
	return c
}

func (s intset) size() int {
	n := len(s.more)
	for _, w := range s.words {
		n += bits.OnesCount64(w)
	}
	return n
}

// list gives the elements in ascending order.
func (s intset) list() []int {
	all := make([]int, 0, s.size())
	for i, w := range s.words {
		for ; w != 0; w &= w - 1 {
			all = append(all, 64*i+bits.TrailingZeros64(w))
		}
	}
	if len(s.more) > 0 {
		all = append(all, slices.Sorted(maps.Keys(s.more))...)
	}
	return all
}
