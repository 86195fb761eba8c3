package wgl_test

import (
	"math/rand/v2"

	"github.com/capstan-dev/capstan/checker/linear/spec"
	"github.com/capstan-dev/capstan/checker/linear/spec/spectest"
)

type verb uint8

const (
	read verb = iota
	write
	cas
)

// in is an operation on a register.
type in struct {
	verb     verb
	old, new int32
}

// out is its answer: ok is that of a cas, seen what was read, by a cas that
// failed too unless it is opaque.
type out struct {
	ok   bool
	seen int32
}

// opaque: the answer to a cas that failed and did not say what it saw.
const opaque int32 = -1

// register holds small numbers, 0 at first.
func register() spec.Model[int32, in, out] {
	return spec.Model[int32, in, out]{
		Name: "register",
		Step: func(s int32, i in, o out) (int32, bool) {
			switch {
			case i.verb == write:
				return i.new, true
			case i.verb == read:
				return s, o.seen == s
			case o.ok:
				return i.new, s == i.old
			}
			return s, s != i.old && (o.seen == opaque || o.seen == s)
		},
		Outs: func(s int32, i in) []out {
			switch {
			case i.verb == write:
				return []out{{}}
			case i.verb == read:
				return []out{{seen: s}}
			case s == i.old:
				return []out{{ok: true}}
			}
			return []out{{seen: opaque}, {seen: s}}
		},
		Pure:   func(i in, o out) bool { return i.verb == read || i.verb == cas && (!o.ok || i.old == i.new) },
		Equal:  func(a, b int32) bool { return a == b },
		Hash:   func(s int32) uint64 { return uint64(uint32(s)) },
		Object: object,
	}
}

func object() func(in, out) bool {
	value := int32(0)
	return func(i in, o out) bool {
		switch i.verb {
		case write:
			value = i.new
		case read:
			return o.seen == value
		case cas:
			if o.ok != (value == i.old) {
				return false
			}
			if !o.ok {
				return o.seen == opaque || o.seen == value
			}
			value = i.new
		}
		return true
	}
}

// few draws operations on a register of few values, so that they repeat.
func few(r *rand.Rand, _ int) in {
	return in{verb: verb(r.IntN(3)), old: r.Int32N(4), new: r.Int32N(4)}
}

func mutate(r *rand.Rand, i in, o out) out {
	switch {
	case i.verb == read:
		o.seen = r.Int32N(4)
	case i.verb == cas && r.IntN(2) == 0:
		o.ok, o.seen = !o.ok, opaque
	case i.verb == cas && !o.ok:
		o.seen = r.Int32N(4)
	}
	return o
}

func subject() spectest.Subject[int32, in, out] {
	return spectest.Subject[int32, in, out]{Model: register(), In: few, Mutate: mutate}
}

// distinct draws reads and writes of values that are never written twice.
func distinct(r *rand.Rand, i int) in {
	if r.IntN(2) == 0 {
		return in{verb: write, new: int32(i + 1)}
	}
	return in{verb: read}
}

// repeated draws reads, writes and cas of ten values.
func repeated(r *rand.Rand, _ int) in {
	return in{verb: []verb{read, read, write, cas}[r.IntN(4)], old: r.Int32N(10), new: r.Int32N(10)}
}
