// Package kv decides the linearizability of one key of a store with put,
// append and get, where what is put and appended is unique. What a get returns
// tells the order of the appends that it is made of, so that an append that
// was seen is a cas from what was there before to what was there after, and
// one that was not is a write: a register with unique values, see chain.
package kv

import (
	"hash/maphash"
	"strings"

	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// Verb is what an operation asks of the key.
type Verb uint8

// The key holds the empty string at first.
const (
	Get Verb = iota
	Put
	Append
)

// In is a get, or a put or append of Piece.
type In struct {
	Verb  Verb
	Piece string
}

// Out is what a get returned.
type Out struct{ Value string }

// Op is one operation on one key.
type Op = spec.Op[In, Out]

// Model is a key that holds a string. Pieces may repeat.
func Model() spec.Model[string, In, Out] {
	seed := maphash.MakeSeed()
	return spec.Model[string, In, Out]{
		Name: "kv",
		Step: func(s string, in In, out Out) (string, bool) {
			switch in.Verb {
			case Put:
				return in.Piece, true
			case Append:
				return s + in.Piece, true
			}
			return s, out.Value == s
		},
		Outs: func(s string, in In) []Out {
			if in.Verb == Get {
				return []Out{{s}}
			}
			return []Out{{}}
		},
		Pure:  func(in In, _ Out) bool { return in.Verb == Get || in.Verb == Append && in.Piece == "" },
		Equal: func(a, b string) bool { return a == b },
		Hash:  func(s string) uint64 { return maphash.String(seed, s) },
		Object: func() func(In, Out) bool {
			var k key
			return k.take
		},
	}
}

// key is the object that certificates are replayed on.
type key struct{ held []byte }

func (k *key) take(in In, out Out) bool {
	switch in.Verb {
	case Get:
		return string(k.held) == out.Value
	case Put:
		k.held = k.held[:0]
	}
	k.held = append(k.held, in.Piece...)
	return true
}

// cut is s without what piece appended to it.
func cut(s, piece string) (before string, ok bool) { return strings.CutSuffix(s, piece) }
