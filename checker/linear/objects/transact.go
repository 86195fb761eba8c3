package objects

import (
	"slices"

	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// StepVerb is what a step of a transaction does to its key.
type StepVerb uint8

// The steps of a transaction. A key holds a list; a register is a list of at
// most one value.
const (
	ReadKey     StepVerb = iota
	WriteKey             // the list is then the value alone
	AppendToKey          // the value is put behind the list
)

// Step is one step of a transaction.
type Step struct {
	Verb  StepVerb
	Key   int32
	Value int32
}

// Transactions are lists that an operation reads and changes atomically, step
// by step; a read sees the changes before it. Out has an entry for each step,
// which counts for reads only: the list, first element first, empty and not nil
// if there is none; nil is not known. A shorter Out is not known from there on.
func Transactions() spec.Model[*tree[*cells], []Step, [][]int32] {
	return spec.Model[*tree[*cells], []Step, [][]int32]{
		Name: "transactions",
		Step: func(s *tree[*cells], in []Step, out [][]int32) (*tree[*cells], bool) {
			before := s
			for k, a := range in {
				if a.Verb != ReadKey {
					s = change(s, a)
					continue
				}
				if k >= len(out) || out[k] == nil {
					continue
				}
				if v, _ := s.get(a.Key); !v.is(out[k]) {
					return before, false
				}
			}
			return s, true
		},
		Outs: func(s *tree[*cells], in []Step) [][][]int32 {
			out := make([][]int32, len(in))
			for k, a := range in {
				if a.Verb != ReadKey {
					s = change(s, a)
					continue
				}
				v, _ := s.get(a.Key)
				out[k] = v.list()
			}
			return [][][]int32{out}
		},
		Pure: func(in []Step, _ [][]int32) bool {
			return !slices.ContainsFunc(in, func(a Step) bool { return a.Verb != ReadKey })
		},
		Equal:  same[*cells],
		Hash:   (*tree[*cells]).hash,
		Object: transactional,
	}
}

func change(s *tree[*cells], a Step) *tree[*cells] {
	var v *cells
	if a.Verb == AppendToKey {
		v, _ = s.get(a.Key)
	}
	return s.set(a.Key, v.push(a.Value))
}

func transactional() func([]Step, [][]int32) bool {
	values := map[int32][]int32{}
	return func(in []Step, out [][]int32) bool {
		for k, a := range in {
			switch {
			case a.Verb == WriteKey:
				values[a.Key] = []int32{a.Value}
			case a.Verb == AppendToKey:
				values[a.Key] = append(values[a.Key], a.Value)
			case k < len(out) && out[k] != nil && !slices.Equal(out[k], values[a.Key]):
				return false
			}
		}
		return true
	}
}
