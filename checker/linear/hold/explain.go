package hold

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// explain looks for a small reason why a lock without owners is illegal whose
// shortest illegal prefix ends at a return. There may be none that it knows.
func explain(l Lock, ops []op, until int64, b spec.Budget) []spec.Conflict {
	byHolds := holdsUntil(l, ops, until, b)
	byCount, counted := outnumbered(ops, until)
	switch {
	case len(byHolds) > 0 && (!counted || len(byHolds[0].Ops) <= len(byCount.Ops)):
		return byHolds
	case counted:
		return []spec.Conflict{byCount}
	}
	return nil
}

// holdsUntil is the first conflict of the holds up to a return, if each owner
// acquired and released in turn until then. ops must ascend by call.
func holdsUntil(l Lock, ops []op, until int64, b spec.Budget) []spec.Conflict {
	if !slices.IsSortedFunc(ops, func(a, b op) int { return cmp.Compare(a.Call, b.Call) }) {
		return nil
	}
	var past []op
	for _, o := range ops {
		if o.Call > until {
			break
		}
		if o.Return > until {
			o.Return, o.Crashed, o.Out = spec.Never, true, Out{}
		}
		past = append(past, o)
	}
	w := walkHolds(l, past, b)
	if w.why != "" || len(w.conflicts) > 0 || b.Stopped() {
		return nil
	}
	f := w.decide()
	if f.Outcome != spec.Illegal {
		return nil
	}
	f.Conflicts[0].At = until
	return f.Conflicts[:1]
}

// outnumbered looks for a time, as short as can be, that ends at a return and in
// which two more operations of one verb began and returned than there are of
// the other that can have come then: whatever the lock was before, these must
// take turns. At first it is free, so that until a return there cannot be even
// one release more.
func outnumbered(ops []op, until int64) (spec.Conflict, bool) {
	for _, verb := range []Verb{Acquire, Release} {
		var many, few []int32
		for i := range ops {
			switch o := &ops[i]; {
			case o.In.Verb != verb && o.Call <= until:
				few = append(few, int32(i))
			case o.In.Verb == verb && o.Return <= until:
				many = append(many, int32(i))
			}
		}
		slices.SortFunc(many, func(i, j int32) int { return cmp.Compare(ops[j].Call, ops[i].Call) })
		slices.SortFunc(few, func(i, j int32) int { return cmp.Compare(ops[j].Return, ops[i].Return) })
		between := 0
		for n, i := range many {
			for between < len(few) && ops[few[between]].Return >= ops[i].Call {
				between++
			}
			if n+1 >= between+2 {
				return turns(ops, many[:n+1], few[:between], until), true
			}
		}
		if verb == Release && len(many) > len(few) {
			return tooManyReleases(ops, many, few, until), true
		}
	}
	return spec.Conflict{}, false
}

// turns: too many of one verb.
func turns(ops []op, many, few []int32, until int64) spec.Conflict {
	verb, other := "acquires", "release"
	if ops[many[0]].In.Verb == Release {
		verb, other = "releases", "acquire"
	}
	first, last := many[len(many)-1], many[0]
	for _, i := range many {
		if ops[i].Return == until {
			last = i
		}
	}
	say := fmt.Sprintf("{%d} and {%d} both succeeded, and no %s can have come in between", first, last, other)
	switch n := len(few); {
	case n == 1:
		say = fmt.Sprintf("%d %s, from {%d} to {%d}, all succeeded, and there must be one %s between any two; but only {%d} can have come then", len(many), verb, first, last, other, few[0])
	case n > 1:
		say = fmt.Sprintf("%d %s, from {%d} to {%d}, all succeeded, and there must be one %s between any two; but only %d can have come then", len(many), verb, first, last, other, n)
		if crashed := crashedOf(ops, few); crashed > 0 {
			say += fmt.Sprintf(", %d without an answer among them", crashed)
		}
	}
	return among(ops, slices.Concat(many, few), until, say)
}

// tooManyReleases: more releases than acquires from the start.
func tooManyReleases(ops []op, many, few []int32, until int64) spec.Conflict {
	say := fmt.Sprintf("{%d} succeeded, but no acquire had begun when it returned", many[0])
	if len(few) > 0 {
		say = fmt.Sprintf("%d releases succeeded, but only %d acquires had begun by the end of the last", len(many), len(few))
	}
	return among(ops, slices.Concat(many, few), until, say)
}

func among(ops []op, ids []int32, until int64, say string) spec.Conflict {
	slices.SortFunc(ids, func(i, j int32) int { return cmp.Or(cmp.Compare(ops[i].Call, ops[j].Call), cmp.Compare(i, j)) })
	return spec.Conflict{Ops: ids, At: until, Say: say}
}

func crashedOf(ops []op, ids []int32) (n int) {
	for _, i := range ids {
		if ops[i].Crashed {
			n++
		}
	}
	return n
}
