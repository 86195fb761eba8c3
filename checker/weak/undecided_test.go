package weak

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// shuffled is a sequential history in which the calls of different processes
// tell nothing about the order.
func shuffled(r *rand.Rand, n, processes, keys int) ([]Op, []int32) {
	now := make([]int32, keys)
	by := make([][]Op, processes)
	for i := range n {
		p, key := r.IntN(processes), int32(r.IntN(keys))
		o := Op{Process: int32(p), Key: key, See: None, Set: None}
		if r.IntN(2) == 0 {
			o.See = now[key]
		}
		if o.See == None || r.IntN(8) == 0 {
			o.Set = int32(i) + 1
			now[key] = o.Set
		}
		by[p] = append(by[p], o)
	}
	var ops []Op
	for len(ops) < n {
		p := r.IntN(processes)
		if len(by[p]) > 0 {
			o := by[p][0]
			by[p] = by[p][1:]
			o.Call = int64(2 * len(ops))
			o.Return = o.Call + 1
			ops = append(ops, o)
		}
	}
	return ops, make([]int32, keys)
}

// TestSequentialUndecided: nothing that is sequential is refuted, and little
// of it is undecided.
func TestSequentialUndecided(t *testing.T) {
	for _, keys := range []int{1, 2, 5, 50} {
		for _, n := range []int{20, 100, 1000} {
			r := rand.New(rand.NewPCG(uint64(keys), uint64(n)))
			undecided, total := 0, 30
			for range total {
				ops, init := shuffled(r, n, 5, keys)
				c := judged(t, slices.Clone(ops), init)
				switch c.states[Sequential] {
				case refuted:
					t.Fatalf("a sequential history is refuted: %+v\n%s", c.found, show(ops))
				case open:
					undecided++
				}
			}
			t.Logf("%d keys, %d operations: %d of %d undecided", keys, n, undecided, total)
			if keys == 1 && undecided > 0 || undecided > total/10 {
				t.Errorf("that is too much; one key is exact")
			}
		}
	}
}
