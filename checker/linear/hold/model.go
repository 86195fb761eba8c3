// Package hold decides linearizability of locks: mutexes without and with
// owners, reentrant and fenced ones. What a lock is used for are holds, and no
// two holds may overlap.
package hold

import (
	"math"

	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// Verb is what is asked of a lock.
type Verb uint8

// The operations of a lock.
const (
	Acquire Verb = iota
	Release
)

// In is one operation. Owner is who asks: a process, or a client if the lock
// knows it across processes.
type In struct {
	Verb  Verb
	Owner int32
}

// Out is what an acquire got; Token is 0 if it got none or it is not known.
type Out struct {
	Token int64
}

// Lock is a kind of lock.
type Lock struct {
	Name string
	// Owned: only the owner may release.
	Owned bool
	// Limit is how often the owner may acquire before it releases; more than
	// 1 only if Owned.
	Limit int
	// Fenced: each hold has a token, greater than those of all holds before
	// it, and an acquire by the owner returns the same one again. Only if
	// Owned.
	Fenced bool
}

// Mutex may be released by anyone.
func Mutex() Lock { return Lock{Name: "mutex", Limit: 1} }

// Owned may be released by its owner only.
func Owned() Lock { return Lock{Name: "owned-mutex", Owned: true, Limit: 1} }

// Reentrant may be acquired again by its owner.
func Reentrant(limit int) Lock { return Lock{Name: "reentrant-mutex", Owned: true, Limit: limit} }

// Fenced returns tokens that increase.
func Fenced() Lock { return Lock{Name: "fenced-mutex", Owned: true, Limit: 1, Fenced: true} }

// ReentrantFenced is both.
func ReentrantFenced(limit int) Lock {
	return Lock{Name: "reentrant-fenced-mutex", Owned: true, Limit: limit, Fenced: true}
}

// State is the state of any of these locks.
type State struct {
	Count int32 // how often it is held
	Owner int32 // 0 if nobody holds it, or the lock knows no owners
	Token int64 // of this hold, if known
	Last  int64 // the greatest token that is known
}

// Model is the sequential specification of a lock. A token that is not known
// may be any: no room is demanded between the ones before and after it.
func Model(l Lock) spec.Model[State, In, Out] {
	return spec.Model[State, In, Out]{
		Name:   l.Name,
		Init:   State{Last: math.MinInt64},
		Step:   l.step,
		Outs:   l.outs,
		Pure:   func(In, Out) bool { return false },
		Equal:  func(a, b State) bool { return a == b },
		Hash:   State.hash,
		Object: l.object,
	}
}

func (s State) hash() uint64 {
	x := uint64(uint32(s.Owner))<<32 | uint64(uint32(s.Count))
	return (x*0x9e3779b97f4a7c15+uint64(s.Token))*0xbf58476d1ce4e5b9 + uint64(s.Last)
}

func (l Lock) step(s State, in In, out Out) (State, bool) {
	if !l.Owned {
		in.Owner = 0
	}
	mine := s.Count > 0 && s.Owner == in.Owner
	if in.Verb == Release {
		switch {
		case !mine:
			return s, false
		case s.Count > 1:
			s.Count--
			return s, true
		}
		return State{Last: s.Last}, true
	}
	if s.Count > 0 && !mine || int(s.Count) == l.Limit {
		return s, false
	}
	s.Count++
	s.Owner = in.Owner
	switch {
	case !l.Fenced || out.Token == 0 || out.Token == s.Token:
		return s, true
	case s.Token != 0 || out.Token <= s.Last:
		return s, false
	}
	s.Token, s.Last = out.Token, out.Token
	return s, true
}

// outs leaves the token open, and gives the next ones where that is allowed.
func (l Lock) outs(s State, in In) []Out {
	outs := []Out{{}}
	if _, ok := l.step(s, in, outs[0]); !ok {
		return nil
	}
	switch {
	case !l.Fenced || in.Verb == Release:
	case s.Token != 0:
		outs = append(outs, Out{s.Token})
	case s.Last < 0:
		outs = append(outs, Out{1})
	default:
		outs = append(outs, Out{s.Last + 1}, Out{s.Last + 2})
	}
	return outs
}

// object keeps who holds the lock and how often in other words than State.
func (l Lock) object() func(In, Out) bool {
	var holders []int32 // the owner, once for each acquire
	var token int64
	var tokens []int64
	return func(in In, out Out) bool {
		held := len(holders) > 0
		if held && l.Owned && holders[0] != in.Owner {
			return false
		}
		if in.Verb == Release {
			if held {
				holders = holders[1:]
			}
			if len(holders) == 0 {
				token = 0
			}
			return held
		}
		if len(holders) >= l.Limit {
			return false
		}
		holders = append(holders, in.Owner)
		if !l.Fenced || out.Token == 0 {
			return true
		}
		if token != 0 {
			return token == out.Token
		}
		token = out.Token
		tokens = append(tokens, token)
		return len(tokens) < 2 || tokens[len(tokens)-2] < token
	}
}
