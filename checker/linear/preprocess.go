package linear

import (
	"fmt"
	"slices"
)

// preSteps counts what preprocess did, for the record.
type preSteps struct {
	dropped   int
	truncated int
	ambiguous int // crashed operations left alone because their value is not unique
}

func (s *preSteps) add(t preSteps) {
	s.dropped += t.dropped
	s.truncated += t.truncated
	s.ambiguous += t.ambiguous
}

func (s preSteps) lines() []string {
	out := []string{}
	note := func(n int, format string) {
		if n > 0 {
			out = append(out, fmt.Sprintf(format, thousands(n)))
		}
	}
	note(s.dropped, "dropped %s crashed operations whose value nobody saw")
	note(s.truncated, "ended %s crashed operations at the return of the first operation that saw their value")
	note(s.ambiguous, "left %s crashed operations open: others set the same value")
	return out
}

// preprocess removes and narrows crashed operations where that provably does
// not change the answer.
//
// Dropped is a crashed write or cas that sets a value which no operation sees.
// If it took effect, the next operation that minds the state is a write, so
// the same order without it is legal too. Dropping a cas may leave the value
// that it saw unseen, so this goes on until nothing changes. It needs no
// uniqueness.
//
// Narrowed is a crashed write or cas that is the only one to set its value
// (and the value is not the initial one) if a completed operation saw it: it
// did take effect, before that operation returned. It is an ordinary operation
// from then on, and what it saw must have been set by then in its turn.
func (k *keyOps) preprocess(ops []op) ([]op, preSteps) {
	var s preSteps
	if k.mutex || !slices.ContainsFunc(ops, func(o op) bool { return o.crashed }) {
		return ops, s
	}
	ops = slices.Clone(ops)
	seen := make([]int32, len(k.values))
	setters := make([]int32, len(k.values))
	for i := range ops {
		if v, ok := ops[i].sees(); ok {
			seen[v]++
		}
	}
	for again := true; again; {
		again = false
		ops = slices.DeleteFunc(ops, func(o op) bool {
			v, _ := o.sets()
			unseen := seen[v] == 0 || o.kind == cas && o.a == o.b
			if !o.crashed || !unseen {
				return false
			}
			if o.kind == cas {
				seen[o.a]--
				again = true
			}
			s.dropped++
			return true
		})
	}
	setters[k.init]++
	for i := range ops {
		if v, ok := ops[i].sets(); ok {
			setters[v]++
		}
	}
	k.narrow(ops, setters, &s)
	for i := range ops {
		if v, ok := ops[i].sets(); ok && ops[i].crashed && setters[v] > 1 {
			s.ambiguous++
		}
	}
	return ops, s
}

// narrow ends observed crashed operations, and so on along chains of crashed
// cas.
func (k *keyOps) narrow(ops []op, setters []int32, s *preSteps) {
	setter := map[int32]int{} // value -> its only setter, if that crashed
	for i := range ops {
		if v, ok := ops[i].sets(); ok && ops[i].crashed && setters[v] == 1 {
			setter[v] = i
		}
	}
	var work []int
	for i := range ops {
		if !ops[i].crashed {
			work = append(work, i)
		}
	}
	for len(work) > 0 {
		o := ops[work[len(work)-1]]
		work = work[:len(work)-1]
		v, ok := o.sees()
		i, only := setter[v]
		if !ok || !only || o.ret >= ops[i].ret {
			continue
		}
		if ops[i].crashed {
			ops[i].crashed = false
			s.truncated++
		}
		// A setter that began after it was seen stays contradictory.
		ops[i].ret = max(o.ret, ops[i].call)
		work = append(work, i)
	}
}
