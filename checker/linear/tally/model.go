// Package tally decides linearizability of counters: adds that return nothing,
// and reads of the sum.
package tally

import (
	"cmp"
	"slices"
	"sort"

	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// Verb is what is asked of a counter.
type Verb uint8

// The operations of a counter.
const (
	Read Verb = iota
	Add
)

// In is one operation.
type In struct {
	Verb  Verb
	Delta int64 // of an add; may be negative
}

// Model is a counter that starts at 0. Out is the sum that a read returned, and
// 0 for an add.
func Model() spec.Model[int64, In, int64] {
	return spec.Model[int64, In, int64]{
		Name: "counter",
		Step: func(s int64, in In, out int64) (int64, bool) {
			if in.Verb == Read {
				return s, s == out
			}
			return s + in.Delta, true
		},
		Outs: func(s int64, in In) []int64 {
			if in.Verb == Read {
				return []int64{s}
			}
			return []int64{0}
		},
		Pure:  func(in In, _ int64) bool { return in.Verb == Read || in.Delta == 0 },
		Equal: func(a, b int64) bool { return a == b },
		Hash:  func(s int64) uint64 { return uint64(s) },
		Object: func() func(In, int64) bool {
			sum := int64(0)
			return func(in In, out int64) bool {
				if in.Verb == Add {
					sum += in.Delta
					return true
				}
				return out == sum
			}
		},
	}
}

// Needs says which operations must stay if one stays: a read needs all adds that
// had begun when it returned. A read that is wrong whatever other reads say
// needs what its conflict names only: any other add makes it no better. Any part
// of a legal history that is closed under this is legal.
func Needs(ops []spec.Op[In, int64]) [][]int32 {
	needs := make([][]int32, len(ops))
	var reads, adds []int32
	for i := range ops {
		switch {
		case ops[i].In.Verb == Add:
			adds = append(adds, int32(i))
		case !ops[i].Crashed:
			reads = append(reads, int32(i))
		}
	}
	byCall := func(a, b int32) int { return cmp.Compare(ops[a].Call, ops[b].Call) }
	slices.SortFunc(adds, byCall)
	for _, i := range reads {
		n := sort.Search(len(adds), func(k int) bool { return ops[adds[k]].Call > ops[i].Return })
		needs[i] = adds[:n:n]
	}
	for _, c := range Decide(ops, spec.Budget{}).Conflicts {
		if read, alone := onlyRead(ops, c.Ops); alone {
			needs[read] = c.Ops
		}
	}
	return needs
}

// onlyRead is the read of a conflict that has one.
func onlyRead(ops []op, ids []int32) (read int32, alone bool) {
	n := 0
	for _, i := range ids {
		if ops[i].In.Verb == Read {
			read, n = i, n+1
		}
	}
	return read, n == 1
}
