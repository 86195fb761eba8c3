// Package ranks turns the values and the times of a history into small
// consecutive numbers, in time linear in their count.
package ranks

import (
	"math"
	"slices"
)

// Slots numbers distinct values from 0, in the order in which they come. Where
// the values lie close together it is a table, otherwise a hash map.
type Slots struct {
	low    int64
	table  []int32 // slot + 1; 0 is none
	hashed map[int32]int32
	len    int32
}

// NewSlots makes room for n values between low and high.
func NewSlots(low, high int32, n int) *Slots {
	s := &Slots{low: int64(low)}
	if span := int64(high) - s.low + 1; span <= 8*int64(n)+1024 {
		s.table = make([]int32, max(0, span))
	} else {
		s.hashed = make(map[int32]int32, n)
	}
	return s
}

// Add gives v the next slot; false if it has one already.
func (s *Slots) Add(v int32) (slot int32, added bool) {
	if slot := s.Of(v); slot >= 0 {
		return slot, false
	}
	s.len++
	if s.hashed != nil {
		s.hashed[v] = s.len
	} else {
		s.table[int64(v)-s.low] = s.len
	}
	return s.len - 1, true
}

// Of is the slot of v, -1 if it has none.
func (s *Slots) Of(v int32) int32 {
	if s.hashed != nil {
		return s.hashed[v] - 1
	}
	if i := int64(v) - s.low; i >= 0 && i < int64(len(s.table)) {
		return s.table[i] - 1
	}
	return -1
}

// Len is the number of slots given.
func (s *Slots) Len() int { return int(s.len) }

const (
	digit = 11 // bits that one pass sorts by
	small = 256
)

// Ascending is the stable permutation that sorts keys: a radix sort over the
// bits in which they differ. math.MaxInt64 may stand for "never" at no cost.
func Ascending(keys []int64) []int32 {
	order := make([]int32, len(keys))
	for i := range order {
		order[i] = int32(i)
	}
	if slices.IsSorted(keys) {
		return order
	}
	if len(keys) < small {
		slices.SortStableFunc(order, func(a, b int32) int {
			if keys[a] < keys[b] {
				return -1
			}
			if keys[a] > keys[b] {
				return 1
			}
			return 0
		})
		return order
	}
	return radix(keys, order)
}

func radix(keys []int64, order []int32) []int32 {
	low, high := int64(math.MaxInt64), int64(math.MinInt64)
	for _, k := range keys {
		if k < math.MaxInt64 {
			low, high = min(low, k), max(high, k)
		}
	}
	reduced := make([]uint64, len(keys))
	last := uint64(high) - uint64(low) + 1
	for i, k := range keys {
		reduced[i] = last
		if k < math.MaxInt64 {
			reduced[i] = uint64(k) - uint64(low)
		}
	}
	other := make([]int32, len(order))
	for shift := 0; shift < 64 && last>>shift > 0; shift += digit {
		var start [1 << digit]int32
		for _, k := range reduced {
			start[k>>shift&(1<<digit-1)]++
		}
		sum := int32(0)
		for d, n := range start {
			start[d] = sum
			sum += n
		}
		for _, i := range order {
			d := reduced[i] >> shift & (1<<digit - 1)
			other[start[d]] = i
			start[d]++
		}
		order, other = other, order
	}
	return order
}
