package durable_test

import (
	"slices"

	"github.com/capstan-dev/capstan/checker/linear/chain"
	"github.com/capstan-dev/capstan/checker/linear/spec"
)

const never = int64(spec.Never)

// twin knows a register history by the definitions, in any time it takes.
type twin struct {
	ops   []regOp
	quiet int64
}

func (o *twin) writes(i int) (v int32, ok bool) {
	switch x := o.ops[i]; {
	case x.In.Verb == chain.Write:
		return x.In.A, true
	case x.In.Verb == chain.CAS && (x.Crashed || x.Out.OK):
		return x.In.B, true
	}
	return 0, false
}

// sees says what an operation is known to have found.
func (o *twin) sees(i int) (v int32, ok bool) {
	switch x := o.ops[i]; {
	case x.Crashed:
	case x.In.Verb == chain.Read:
		return x.Out.V, true
	case x.In.Verb == chain.CAS && x.Out.OK:
		return x.In.A, true
	}
	return 0, false
}

func (o *twin) sets(v int32) (n int) {
	if v == 0 {
		n++
	}
	for i := range o.ops {
		if w, ok := o.writes(i); ok && w == v {
			n++
		}
	}
	return n
}

// there is f(v).
func (o *twin) there(v int32) int64 {
	f := never
	if v == 0 {
		f = -1
	}
	for i, x := range o.ops {
		w, wrote := o.writes(i)
		s, saw := o.sees(i)
		if !x.Crashed && (wrote && w == v || saw && s == v) {
			f = min(f, x.Return)
		}
	}
	return f
}

func (o *twin) call(v int32) int64 {
	if v == 0 {
		return -1
	}
	for i, x := range o.ops {
		if w, ok := o.writes(i); ok && w == v {
			return x.Call
		}
	}
	return never
}

func (o *twin) ack(v int32) int64 {
	for i, x := range o.ops {
		if w, ok := o.writes(i); ok && w == v && !x.Crashed {
			return x.Return
		}
	}
	return never
}

func (o *twin) single(v int32) bool { return o.sets(v) == 1 && o.there(v) < never }

func (o *twin) older(u, v int32) bool {
	return u != v && o.single(u) && o.there(u) < o.call(v)
}

// finals are values by node; known says whether they are the final state.
func (o *twin) finals() (values []int32, known bool) {
	last := map[string]int{}
	var all []int32
	names := map[string]bool{}
	known = true
	for i, x := range o.ops {
		names[x.node] = true
		if x.Crashed || x.In.Verb != chain.Read || x.Call <= o.quiet {
			continue
		}
		all = append(all, x.Out.V)
		j, ok := last[x.node]
		if y := i; !ok || o.ops[j].Return < x.Return || o.ops[j].Return == x.Return && o.ops[j].Call <= x.Call {
			last[x.node] = y
		}
	}
	if !names[""] {
		all = nil
		for _, i := range last {
			all = append(all, o.ops[i].Out.V)
		}
		known = len(last) == len(names)
	}
	known = known && len(all) > 0
	for _, v := range all {
		known = known && o.single(v)
	}
	return all, known
}

// behind says whether the compare-and-sets that led to y passed v by.
func (o *twin) behind(y, v int32) bool {
	passed := map[int32]bool{}
	found := false
	for !passed[y] {
		passed[y] = true
		w := slices.IndexFunc(o.ops, func(x regOp) bool { return x.In.Verb == chain.CAS && (x.Crashed || x.Out.OK) && x.In.B == y })
		if w < 0 || !o.single(y) || !o.single(o.ops[w].In.A) {
			break
		}
		x := o.ops[w].In.A
		found = found || o.there(x) < o.call(v) && o.ack(v) < o.ops[w].Call
		y = x
	}
	return found && !passed[v]
}

// overlooked says whether an operation had to see v, and nobody did any more.
func (o *twin) overlooked(v int32) bool {
	for i, x := range o.ops {
		u, ok := o.sees(i)
		if !ok || x.Call <= o.ack(v) || !o.older(u, v) || o.call(u) > x.Return {
			continue
		}
		must := true
		for j, y := range o.ops {
			if s, saw := o.sees(j); saw && s == v && y.Return >= x.Call {
				must = false
			}
		}
		if must && x.In.Verb == chain.CAS {
			return true
		}
		for j, y := range o.ops {
			if w, wrote := o.writes(j); wrote && w != v {
				f := never
				if o.single(w) {
					f = o.there(w)
				} else if !y.Crashed {
					f = y.Return
				}
				must = must && (f < o.call(v) || y.Call > x.Return)
			}
		}
		if must {
			return true
		}
	}
	return false
}

// back and twice look at the operations through one node, or all.
func (o *twin) back(v int32, through func(string) bool) bool {
	for i, x := range o.ops {
		for j, y := range o.ops {
			w, a := o.sees(i)
			u, b := o.sees(j)
			if a && b && u == v && x.Return < y.Call && through(x.node) && through(y.node) && o.single(w) && o.call(w) > o.there(v) {
				return true
			}
		}
	}
	return false
}

func (o *twin) twice(v int32, through func(string) bool) bool {
	for i, x := range o.ops {
		for j, y := range o.ops {
			for k, z := range o.ops {
				p, a := o.sees(i)
				q, b := o.sees(j)
				s, c := o.sees(k)
				if a && b && c && p == v && q != v && s == v && x.Return < y.Call && y.Return < z.Call &&
					through(x.node) && through(y.node) && through(z.node) {
					return true
				}
			}
		}
	}
	return false
}

// registerTwin computes the figures of one register.
func registerTwin(ops []regOp, healed int64) (f figures) {
	o := &twin{ops: ops, quiet: healed}
	if healed == 0 {
		o.quiet = -1
	}
	values := map[int32]bool{0: true}
	for i, x := range ops {
		v, wrote := o.writes(i)
		if wrote {
			values[v] = true
			if o.quiet = max(o.quiet, x.Call); !x.Crashed {
				o.quiet = max(o.quiet, x.Return)
			}
		}
	}
	finals, known := o.finals()
	some := false
	for v := range values {
		if o.sets(v) != 1 {
			continue
		}
		if o.ack(v) < never {
			some = true
			o.count(v, finals, known, &f)
		}
		if o.single(v) {
			o.again(v, &f)
		}
	}
	f.unsettled = some && !known
	return f
}

func (o *twin) count(v int32, finals []int32, known bool, f *figures) {
	f.Counts.Acknowledged++
	for i := range o.ops {
		if s, ok := o.sees(i); ok && s == v {
			f.Counts.Seen++
			break
		}
	}
	older, same, returned := 0, true, slices.Contains(finals, v)
	for _, u := range finals {
		same = same && u == finals[0]
		if o.older(u, v) {
			older++
		}
	}
	switch {
	case known && older == len(finals) && !returned, known && same && o.behind(finals[0], v):
		f.Counts.Lost++
	case older > 0 && !returned, o.overlooked(v):
		f.Possible.Lost++
	}
}

func (o *twin) again(v int32, f *figures) {
	var back, twice bool
	named := o.ops[0].node != ""
	for _, n := range nodes {
		through := func(x string) bool { return x == n }
		b := named && o.back(v, through)
		back = back || b
		twice = twice || named && !b && o.twice(v, through)
	}
	eaten := 0
	for _, x := range o.ops {
		if x.In.Verb == chain.CAS && x.In.A == v && (x.Crashed || x.Out.OK) && o.single(x.In.B) {
			eaten++
		}
	}
	all := func(string) bool { return true }
	add(back, &f.Counts.Resurrected)
	add(!back && o.back(v, all), &f.Possible.Resurrected)
	add(twice, &f.Counts.Duplicated)
	add(eaten > 1, &f.Counts.Forked)
	add(!twice && !o.back(v, all) && o.twice(v, all), &f.Possible.Duplicated)
}

func add(yes bool, to *int) {
	if yes {
		*to++
	}
}
