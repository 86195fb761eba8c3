package linear

import (
	"cmp"
	"slices"

	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// probeSteps bounds one probe of the minimisation. A probe that is not decided
// counts as "not shown illegal", so that the witness stays one in any case.
const probeSteps = 300_000

// candidate is a part of a key's history that has no legal order.
//
// Not every part of a legal history is legal: without the write, a read of its
// value is an accusation of the innocent. So an operation is kept only together
// with those that may have made it right, see object.needs. And an operation
// may be taken for one that is legal wherever it is, see object.relax: a cas of
// which only the new value matters for a write of it. Under these two rules a
// part of a legal history is legal, and an illegal one convicts the whole.
type candidate[In, Out any] struct {
	ops     []spec.Op[In, Out]
	origin  []int32 // by op: its position in object.ops
	culprit int64   // the completion that made the history illegal
	shrunk  bool    // nothing more can be taken away
	say     string  // of the decider, if ops has all that it speaks of
	suffix  string  // to be said in any case
}

// shrinker makes candidates small.
type shrinker[S, In, Out any] struct {
	x      *object[S, In, Out]
	budget spec.Budget
	candidate[In, Out]
	full  []spec.Op[In, Out] // before any was relaxed
	part  bool               // ops are a part of the history to begin with
	must  map[int32]bool     // positions in object.ops that must stay: what a decider speaks of, or an excuse
	needs [][]int32
	fixed []bool // must stay: without a rule what needs what, all that may change the state
}

func (s *shrinker[S, In, Out]) illegal(ops []spec.Op[In, Out], steps int64) bool {
	s.budget.Steps = steps
	return s.x.illegal(ops, s.budget)
}

// illegal decides a part of the history.
func (x *object[S, In, Out]) illegal(ops []spec.Op[In, Out], b spec.Budget) bool {
	if x.special != nil {
		switch x.trySpecial(ops, b).Outcome {
		case spec.Legal:
			return false
		case spec.Illegal:
			return true
		}
	}
	if x.reduce != nil {
		ops = x.reduce(x, ops).ops
	}
	return x.run(ops, b).Outcome == spec.Illegal
}

// locate cuts the key's history behind the completion that first made it
// illegal: linearizability is closed under prefixes.
// It ends after the frontier of the search that found it illegal, and not after
// the last return of what was called by then.
func (s *shrinker[S, In, Out]) locate(frontier int64, bounded bool) {
	var returns []int64
	for i := range s.x.ops {
		o := &s.x.ops[i]
		if o.Return < spec.Never && (!bounded || o.Return > frontier && o.Call <= frontier) {
			returns = append(returns, o.Return)
		}
	}
	slices.Sort(returns)
	lo, hi := 0, len(returns)-1 // illegal at hi
	for lo < hi && !s.budget.Stopped() {
		mid := (lo + hi) / 2
		if ops, _ := s.prefix(returns[mid]); s.illegal(ops, 100*probeSteps) {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	s.culprit = returns[hi]
	s.ops, s.origin = s.prefix(s.culprit)
}

// prefix is the history up to a completion: what had not returned by then is
// crashed.
func (s *shrinker[S, In, Out]) prefix(until int64) (ops []spec.Op[In, Out], origin []int32) {
	for i, o := range s.x.ops {
		if o, some := s.x.asOf(o, until); some {
			ops, origin = append(ops, o), append(origin, int32(i))
		}
	}
	return ops, origin
}

// upTo is the same of a candidate.
func (s *shrinker[S, In, Out]) upTo(until int64) (ops []spec.Op[In, Out]) {
	for _, o := range s.ops {
		if o, some := s.x.asOf(o, until); some {
			ops = append(ops, o)
		}
	}
	return ops
}

// asOf is what is known of an operation at some moment.
func (x *object[S, In, Out]) asOf(o spec.Op[In, Out], until int64) (now spec.Op[In, Out], some bool) {
	if o.Call > until || o.Return > until && x.pure(&o) {
		return o, false
	}
	if o.Return > until {
		var none Out
		o.Out, o.Return, o.Crashed = none, spec.Never, true
	}
	return o, true
}

func (x *object[S, In, Out]) pure(o *spec.Op[In, Out]) bool {
	return !o.Crashed && x.model.Pure(o.In, o.Out)
}

// shrink takes away whatever of the kept is not needed for the contradiction.
func (s *shrinker[S, In, Out]) shrink(keep []bool) {
	keep = s.ddmin(keep)
	if s.restore(keep) {
		keep = s.ddmin(keep)
	}
	if s.relax(keep) {
		s.relate()
		keep = s.ddmin(keep)
	}
	s.shrunk = !s.budget.Stopped()
	s.origin = kept(s.origin, keep)
	s.ops = kept(s.ops, keep)
}

const (
	maxExcused = 8   // operations of a witness that excuses are looked for
	maxExcuses = 400 // operations that are tried, the latest first
)

// fairly shrinks, and again as long as some operation that was taken away would
// have made the rest right: without it, or what stands in its way, the witness
// says nothing. What needs what is told for legal histories, so that a
// release may be left that lacks its acquire.
func (s *shrinker[S, In, Out]) fairly() {
	all, origin := s.ops, s.origin
	s.must = map[int32]bool{}
	for range 4 {
		s.ops, s.full, s.origin = slices.Clone(all), slices.Clone(all), slices.Clone(origin)
		s.shrink(s.window())
		i, found := s.excuse(all, origin)
		if !found {
			return
		}
		s.must[i] = true
	}
}

// excuse is an operation with which a small witness would be legal.
func (s *shrinker[S, In, Out]) excuse(all []spec.Op[In, Out], origin []int32) (at int32, found bool) {
	if len(s.ops) > maxExcused {
		return 0, false
	}
	for i := len(all) - 1; i >= max(0, len(all)-maxExcuses) && !s.budget.Stopped(); i-- {
		if slices.Contains(s.origin, origin[i]) {
			continue
		}
		with := append(slices.Clone(s.ops), all[i])
		slices.SortStableFunc(with, func(a, b spec.Op[In, Out]) int { return cmp.Compare(a.Call, b.Call) })
		if !s.illegal(with, probeSteps) {
			return origin[i], true
		}
	}
	return 0, false
}

func kept[T any](all []T, keep []bool) []T {
	var out []T
	for i, o := range all {
		if keep[i] {
			out = append(out, o)
		}
	}
	return out
}

// relate finds out what needs what.
func (s *shrinker[S, In, Out]) relate() {
	s.fixed = make([]bool, len(s.ops))
	for i := range s.fixed {
		s.fixed[i] = s.must[s.origin[i]]
	}
	if s.x.needs != nil {
		s.needs = s.x.needs(s.ops)
		if len(s.must) > 0 {
			s.fill(s.fixed) // what those need must stay as well
		}
		return
	}
	s.needs = make([][]int32, len(s.ops))
	for i := range s.ops {
		s.fixed[i] = s.fixed[i] || !s.x.pure(&s.ops[i])
	}
}

// close drops what lacks something that it needs, until nothing does.
func (s *shrinker[S, In, Out]) close(keep []bool) {
	for again := true; again; {
		again = false
		for i := range keep {
			if keep[i] && slices.ContainsFunc(s.needs[i], func(j int32) bool { return !keep[j] }) {
				keep[i], again = false, true
			}
		}
	}
}

// fill adds what the kept ones need.
func (s *shrinker[S, In, Out]) fill(keep []bool) {
	var work []int
	for i := range keep {
		if keep[i] = keep[i] || s.fixed[i]; keep[i] {
			work = append(work, i)
		}
	}
	for len(work) > 0 {
		i := work[len(work)-1]
		work = work[:len(work)-1]
		for _, j := range s.needs[i] {
			if !keep[j] {
				keep[j] = true
				work = append(work, int(j))
			}
		}
	}
}

// window finds a small start for the minimisation: the last few operations
// that returned and what they need, twice as many until that is illegal.
func (s *shrinker[S, In, Out]) window() []bool {
	byReturn := make([]int, 0, len(s.ops))
	for i := range s.ops {
		if !s.ops[i].Crashed {
			byReturn = append(byReturn, i)
		}
	}
	slices.SortFunc(byReturn, func(a, b int) int { return cmp.Compare(s.ops[b].Return, s.ops[a].Return) })
	original := s.ops
	for size := 4; size < len(byReturn) && !s.budget.Stopped(); size *= 2 {
		keep := make([]bool, len(s.ops))
		for _, i := range byReturn[:size] {
			keep[i] = true
		}
		s.ops = s.relaxed(original, keep)
		s.relate()
		s.fill(keep)
		if s.illegal(kept(s.ops, keep), probeSteps) {
			return keep
		}
	}
	s.ops = original
	s.relate()
	keep := make([]bool, len(s.ops))
	for i := range keep {
		keep[i] = true
	}
	return keep
}

// relaxed relaxes what is not kept.
func (s *shrinker[S, In, Out]) relaxed(ops []spec.Op[In, Out], keep []bool) []spec.Op[In, Out] {
	if s.x.relax == nil {
		return ops
	}
	out := slices.Clone(ops)
	for i := range out {
		if o, ok := s.x.relax(out[i]); ok && !keep[i] {
			out[i] = o
		}
	}
	return out
}

// ddmin is Zeller's delta debugging, down to a witness of which no single
// operation (with those that need it) can be taken away.
func (s *shrinker[S, In, Out]) ddmin(keep []bool) []bool {
	for parts := 2; ; {
		var loose []int
		for i := range keep {
			if keep[i] && !s.fixed[i] && s.ops[i].Return != s.culprit {
				loose = append(loose, i)
			}
		}
		if len(loose) == 0 {
			return keep
		}
		parts = min(parts, len(loose))
		smaller := s.without(keep, loose, parts)
		switch {
		case smaller != nil:
			keep, parts = smaller, max(parts-1, 2)
		case parts == len(loose):
			return keep
		default:
			parts *= 2
		}
	}
}

// without tries to do without one of the parts of loose.
func (s *shrinker[S, In, Out]) without(keep []bool, loose []int, parts int) []bool {
	for p := range parts {
		if s.budget.Stopped() {
			return nil
		}
		try := slices.Clone(keep)
		for _, i := range loose[p*len(loose)/parts : (p+1)*len(loose)/parts] {
			try[i] = false
		}
		s.close(try)
		if s.illegal(kept(s.ops, try), probeSteps) {
			return try
		}
	}
	return nil
}

// restore takes what was relaxed for what it is, where all that it needs is
// kept: that may make something else superfluous.
func (s *shrinker[S, In, Out]) restore(keep []bool) (some bool) {
	if s.x.relax == nil {
		return false
	}
	for i := range s.ops {
		if _, can := s.x.relax(s.full[i]); !keep[i] || !can {
			continue
		}
		now := s.ops[i]
		s.ops[i] = s.full[i]
		s.relate()
		if s.lacks(i, keep) || !s.illegal(kept(s.ops, keep), probeSteps) {
			s.ops[i] = now
			continue
		}
		some = true
	}
	s.relate()
	return some
}

// lacks is true if something that an operation needs is not kept, or was never
// among the operations.
func (s *shrinker[S, In, Out]) lacks(i int, keep []bool) bool {
	if slices.ContainsFunc(s.needs[i], func(j int32) bool { return !keep[j] }) {
		return true
	}
	return s.part && slices.ContainsFunc(s.x.wholeNeeds()[s.origin[i]], func(j int32) bool {
		at, there := slices.BinarySearch(s.origin, j)
		return !there || !keep[at]
	})
}

// relax relaxes each kept operation where the contradiction stays.
func (s *shrinker[S, In, Out]) relax(keep []bool) (some bool) {
	if s.x.relax == nil {
		return false
	}
	for i := range s.ops {
		was := s.ops[i]
		o, can := s.x.relax(was)
		if !keep[i] || !can {
			continue
		}
		s.ops[i] = o
		if s.illegal(kept(s.ops, keep), probeSteps) {
			some = true
		} else {
			s.ops[i] = was
		}
	}
	return some
}
