package objects

import "github.com/capstan-dev/capstan/checker/linear/spec"

// Access is one step of an operation on many registers: a read, or a write.
type Access struct {
	Write bool
	Key   int32
	Value int32 // of a write
}

// Registers are many registers that an operation reads and writes atomically,
// step by step; a read sees the writes before it. initial are their values; it
// is 0 for keys that are not there. Out has an entry for each step, which
// counts for reads only: the value, or Unknown. A shorter Out is Unknown from
// there on.
func Registers(initial map[int32]int32) spec.Model[*tree[number], []Access, []int32] {
	var state *tree[number]
	for k, v := range initial {
		if v != 0 { // one form for each state
			state = state.set(k, number(v))
		}
	}
	return spec.Model[*tree[number], []Access, []int32]{
		Name: "multi-register",
		Init: state,
		Step: stepRegisters,
		Outs: func(s *tree[number], in []Access) [][]int32 {
			out := make([]int32, len(in))
			for k, a := range in {
				if a.Write {
					s = write(s, a.Key, a.Value)
				} else {
					v, _ := s.get(a.Key)
					out[k] = int32(v)
				}
			}
			return [][]int32{out}
		},
		Pure: func(in []Access, _ []int32) bool {
			for _, a := range in {
				if a.Write {
					return false
				}
			}
			return true
		},
		Equal: same[number],
		Hash:  (*tree[number]).hash,
		Object: func() func([]Access, []int32) bool {
			values := map[int32]int32{}
			for k, v := range initial {
				values[k] = v
			}
			return func(in []Access, out []int32) bool {
				for k, a := range in {
					switch {
					case a.Write:
						values[a.Key] = a.Value
					case k < len(out) && out[k] != Unknown && out[k] != values[a.Key]:
						return false
					}
				}
				return true
			}
		},
	}
}

func stepRegisters(s *tree[number], in []Access, out []int32) (*tree[number], bool) {
	before := s
	for k, a := range in {
		if a.Write {
			s = write(s, a.Key, a.Value)
			continue
		}
		if k >= len(out) || out[k] == Unknown {
			continue
		}
		if v, _ := s.get(a.Key); int32(v) != out[k] {
			return before, false
		}
	}
	return s, true
}

// write keeps registers that hold 0 out of the tree.
func write(s *tree[number], key, value int32) *tree[number] {
	if value == 0 {
		return s.remove(key)
	}
	return s.set(key, number(value))
}
