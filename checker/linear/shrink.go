package linear

import (
	"cmp"
	"slices"
	"time"
)

// probeSteps bounds one probe of the minimisation. A probe that is not decided
// counts as "not shown illegal", so that the witness stays one in any case.
const probeSteps = 300_000

// witness is a sub-history that has no legal order.
//
// Not every sub-history of a legal history is legal: without the write, a read
// of its value is an accusation of the innocent. So an operation is kept only
// together with the ones that may have made it right, see needs. And a cas of
// which only the new value matters may be taken for a write of it, which is
// legal wherever the cas is. Under these two rules a sub-history of a legal
// history is legal, and an illegal one convicts the whole.
type witness struct {
	k       *keyOps
	budget  budget
	ops     []op    // as of the culprit's completion: later ones are crashed
	full    []op    // ops before any cas was taken for a write
	culprit int64   // the completion that made the history illegal
	needs   [][]int // ops[i] needs these of ops
	extra   []op    // shown with it though not needed: a write that failed, or came too late
	shrunk  bool    // nothing more can be taken away
}

// locate cuts the key's history behind the completion that first made it
// illegal: linearizability is closed under prefixes.
func locate(k *keyOps, frontier int64, b budget) *witness {
	next := int64(forever) // the first invocation after the frontier
	searched, _ := k.preprocess(k.ops)
	for _, o := range searched {
		if o.call > frontier {
			next = min(next, o.call)
		}
	}
	var returns []int64
	for _, o := range k.ops {
		if o.ret > frontier && o.ret < forever {
			returns = append(returns, o.ret)
		}
	}
	slices.Sort(returns)
	if n, _ := slices.BinarySearch(returns, next); n > 0 {
		returns = returns[:n]
	}
	w := &witness{k: k, budget: b}
	lo, hi := 0, len(returns)-1 // illegal at hi
	for lo < hi {
		mid := (lo + hi) / 2
		if w.illegal(prefix(k.ops, returns[mid]), 100*probeSteps) {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	w.culprit = returns[hi]
	w.ops = prefix(k.ops, w.culprit)
	return w
}

// prefix is the history up to an event: what had not returned by then is
// crashed, or irrelevant if it is a read.
func prefix(ops []op, until int64) []op {
	var out []op
	for _, o := range ops {
		if o.call > until || o.ret > until && o.kind == read {
			continue
		}
		if o.ret > until {
			o.ret, o.crashed = forever, true
		}
		out = append(out, o)
	}
	return out
}

func (w *witness) illegal(ops []op, steps int64) bool {
	w.budget.steps = steps
	ops, _ = w.k.preprocess(ops)
	return w.k.search(ops, w.budget).outcome == illegal
}

func (w *witness) culpritTime() time.Duration {
	for _, o := range w.ops {
		if o.ret == w.culprit {
			return w.k.pairs[o.pair].Complete.Time
		}
	}
	return 0
}

// shrinkSafely leaves the witness as it is if shrink panics: a defect there
// must not turn a violation into unknown.
func (w *witness) shrinkSafely() {
	before := w.ops
	defer func() {
		if recover() != nil {
			w.ops, w.shrunk = before, false
		}
	}()
	w.shrink()
}

// shrink takes away whatever is not needed for the contradiction.
func (w *witness) shrink() {
	w.full = slices.Clone(w.ops)
	w.relate()
	keep := w.window()
	keep = w.ddmin(keep)
	if w.restore(keep) {
		keep = w.ddmin(keep)
	}
	if w.relax(keep) {
		w.relate()
		keep = w.ddmin(keep)
	}
	w.shrunk = w.budget.stop == nil || !w.budget.stop.Load()
	w.ops = pick(w.ops, keep)
}

func pick(ops []op, keep []bool) []op {
	var out []op
	for i, o := range ops {
		if keep[i] {
			out = append(out, o)
		}
	}
	return out
}

// relate fills in needs.
func (w *witness) relate() {
	w.needs = make([][]int, len(w.ops))
	if w.k.mutex {
		w.relateMutex()
	} else {
		w.relateRegister()
	}
}

// relateRegister: what sees a value needs every operation that may have set
// what it saw. That is each one that sets the value, began before it returned,
// and was not overwritten in between by an operation that ran entirely after
// the one and before the other. If there is none, it needs the latest one (or
// else the first one from the future), so that the contradiction does not
// degenerate to a value out of nowhere.
func (w *witness) relateRegister() {
	setters := map[int32][]int{}
	type overwrite struct{ ret, call int64 } // call is the latest of all that returned by ret
	var overwrites []overwrite
	for i := range w.ops {
		o := &w.ops[i]
		if v, ok := o.sets(); ok {
			setters[v] = append(setters[v], i)
			if !o.crashed {
				overwrites = append(overwrites, overwrite{o.ret, o.call})
			}
		}
	}
	slices.SortFunc(overwrites, func(a, b overwrite) int { return cmp.Compare(a.ret, b.ret) })
	for i := 1; i < len(overwrites); i++ {
		overwrites[i].call = max(overwrites[i].call, overwrites[i-1].call)
	}
	for i := range w.ops {
		o := &w.ops[i]
		v, ok := o.sees()
		if !ok {
			continue
		}
		latest := int64(-1)
		if n, _ := slices.BinarySearchFunc(overwrites, o.call, func(x overwrite, at int64) int { return cmp.Compare(x.ret, at) }); n > 0 {
			latest = overwrites[n-1].call
		}
		best := -1
		for _, j := range setters[v] {
			s := &w.ops[j]
			if j != i && s.ret > latest && s.call < o.ret {
				w.needs[i] = append(w.needs[i], j)
			}
			if j != i && (best < 0 || s.call < o.ret) {
				best = j
			}
		}
		if len(w.needs[i]) == 0 && best >= 0 && (v != w.k.init || latest < 0) {
			w.needs[i] = []int{best}
		}
	}
}

// relateMutex: an acquire and the release of the same process go together. If
// a process does not alternate the two, nothing can be taken away safely, and
// all need all.
func (w *witness) relateMutex() {
	holding := map[int]int{} // process -> its acquire
	for i := range w.ops {
		process := w.k.pairs[w.ops[i].pair].Process()
		j, holds := holding[process]
		switch {
		case w.ops[i].kind == acquire && !holds:
			holding[process] = i
		case w.ops[i].kind == release && holds:
			delete(holding, process)
			w.needs[i], w.needs[j] = []int{j}, []int{i}
		default:
			all := make([]int, len(w.ops))
			for x := range all {
				all[x] = x
			}
			for x := range w.needs {
				w.needs[x] = all
			}
			return
		}
	}
}

// close drops what lacks something that it needs, until nothing does.
func (w *witness) close(keep []bool) {
	for again := true; again; {
		again = false
		for i := range keep {
			if !keep[i] {
				continue
			}
			for _, j := range w.needs[i] {
				if !keep[j] {
					keep[i], again = false, true
					break
				}
			}
		}
	}
}

// fill adds what the kept ones need.
func (w *witness) fill(keep []bool) {
	var work []int
	for i := range keep {
		if keep[i] {
			work = append(work, i)
		}
	}
	for len(work) > 0 {
		i := work[len(work)-1]
		work = work[:len(work)-1]
		for _, j := range w.needs[i] {
			if !keep[j] {
				keep[j] = true
				work = append(work, j)
			}
		}
	}
}

// window finds a small start for the minimisation: the last few operations
// that returned and what they need, twice as many until that is illegal.
func (w *witness) window() []bool {
	byReturn := make([]int, 0, len(w.ops))
	for i := range w.ops {
		if !w.ops[i].crashed {
			byReturn = append(byReturn, i)
		}
	}
	slices.SortFunc(byReturn, func(a, b int) int { return cmp.Compare(w.ops[b].ret, w.ops[a].ret) })
	original := w.ops
	for size := 4; size < len(byReturn); size *= 2 {
		keep := make([]bool, len(w.ops))
		for _, i := range byReturn[:size] {
			keep[i] = true
		}
		w.ops = w.relaxed(original, keep)
		w.relate()
		w.fill(keep)
		if w.illegal(pick(w.ops, keep), probeSteps) {
			return keep
		}
	}
	w.ops = original
	w.relate()
	keep := make([]bool, len(w.ops))
	for i := range keep {
		keep[i] = true
	}
	return keep
}

// relaxed takes every cas that is not kept for a write of its new value.
func (w *witness) relaxed(ops []op, keep []bool) []op {
	out := slices.Clone(ops)
	for i := range out {
		if out[i].kind == cas && !keep[i] {
			out[i].kind, out[i].a = write, out[i].b
		}
	}
	return out
}

// ddmin is Zeller's delta debugging, down to a witness of which no single
// operation (with those that need it) can be taken away.
func (w *witness) ddmin(keep []bool) []bool {
	for parts := 2; ; {
		var kept []int
		for i := range keep {
			if keep[i] && w.ops[i].ret != w.culprit {
				kept = append(kept, i)
			}
		}
		if len(kept) == 0 {
			return keep
		}
		parts = min(parts, len(kept))
		smaller := w.without(keep, kept, parts)
		switch {
		case smaller != nil:
			keep, parts = smaller, max(parts-1, 2)
		case parts == len(kept):
			return keep
		default:
			parts *= 2
		}
	}
}

// without tries to do without one of the parts of kept.
func (w *witness) without(keep []bool, kept []int, parts int) []bool {
	for p := range parts {
		if w.budget.stop != nil && w.budget.stop.Load() {
			return nil
		}
		try := slices.Clone(keep)
		for _, i := range kept[p*len(kept)/parts : (p+1)*len(kept)/parts] {
			try[i] = false
		}
		w.close(try)
		if w.illegal(pick(w.ops, try), probeSteps) {
			return try
		}
	}
	return nil
}

// restore takes the writes that were a cas for what they are, where all that
// they need is kept: what they saw may make something else superfluous.
func (w *witness) restore(keep []bool) (some bool) {
	for i := range w.ops {
		if !keep[i] || w.ops[i].kind == w.full[i].kind {
			continue
		}
		relaxed := w.ops[i]
		w.ops[i] = w.full[i]
		w.relate()
		if slices.ContainsFunc(w.needs[i], func(j int) bool { return !keep[j] }) || len(w.needs[i]) == 0 && w.full[i].a != w.k.init {
			w.ops[i] = relaxed
			continue
		}
		some = true
	}
	w.relate()
	return some
}

// relax takes each kept cas for a write where the contradiction stays.
func (w *witness) relax(keep []bool) (some bool) {
	for i := range w.ops {
		o := w.ops[i]
		if !keep[i] || o.kind != cas {
			continue
		}
		w.ops[i].kind, w.ops[i].a = write, o.b
		if w.illegal(pick(w.ops, keep), probeSteps) {
			some = true
		} else {
			w.ops[i] = o
		}
	}
	return some
}
