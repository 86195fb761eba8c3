// Package tally decides linearizability of counters: adds that return nothing,
// and reads of the sum.
package tally

import "github.com/capstan-dev/capstan/checker/linear/spec"

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

// Needs says which operations must stay if one stays: a read needs all adds.
// Any part of a legal history that is closed under this is legal.
func Needs(ops []spec.Op[In, int64]) [][]int32 {
	var adds []int32
	for i := range ops {
		if ops[i].In.Verb == Add {
			adds = append(adds, int32(i))
		}
	}
	needs := make([][]int32, len(ops))
	for i := range ops {
		if ops[i].In.Verb == Read && !ops[i].Crashed {
			needs[i] = adds
		}
	}
	return needs
}
