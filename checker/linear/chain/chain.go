// Package chain decides the linearizability of registers whose written values
// are unique, in time that is linear in the number of operations.
//
// What a value's write and its reads tell about time is one interval, its zone
// (Gibbons and Korach, Testing Shared Memories, SIAM J. Comput. 26(4), 1997).
// A cas that succeeded ties the value that it found to the one that it set, so
// that runs of them, the chains, have one zone together. The register is
// linearizable if and only if the chains are right in themselves and no two
// zones exclude each other. Only a cas that failed and does not say what it
// found needs more: see search.
package chain

import (
	"math"

	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// Verb is what an operation asks of the register.
type Verb uint8

// CAS is a compare-and-set.
const (
	Read Verb = iota
	Write
	CAS
)

// Opaque is the V of a cas that failed and did not say what it found.
const Opaque = -1

// In is a read, a write of A, or a cas from A to B. Values are numbers from 0.
type In struct {
	Verb Verb
	A, B int32
}

// Out is the answer: what a read found; whether a cas swapped, and if not the
// other value that it found, or Opaque.
type Out struct {
	V  int32
	OK bool
}

// Op is one operation on one register.
type Op = spec.Op[In, Out]

// Model is a register that holds init at first. It takes repeated values too.
func Model(init int32) spec.Model[int32, In, Out] {
	return spec.Model[int32, In, Out]{
		Name: "register",
		Init: init,
		Step: step,
		Outs: func(s int32, in In) []Out {
			switch {
			case in.Verb == Read:
				return []Out{{V: s}}
			case in.Verb == CAS && s != in.A:
				return []Out{{V: s}, {V: Opaque}}
			case in.Verb == CAS:
				return []Out{{OK: true}}
			}
			return []Out{{}}
		},
		Pure: func(in In, out Out) bool {
			return in.Verb == Read || in.Verb == CAS && (!out.OK || in.A == in.B)
		},
		Equal: func(a, b int32) bool { return a == b },
		Hash:  func(s int32) uint64 { return (uint64(uint32(s)) + 1) * 0x9e3779b97f4a7c15 },
		Object: func() func(In, Out) bool {
			r := register{held: init}
			return r.take
		},
	}
}

func step(s int32, in In, out Out) (int32, bool) {
	switch in.Verb {
	case Read:
		return s, out.V == s
	case Write:
		return in.A, true
	}
	if out.OK {
		return in.B, s == in.A
	}
	return s, s != in.A && (out.V == s || out.V == Opaque)
}

// register is the object that certificates are replayed on.
type register struct{ held int32 }

func (r *register) take(in In, out Out) bool {
	if in.Verb == Read {
		return r.held == out.V
	}
	if in.Verb == Write {
		r.held = in.A
		return true
	}
	found := r.held == in.A
	switch {
	case found:
		r.held = in.B
		return out.OK
	case out.OK:
		return false
	}
	return out.V == Opaque || out.V == r.held
}

// Blind is a cas of which only the new value matters: a write of it. It is
// legal wherever the cas is.
func Blind(o Op) Op {
	if o.In.Verb == CAS {
		o.In = In{Verb: Write, A: o.In.B}
		o.Out = Out{}
	}
	return o
}

const (
	none    = -1 // no operation, no value
	initial = -2 // in place of the operation that set the initial value
	dawn    = math.MinInt64
)
