package order

import (
	"fmt"
	"slices"

	"github.com/capstan-dev/capstan/checker/linear/order/ranks"
	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// IDIn asks for an id.
type IDIn struct{}

// IDOut is the id that was given out.
type IDOut struct{ ID int64 }

type idOp = spec.Op[IDIn, IDOut]

// IDsModel is a source of ids none of which comes twice, and each of which is
// larger than all before if it is ascending; its state are the ids that it
// gave out, ascending. some are ids to try where the answer is not known.
func IDsModel(ascending bool, some []int64) spec.Model[[]int64, IDIn, IDOut] {
	fresh := func(s []int64, id int64) (int, bool) {
		at, found := slices.BinarySearch(s, id)
		return at, !found && (!ascending || at == len(s))
	}
	return spec.Model[[]int64, IDIn, IDOut]{
		Name: "ids",
		Step: func(s []int64, _ IDIn, out IDOut) ([]int64, bool) {
			at, ok := fresh(s, out.ID)
			if !ok {
				return s, false
			}
			return slices.Insert(slices.Clone(s), at, out.ID), true
		},
		Outs: func(s []int64, _ IDIn) []IDOut {
			var outs []IDOut
			for _, id := range some {
				if _, ok := fresh(s, id); ok {
					outs = append(outs, IDOut{id})
				}
			}
			return outs
		},
		Pure:  func(IDIn, IDOut) bool { return false },
		Equal: func(a, b []int64) bool { return slices.Equal(a, b) },
		Hash: func(s []int64) uint64 {
			h := uint64(len(s))
			for _, id := range s {
				h = (h ^ uint64(id)) * 0x9e3779b97f4a7c15
			}
			return h
		},
		Object: func() func(IDIn, IDOut) bool {
			given, last, first := map[int64]bool{}, int64(0), true
			return func(_ IDIn, out IDOut) bool {
				if ascending {
					ok := first || out.ID > last
					first, last = false, out.ID
					return ok
				}
				if given[out.ID] {
					return false
				}
				given[out.ID] = true
				return true
			}
		},
	}
}

// DecideIDs is exact in O(n log n) time: without ascending, ids that differ
// are legal in any order. Crashed operations are left out: gaps are no fault.
func DecideIDs(ops []spec.Op[IDIn, IDOut], ascending bool, b spec.Budget) spec.Finding[IDOut] {
	if overBudget(b, len(ops)) {
		return spec.Finding[IDOut]{Why: spec.OutOfMemory}
	}
	var t told
	var done []int32
	var ids []int64
	group := make([]int32, len(ops))
	for i := range ops {
		group[i] = leftOut
		if o := &ops[i]; !o.Crashed {
			done, ids = append(done, int32(i)), append(ids, o.Out.ID)
		}
	}
	sorted, last := ranks.Ascending(ids), int32(-1)
	for k, n := range sorted {
		i := done[n]
		if last >= 0 && ops[last].Out.ID == ops[i].Out.ID {
			first := last
			t.add(max(ops[first].Return, ops[i].Return), func() spec.Conflict {
				return conflict(ops, fmt.Sprintf("{%d} and {%d} both got %d", first, i, ops[i].Out.ID), first, i)
			})
			continue
		}
		group[i], last = 0, i
		if ascending {
			group[i] = int32(k)
		}
	}
	return finish(ops, group, int32(len(sorted)+1), b, &t, func(p pair) spec.Conflict {
		y, x := p.first, p.second
		return conflict(ops, fmt.Sprintf("{%d} got %d and returned {%d<%d} before {%d} began, yet {%d} got the smaller %d",
			x, ops[x].Out.ID, x, y, y, y, ops[y].Out.ID), x, y)
	})
}

// IDsNeeds is nothing: any part of a legal history is legal.
func IDsNeeds(ops []spec.Op[IDIn, IDOut]) [][]int32 { return make([][]int32, len(ops)) }
