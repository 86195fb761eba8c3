// Package fifo decides whether histories of queues are linearizable: ordered
// (first in, first out) or not (a bag). No value may be enqueued twice.
package fifo

import (
	"slices"

	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// In is enqueue V, or dequeue.
type In struct {
	Deq bool
	V   int32
}

// Out is what a dequeue returned: V, or that there was nothing. That of an
// enqueue is zero.
type Out struct {
	V     int32
	Empty bool
}

// Model is the queue: its state are the values in it, oldest first if it is
// ordered, else ascending.
func Model(ordered bool) spec.Model[[]int32, In, Out] {
	m := spec.Model[[]int32, In, Out]{
		Name: "queue",
		Pure: func(in In, out Out) bool { return in.Deq && out.Empty },
		Equal: func(a, b []int32) bool {
			return slices.Equal(a, b)
		},
		Hash:   hash,
		Step:   step,
		Outs:   oldest,
		Object: func() func(In, Out) bool { return new(queue).do },
	}
	if !ordered {
		m.Name, m.Step, m.Outs = "bag", stepBag, anyValue
		m.Object = func() func(In, Out) bool { return bag{}.do }
	}
	return m
}

func hash(s []int32) uint64 {
	h := uint64(len(s))
	for _, v := range s {
		h = (h ^ uint64(uint32(v))) * 0x9e3779b97f4a7c15
	}
	return h
}

func step(s []int32, in In, out Out) ([]int32, bool) {
	switch {
	case !in.Deq:
		return append(slices.Clone(s), in.V), true
	case out.Empty:
		return s, len(s) == 0
	case len(s) == 0 || s[0] != out.V:
		return s, false
	}
	return s[1:], true
}

func oldest(s []int32, in In) []Out {
	switch {
	case !in.Deq:
		return []Out{{}}
	case len(s) == 0:
		return []Out{{Empty: true}}
	}
	return []Out{{V: s[0]}}
}

func stepBag(s []int32, in In, out Out) ([]int32, bool) {
	if out.Empty {
		return s, len(s) == 0
	}
	v := in.V
	if in.Deq {
		v = out.V
	}
	at, found := slices.BinarySearch(s, v)
	if !in.Deq {
		return slices.Insert(slices.Clone(s), at, v), true
	}
	if !found {
		return s, false
	}
	return slices.Delete(slices.Clone(s), at, at+1), true
}

func anyValue(s []int32, in In) []Out {
	if !in.Deq || len(s) == 0 {
		return oldest(s, in)
	}
	var outs []Out
	for _, v := range slices.Compact(slices.Clone(s)) {
		outs = append(outs, Out{V: v})
	}
	return outs
}

// queue is a live queue; head is where the oldest value is.
type queue struct {
	values []int32
	head   int
}

func (q *queue) do(in In, out Out) bool {
	switch {
	case !in.Deq:
		q.values = append(q.values, in.V)
		return true
	case out.Empty:
		return q.head == len(q.values)
	case q.head == len(q.values) || q.values[q.head] != out.V:
		return false
	}
	if q.head++; q.head > 1024 && q.head > len(q.values)/2 {
		q.values = append(q.values[:0], q.values[q.head:]...)
		q.head = 0
	}
	return true
}

// bag is a live bag: how often it holds each value.
type bag map[int32]int32

func (b bag) do(in In, out Out) bool {
	switch {
	case !in.Deq:
		b[in.V]++
		return true
	case out.Empty:
		return len(b) == 0
	case b[out.V] == 0:
		return false
	}
	if b[out.V]--; b[out.V] == 0 {
		delete(b, out.V)
	}
	return true
}
