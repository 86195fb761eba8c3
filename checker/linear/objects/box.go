// Package objects holds the sequential specifications of objects that only the
// generic search decides. Their states are immutable, share what they have in
// common, and carry their hashes.
package objects

import (
	"container/heap"
	"math"
	"slices"

	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// Verb is what is asked of a box of values.
type Verb uint8

// Put adds a value; Take removes one.
const (
	Put Verb = iota
	Take
)

// In is one operation on a stack, a queue, a priority queue or a bag.
type In struct {
	Verb  Verb
	Value int32 // of a put
}

// None is the answer to a take that found nothing.
const None int32 = math.MinInt32

func pure(in In, out int32) bool { return in.Verb == Take && out == None }

// Stack takes the youngest value. Out is 0 for a put; for a take the value, or
// None.
func Stack() spec.Model[*cells, In, int32] {
	return spec.Model[*cells, In, int32]{
		Name: "stack",
		Step: func(s *cells, in In, out int32) (*cells, bool) {
			switch {
			case in.Verb == Put:
				return s.push(in.Value), true
			case s == nil:
				return s, out == None
			}
			return s.rest, out == s.value
		},
		Outs: func(s *cells, in In) []int32 {
			switch {
			case in.Verb == Put:
				return []int32{0}
			case s == nil:
				return []int32{None}
			}
			return []int32{s.value}
		},
		Pure:  pure,
		Equal: (*cells).equal,
		Hash:  (*cells).hash,
		Object: func() func(In, int32) bool {
			var values []int32
			return func(in In, out int32) bool {
				if in.Verb == Put {
					values = append(values, in.Value)
					return true
				}
				last := len(values) - 1
				if last < 0 {
					return out == None
				}
				v := values[last]
				values = values[:last]
				return out == v
			}
		},
	}
}

// Priority takes the least value. Out is as for a stack.
func Priority() spec.Model[*tree[number], In, int32] {
	return spec.Model[*tree[number], In, int32]{
		Name: "priority-queue",
		Step: func(s *tree[number], in In, out int32) (*tree[number], bool) {
			switch {
			case in.Verb == Put:
				return more(s, in.Value), true
			case s == nil:
				return s, out == None
			}
			v := s.least()
			return less(s, v), out == v
		},
		Outs: func(s *tree[number], in In) []int32 {
			switch {
			case in.Verb == Put:
				return []int32{0}
			case s == nil:
				return []int32{None}
			}
			return []int32{s.least()}
		},
		Pure:  pure,
		Equal: same[number],
		Hash:  (*tree[number]).hash,
		Object: func() func(In, int32) bool {
			var values ascending
			return func(in In, out int32) bool {
				if in.Verb == Put {
					heap.Push(&values, in.Value)
					return true
				}
				if len(values) == 0 {
					return out == None
				}
				return heap.Pop(&values) == out
			}
		},
	}
}

// Bag takes any value: an unordered queue. Out is as for a stack.
func Bag() spec.Model[*tree[number], In, int32] {
	return spec.Model[*tree[number], In, int32]{
		Name: "unordered-queue",
		Step: func(s *tree[number], in In, out int32) (*tree[number], bool) {
			switch {
			case in.Verb == Put:
				return more(s, in.Value), true
			case out == None:
				return s, s == nil
			}
			if _, ok := s.get(out); !ok {
				return s, false
			}
			return less(s, out), true
		},
		Outs: func(s *tree[number], in In) []int32 {
			switch {
			case in.Verb == Put:
				return []int32{0}
			case s == nil:
				return []int32{None}
			}
			return s.keys(nil)
		},
		Pure:  pure,
		Equal: same[number],
		Hash:  (*tree[number]).hash,
		Object: func() func(In, int32) bool {
			counts, total := map[int32]int{}, 0
			return func(in In, out int32) bool {
				if in.Verb == Put {
					counts[in.Value]++
					total++
					return true
				}
				if out == None {
					return total == 0
				}
				counts[out]--
				total--
				return counts[out] >= 0
			}
		},
	}
}

// more and less change how often a value is in a tree of counts.
func more(t *tree[number], v int32) *tree[number] {
	n, _ := t.get(v)
	return t.set(v, n+1)
}

func less(t *tree[number], v int32) *tree[number] {
	if n, _ := t.get(v); n > 1 {
		return t.set(v, n-1)
	}
	return t.remove(v)
}

type ascending []int32

func (a ascending) Len() int           { return len(a) }
func (a ascending) Less(i, j int) bool { return a[i] < a[j] }
func (a ascending) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *ascending) Push(x any)        { *a = append(*a, x.(int32)) }
func (a *ascending) Pop() any {
	x := (*a)[len(*a)-1]
	*a = slices.Delete(*a, len(*a)-1, len(*a))
	return x
}
