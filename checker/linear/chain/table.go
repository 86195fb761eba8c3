package chain

import (
	"fmt"
	"slices"

	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// cluster is what is known of one value: the operation that set it and the n
// operations that found it, of which the earliest return is f and the latest
// call is s.
type cluster struct {
	f, s        int64
	b           int64 // call of the operation that set it; Never: no such operation, or not known to have taken effect
	set         int32 // that operation, none, or initial
	first, last int32 // the operations that f and s are of
	prev, next  int32 // values that a cas ties to it, before and after
	n           int32
}

func (c *cluster) seen() bool { return c.n > 0 || c.next != none }

// mode says what becomes of an operation.
type mode uint8

const (
	kept  mode = iota
	blind      // see Blind
	gone
)

// table holds the operations by the value that they set or found.
type table struct {
	ops     []Op
	modes   []mode // nil: all are kept
	byCall  []int32
	vals    []cluster
	crashed []int32 // crashed writes and cas
	opaque  []int32
	wild    []int32         // crashed ones of values that nobody saw
	again   []int32         // writes and cas of values that were set before, ...
	alias   map[int32]int32 // ... and the values that they get instead
	links   int
	faults  []fault
}

// newTable takes operations in any order. It fails if a value is set twice and
// seen, or has a number out of range.
func newTable(ops []Op, modes []mode, init int32, values int) (*table, error) {
	t := &table{ops: ops, modes: modes, vals: make([]cluster, values, values+values/64)}
	if init < 0 || int(init) >= values {
		return nil, fmt.Errorf("the initial value %d is not one of the %d values", init, values)
	}
	for v := range t.vals {
		t.vals[v] = unknown
	}
	c := &t.vals[init]
	c.set, c.first, c.f, c.b = initial, initial, dawn, dawn
	byCall := func(a, b Op) int {
		switch {
		case a.Call < b.Call:
			return -1
		case a.Call > b.Call:
			return 1
		}
		return 0
	}
	if !slices.IsSortedFunc(ops, byCall) {
		t.byCall = make([]int32, len(ops))
		for i := range ops {
			t.byCall[i] = int32(i)
		}
		slices.SortStableFunc(t.byCall, func(i, j int32) int { return byCall(ops[i], ops[j]) })
	}
	for i := range ops {
		if err := t.enter(int32(i)); err != nil {
			return nil, err
		}
	}
	if t.byCall != nil {
		slices.SortStableFunc(t.opaque, func(i, j int32) int { return byCall(ops[i], ops[j]) })
	}
	if err := t.rename(); err != nil {
		return nil, err
	}
	t.settle()
	return t, nil
}

var unknown = cluster{f: spec.Never, s: dawn, b: spec.Never, set: none, first: none, last: none, prev: none, next: none}

// enter files one operation.
func (t *table) enter(i int32) error {
	o := &t.ops[i]
	in := o.In
	if t.modes != nil && t.modes[i] != kept {
		if t.modes[i] == gone {
			return nil
		}
		in = Blind(*o).In
	}
	switch in.Verb {
	case Read:
		if !o.Crashed {
			return t.found(o.Out.V, i)
		}
		return nil
	case Write:
		return t.sets(in.A, i)
	}
	if uint(in.A) >= uint(len(t.vals)) {
		return t.outOfRange(i, in.A)
	}
	switch {
	case in.A == in.B && o.Crashed: // whatever it did, nothing changed
		return nil
	case o.Crashed:
		return t.sets(in.B, i)
	case o.Out.OK && in.A == in.B:
		return t.found(in.A, i)
	case o.Out.OK:
		t.link(in.A, in.B, i)
		return t.sets(in.B, i)
	case o.Out.V == Opaque:
		t.opaque = append(t.opaque, i)
		return nil
	case o.Out.V == in.A:
		t.fault(fault{rule: denies, a: i})
		return nil
	}
	return t.found(o.Out.V, i)
}

func (t *table) outOfRange(i, v int32) error {
	return fmt.Errorf("operation %d has the value %d, which is not one of %d", i, v, len(t.vals))
}

func (t *table) found(v, i int32) error {
	if uint(v) >= uint(len(t.vals)) {
		return t.outOfRange(i, v)
	}
	t.vals[v].n++
	t.vals[v].touch(i, &t.ops[i])
	return nil
}

func (c *cluster) touch(i int32, o *Op) {
	if o.Return < c.f || c.first == none {
		c.f, c.first = o.Return, i
	}
	if o.Call > c.s {
		c.s, c.last = o.Call, i
	}
}

func (t *table) sets(v, i int32) error {
	if uint(v) >= uint(len(t.vals)) {
		return t.outOfRange(i, v)
	}
	c := &t.vals[v]
	if c.set != none {
		t.again = append(t.again, i)
		return nil
	}
	t.place(c, i)
	return nil
}

func (t *table) place(c *cluster, i int32) {
	c.set = i
	if o := &t.ops[i]; o.Crashed {
		t.crashed = append(t.crashed, i)
	} else {
		c.b = o.Call
		c.touch(i, o)
	}
}

// link notes that operation i replaced a by b. Only one can have replaced a.
func (t *table) link(a, b, i int32) {
	c := &t.vals[a]
	if c.next != none || t.vals[b].prev != none {
		if c.next != none {
			t.fault(fault{rule: twice, a: a, b: i})
		}
		return
	}
	c.next = b
	t.vals[b].prev = a
	t.links++
}

// target is the value that a write or cas sets.
func (t *table) target(i int32) int32 {
	if v, ok := t.alias[i]; ok {
		return v
	}
	if in := t.ops[i].In; in.Verb == CAS {
		return in.B
	} else {
		return in.A
	}
}

// isCAS is whether operation i compares.
func (t *table) isCAS(i int32) bool {
	return t.ops[i].In.Verb == CAS && (t.modes == nil || t.modes[i] == kept)
}

// home is the value that operation i, not opaque, belongs to; none if to none.
func (t *table) home(i int32) int32 {
	o := &t.ops[i]
	switch {
	case t.modes != nil && t.modes[i] != kept:
		if t.modes[i] == gone {
			return none
		}
		return t.target(i)
	case o.In.Verb == Read:
		if o.Crashed {
			return none
		}
		return o.Out.V
	case o.In.Verb == CAS && o.Crashed && o.In.A == o.In.B:
		return none
	case o.In.Verb == Write || o.Crashed || o.Out.OK:
		return t.target(i)
	}
	return o.Out.V // Opaque is none
}
