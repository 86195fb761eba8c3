package weak

import (
	"cmp"
	"fmt"
	"slices"
)

// violation is what refutes a model.
type violation struct {
	model string
	// accused is the operation at which it showed.
	accused int32
	// ops are the operations of the witness, ascending.
	ops []int32
	// say has {3} for operation 3.
	say string
}

func newViolation(model string, accused int32, ops []int32, say string, args ...any) violation {
	ops = slices.DeleteFunc(slices.Clone(ops), func(i int32) bool { return i < 0 })
	slices.Sort(ops)
	return violation{model, accused, slices.Compact(ops), fmt.Sprintf(say, args...)}
}

// tally keeps the smallest witness of a model and counts the violations.
type tally struct {
	model  string
	count  int
	best   violation
	byProc map[int32]int
	byNode map[int32]int
}

func newTally(model string) *tally {
	return &tally{model: model, byProc: map[int32]int{}, byNode: map[int32]int{}}
}

// add counts a violation. make is called if it may be the smallest, of size
// operations.
func (l *tally) add(t *trace, accused int32, size int, make func() violation) {
	l.count++
	l.byProc[t.ops[accused].Process]++
	l.byNode[t.ops[accused].Node]++
	if l.count == 1 || size < len(l.best.ops) {
		v := make()
		if l.count == 1 || cmp.Compare(len(v.ops), len(l.best.ops)) < 0 {
			l.best = v
		}
	}
}

// session is an operation sequence as one client sees it: those of a process,
// the crashed ones left out.
func (t *trace) session(c int) []int32 {
	if t.branch[c] >= 0 {
		return nil
	}
	return t.chains[c]
}

// last returns what a process read last of each key, in the current piece.
type last struct {
	piece []int32 // by key
	read  []int32 // by key: the last read
	of    []int32 // by write: the piece in which it was read
	first []int32 // by write: where it was read first in that piece
}

func newLast(t *trace, keys int) *last {
	return &last{make([]int32, keys), make([]int32, keys), make([]int32, len(t.ops)), make([]int32, len(t.ops))}
}

// before is the last read of a key in a piece, -1: none.
func (l *last) before(piece, key int32) int32 {
	if l.piece[key] != piece {
		return -1
	}
	return l.read[key]
}

// first is the first read of a write in a piece, -1: none.
func (l *last) firstOf(piece, w int32) int32 {
	if l.of[w] != piece {
		return -1
	}
	return l.first[w]
}

func (l *last) add(t *trace, piece, r int32) {
	key, w := t.ops[r].Key, t.from[r]
	l.piece[key], l.read[key] = piece, r
	if w >= 0 && l.of[w] != piece {
		l.of[w], l.first[w] = piece, r
	}
}

func itoa(i int32) string { return fmt.Sprint(i) }

// withObservers adds, for crashed operations, somebody who saw that they took
// effect.
func (t *trace) withObservers(ops []int32) []int32 {
	all := slices.Clone(ops)
	for n := 0; n < len(all); n++ {
		w := all[n]
		if !t.ops[w].Crashed || slices.ContainsFunc(all, func(i int32) bool { return i != w && t.from[i] == w }) {
			continue
		}
		for by, from := range t.from {
			if from == w && int32(by) != w {
				all = append(all, int32(by))
				break
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
