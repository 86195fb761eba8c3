package chain

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// maxConflicts is how many conflicts a finding has at most, and maxRounds how
// often the history is looked at again without what was found guilty.
const (
	maxConflicts = 100
	maxRounds    = 8
)

// Decide finds out whether ops, on a register that holds init at first, are
// linearizable. Values are numbers below values. It is Inapplicable if a value
// is set twice and seen (a cas from a value to itself counts as a read), and
// Undecided only if the budget runs out. It takes O(n) if ops are sorted by
// call, and O(n log n) otherwise, with a search on top if there are opaque
// operations: its worst case is exponential, yet it hardly ever turns back.
func Decide(ops []Op, init int32, values int, b spec.Budget) spec.Finding[Out] {
	if b.Stopped() {
		return spec.Finding[Out]{Why: spec.OutOfTime}
	}
	if need := int64(len(ops))*12 + int64(values)*88; b.Bytes > 0 && need > b.Bytes {
		return spec.Finding[Out]{Why: spec.OutOfMemory}
	}
	t, err := newTable(ops, nil, init, values)
	if err != nil {
		return spec.Finding[Out]{Outcome: spec.Inapplicable, Why: err.Error()}
	}
	first := b
	if steps := int64(len(ops))*patience + 10_000; b.Steps == 0 || steps < b.Steps {
		first.Steps = steps
	}
	a := accuser{ops: ops, init: init, values: values, b: b}
	v, culprit := a.insist(t, t.judge(first))
	switch v.outcome {
	case spec.Legal:
		order, assumed := t.certify(v.heads, v.guests)
		return spec.Finding[Out]{Outcome: spec.Legal, Order: order, Assumed: assumed}
	case spec.Illegal:
		return spec.Finding[Out]{Outcome: spec.Illegal, Conflicts: a.conflicts(t, v, culprit)}
	}
	return spec.Finding[Out]{Why: v.why}
}

// verdict is what judge found. If Legal, the chains of heads in order, with the
// opaque operations as guests of values, are a linearization. If Illegal and the table has no
// faults, then suspects are opaque operations that it may be due to.
type verdict struct {
	outcome  spec.Outcome
	heads    []int32
	guests   []int32
	suspects []int32
	search   *search // if it was one that ended, or ran out of steps
	why      string
}

func (t *table) judge(b spec.Budget) verdict {
	zones := t.zones()
	if b.Stopped() {
		return verdict{why: spec.OutOfTime}
	}
	heads := t.arrange(zones)
	switch {
	case len(t.faults) > 0:
		return verdict{outcome: spec.Illegal}
	case len(t.opaque) == 0:
		return verdict{outcome: spec.Legal, heads: heads}
	}
	return t.withOpaque(zones, heads, b)
}

// accuser turns faults into conflicts.
type accuser struct {
	ops    []Op
	init   int32
	values int
	b      spec.Budget
	modes  []mode
	out    []spec.Conflict
}

// conflicts are those of the first look at the history, and of more looks at
// it without the last completion of each conflict.
func (a *accuser) conflicts(t *table, v verdict, culprit *sub) []spec.Conflict {
	for round := 0; ; round++ {
		from := len(a.out)
		switch {
		case len(t.faults) > 0:
			a.faults(t)
		case culprit != nil:
			a.report(culprit)
			culprit = nil
		default:
			a.opaque(t, v)
		}
		if len(a.out) == 0 { // nothing that convinces by itself
			a.report(a.whole(t))
		}
		if round == maxRounds || len(a.out) >= maxConflicts || a.b.Stopped() {
			break
		}
		a.acquit(t, a.out[from:])
		next, err := newTable(a.ops, a.modes, a.init, a.values)
		if err != nil {
			break
		}
		t = next
		b := a.b
		if b.Steps == 0 {
			b.Steps = int64(len(a.ops)) + 10_000
		}
		if v = t.judge(b); v.outcome != spec.Illegal {
			break
		}
	}
	slices.SortStableFunc(a.out, func(x, y spec.Conflict) int { return cmp.Compare(x.At, y.At) })
	return a.out
}

// faults reports those that have no operation in common.
func (a *accuser) faults(t *table) {
	used := map[int32]bool{}
	for _, f := range t.faults {
		d := t.core(f)
		if len(a.out) >= maxConflicts || slices.ContainsFunc(d.ops, func(i int32) bool { return used[i] }) {
			continue
		}
		for _, i := range d.ops {
			used[i] = true
		}
		if s := a.pick(t, d); s.illegal(a.b) {
			a.report(s)
		}
	}
}

// pick is the sub-history of the core.
func (a *accuser) pick(t *table, d core) *sub {
	s := &sub{init: a.init}
	slices.Sort(d.ops)
	slices.SortStableFunc(d.ops, func(i, j int32) int { return cmp.Compare(a.ops[i].Call, a.ops[j].Call) })
	for _, i := range d.ops {
		o := a.ops[i]
		if slices.Contains(d.blind, i) || t.modes != nil && t.modes[i] == blind {
			o = Blind(o)
		}
		s.ids = append(s.ids, i)
		s.ops = append(s.ops, o)
	}
	return s
}

// report makes the sub-history a conflict, after it has been made smaller.
func (a *accuser) report(s *sub) {
	s.shrink(a.b)
	c := spec.Conflict{Say: s.say()}
	for k, i := range s.ids {
		c.Ops = append(c.Ops, i)
		if s.ops[k].In.Verb != a.ops[i].In.Verb {
			c.Blind = append(c.Blind, i)
		}
		if r := a.ops[i].Return; r < spec.Never {
			c.At = max(c.At, r)
		}
	}
	a.out = append(a.out, c)
}

// acquit takes the last completion of each conflict out of the history, and
// with it who saw what it set.
func (a *accuser) acquit(t *table, conflicts []spec.Conflict) {
	if a.modes == nil {
		a.modes = make([]mode, len(a.ops))
	}
	values := map[int32]bool{}
	for _, c := range conflicts {
		for _, i := range c.Ops {
			if a.ops[i].Return != c.At {
				continue
			}
			if v := t.home(i); v != none && int(v) < len(t.vals) && t.vals[v].set == i {
				values[v] = true
			}
			a.modes[i] = gone
		}
	}
	if len(values) == 0 {
		return
	}
	for i := range a.ops {
		o := &a.ops[i]
		if v := t.home(int32(i)); values[v] && t.vals[v].set != int32(i) {
			a.modes[i] = gone
		}
		if o.In.Verb == CAS && (o.Crashed || o.Out.OK) && values[o.In.A] && a.modes[i] == kept {
			a.modes[i] = blind
		}
	}
}

// sub is a small sub-history, by call: operations, some of them blind, and
// which they are in the whole.
type sub struct {
	ops  []Op
	ids  []int32
	init int32
}

// dense is the sub-history with its values numbered anew.
func (s *sub) dense() (ops []Op, values int) {
	ops = slices.Clone(s.ops)
	number := map[int32]int32{s.init: 0}
	renumber := func(v *int32) {
		n, ok := number[*v]
		if !ok {
			n = int32(len(number))
			number[*v] = n
		}
		*v = n
	}
	for i := range ops {
		o := &ops[i]
		if o.In.Verb != Read {
			renumber(&o.In.A)
		}
		if o.In.Verb == CAS {
			renumber(&o.In.B)
		}
		if !o.Crashed && (o.In.Verb == Read || o.In.Verb == CAS && !o.Out.OK && o.Out.V != Opaque) {
			renumber(&o.Out.V)
		}
	}
	return ops, len(number)
}

func (s *sub) table() *table {
	ops, values := s.dense()
	t, err := newTable(ops, nil, 0, values)
	if err != nil { // what is set once in the whole is set once in a part
		panic(fmt.Sprintf("chain: %v", err))
	}
	return t
}

// without is the sub-history with some operations taken away.
func (s *sub) without(out []bool) *sub {
	r := &sub{init: s.init}
	for i := range s.ops {
		if !out[i] {
			r.ops = append(r.ops, s.ops[i])
			r.ids = append(r.ids, s.ids[i])
		}
	}
	return r
}

// maxShrink is how many operations shrink takes, and shrinkSteps how many steps
// of searches it spends.
const (
	maxShrink   = 20_000
	shrinkSteps = 2_000_000
)

// probeSteps bounds the search in one probe of shrink; a probe without an
// answer changes nothing.
const probeSteps = 100_000

func (s *sub) illegal(b spec.Budget) bool {
	illegal, _ := s.probe(b)
	return illegal
}

// probe also tells how many steps it took.
func (s *sub) probe(b spec.Budget) (illegal bool, steps int64) {
	b.Steps = probeSteps
	b.Bytes = 0
	v := s.table().judge(b)
	return v.outcome == spec.Illegal, v.steps()
}

// shrink takes away what the contradiction does not need: runs of operations,
// ever shorter, with those that need them; and the comparisons of cas.
func (s *sub) shrink(b spec.Budget) {
	if len(s.ops) > maxShrink {
		return
	}
	spent := int64(0)
	for run := max(len(s.ops)/2, 1); ; {
		before := len(s.ops)
		needs := Needs(s.ops)
		for at := 0; at < len(s.ops); {
			if b.Stopped() {
				return
			}
			out := make([]bool, len(s.ops))
			for i := at; i < min(at+run, len(out)); i++ {
				out[i] = true
			}
			spread(out, needs)
			r := s.without(out)
			illegal, steps := len(r.ops) > 0, int64(0)
			if illegal {
				illegal, steps = r.probe(b)
			}
			if spent += steps; spent > shrinkSteps {
				return
			}
			if illegal {
				*s, needs = *r, Needs(r.ops)
			} else {
				at += run
			}
		}
		switch {
		case run > 1:
			run /= 2
		case len(s.ops) == before && !s.blind(b):
			return
		}
	}
}

// spread also takes away whatever needs what is taken away.
func spread(out []bool, needs [][]int32) {
	for again := true; again; {
		again = false
		for i := range out {
			if !out[i] && slices.ContainsFunc(needs[i], func(j int32) bool { return out[j] }) {
				out[i], again = true, true
			}
		}
	}
}

// blind takes cas for writes where the contradiction stays.
func (s *sub) blind(b spec.Budget) (some bool) {
	for i := range s.ops {
		o := s.ops[i]
		if o.In.Verb != CAS || !o.Crashed && !o.Out.OK || o.In.A == o.In.B {
			continue
		}
		s.ops[i] = Blind(o)
		if s.illegal(b) {
			some = true
		} else {
			s.ops[i] = o
		}
	}
	return some
}

// say puts the contradiction into words, about operations of the whole.
func (s *sub) say() string {
	t := s.table()
	text := ""
	if t.judge(spec.Budget{Steps: probeSteps}); len(t.faults) > 0 {
		text = t.say(t.faults[0])
	} else {
		text = t.sayOpaque()
	}
	return s.whole(text)
}
