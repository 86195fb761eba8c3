package weak

import (
	"fmt"
)

// Op is one operation on one key.
type Op struct {
	// Process, Node and Key are numbers from 0.
	Process, Node, Key int32
	// See is the value that was found, Set the value that was left behind, by
	// number: equal numbers on one key are equal values. None if there is none.
	// A crashed compare-and-set has both.
	See, Set int32
	// Call and Return are positions on one clock; Return is Never for a
	// crashed operation.
	Call, Return int64
	Crashed      bool
	// Note is the caller's, e.g. where the operation stands in the history.
	Note int32
}

// None is no value.
const None = -1

// Never is the return of an operation that never returned.
const Never = 1<<63 - 1

// Sources of reads that are no operation.
const (
	noRead  = -1 // the operation does not read, or what it read says nothing
	initial = -2 // it read the initial value
	thinAir = -3 // nobody wrote what it read
)

// trace is a history, indexed.
type trace struct {
	ops []Op
	// from is the operation whose write each operation read, or a source.
	from []int32
	// prev is the operation before in program order, -1: none.
	prev []int32
	// chain and pos say where an operation stands: chains are processes, a
	// crashed write in the middle of a process is a chain by itself.
	chain, pos []int32
	chains     [][]int32
	// process is the process of each chain, branch the last operation of
	// another chain that precedes it, -1: none.
	process, branch []int32

	// writes and reads are the lists of each key, one a chain that writes or
	// reads it, ascending.
	writes, reads lists

	ambiguous int // reads of a value that several operations wrote
	thin      int32
}

// lists are positions of operations by key and chain.
type lists struct {
	first []int32 // by key: its first list
	chain []int32 // by list
	ops   [][]int32
}

func (l *lists) of(key int32) (from, to int32) { return l.first[key], l.first[key+1] }

func (t *trace) writer(i int32) bool { return t.ops[i].Set != None }

// reader is true for an operation whose answer somebody saw.
func (t *trace) reader(i int32) bool { return t.from[i] != noRead && !t.ops[i].Crashed }

// newTrace indexes the operations, which are sorted by Call, with init[k] the
// initial value of key k. Crashed operations that nobody saw are left out, so
// that operations are numbered anew.
func newTrace(ops []Op, init []int32) (*trace, error) {
	t := &trace{thin: -1}
	setter, many := setters(ops, init)
	seen := observed(ops, setter)
	place := make([]int32, len(ops)) // of those that stay
	for i, o := range ops {
		if i > 0 && o.Call < ops[i-1].Call {
			return nil, fmt.Errorf("index operations: operation %d is called before the one in front of it", i)
		}
		if place[i] = int32(len(t.ops)); !o.Crashed || seen[i] {
			t.ops = append(t.ops, o)
		}
	}
	t.from = make([]int32, len(t.ops))
	for i := range t.ops {
		if t.from[i] = t.source(int32(i), init, setter, many); t.from[i] >= 0 {
			t.from[i] = place[t.from[i]]
		}
	}
	t.chainUp()
	t.writes = t.group(len(init), func(i int32) bool { return t.writer(i) })
	t.reads = t.group(len(init), func(i int32) bool { return t.reader(i) && t.from[i] >= 0 })
	return t, nil
}

type cell struct{ key, value int32 }

// table maps values of keys to a writer: most values are on one key only.
type table struct {
	key, op []int32 // by value
	more    map[cell]int32
}

func (s *table) get(c cell) (op int32, ok bool) {
	if int(c.value) < len(s.key) && s.key[c.value] == c.key {
		return s.op[c.value], true
	}
	op, ok = s.more[c]
	return op, ok
}

func (s *table) put(c cell, op int32) {
	for int(c.value) >= len(s.key) {
		s.key, s.op = append(s.key, None), append(s.op, None)
	}
	if k := s.key[c.value]; k == None || k == c.key {
		s.key[c.value], s.op[c.value] = c.key, op
		return
	}
	s.more[c] = op
}

// setters maps values to their only writer; many holds those with several.
func setters(ops []Op, init []int32) (setter *table, many map[cell]bool) {
	setter, many = &table{more: map[cell]int32{}}, map[cell]bool{}
	for i := range ops {
		o := &ops[i]
		if o.Set == None {
			continue
		}
		c := cell{o.Key, o.Set}
		if _, twice := setter.get(c); twice || init[o.Key] == o.Set {
			many[c] = true
		}
		setter.put(c, int32(i))
	}
	return setter, many
}

// observed marks the crashed writes that a completed operation saw, and what
// they found in their turn.
func observed(ops []Op, setter *table) []bool {
	seen := make([]bool, len(ops))
	var work []int32
	see := func(c cell) {
		if i, ok := setter.get(c); ok && ops[i].Crashed && !seen[i] {
			seen[i] = true
			work = append(work, i)
		}
	}
	for i := range ops {
		if o := &ops[i]; !o.Crashed && o.See != None {
			see(cell{o.Key, o.See})
		}
	}
	for len(work) > 0 {
		o := &ops[work[len(work)-1]]
		work = work[:len(work)-1]
		if o.See != None {
			see(cell{o.Key, o.See})
		}
	}
	return seen
}

func (t *trace) source(i int32, init []int32, setter *table, many map[cell]bool) int32 {
	o := &t.ops[i]
	c := cell{o.Key, o.See}
	if o.See == None {
		return noRead
	}
	switch w, written := setter.get(c); {
	case len(many) > 0 && many[c]:
		t.ambiguous++
		return noRead
	case o.See == init[o.Key]:
		return initial
	case written:
		return w
	}
	if t.thin < 0 && !o.Crashed {
		t.thin = i
	}
	return thinAir
}

// chainUp lays out program order.
func (t *trace) chainUp() {
	n := len(t.ops)
	t.prev, t.chain, t.pos = make([]int32, n), make([]int32, n), make([]int32, n)
	last := map[int32]int32{}    // process -> its last operation
	current := map[int32]int32{} // process -> its chain
	end := map[int32]int32{}     // process -> its very last operation
	for i := range t.ops {
		end[t.ops[i].Process] = int32(i)
	}
	for i := range t.ops {
		o := &t.ops[i]
		before, some := last[o.Process]
		if !some {
			before = -1
		}
		t.prev[i] = before
		if o.Crashed && end[o.Process] != int32(i) {
			t.start(int32(i), before)
			continue
		}
		if c, ok := current[o.Process]; ok {
			t.chain[i], t.pos[i] = c, int32(len(t.chains[c]))
			t.chains[c] = append(t.chains[c], int32(i))
		} else {
			t.start(int32(i), -1)
			current[o.Process] = t.chain[i]
		}
		last[o.Process] = int32(i)
	}
}

func (t *trace) start(i, branch int32) {
	t.chain[i], t.pos[i] = int32(len(t.chains)), 0
	t.chains = append(t.chains, []int32{i})
	t.process, t.branch = append(t.process, t.ops[i].Process), append(t.branch, branch)
}

// group collects the lists of each key.
func (t *trace) group(keys int, use func(int32) bool) lists {
	byKey := make([][]int32, keys)
	for c := range t.chains {
		for _, i := range t.chains[c] {
			if use(i) {
				byKey[t.ops[i].Key] = append(byKey[t.ops[i].Key], i)
			}
		}
	}
	l := lists{first: make([]int32, keys+1)}
	for k, all := range byKey {
		for len(all) > 0 {
			n := 1
			for n < len(all) && t.chain[all[n]] == t.chain[all[0]] {
				n++
			}
			l.chain, l.ops = append(l.chain, t.chain[all[0]]), append(l.ops, all[:n:n])
			all = all[n:]
		}
		l.first[k+1] = int32(len(l.ops))
	}
	return l
}
