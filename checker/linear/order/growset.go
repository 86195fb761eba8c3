package order

import (
	"fmt"
	"slices"

	"github.com/capstan-dev/capstan/checker/linear/order/ranks"
	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// SetIn is add V, or read the whole set.
type SetIn struct {
	Add bool
	V   int32
}

// SetOut is what a read returned, in any order. That of an add is zero.
type SetOut struct{ Set []int32 }

type setOp = spec.Op[SetIn, SetOut]

// SetModel is the set that only grows; its state are the elements, ascending.
func SetModel() spec.Model[[]int32, SetIn, SetOut] {
	return spec.Model[[]int32, SetIn, SetOut]{
		Name: "set",
		Step: func(s []int32, in SetIn, out SetOut) ([]int32, bool) {
			if !in.Add {
				return s, slices.Equal(s, slices.Sorted(slices.Values(out.Set)))
			}
			at, found := slices.BinarySearch(s, in.V)
			if found {
				return s, true
			}
			return slices.Insert(slices.Clone(s), at, in.V), true
		},
		Outs: func(s []int32, in SetIn) []SetOut {
			if in.Add {
				return []SetOut{{}}
			}
			return []SetOut{{Set: s}}
		},
		Pure:  func(in SetIn, _ SetOut) bool { return !in.Add },
		Equal: func(a, b []int32) bool { return slices.Equal(a, b) },
		Hash:  hashAll,
		Object: func() func(SetIn, SetOut) bool {
			return (&growing{read: map[int32]int{}}).do
		},
	}
}

// growing is a live set; read is, by element, the last read that had it.
type growing struct {
	read  map[int32]int
	reads int
}

func (g *growing) do(in SetIn, out SetOut) bool {
	if in.Add {
		if _, ok := g.read[in.V]; !ok {
			g.read[in.V] = 0
		}
		return true
	}
	g.reads++
	for _, v := range out.Set {
		if last, ok := g.read[v]; !ok || last == g.reads {
			return false
		}
		g.read[v] = g.reads
	}
	return len(out.Set) == len(g.read)
}

type growSet struct {
	told
	ops    []setOp
	slots  *ranks.Slots
	by     []int32 // by slot: its add
	info   []element
	levels []int32 // by level: a read that has just the elements up to there; the lowest is -1, the empty set
	size   int     // elements up to the last level
}

type element struct {
	level int32 // of the smallest read that has it; 0 is none
	read  int32 // the last read that had it, + 1
}

// DecideSet is exact, in time linear in the total length of the reads and
// O(n log n) in the number of operations. It is Inapplicable if an element is
// added twice.
//
// Of two reads one must include the other. That forces all: an element comes
// between the largest read without it and the smallest one with it, and one
// that nobody saw after all reads.
func DecideSet(ops []spec.Op[SetIn, SetOut], b spec.Budget) spec.Finding[SetOut] {
	if overBudget(b, len(ops)) {
		return spec.Finding[SetOut]{Why: spec.OutOfMemory}
	}
	slots, by, unique := updates(ops, putSet)
	if !unique {
		return spec.Finding[SetOut]{Outcome: spec.Inapplicable, Why: "an element is added twice"}
	}
	s := &growSet{ops: ops, slots: slots, by: by, info: make([]element, len(by)), levels: []int32{-1}}
	group := make([]int32, len(ops))
	for n, r := range s.bySize(group) {
		if n&255 == 0 && b.Stopped() {
			return spec.Finding[SetOut]{Why: spec.OutOfTime}
		}
		group[r] = leftOut
		if s.include(r) {
			group[r] = int32(2 * (len(s.levels) - 1))
		}
	}
	last := int32(2 * (len(s.levels) - 1))
	for slot, i := range by {
		group[i] = last + 1
		if level := s.info[slot].level; level > 0 {
			group[i] = 2*level - 1
		} else if ops[i].Crashed {
			group[i] = leftOut
		}
	}
	return finish(ops, group, last+2, b, &s.told, s.sayPair)
}

func putSet(in SetIn) (int32, bool) { return in.V, in.Add }

// bySize are the reads, the smallest first.
func (s *growSet) bySize(group []int32) []int32 {
	var reads []int32
	var sizes []int64
	for i := range s.ops {
		switch o := &s.ops[i]; {
		case o.In.Add:
		case o.Crashed:
			group[i] = leftOut
		default:
			reads, sizes = append(reads, int32(i)), append(sizes, int64(len(o.Out.Set)))
		}
	}
	order := ranks.Ascending(sizes)
	for k, i := range order {
		order[k] = reads[i]
	}
	return order
}

// include checks read r against the largest before it, and makes a new level
// if it has more. False: r is wrong by itself or together with that one.
func (s *growSet) include(r int32) bool {
	o := &s.ops[r]
	known := 0
	for _, v := range o.Out.Set {
		slot := s.slots.Of(v)
		if slot < 0 {
			s.add(o.Return, func() spec.Conflict { return conflict(s.ops, sayUnknown(r, v, "added"), r) })
			return false
		}
		e := &s.info[slot]
		if e.read == r+1 {
			s.add(o.Return, func() spec.Conflict {
				return conflict(s.ops, fmt.Sprintf("{%d} returned {=%d} twice, but a set has an element once", r, v), r, s.by[slot])
			})
			return false
		}
		e.read = r + 1
		if e.level > 0 {
			known++
		}
	}
	if known < s.size {
		s.incomparable(r)
		return false
	}
	if len(o.Out.Set) == s.size {
		return true
	}
	level := int32(len(s.levels))
	for _, v := range o.Out.Set {
		if e := &s.info[s.slots.Of(v)]; e.level == 0 {
			e.level = level
		}
	}
	s.levels, s.size = append(s.levels, r), len(o.Out.Set)
	return true
}

// incomparable: r is not smaller than the read of the last level, but lacks an
// element of that one; then it also has one that that one lacks.
func (s *growSet) incomparable(r int32) {
	small := s.levels[len(s.levels)-1]
	var x, y int32
	for _, v := range s.ops[small].Out.Set {
		if s.info[s.slots.Of(v)].read != r+1 {
			x = v
			break
		}
	}
	for _, v := range s.ops[r].Out.Set {
		if s.info[s.slots.Of(v)].level == 0 {
			y = v
			break
		}
	}
	s.add(max(s.ops[r].Return, s.ops[small].Return), func() spec.Conflict {
		return conflict(s.ops, fmt.Sprintf("{%d} has {=%d} and not {=%d}, {%d} has {=%d} and not {=%d}: whichever of them was added first, one read missed it",
			small, x, y, r, y, x), small, r, s.by[s.slots.Of(x)], s.by[s.slots.Of(y)])
	})
}

func (s *growSet) sayPair(p pair) spec.Conflict {
	y, x := p.first, p.second
	before := fmt.Sprintf("{%d} returned {%d<%d} before {%d} began", x, x, y, y)
	first, second := &s.ops[y], &s.ops[x]
	switch {
	case !first.In.Add && second.In.Add:
		return conflict(s.ops, fmt.Sprintf("%s, yet {%d} does not have {=%d}", before, y, second.In.V), x, y)
	case !first.In.Add:
		v := s.missing(first, second)
		return conflict(s.ops, fmt.Sprintf("%s and had {=%d}, yet {%d} does not", before, v, y), x, y, s.by[s.slots.Of(v)])
	case !second.In.Add:
		return conflict(s.ops, fmt.Sprintf("{%d} had {=%d} and returned {%d<%d} before {%d} began to add it", x, first.In.V, x, y, y), x, y)
	}
	r := s.levels[s.info[s.slots.Of(first.In.V)].level]
	return conflict(s.ops, fmt.Sprintf("%s, yet {%d} has {=%d} and not {=%d}", before, r, first.In.V, second.In.V), x, y, r)
}

// missing is an element that large has and small does not.
func (s *growSet) missing(small, large *setOp) int32 {
	has := make(map[int32]bool, len(small.Out.Set))
	for _, v := range small.Out.Set {
		has[v] = true
	}
	for _, v := range large.Out.Set {
		if !has[v] {
			return v
		}
	}
	panic("order: a read of a higher level has nothing more")
}

// SetNeeds says which operations must stay if one stays, so that any part of a
// legal history that has what it needs is legal: a read needs the adds of what
// it returned.
func SetNeeds(ops []spec.Op[SetIn, SetOut]) [][]int32 {
	return readers(ops, putSet, func(out SetOut) []int32 { return out.Set })
}
