package objects

import (
	"math"

	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// Unknown stands for an answer that nobody was told: any will do.
const Unknown int32 = math.MinInt32 + 1

// DictVerb is what is asked of a map.
type DictVerb uint8

// The operations of a map, each on one key.
const (
	Get DictVerb = iota
	Set
	Delete
)

// DictIn is one operation on a map.
type DictIn struct {
	Verb  DictVerb
	Key   int32
	Value int32 // of a set
}

// Dict is a map from keys to values. Out is the value that the operation found
// (what a set or a delete replaced), None if there was none, or Unknown.
func Dict() spec.Model[*tree[number], DictIn, int32] {
	return spec.Model[*tree[number], DictIn, int32]{
		Name: "map",
		Step: func(s *tree[number], in DictIn, out int32) (*tree[number], bool) {
			if out != Unknown && out != found(s, in.Key) {
				return s, false
			}
			switch in.Verb {
			case Set:
				return s.set(in.Key, number(in.Value)), true
			case Delete:
				return s.remove(in.Key), true
			}
			return s, true
		},
		Outs: func(s *tree[number], in DictIn) []int32 { return []int32{found(s, in.Key)} },
		Pure: func(in DictIn, out int32) bool {
			return in.Verb == Get || in.Verb == Delete && out == None || in.Verb == Set && out == in.Value
		},
		Equal: same[number],
		Hash:  (*tree[number]).hash,
		Object: func() func(DictIn, int32) bool {
			values := map[int32]int32{}
			return func(in DictIn, out int32) bool {
				old, ok := values[in.Key]
				switch in.Verb {
				case Set:
					values[in.Key] = in.Value
				case Delete:
					delete(values, in.Key)
				}
				return out == Unknown || ok && out == old || !ok && out == None
			}
		},
	}
}

func found(s *tree[number], key int32) int32 {
	if v, ok := s.get(key); ok {
		return int32(v)
	}
	return None
}
