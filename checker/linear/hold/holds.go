package hold

import (
	"cmp"
	"slices"

	"github.com/capstan-dev/capstan/checker/linear/spec"
)

type op = spec.Op[In, Out]

// holding is one hold: from the acquire of a lock that its owner did not hold to
// the release after which it does not any more. No operation of another owner
// can lie in between, so that it is ordered as one.
type holding struct {
	first, last int32 // the acquire, or none if the hold is void; the release, or none
	// from is the first return of all its operations and until their last
	// call, Never if it was not released. If from < until it is held from the
	// one to the other; else all of it may be at one moment of [until, from].
	from, until int64
	token       int64
	tokenBy     int32 // the acquire that returned it
}

const none int32 = -1

// forward holds surely last for a while.
func (h *holding) forward() bool { return h.from < h.until }

// owner is what is known of an owner while its operations are walked through.
type owner struct {
	open   []int32 // acquires without a release so far
	held   int32   // its hold, if open
	latest int32   // its latest operation
	broken bool    // it did what it may not; the rest is ignored
}

// walk finds the holds: it takes operations in order of their calls.
type walk struct {
	lock      Lock
	ops       []op
	byCall    []int32
	holds     []holding
	next      []int32 // operation -> the next one of its hold
	tail      []int32 // hold -> its last operation
	partner   []int32 // operation -> the release to an acquire, and back
	in        []int32 // operation -> its hold
	owners    []owner
	conflicts []spec.Conflict
	why       string // the operations are not as they must be
}

// walkHolds is the holds of all owners. Not clear (walk.why) are owners whose
// operations overlap, and owners that went on after a crash without telling by
// what they did next whether the crashed operation took effect.
//
// A crashed operation that is its owner's last is left out, since it could only
// keep others away, unless it is the release that ends a hold.
func walkHolds(l Lock, ops []op, b spec.Budget) *walk {
	w := &walk{lock: l, ops: ops, byCall: sorted(ops), next: fill(len(ops)), partner: fill(len(ops)), in: fill(len(ops))}
	index := map[int32]int32{}
	for k, i := range w.byCall {
		if k%4096 == 0 && b.Stopped() {
			return w
		}
		id, ok := index[ops[i].In.Owner]
		if !ok {
			id = int32(len(w.owners))
			index[ops[i].In.Owner] = id
			w.owners = append(w.owners, owner{held: none, latest: none})
		}
		o := &w.owners[id]
		w.step(o, i)
		if w.why != "" {
			return w
		}
		o.latest = i
	}
	for k := range w.owners {
		o := &w.owners[k]
		if last := &ops[o.latest]; last.Crashed && last.In.Verb == Release && !o.broken {
			w.lastRelease(o)
		}
		switch {
		case len(o.open) == 0:
		case o.broken: // when it ended was not looked at
			w.holds[o.held].first = none
		default:
			w.holds[o.held].until = spec.Never
		}
	}
	return w
}

// lastRelease: the last operation of an owner is a release that crashed.
func (w *walk) lastRelease(o *owner) {
	switch {
	case len(o.open) == 1:
		w.apply(o, o.latest)
	case !w.lock.Owned:
		w.why = "a crashed release may have been for another one's acquire"
	}
}

// step takes the next operation of an owner.
func (w *walk) step(o *owner, i int32) {
	if o.latest != none {
		switch p := &w.ops[o.latest]; {
		case p.Crashed && o.broken:
			return
		case p.Crashed && !w.explains(o, i):
			w.why = "what a crashed operation did is not clear, as its owner went on"
			return
		case p.Crashed:
			w.apply(o, o.latest)
		case p.Return >= w.ops[i].Call:
			w.why = "operations of one owner overlap"
			return
		}
	}
	if !w.ops[i].Crashed && !o.broken {
		w.apply(o, i)
	}
}

// explains is true if i would not be allowed, had the owner's latest operation,
// which crashed, not taken effect before. Where releases need no owner, another
// one's release or acquire may be the reason.
func (w *walk) explains(o *owner, i int32) bool {
	if w.ops[i].Crashed || !w.lock.Owned {
		return false
	}
	if w.ops[o.latest].In.Verb == Acquire {
		return len(o.open) == 0 && w.ops[i].In.Verb == Release
	}
	return len(o.open) == w.lock.Limit && w.ops[i].In.Verb == Acquire
}

// apply lets an operation take effect for its owner.
func (w *walk) apply(o *owner, i int32) {
	if w.ops[i].In.Verb == Acquire {
		if len(o.open) == w.lock.Limit {
			w.accuse(w.tooMany(o, i))
			o.broken = true
			return
		}
		o.open = append(o.open, i)
		if len(o.open) == 1 {
			o.held = int32(len(w.holds))
			w.holds = append(w.holds, holding{first: i, last: none, from: spec.Never, until: w.ops[i].Call, tokenBy: none})
			w.tail = append(w.tail, none)
		}
		w.join(o.held, i)
		w.token(o.held, i)
		return
	}
	if len(o.open) == 0 {
		w.accuse(w.notHeld(o, i))
		o.broken = true
		return
	}
	a := o.open[len(o.open)-1]
	o.open = o.open[:len(o.open)-1]
	w.partner[a], w.partner[i] = i, a
	w.join(o.held, i)
	if len(o.open) == 0 {
		w.holds[o.held].last = i
	}
}

func (w *walk) join(hold, i int32) {
	h := &w.holds[hold]
	h.from, h.until = min(h.from, w.ops[i].Return), max(h.until, w.ops[i].Call)
	if t := w.tail[hold]; t != none {
		w.next[t] = i
	}
	w.tail[hold], w.in[i] = i, hold
}

func (w *walk) token(hold, i int32) {
	t := w.ops[i].Out.Token
	if !w.lock.Fenced || t == 0 || w.ops[i].Crashed {
		return
	}
	h := &w.holds[hold]
	if h.token == 0 {
		h.token, h.tokenBy = t, i
	} else if h.token != t {
		w.accuse(w.twoTokens(h, i))
	}
}

// sorted is the positions by call.
func sorted(ops []op) []int32 {
	at := make([]int32, len(ops))
	for i := range at {
		at[i] = int32(i)
	}
	byCall := func(a, b int32) int { return cmp.Or(cmp.Compare(ops[a].Call, ops[b].Call), cmp.Compare(a, b)) }
	if !slices.IsSortedFunc(at, byCall) {
		slices.SortFunc(at, byCall)
	}
	return at
}

func fill(n int) []int32 {
	s := make([]int32, n)
	for i := range s {
		s[i] = none
	}
	return s
}
