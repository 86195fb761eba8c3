package linear

import (
	"encoding/json"
	"slices"

	"github.com/capstan-dev/capstan/checker/linear/chain"
	"github.com/capstan-dev/capstan/checker/linear/spec"
	"github.com/capstan-dev/capstan/checker/value"
	"github.com/capstan-dev/capstan/history"
)

type (
	registerOp     = spec.Op[chain.In, chain.Out]
	registerObject = object[int32, chain.In, chain.Out]
)

// sees is the value that an operation needs to find, if it needs one.
func sees(o *registerOp) (int32, bool) {
	switch {
	case o.In.Verb == chain.Read:
		return o.Out.V, true
	case o.In.Verb == chain.CAS && (o.Crashed || o.Out.OK):
		return o.In.A, true
	case o.In.Verb == chain.CAS && o.Out.V != chain.Opaque:
		return o.Out.V, true
	}
	return 0, false
}

// sets is the value that it leaves behind, if it sets one.
func sets(o *registerOp) (int32, bool) {
	switch {
	case o.In.Verb == chain.Write:
		return o.In.A, true
	case o.In.Verb == chain.CAS && (o.Crashed || o.Out.OK):
		return o.In.B, true
	}
	return 0, false
}

func isCAS(o *registerOp) bool {
	return o.In.Verb == chain.CAS && (o.Crashed || o.Out.OK)
}

func isOpaque(o *registerOp) bool {
	return o.In.Verb == chain.CAS && !o.Crashed && !o.Out.OK && o.Out.V == chain.Opaque
}

// registerOf opens a key of a register; withCAS knows compare-and-set too.
func registerOf(withCAS bool) func(*keyCalls) (problem, error) {
	return func(k *keyCalls) (problem, error) {
		values := value.NewNames()
		init := values.Of(k.o.Init)
		var failed []failedSet
		ops, at, err := collect(k, func(c call) (in chain.In, out chain.Out, use bool, err error) {
			in, out, use, err = k.register(c, values, withCAS)
			if err == nil && c.failed() && in.Verb != chain.Read {
				failed = append(failed, failedSet{showCall(c), set(&registerOp{In: in, Crashed: true})})
			}
			return in, out, use, err
		})
		if err != nil {
			return nil, err
		}
		n := values.Len()
		x := &registerObject{
			calls: k, model: chain.Model(init), ops: ops, at: at, values: values, named: "zones",
			special: func(ops []registerOp, b spec.Budget) spec.Finding[chain.Out] {
				f := chain.Decide(ops, init, n, b)
				if f.Outcome == spec.Inapplicable { // its numbers of values mean nothing to a reader
					f.Why = "a value is set more than once, and seen"
				}
				return f
			},
			needs: chain.Needs,
			reduce: func(x *registerObject, ops []registerOp) reduction[chain.In, chain.Out] {
				return reduceRegister(k.o, ops, init, n)
			},
			relax: relaxCAS,
			tell: func(x *registerObject, c *candidate[chain.In, chain.Out], base teller, show []shown) (string, []shown) {
				t := newRegisterTeller(x, c, base, show)
				t.values, t.init, t.failed = values, init, failed
				c.suffix = t.relaxed()
				return t.tell(), t.support
			},
		}
		return x, nil
	}
}

// failedSet is a write or cas that certainly did not happen, for explanations.
type failedSet struct {
	shown
	sets int32
}

// register decodes a call of a register.
func (k *keyCalls) register(c call, values *value.Names, withCAS bool) (in chain.In, out chain.Out, use bool, err error) {
	switch {
	case c.Invoke.F == "read":
		if !c.ok() {
			return in, out, false, nil
		}
		out.V = values.Of(c.out)
		return in, out, out.V != 0 || !k.nilSaysNothing(), nil
	case c.Invoke.F == "write":
		in = chain.In{Verb: chain.Write, A: values.Of(c.in)}
		return in, out, !c.failed(), nil
	case c.Invoke.F == "cas" && withCAS:
		return k.cas(c, values)
	case withCAS:
		return in, out, false, k.unknownF(c, "read", "write", "cas")
	}
	return in, out, false, k.unknownF(c, "read", "write")
}

// nilSaysNothing: a read of null is a wildcard.
func (k *keyCalls) nilSaysNothing() bool {
	return k.o.Nil == NilWildcard || k.o.Nil == "" && len(k.o.Init) > 0
}

// cas decodes a compare-and-set. A failed one may tell what it saw, as
// [old, new, seen].
func (k *keyCalls) cas(c call, values *value.Names) (in chain.In, out chain.Out, use bool, err error) {
	old, new, ok := history.SplitPair(c.in)
	if !ok {
		return in, out, false, c.want("[old, new]")
	}
	in = chain.In{Verb: chain.CAS, A: values.Of(old), B: values.Of(new)}
	if !c.failed() {
		return in, chain.Out{OK: true}, true, nil
	}
	if seen, ok := seenBy(c.out); ok && k.o.FailedCAS != FailedDrop {
		out.V = values.Of(seen)
		return in, out, true, nil
	}
	out.V = chain.Opaque
	return in, out, k.o.FailedCAS == FailedMismatch || k.o.FailedCAS == "" && c.Complete.Unmet(), nil
}

// seenBy is what a failed cas saw, if its completion tells.
func seenBy(out json.RawMessage) (json.RawMessage, bool) {
	if n := len(out); n < 2 || out[0] != '[' {
		return nil, false
	}
	var parts []json.RawMessage
	if json.Unmarshal(out, &parts) != nil || len(parts) != 3 {
		return nil, false
	}
	return parts[2], true
}

// relaxCAS takes a cas for a write of its new value.
func relaxCAS(o registerOp) (registerOp, bool) {
	if !isCAS(&o) {
		return o, false
	}
	return chain.Blind(o), true
}

// reduceRegister leaves out and narrows crashed operations.
//
// Left out is a crashed write or cas that sets a value which no operation sees.
// If it took effect, the next operation that minds the state is a write, so
// the same order without it is legal too. Leaving out a cas may make the value
// that it saw unseen, so this goes on until nothing changes. It needs no
// uniqueness, but that no cas failed without telling what it saw: any value
// would have made that right.
//
// Narrowed is a crashed write or cas that is the only one to set its value
// (and the value is not the initial one) if a completed operation saw it: it
// did take effect, before that operation returned. It is an ordinary operation
// from then on, and what it saw must have been set by then in its turn.
func reduceRegister(o Options, ops []registerOp, init int32, values int) reduction[chain.In, chain.Out] {
	r := registerReduction{init: init}
	r.ops = ops
	if !slices.ContainsFunc(ops, func(o registerOp) bool { return o.Crashed }) {
		return r.reduction
	}
	r.ops = slices.Clone(ops)
	r.origin = make([]int32, len(ops))
	for i := range r.origin {
		r.origin[i] = int32(i)
	}
	if !o.without(StepDrop) && !slices.ContainsFunc(ops, func(o registerOp) bool { return isOpaque(&o) }) {
		r.drop(make([]int32, values))
	}
	if !o.without(StepTruncate) {
		r.narrow(make([]int32, values))
	}
	return r.reduction
}

type registerReduction struct {
	reduction[chain.In, chain.Out]
	init int32
}

func (r *registerReduction) drop(seen []int32) {
	for i := range r.ops {
		if v, ok := sees(&r.ops[i]); ok {
			seen[v]++
		}
	}
	for again := true; again; {
		again = false
		n := 0
		for i, o := range r.ops {
			if o.Crashed && (seen[set(&o)] == 0 || isCAS(&o) && o.In.A == o.In.B) {
				if isCAS(&o) {
					seen[o.In.A]--
					again = true
				}
				r.steps.dropped++
				continue
			}
			r.ops[n], r.origin[n] = o, r.origin[i]
			n++
		}
		r.ops, r.origin = r.ops[:n], r.origin[:n]
	}
}

// set is the value that a crashed write or cas sets.
func set(o *registerOp) int32 {
	v, _ := sets(o)
	return v
}

// narrow ends observed crashed operations, and so on along chains of crashed
// cas.
func (r *registerReduction) narrow(setters []int32) {
	setters[r.init]++
	for i := range r.ops {
		if v, ok := sets(&r.ops[i]); ok {
			setters[v]++
		}
	}
	setter := map[int32]int{} // value -> its only setter, if that crashed
	var work []int
	for i := range r.ops {
		if !r.ops[i].Crashed {
			work = append(work, i)
		} else if v := set(&r.ops[i]); setters[v] == 1 {
			setter[v] = i
		} else {
			r.steps.ambiguous++
		}
	}
	for len(work) > 0 {
		o := r.ops[work[len(work)-1]]
		work = work[:len(work)-1]
		v, ok := sees(&o)
		i, only := setter[v]
		if !ok || !only || o.Return >= r.ops[i].Return {
			continue
		}
		if r.ops[i].Crashed {
			r.ops[i].Crashed, r.ops[i].Out.OK = false, r.ops[i].In.Verb == chain.CAS
			r.steps.truncated++
		}
		// A setter that began after it was seen stays contradictory.
		r.ops[i].Return = max(o.Return, r.ops[i].Call)
		work = append(work, i)
	}
}
