package hold

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// most conflicts are enough for anyone.
const most = 100

func (w *walk) accuse(c spec.Conflict) {
	if len(w.conflicts) < most {
		w.conflicts = append(w.conflicts, c)
	}
}

// conflict of some operations, none left out, that shows at the return of one.
func (w *walk) conflict(at int32, say string, ops ...int32) spec.Conflict {
	ops = slices.DeleteFunc(ops, func(i int32) bool { return i == none })
	slices.SortFunc(ops, func(a, b int32) int { return cmp.Or(cmp.Compare(w.ops[a].Call, w.ops[b].Call), cmp.Compare(a, b)) })
	return spec.Conflict{Ops: slices.Compact(ops), At: w.ops[at].Return, Say: say}
}

// tooMany: an owner acquires what it holds as often as it may.
func (w *walk) tooMany(o *owner, i int32) spec.Conflict {
	first := o.open[0]
	say := fmt.Sprintf("{%d} returned {%d<%d} before {%d} began, and the same owner had not released in between", first, first, i, i)
	if w.lock.Limit > 1 {
		say = fmt.Sprintf("the owner of {%d} had acquired %d times without a release by {%d<%d} later, which is the limit; yet {%d} succeeded", first, w.lock.Limit, first, i, i)
	}
	return w.conflict(i, say, append(slices.Clone(o.open), i)...)
}

// notHeld: an owner releases what it does not hold.
func (w *walk) notHeld(o *owner, i int32) spec.Conflict {
	if o.held == none {
		return w.conflict(i, fmt.Sprintf("{%d} succeeded, but its owner had never acquired", i), i)
	}
	last := w.holds[o.held].last
	say := fmt.Sprintf("{%d} ended the last hold of its owner {%d<%d} before {%d} began; yet {%d} succeeded, with nothing to release", last, last, i, i, i)
	if w.ops[last].Crashed {
		say = fmt.Sprintf("{%d} ended the last hold of its owner; yet {%d} succeeded, with nothing to release", last, i)
	}
	return w.conflict(i, say, w.partner[last], last, i)
}

// twoTokens: one hold got two tokens.
func (w *walk) twoTokens(h *holding, i int32) spec.Conflict {
	say := fmt.Sprintf("{%d} got token %d and {%d<%d} later {%d}, in the same hold, got token %d", h.tokenBy, h.token, h.tokenBy, i, i, w.ops[i].Out.Token)
	return w.conflict(i, say, h.first, h.tokenBy, i)
}

// overlap: b began while a lasted.
func (w *walk) overlap(a, b *holding) spec.Conflict {
	say := fmt.Sprintf("{%d} holds the lock, and no release of it had begun when {%d} returned with the lock too", a.first, b.first)
	switch {
	case a.last != none:
		say = fmt.Sprintf("{%d} holds the lock until {%d} at least, which began {%d<%d} after {%d} had returned with the lock too", a.first, a.last, b.first, a.last, b.first)
	case w.next[a.first] != none:
		say = fmt.Sprintf("{%d} holds the lock and it had not been released as often as acquired; yet {%d} returned with it", a.first, b.first)
	}
	return w.conflict(b.first, say, a.first, a.last, b.first)
}

// inside: b, of which only the release returned, lies within a.
func (w *walk) inside(a, b *holding) spec.Conflict {
	say := fmt.Sprintf("{%d} began {%d<%d} after {%d} had returned with the lock, which had not been released when it returned; yet it released it, as if {%d} had succeeded in between", b.last, a.first, b.last, a.first, b.first)
	if a.last != none {
		say = fmt.Sprintf("{%d} began {%d<%d} after {%d} had returned with the lock and returned {%d<%d} before its release {%d} began; so {%d} cannot have succeeded in between", b.last, a.first, b.last, a.first, b.last, a.last, a.last, b.first)
	}
	return w.conflict(b.last, say, a.first, a.last, b.first, b.last)
}

// stale: b came after a and did not get a greater token.
func (w *walk) stale(a, b *holding) spec.Conflict {
	say := fmt.Sprintf("{%d} got token %d and {%d} ended its hold before {%d} returned; yet that got token %d, which is not greater", a.tokenBy, a.token, a.last, b.tokenBy, b.token)
	return w.conflict(b.tokenBy, say, a.tokenBy, a.last, b.tokenBy)
}
