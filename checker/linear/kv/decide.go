package kv

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/capstan-dev/capstan/checker/linear/chain"
	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// maxTries and maxTwofoldTries are how many ways to tell repeated pieces apart are tried.
const (
	maxTries        = 1024
	maxTwofoldTries = 64 // they can show that it is legal, but not that it is not
)

// Decide finds out whether ops are linearizable. Where the pieces of a get end
// is found out from the pieces. If that, or which operation a piece is of, is
// not clear, it tries one way after the other: Illegal is what is so in every
// way. It is Inapplicable if the key can have held the same string several
// times and no way is legal, and if nothing was appended. One try costs as
// much as chain.Decide, and the comparison of the strings.
func Decide(ops []Op, b spec.Budget) spec.Finding[Out] {
	var plan []int
	var all spec.Conflict
	twofold := false
	ix, err := newIndex(ops)
	if err != nil {
		return spec.Finding[Out]{Outcome: spec.Inapplicable, Why: err.Error()}
	}
	for tries := 1; ; tries++ {
		r := reduce(ops, ix, plan)
		f := r.decide(b)
		twofold = twofold || r.twofold
		if tries == 1 && f.Outcome == spec.Illegal {
			if certain := r.certain(f.Conflicts); len(certain) > 0 {
				return spec.Finding[Out]{Outcome: spec.Illegal, Conflicts: certain}
			}
		}
		if f.Outcome != spec.Illegal || tries == 1 && len(r.open) == 0 {
			return f
		}
		all.Ops = append(all.Ops, f.Conflicts[0].Ops...)
		if all.Say == "" {
			all.Say = f.Conflicts[0].Say
		}
		if plan = next(r.plan, r.open); plan == nil || twofold && tries == maxTwofoldTries {
			r.date(&all)
			return r.sum(all, tries, twofold)
		}
		switch {
		case b.Stopped():
			return spec.Finding[Out]{Why: spec.OutOfTime}
		case tries == maxTries:
			return spec.Finding[Out]{Why: fmt.Sprintf("pieces can be told apart in more than %d ways", maxTries)}
		}
	}
}

// next is the plan after this one, nil after the last. open are the numbers of
// options that there were.
func next(plan, open []int) []int {
	plan = append(slices.Clone(plan), make([]int, max(0, len(open)-len(plan)))...)[:len(open)]
	for k := len(plan) - 1; k >= 0; k-- {
		if plan[k]++; plan[k] < open[k] {
			return plan[:k+1]
		}
	}
	return nil
}

// sum is the finding after no way was legal. all is illegal in each of them.
func (r *reduction) sum(all spec.Conflict, tries int, twofold bool) spec.Finding[Out] {
	if twofold {
		return spec.Finding[Out]{Outcome: spec.Inapplicable, Why: "the key can have held what was seen more than once"}
	}
	if tries > 1 {
		all.Say = "there are equal pieces, but whichever a get returned, it cannot be; one way: " + all.Say
	}
	return spec.Finding[Out]{Outcome: spec.Illegal, Conflicts: []spec.Conflict{all}}
}

// certain are the gets that no pieces make up, which are wrong whatever the
// others are; and then what else is said, of others than them.
func (r *reduction) certain(said []spec.Conflict) []spec.Conflict {
	out := impossible(r.ops, r.ix)
	if len(out) == 0 {
		return nil
	}
	wrong := map[int32]bool{}
	for _, c := range out {
		wrong[c.Ops[0]] = true
	}
	if len(r.open) == 0 { // else it is so in one way only
		for _, c := range said {
			if !slices.ContainsFunc(c.Ops, func(i int32) bool { return wrong[i] }) {
				out = append(out, c)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b spec.Conflict) int { return cmp.Compare(a.At, b.At) })
	return out[:min(len(out), most)]
}

// most conflicts are enough for anyone.
const most = 100

func (r *reduction) decide(b spec.Budget) spec.Finding[Out] {
	if len(r.conflicts) > 0 {
		return spec.Finding[Out]{Outcome: spec.Illegal, Conflicts: r.conflicts}
	}
	f := chain.Decide(r.out, 0, r.values, b)
	for k := range f.Conflicts {
		r.complete(&f.Conflicts[k])
	}
	return spec.Finding[Out]{Outcome: f.Outcome, Order: f.Order, Conflicts: f.Conflicts, Why: f.Why}
}

// complete adds the gets that showed what appends found, and whoever put and
// appended the pieces of what gets returned, so that the conflict is one of
// the key too and not only of the register.
func (r *reduction) complete(c *spec.Conflict) {
	in := map[int32]bool{}
	add := func(ids ...int32) {
		for _, i := range ids {
			if !in[i] {
				in[i] = true
				c.Ops = append(c.Ops, i)
			}
		}
	}
	ids := c.Ops
	c.Ops = nil
	add(ids...)
	for k := 0; k < len(c.Ops); k++ { // grows
		switch i := c.Ops[k]; {
		case r.ops[i].In.Verb == Get:
			add(r.parts(i)...)
		case r.seen[i] && r.ops[i].In.Verb == Append && !slices.Contains(c.Blind, i):
			add(r.witness[i])
		}
	}
	c.Blind = nil
	r.date(c)
}

// date sorts the conflict's operations, and tells when it was complete.
func (r *reduction) date(c *spec.Conflict) {
	slices.SortFunc(c.Ops, func(a, b int32) int {
		return cmp.Or(cmp.Compare(r.ops[a].Call, r.ops[b].Call), cmp.Compare(a, b))
	})
	c.Ops = slices.Compact(c.Ops)
	c.At = 0
	for _, j := range c.Ops {
		if ret := r.ops[j].Return; ret < spec.Never {
			c.At = max(c.At, ret)
		}
	}
}

// reduction is the history as one of a register. Operation i sets value i+1, 0
// is the empty string, and the values from len(ops)+1 on are nobody's.
type reduction struct {
	ops       []Op
	out       []chain.Op
	values    int
	ix        *index
	plan      []int            // which option to take, by the order in which they turn up
	open      []int            // how many there were
	taken     map[string]int32 // string -> operation that is taken to have set it
	twofold   bool             // there is a string that the key can have held twice
	after     []string         // by operation: what the key held after it, if seen is true
	before    []int32          // value that was there before it, if seen
	seen      []bool
	witness   []int32          // get that showed it
	strays    map[string]int32 // values that are nobody's
	conflicts []spec.Conflict
}

func reduce(ops []Op, ix *index, plan []int) *reduction {
	n := len(ops)
	r := &reduction{
		ops: ops, out: make([]chain.Op, n), values: n + 1,
		ix: ix, plan: plan, taken: map[string]int32{}, strays: map[string]int32{},
		after: make([]string, n), before: make([]int32, n), seen: make([]bool, n), witness: make([]int32, n),
	}
	var gets []int32
	for i := range ops {
		o := &ops[i]
		r.out[i] = chain.Op{Call: o.Call, Return: o.Return, Crashed: o.Crashed}
		if o.In.Verb == Get && !o.Crashed {
			gets = append(gets, int32(i))
		}
	}
	slices.SortStableFunc(gets, func(i, j int32) int { return cmp.Compare(ops[i].Return, ops[j].Return) })
	for _, i := range gets {
		r.out[i].Out.V = r.value(ops[i].Out.Value, i)
	}
	for i := range ops {
		o := &r.out[i]
		switch in := ops[i].In; {
		case in.Verb == Get:
		case in.Verb == Append && r.seen[i]:
			o.In = chain.In{Verb: chain.CAS, A: r.before[i], B: int32(i) + 1}
			o.Out.OK = !o.Crashed
		case in.Verb == Put && in.Piece == "":
			o.In = chain.In{Verb: chain.Write, A: 0}
		default:
			o.In = chain.In{Verb: chain.Write, A: int32(i) + 1}
		}
	}
	slices.SortStableFunc(r.conflicts, func(x, y spec.Conflict) int { return cmp.Compare(x.At, y.At) })
	return r
}

// value is the value of what a get returned. It goes back from piece to piece
// until it meets what it knows.
func (r *reduction) value(s string, get int32) int32 {
	whole := s
	head := int32(none) // the operation that set whole
	above := int32(none)
	for {
		i, known := r.setter(s, get)
		v := i + 1
		if i == none && s != "" {
			r.report(spec.Conflict{
				Ops: append(r.parts(get), get),
				Say: foreign(get),
			})
			v = r.stray(s)
		}
		if above == none {
			head = v
		} else {
			r.before[above] = v
		}
		if i == none || known {
			return head
		}
		if r.seen[i] && r.after[i] != s {
			return r.disagree(i, whole, get)
		}
		r.seen[i], r.after[i], r.witness[i] = true, s, get
		if r.ops[i].In.Verb == Put {
			return head
		}
		above = i
		s, _ = cut(s, r.ops[i].In.Piece)
	}
}

const none = -1

func foreign(get int32) string {
	return fmt.Sprintf("{%d} returned something that does not come of what was put and appended", get)
}

func (r *reduction) stray(s string) int32 {
	v, ok := r.strays[s]
	if !ok {
		v = int32(r.values)
		r.strays[s] = v
		r.values++
	}
	return v
}

// setter is the operation after which the key held s, known if that has been
// found out before. get is the first one to return that has s in it.
func (r *reduction) setter(s string, get int32) (i int32, known bool) {
	if s == "" {
		return none, false
	}
	if i, ok := r.taken[s]; ok {
		return i, r.seen[i] && r.after[i] == s
	}
	options := r.ix.options(s)
	if len(options) == 0 {
		return none, false
	}
	pick := 0
	if len(options) > 1 {
		options = r.likely(s, options, get)
	}
	if len(options) > 1 {
		if n := len(r.open); n < len(r.plan) {
			pick = r.plan[n]
		}
		r.open = append(r.open, len(options))
		r.taken[s] = options[pick]
	}
	i = options[pick]
	return i, r.seen[i] && r.after[i] == s
}

// likely are those of the options that began before the get returned, and left
// something that can be split into pieces; all if there is none.
func (r *reduction) likely(s string, options []int32, get int32) []int32 {
	r.twofold = r.twofold || len(r.ix.roots(s)) > 1
	var out []int32
	for _, i := range options {
		if r.ops[i].Call <= r.ops[get].Return && len(r.ix.rootsBy(s, i)) > 0 {
			out = append(out, i)
		}
	}
	if len(out) == 0 {
		return options
	}
	return out
}

// disagree notes that a get saw something else before what i appended than
// another one, or than itself: the piece twice.
func (r *reduction) disagree(i int32, whole string, get int32) int32 {
	ids := []int32{i, get}
	other := r.witness[i]
	ids = append(ids, other)
	for _, g := range []int32{get, other} {
		ids = append(ids, r.parts(g)...)
	}
	c := spec.Conflict{Ops: ids}
	if other == get {
		c.Say = fmt.Sprintf("{%d} returned what {%d} set twice in a row of pieces, but it was set once", get, i)
	} else {
		c.Say = fmt.Sprintf("{%d} and {%d} returned what {%d} appended after different things, but it was appended once", other, get, i)
	}
	r.report(c)
	return r.stray(whole)
}

func (r *reduction) report(c spec.Conflict) {
	if r.date(&c); len(r.conflicts) < most {
		r.conflicts = append(r.conflicts, c)
	}
}

// parts are the operations of the pieces that a get returned.
func (r *reduction) parts(get int32) (out []int32) {
	s := r.ops[get].Out.Value
	for s != "" {
		i, _ := r.setter(s, get)
		if i == none {
			break
		}
		out = append(out, i)
		if r.ops[i].In.Verb == Put {
			break
		}
		s, _ = cut(s, r.ops[i].In.Piece)
	}
	return out
}
