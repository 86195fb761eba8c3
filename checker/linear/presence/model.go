// Package presence decides whether histories of a set with add, remove and
// contains are linearizable. The elements do not touch each other: each is
// decided by itself (Herlihy and Wing's locality).
package presence

import (
	"slices"

	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// Verb is what is done with an element.
type Verb uint8

// The verbs of a set.
const (
	Contains Verb = iota
	Add
	Remove
)

// In is one operation on element V.
type In struct {
	Verb Verb
	V    int32
}

// Out says whether the element was there when the operation took effect (so a
// first add answers false), if that is Known.
type Out struct{ OK, Known bool }

// Model is the set; its state are the elements, ascending.
func Model() spec.Model[[]int32, In, Out] {
	return spec.Model[[]int32, In, Out]{
		Name: "set",
		Step: step,
		Outs: func(s []int32, in In) []Out {
			_, there := slices.BinarySearch(s, in.V)
			return []Out{{OK: there, Known: true}}
		},
		Pure:  func(in In, out Out) bool { return kindOf(in, out, false) <= readPresent },
		Equal: func(a, b []int32) bool { return slices.Equal(a, b) },
		Hash: func(s []int32) uint64 {
			h := uint64(len(s))
			for _, v := range s {
				h = (h ^ uint64(uint32(v))) * 0x9e3779b97f4a7c15
			}
			return h
		},
		Object: func() func(In, Out) bool {
			there := map[int32]bool{}
			return func(in In, out Out) bool {
				ok := !out.Known || out.OK == there[in.V]
				if in.Verb != Contains {
					there[in.V] = in.Verb == Add
				}
				return ok
			}
		},
	}
}

func step(s []int32, in In, out Out) ([]int32, bool) {
	at, there := slices.BinarySearch(s, in.V)
	switch {
	case out.Known && out.OK != there:
		return s, false
	case in.Verb == Add && !there:
		return slices.Insert(slices.Clone(s), at, in.V), true
	case in.Verb == Remove && there:
		return slices.Delete(slices.Clone(s), at, at+1), true
	}
	return s, true
}

// kind is what an operation asks of, and does to, one element.
type kind uint8

const (
	anything    kind = iota // contains, answer unknown
	readAbsent              // it was not there, and stays so
	readPresent             // it was there, and stays so
	flipUp                  // it was not there, and is
	flipDown                // it was there, and is not
	blindUp                 // it is there, whatever it was
	blindDown               // it is not there, whatever it was
	maybeUp                 // the same, or nothing at all
	maybeDown
)

func kindOf(in In, out Out, crashed bool) kind {
	switch {
	case in.Verb == Contains && (crashed || !out.Known):
		return anything
	case in.Verb == Add && crashed:
		return maybeUp
	case in.Verb == Remove && crashed:
		return maybeDown
	case in.Verb == Add && !out.Known:
		return blindUp
	case in.Verb == Remove && !out.Known:
		return blindDown
	case in.Verb == Add && !out.OK:
		return flipUp
	case in.Verb == Remove && out.OK:
		return flipDown
	case out.OK:
		return readPresent
	}
	return readAbsent
}

// after is whether the element is there after (or while, if it reads) an
// operation of this kind.
func (k kind) after() int {
	switch k {
	case readPresent, flipUp, blindUp, maybeUp:
		return 1
	}
	return 0
}

func (k kind) reads() bool { return k == readAbsent || k == readPresent }
func (k kind) flips() bool { return k == flipUp || k == flipDown }
func (k kind) blind() bool { return k == blindUp || k == blindDown }
func (k kind) maybe() bool { return k == maybeUp || k == maybeDown }
