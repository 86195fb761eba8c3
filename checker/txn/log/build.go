package log

import (
	"bytes"
	"math"
	"slices"
	"sort"
)

// builder makes a log, or a part of one, of operations in their order.
type builder struct {
	log    Log
	keys   []keyLists
	number index            // of keys that are natural numbers
	named  map[string]int32 // of other keys, by their JSON
	texts  map[string]int32 // of values, by their JSON: place in log.Texts
	nodes  map[string]int32
	lists  bool // there are lists
	sets   bool // collections that are read are sets, and not lists
	strays []stray
	buf    []Value
}

// keyLists are the lists that were read of a key: almost always prefixes of
// one another, and then one chain.
type keyLists struct {
	chain
	others []chain
}

// chain is a list such that all that was read are prefixes of it.
type chain struct {
	values []Value
	// text is how the elements were written, and ends where each ends in it.
	// Another read is mostly the same text, and then nothing is parsed.
	text []byte
	ends []int32
}

// stray is a read of a list of another chain than the key's first.
type stray struct{ mop, chain int32 }

// index finds places by numbers, quickly where these are small.
type index struct {
	small []int32 // place+1
	large map[int64]int32
}

const smallest = 1 << 20

func (x *index) get(n int64) (int32, bool) {
	if uint64(n) < uint64(len(x.small)) {
		return x.small[n] - 1, x.small[n] > 0
	}
	at, ok := x.large[n]
	return at, ok
}

func (x *index) set(n int64, at int32) {
	if n < 0 || n >= smallest {
		if x.large == nil {
			x.large = map[int64]int32{}
		}
		x.large[n] = at
		return
	}
	if n >= int64(len(x.small)) {
		x.small = append(x.small, make([]int32, max(64, 2*int(n)+1-len(x.small)))...)
		x.small = x.small[:cap(x.small)]
	}
	x.small[n] = at + 1
}

// mops reads the micro-operations of a transaction. Reads of one that is not
// ok tell nothing.
func (b *builder) mops(s *scanner, ok bool) error {
	if c := s.gap(); c != '[' && c != '(' {
		return errOdd
	}
	s.i++
	for {
		c := s.gap()
		if c == ']' || c == ')' {
			s.i++
			return nil
		}
		if c != '[' && c != '(' {
			return errOdd
		}
		s.i++
		if err := b.mop(s, ok); err != nil {
			return err
		}
		if c := s.gap(); c != ']' && c != ')' {
			return errOdd
		}
		s.i++
	}
}

// mop reads one micro-operation behind its bracket.
func (b *builder) mop(s *scanner, ok bool) error {
	f, there := s.word()
	if !there {
		return errOdd
	}
	fun := string(f)
	key, err := b.key(s)
	if err != nil {
		return err
	}
	m := Mop{Key: key}
	switch fun {
	case "append", "add", "w":
		switch {
		case fun == "append":
			m.Fun, b.lists = Append, true
		case fun == "w":
			m.Fun = Write
		case b.sets:
			m.Fun = Add
		default:
			return errOdd
		}
		if m.Value, err = b.value(s); err != nil {
			return err
		}
	case "r":
		if m, err = b.read(s, m, ok); err != nil {
			return err
		}
	default:
		return errOdd
	}
	b.log.Mops = append(b.log.Mops, m)
	return nil
}

// read reads what was read; it may be left out where it says nothing.
func (b *builder) read(s *scanner, m Mop, ok bool) (Mop, error) {
	c := s.gap()
	if !ok {
		m.Fun, m.Value = Blind, Nil
		if c != ']' && c != ')' {
			if _, fine := s.skip(); !fine {
				return m, errOdd
			}
		}
		return m, nil
	}
	if b.sets {
		return b.set(s, m)
	}
	if c == '[' || c == '(' {
		b.lists = true
		return b.list(s, m)
	}
	var err error
	m.Fun = Read
	m.Value, err = b.value(s)
	return m, err
}

// set reads a set: #{1 2}, [1 2] or nil, which is the empty one.
func (b *builder) set(s *scanner, m Mop) (Mop, error) {
	m.Fun = Set
	if s.null() {
		return m, nil
	}
	if s.take('#') && (s.i == len(s.b) || s.b[s.i] != '{') {
		return m, errOdd
	}
	if kinds[s.gap()]&opens == 0 {
		return m, errOdd
	}
	s.i++
	var values []Value
	for kinds[s.gap()]&closes == 0 {
		v, err := b.value(s)
		if err != nil {
			return m, err
		}
		values = append(values, v)
	}
	s.i++
	if len(values) > 0 {
		m.Value = Value(len(b.log.Sets))
		b.log.Sets = append(b.log.Sets, values)
	}
	return m, nil
}

// key finds the number of a key.
func (b *builder) key(s *scanner) (int32, error) {
	start := s.i
	if n, ok := s.integer(); ok {
		if at, known := b.number.get(n); known {
			return at, nil
		}
		at := b.newKey(string(bytes.TrimLeft(s.b[start:s.i], " ,\t\r\n")))
		b.number.set(n, at)
		return at, nil
	}
	form, ok := s.skip()
	if !ok {
		return 0, errOdd
	}
	name, err := text(form)
	if err != nil {
		return 0, err
	}
	return b.namedKey(name), nil
}

func (b *builder) namedKey(name string) int32 {
	if at, known := b.named[name]; known {
		return at
	}
	if b.named == nil {
		b.named = map[string]int32{}
	}
	at := b.newKey(name)
	b.named[name] = at
	return at
}

func (b *builder) newKey(name string) int32 {
	b.log.Keys = append(b.log.Keys, name)
	b.keys = append(b.keys, keyLists{})
	return int32(len(b.log.Keys) - 1)
}

// value reads an element, or the value of a register.
func (b *builder) value(s *scanner) (Value, error) {
	start := s.i
	if n, ok := s.integer(); ok && n <= math.MaxInt32 {
		return Value(n), nil
	}
	s.i = start
	if s.null() {
		return Nil, nil
	}
	form, ok := s.skip()
	if !ok {
		return 0, errOdd
	}
	name, err := text(form)
	if err != nil {
		return 0, err
	}
	return b.textValue(name), nil
}

// textValue is the value that stands for a text.
func (b *builder) textValue(name string) Value {
	at, known := b.texts[name]
	if !known {
		if b.texts == nil {
			b.texts = map[string]int32{}
		}
		at = int32(len(b.log.Texts))
		b.texts[name] = at
		b.log.Texts = append(b.log.Texts, name)
	}
	return Value(-2 - at)
}

// list reads a list. If it is written as the chain is, only what is new is
// parsed.
func (b *builder) list(s *scanner, m Mop) (Mop, error) {
	m.Fun = List
	k := &b.keys[m.Key]
	end := bytes.IndexByte(s.b[s.i:], closing(s.b[s.i]))
	if end < 0 {
		return m, errOdd
	}
	raw := s.b[s.i+1 : s.i+end]
	known := min(len(raw), len(k.text))
	if bytes.Equal(raw[:known], k.text[:known]) {
		if n, ok := k.prefix(raw); ok {
			s.i += end + 1
			m.Value = n
			return m, nil
		}
	}
	s.i++
	values := b.buf[:0]
	for {
		c := s.gap()
		if c == ']' || c == ')' {
			s.i++
			break
		}
		v, err := b.value(s)
		if err != nil {
			return m, err
		}
		values = append(values, v)
	}
	b.buf = values
	return b.seen(m, values), nil
}

func closing(open byte) byte {
	if open == '[' {
		return ']'
	}
	return ')'
}

// prefix counts the elements of a text that begins as the chain's does, or the
// other way round, after the chain has been extended by what is new. It answers
// false if the text is not made of small numbers with a separator between.
func (c *chain) prefix(raw []byte) (Value, bool) {
	if len(raw) <= len(c.text) {
		at := sort.Search(len(c.ends), func(i int) bool { return int(c.ends[i]) >= len(raw) })
		if len(raw) == 0 {
			return 0, true
		}
		return Value(at + 1), at < len(c.ends) && int(c.ends[at]) == len(raw)
	}
	if len(c.text) == 0 && len(c.values) > 0 {
		return 0, false // written in different ways
	}
	s := scanner{raw, len(c.text)}
	if s.i > 0 && kinds[raw[s.i]]&blank == 0 {
		return 0, false
	}
	before, text := len(c.values), len(c.text)
	for s.gap() != 0 {
		n, ok := s.integer()
		if !ok || n > math.MaxInt32 {
			c.values, c.ends = c.values[:before], c.ends[:before]
			return 0, false
		}
		c.values = append(c.values, Value(n))
		c.ends = append(c.ends, int32(s.i))
	}
	if len(c.ends) == 0 || int(c.ends[len(c.ends)-1]) != len(raw) {
		c.values, c.ends = c.values[:before], c.ends[:before]
		return 0, false
	}
	c.text = append(c.text, raw[text:]...)
	return Value(len(c.values)), true
}

// seen finds or makes the chain of a list.
func (b *builder) seen(m Mop, values []Value) Mop {
	m.Fun, m.Value = List, Value(len(values))
	k := &b.keys[m.Key]
	if k.fits(values) {
		return m
	}
	at := slices.IndexFunc(k.others, func(c chain) bool { return c.agrees(values) })
	if at < 0 {
		at = len(k.others)
		k.others = append(k.others, chain{})
	}
	k.others[at].fits(values)
	b.strays = append(b.strays, stray{int32(len(b.log.Mops)), int32(at)})
	return m
}

// agrees says whether one list is a prefix of the other.
func (c *chain) agrees(values []Value) bool {
	n := min(len(values), len(c.values))
	return slices.Equal(values[:n], c.values[:n])
}

// fits says whether a list is a prefix of the chain, after extending it.
func (c *chain) fits(values []Value) bool {
	if !c.agrees(values) {
		return false
	}
	if len(values) > len(c.values) {
		c.values = append(c.values, values[len(c.values):]...)
		c.text, c.ends = nil, nil
	}
	return true
}

// node finds the number of a node's name.
func (b *builder) node(name string) int32 {
	if at, known := b.nodes[name]; known {
		return at
	}
	if b.nodes == nil {
		b.nodes = map[string]int32{}
	}
	at := int32(len(b.log.Nodes))
	b.nodes[name] = at
	b.log.Nodes = append(b.log.Nodes, name)
	return at
}

func newBuilder(sets bool) *builder {
	b := &builder{sets: sets, log: Log{Sets: [][]Value{nil}}}
	b.node("")
	return b
}
