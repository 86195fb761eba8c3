package ranks

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestAscending(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		keys := make([]int64, r.IntN(2000))
		span := int64(1) << r.IntN(62)
		for i := range keys {
			keys[i] = r.Int64N(span) - span/2
			if r.IntN(10) == 0 {
				keys[i] = math.MaxInt64
			}
		}
		if len(keys) > 0 && r.IntN(4) == 0 {
			keys[0] = math.MinInt64
		}
		want := make([]int32, len(keys))
		for i := range want {
			want[i] = int32(i)
		}
		slices.SortStableFunc(want, func(a, b int32) int { return cmp.Compare(keys[a], keys[b]) })
		if got := Ascending(keys); !slices.Equal(got, want) {
			t.Fatalf("Ascending(%v) = %v, want %v", keys, got, want)
		}
	}
}

func TestSlots(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		low := int32(r.Uint32())
		high := int32(min(int64(low)+r.Int64N(1<<r.IntN(32)+1), math.MaxInt32))
		s, want := NewSlots(low, high, 100), map[int32]int32{}
		for range 100 {
			v := int32(int64(low) + r.Int64N(int64(high)-int64(low)+1))
			slot, added := s.Add(v)
			if old, known := want[v]; known == added || known && old != slot {
				t.Fatalf("Add(%d) = %d, %v after %v", v, slot, added, want)
			}
			want[v] = slot
		}
		for v, slot := range want {
			if s.Of(v) != slot {
				t.Fatalf("Of(%d) = %d, want %d", v, s.Of(v), slot)
			}
		}
		if s.Len() != len(want) {
			t.Fatalf("Len() = %d, want %d", s.Len(), len(want))
		}
	}
	if s := NewSlots(5, 9, 4); s.Of(4) != -1 || s.Of(10) != -1 || s.Of(math.MinInt32) != -1 {
		t.Error("a value out of range has a slot")
	}
}
