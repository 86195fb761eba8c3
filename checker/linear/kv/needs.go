package kv

import (
	"slices"

	"github.com/capstan-dev/capstan/checker/linear/chain"
	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// Needs gives for each operation those that must stay in the history if it
// does, so that what stays of a legal history is legal: those of the pieces
// that it saw, and of the pieces before it if it was seen. Where it is not clear
// which these are, a get needs all that may be, and a get of what no pieces
// make up needs nothing: nothing can make it right.
func Needs(ops []Op) [][]int32 {
	ix, err := newIndex(ops)
	if err != nil {
		return allNeedAll(len(ops))
	}
	if r := reduce(ops, ix, nil); len(r.conflicts) == 0 && len(r.open) == 0 {
		return chain.Needs(r.out)
	}
	l := lines{ix: ix, of: map[string]prefix{}}
	found := make([]prefix, len(ops))
	for i := range ops {
		if o := &ops[i]; o.In.Verb == Get && !o.Crashed {
			found[i] = l.pieces(o.Out.Value)
		}
	}
	needs := make([][]int32, len(ops))
	for i, p := range found {
		if p.line != nil {
			needs[i] = p.line.ops[:p.length:p.length]
		}
	}
	return needs
}

func allNeedAll(n int) [][]int32 {
	needs, all := make([][]int32, n), make([]int32, n)
	for i := range all {
		all[i] = int32(i)
		needs[i] = all
	}
	return needs
}

// lines are the operations of all pieces that strings can be made of. A string
// shares those of what it begins with, so that a thousand gets that each saw
// one piece more take no more memory than the last.
type lines struct {
	ix *index
	of map[string]prefix
}

type line struct{ ops []int32 }

// prefix is the first operations of a line; possible is false if no pieces
// make up the string.
type prefix struct {
	line     *line
	length   int
	possible bool
}

// pieces is for s.
func (l *lines) pieces(s string) prefix {
	if p, ok := l.of[s]; ok {
		return p
	}
	var out prefix
	for _, i := range l.ix.options(s) {
		p := prefix{possible: true}
		if o := &l.ix.ops[i]; o.In.Verb == Append {
			before, _ := cut(s, o.In.Piece)
			p = l.pieces(before)
		}
		if p.possible {
			out = both(out, p.and(i))
		}
	}
	if s == "" { // it held that at first, too
		out.possible = true
	}
	l.of[s] = out
	return out
}

// and is with one operation more.
func (p prefix) and(i int32) prefix {
	switch {
	case p.line == nil:
		p.line = &line{}
	case len(p.line.ops) > p.length: // another string goes on differently
		p.line = &line{slices.Clone(p.line.ops[:p.length])}
	}
	p.line.ops = append(p.line.ops, i)
	p.length++
	return p
}

// both is the operations of two.
func both(a, b prefix) prefix {
	if a.line == nil {
		b.possible = a.possible || b.possible
		return b
	}
	all := slices.Concat(a.line.ops[:a.length], b.line.ops[:b.length])
	slices.Sort(all)
	all = slices.Compact(all)
	return prefix{line: &line{all}, length: len(all), possible: true}
}

// impossible are the gets that no pieces make up: each is a conflict by itself.
func impossible(ops []Op, ix *index) []spec.Conflict {
	var out []spec.Conflict
	for i := range ops {
		o := &ops[i]
		if o.In.Verb != Get || o.Crashed || len(ix.roots(o.Out.Value)) > 0 {
			continue
		}
		out = append(out, spec.Conflict{Ops: []int32{int32(i)}, At: o.Return, Say: foreign(int32(i))})
	}
	return out
}
