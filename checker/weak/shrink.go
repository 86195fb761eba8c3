package weak

import (
	"context"
	"slices"
)

// maxShrink is the size up to which a witness is made smaller.
const maxShrink = 60

// shrink leaves operations of a witness out, one or two at a time, as long as
// what is left refutes the model by itself; what is told is then told anew.
func (t *trace) shrink(v violation, init []int32) violation {
	if len(v.ops) > maxShrink || t.thin >= 0 {
		return v
	}
	ops, told := v.ops, violation{}
	try := func(leave ...int32) bool {
		left := slices.DeleteFunc(slices.Clone(ops), func(i int32) bool { return slices.Contains(leave, i) })
		found, ok := t.alone(v.model, left, init)
		if ok {
			told, ops = found, found.ops
		}
		return ok
	}
	if !try() {
		return v
	}
	for again := true; again; {
		again = false
		for _, i := range slices.Clone(ops) {
			if slices.Contains(ops, i) && try(i) {
				again = true
			}
		}
		for _, i := range slices.Clone(ops) { // a write and its only reader
			if r := t.onlyReader(i, ops); r >= 0 && slices.Contains(ops, i) && try(i, r) {
				again = true
			}
		}
	}
	return told
}

// onlyReader is the one of the operations that read a write, -1: none or
// several.
func (t *trace) onlyReader(w int32, ops []int32) int32 {
	only := int32(-1)
	for _, r := range ops {
		if r != w && t.from[r] == w {
			if only >= 0 {
				return -1
			}
			only = r
		}
	}
	return only
}

// alone judges some operations by themselves. ok is false if they do not refute
// the model, or only by a read of what is left out.
func (t *trace) alone(model string, ops []int32, init []int32) (v violation, ok bool) {
	keys, values := map[int32]int32{}, map[int32]int32{None: None}
	number := func(names map[int32]int32, n, first int32) int32 {
		id, known := names[n]
		if !known {
			id = int32(len(names)) - first
			names[n] = id
		}
		return id
	}
	var sub []Op
	var starts []int32
	for n, i := range ops {
		o := t.ops[i]
		key := o.Key
		if o.Key = number(keys, key, 0); int(o.Key) == len(starts) {
			starts = append(starts, number(values, init[key], 1))
		}
		o.See, o.Set, o.Note = number(values, o.See, 1), number(values, o.Set, 1), int32(n)
		sub = append(sub, o)
	}
	c, err := judge(context.Background(), sub, starts, Options{})
	if err != nil || c.t.thin >= 0 || len(c.t.ops) != len(sub) || c.t.ambiguous > 0 {
		return v, false
	}
	if v, ok = c.found[model]; !ok {
		return v, false
	}
	v.ops = slices.Clone(v.ops)
	for n, i := range v.ops {
		v.ops[n] = ops[c.t.ops[i].Note]
	}
	v.accused = ops[c.t.ops[v.accused].Note]
	v.say = placeholder.ReplaceAllStringFunc(v.say, func(p string) string { return renumber(p, ops) })
	return v, true
}
