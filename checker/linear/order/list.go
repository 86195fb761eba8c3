package order

import (
	"fmt"
	"slices"

	"github.com/capstan-dev/capstan/checker/linear/order/ranks"
	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// ListIn is append V, or read the whole list.
type ListIn struct {
	Append bool
	V      int32
}

// ListOut is what a read returned. That of an append is zero.
type ListOut struct{ List []int32 }

type listOp = spec.Op[ListIn, ListOut]

// ListModel is the append-only list; its state are the elements in order.
func ListModel() spec.Model[[]int32, ListIn, ListOut] {
	return spec.Model[[]int32, ListIn, ListOut]{
		Name: "list",
		Step: func(s []int32, in ListIn, out ListOut) ([]int32, bool) {
			if in.Append {
				return append(slices.Clone(s), in.V), true
			}
			return s, slices.Equal(s, out.List)
		},
		Outs: func(s []int32, in ListIn) []ListOut {
			if in.Append {
				return []ListOut{{}}
			}
			return []ListOut{{List: s}}
		},
		Pure:  func(in ListIn, _ ListOut) bool { return !in.Append },
		Equal: func(a, b []int32) bool { return slices.Equal(a, b) },
		Hash:  hashAll,
		Object: func() func(ListIn, ListOut) bool {
			var list []int32
			return func(in ListIn, out ListOut) bool {
				if !in.Append {
					return slices.Equal(list, out.List)
				}
				list = append(list, in.V)
				return true
			}
		},
	}
}

func hashAll(s []int32) uint64 {
	h := uint64(len(s))
	for _, v := range s {
		h = (h ^ uint64(uint32(v))) * 0x9e3779b97f4a7c15
	}
	return h
}

type list struct {
	told
	ops      []listOp
	slots    *ranks.Slots
	by       []int32 // by slot: its append
	place    []int32 // by slot: its position in the longest read, from 1; 0 is none
	longest  int32   // the longest read that is not wrong by itself, -1 if there is none
	lastRead []int32 // by slot: the last read in which it was seen to come twice
}

// DecideList is exact, in time linear in the total length of the reads and
// O(n log n) in the number of operations. It is Inapplicable if an element is
// appended twice.
//
// All reads must be prefixes of the longest one. That forces all: a read of
// length k comes between the k-th append and the next, and an append that
// nobody saw comes after all reads.
func DecideList(ops []spec.Op[ListIn, ListOut], b spec.Budget) spec.Finding[ListOut] {
	if overBudget(b, len(ops)) {
		return spec.Finding[ListOut]{Why: spec.OutOfMemory}
	}
	slots, by, unique := updates(ops, putList)
	if !unique {
		return spec.Finding[ListOut]{Outcome: spec.Inapplicable, Why: "an element is appended twice"}
	}
	l := &list{ops: ops, slots: slots, by: by, place: make([]int32, len(by)), longest: -1}
	group := make([]int32, len(ops))
	length := l.findLongest(group)
	for i := range ops {
		if i&1023 == 0 && b.Stopped() {
			return spec.Finding[ListOut]{Why: spec.OutOfTime}
		}
		o := &ops[i]
		switch {
		case o.In.Append:
			group[i] = l.appendGroup(o, length)
		case o.Crashed || group[i] == leftOut || !l.prefix(int32(i)):
			group[i] = leftOut
		default:
			group[i] = int32(2 * len(o.Out.List))
		}
	}
	return finish(ops, group, 2*length+2, b, &l.told, l.sayPair)
}

func putList(in ListIn) (int32, bool) { return in.V, in.Append }

// findLongest takes the longest read that is not wrong by itself, and marks
// those that are longer.
func (l *list) findLongest(group []int32) (length int32) {
	var reads []int32
	var lengths []int64
	for i := range l.ops {
		if o := &l.ops[i]; !o.In.Append && !o.Crashed {
			reads, lengths = append(reads, int32(i)), append(lengths, int64(len(o.Out.List)))
		}
	}
	for _, k := range slices.Backward(ranks.Ascending(lengths)) {
		r := reads[k]
		if !l.sound(r) {
			group[r] = leftOut
			continue
		}
		l.longest = r
		for k, v := range l.ops[r].Out.List {
			l.place[l.slots.Of(v)] = int32(k + 1)
		}
		return int32(len(l.ops[r].Out.List))
	}
	return 0
}

// sound is false if read r has an element that nobody appended, or one twice.
func (l *list) sound(r int32) bool {
	o := &l.ops[r]
	if l.lastRead == nil {
		l.lastRead = make([]int32, len(l.by))
	}
	for _, v := range o.Out.List {
		slot := l.slots.Of(v)
		if slot < 0 {
			l.add(o.Return, func() spec.Conflict { return conflict(l.ops, sayUnknown(r, v, "appended"), r) })
			return false
		}
		if l.lastRead[slot] == r+1 {
			l.add(o.Return, func() spec.Conflict {
				return conflict(l.ops, fmt.Sprintf("{%d} returned {=%d} twice, which {%d} appended once", r, v, l.by[slot]), r, l.by[slot])
			})
			return false
		}
		l.lastRead[slot] = r + 1
	}
	return true
}

func sayUnknown(r, v int32, done string) string {
	return fmt.Sprintf("{%d} returned {=%d}, which nobody ever %s", r, v, done)
}

// prefix is false if read r is no prefix of the longest one.
func (l *list) prefix(r int32) bool {
	if l.longest < 0 {
		return false
	}
	whole, mine := l.ops[l.longest].Out.List, l.ops[r].Out.List
	if len(mine) <= len(whole) && slices.Equal(mine, whole[:len(mine)]) {
		return true
	}
	if !l.sound(r) {
		return false
	}
	k := 0
	for mine[k] == whole[k] {
		k++
	}
	a, b := l.by[l.slots.Of(mine[k])], l.by[l.slots.Of(whole[k])]
	l.add(max(l.ops[r].Return, l.ops[l.longest].Return), func() spec.Conflict {
		return conflict(l.ops, fmt.Sprintf("{%d} has {=%d} at position %d and {%d} has {=%d} there: no list can have been both",
			r, mine[k], k+1, l.longest, whole[k]), r, l.longest, a, b)
	})
	return false
}

func (l *list) appendGroup(o *listOp, length int32) int32 {
	place := l.place[l.slots.Of(o.In.V)]
	switch {
	case place > 0:
		return 2*place - 1
	case o.Crashed:
		return leftOut
	}
	return 2*length + 1
}

func (l *list) sayPair(p pair) spec.Conflict {
	y, x := p.first, p.second
	before := fmt.Sprintf("{%d} returned {%d<%d} before {%d} began", x, x, y, y)
	first, second := &l.ops[y], &l.ops[x]
	switch {
	case !first.In.Append && second.In.Append:
		return conflict(l.ops, fmt.Sprintf("%s, yet {%d} does not have {=%d}", before, y, second.In.V), x, y)
	case !first.In.Append:
		v := second.Out.List[len(first.Out.List)]
		return conflict(l.ops, fmt.Sprintf("%s and had {=%d}, yet {%d} does not", before, v, y), x, y, l.by[l.slots.Of(v)])
	case !second.In.Append:
		return conflict(l.ops, fmt.Sprintf("{%d} had {=%d} and returned {%d<%d} before {%d} began to append it", x, first.In.V, x, y, y), x, y)
	case l.place[l.slots.Of(second.In.V)] == 0:
		return conflict(l.ops, fmt.Sprintf("%s, yet {%d} has {=%d} and not {=%d}", before, l.longest, first.In.V, second.In.V), x, y, l.longest)
	}
	return conflict(l.ops, fmt.Sprintf("%s, yet {%d} has {=%d} before {=%d}", before, l.longest, first.In.V, second.In.V), x, y, l.longest)
}

// ListNeeds says which operations must stay if one stays, so that any part of
// a legal history that has what it needs is legal: a read needs the appends of
// what it returned.
func ListNeeds(ops []spec.Op[ListIn, ListOut]) [][]int32 {
	return readers(ops, putList, func(out ListOut) []int32 { return out.List })
}

// readers makes each operation need the updates of all that it returned.
func readers[In, Out any](ops []spec.Op[In, Out], put func(In) (int32, bool), got func(Out) []int32) [][]int32 {
	by := map[int32][]int32{}
	for i := range ops {
		if v, ok := put(ops[i].In); ok {
			by[v] = append(by[v], int32(i))
		}
	}
	needs := make([][]int32, len(ops))
	for i := range ops {
		for _, v := range got(ops[i].Out) {
			needs[i] = append(needs[i], by[v]...)
		}
	}
	return needs
}
