package kv

import (
	"fmt"
	"slices"
)

// index tells who put and appended which piece.
type index struct {
	ops     []Op
	puts    map[string][]int32
	appends map[string][]int32
	lengths []int              // of what is appended
	rooted  map[string][]int32 // see roots
}

func newIndex(ops []Op) (*index, error) {
	x := &index{ops: ops, puts: map[string][]int32{}, appends: map[string][]int32{}, rooted: map[string][]int32{"": {none}}}
	for i := range ops {
		switch in := ops[i].In; {
		case in.Verb == Put:
			x.puts[in.Piece] = append(x.puts[in.Piece], int32(i))
		case in.Verb == Append && in.Piece == "":
			return nil, fmt.Errorf("operation %d appends nothing", i)
		case in.Verb == Append:
			x.appends[in.Piece] = append(x.appends[in.Piece], int32(i))
			if !slices.Contains(x.lengths, len(in.Piece)) {
				x.lengths = append(x.lengths, len(in.Piece))
			}
		}
	}
	return x, nil
}

// options are the operations after which the key can have held s, going by the
// last piece only.
func (x *index) options(s string) []int32 {
	out := x.puts[s]
	for _, n := range x.lengths {
		if n > len(s) {
			continue
		}
		if more := x.appends[s[len(s)-n:]]; len(more) > 0 {
			out = append(out[:len(out):len(out)], more...)
		}
	}
	return out
}

// roots are the puts that s, split into pieces in any way, can begin with, and
// none for the empty string at the beginning. Several mean that the key can
// have held s more than once; no roots, that s cannot be split.
func (x *index) roots(s string) []int32 {
	if out, ok := x.rooted[s]; ok {
		return out
	}
	var out []int32
	for _, i := range x.options(s) {
		out = append(out, x.rootsBy(s, i)...)
	}
	slices.Sort(out)
	out = slices.Compact(out)
	x.rooted[s] = out
	return out
}

// rootsBy are the roots of s if the last piece is operation i's.
func (x *index) rootsBy(s string, i int32) []int32 {
	if x.ops[i].In.Verb == Put {
		return []int32{i}
	}
	before, _ := cut(s, x.ops[i].In.Piece)
	return x.roots(before)
}
