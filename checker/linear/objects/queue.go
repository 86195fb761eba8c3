package objects

import (
	"slices"

	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// line is an immutable queue: the front, the oldest value first, and then the
// back, the youngest first. The front is empty only if all is. A put costs
// O(1), a take O(1) or once in a while the length.
type line struct {
	front, back *cells
	sum         uint64 // of mix(value) * base^place, place 0 is the oldest
	power       uint64 // base^length
}

// base is odd, so that it has an inverse modulo 2^64.
const base uint64 = 0x9e3779b97f4a7c15

// inverse is found by Newton's iteration; each round doubles the right bits.
func inverse(b uint64) uint64 {
	x := b
	for range 6 {
		x *= 2 - b*x
	}
	return x
}

func (q line) put(v int32) line {
	q.sum += mix(uint64(uint32(v))) * q.power
	q.power *= base
	if q.front == nil {
		q.front = q.front.push(v)
	} else {
		q.back = q.back.push(v)
	}
	return q
}

// take removes the oldest; q is not empty.
func (q line) take(inverse uint64) line {
	q.sum = (q.sum - mix(uint64(uint32(q.front.value)))) * inverse
	q.power *= inverse
	q.front = q.front.rest
	if q.front == nil {
		for ; q.back != nil; q.back = q.back.rest {
			q.front = q.front.push(q.back.value)
		}
	}
	return q
}

func (q line) equal(r line) bool {
	if q.sum != r.sum || q.power != r.power {
		return false
	}
	if q.front.equal(r.front) && q.back.equal(r.back) {
		return true
	}
	return slices.Equal(q.list(), r.list())
}

// list is the values, the oldest first.
func (q line) list() []int32 {
	out := q.front.list()
	slices.Reverse(out)
	return append(out, q.back.list()...)
}

// Bytes is about what the last step allocated: the rest is shared.
func (q line) Bytes() int { return 32 }

// Queue takes the oldest value; values may repeat. Out is as for a stack.
func Queue() spec.Model[line, In, int32] {
	inv := inverse(base)
	return spec.Model[line, In, int32]{
		Name: "fifo-queue",
		Init: line{power: 1},
		Step: func(s line, in In, out int32) (line, bool) {
			switch {
			case in.Verb == Put:
				return s.put(in.Value), true
			case s.front == nil:
				return s, out == None
			case s.front.value != out:
				return s, false
			}
			return s.take(inv), true
		},
		Outs: func(s line, in In) []int32 {
			switch {
			case in.Verb == Put:
				return []int32{0}
			case s.front == nil:
				return []int32{None}
			}
			return []int32{s.front.value}
		},
		Pure:  pure,
		Equal: line.equal,
		Hash:  func(s line) uint64 { return s.sum },
		Object: func() func(In, int32) bool {
			var values []int32
			head := 0
			return func(in In, out int32) bool {
				if in.Verb == Put {
					values = append(values, in.Value)
					return true
				}
				if head == len(values) {
					return out == None
				}
				head++
				return values[head-1] == out
			}
		},
	}
}
