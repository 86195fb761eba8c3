package hold

import (
	"cmp"
	"slices"

	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// Decide decides a lock in O(n log n).
//
// The operations of an owner tell its holds. They may be ordered if and only if
// no two that surely last for a while overlap and none lies inside another.
// This is the test of Gibbons and Korach, "Testing Shared Memories", 1997,
// section 4, for clusters of reads and their write. Holds that have a token
// surely last, so that their order is given and the tokens are compared along
// it.
//
// A lock without owners is decided so too if each owner acquires and releases
// in turn: then nobody can have released for another. Otherwise it is toggled
// as late as can be, see sweep; Illegal then comes with a Frontier (the shortest
// illegal prefix ends after that call and before the next), and with a conflict
// only if a small one is found, see explain.
//
// Inapplicable are, for locks with owners, operations of one owner that overlap
// (equal times do) and crashed ones after which their owner went on, unless
// what it did next shows that they took effect.
func Decide(l Lock, ops []spec.Op[In, Out], b spec.Budget) spec.Finding[Out] {
	const each = 120 // bytes for an operation, measured
	switch {
	case b.Bytes > 0 && int64(len(ops))*each > b.Bytes:
		return spec.Finding[Out]{Outcome: spec.Undecided, Why: spec.OutOfMemory}
	case b.Steps > 0 && int64(len(ops)) > b.Steps:
		return spec.Finding[Out]{Outcome: spec.Undecided, Why: spec.OutOfSteps}
	case slices.ContainsFunc(ops, func(o op) bool { return !o.Crashed && o.Return < o.Call }):
		return spec.Finding[Out]{Outcome: spec.Inapplicable, Why: "an operation returned before it was called"}
	}
	w := walkHolds(l, ops, b)
	var f spec.Finding[Out]
	switch {
	case !l.Owned && (w.why != "" || len(w.conflicts) > 0):
		f = sweep(l, ops, w.byCall, b)
	case w.why != "":
		f = spec.Finding[Out]{Outcome: spec.Inapplicable, Why: w.why}
	default:
		f = w.decide()
	}
	if b.Stopped() {
		return spec.Finding[Out]{Outcome: spec.Undecided, Why: spec.OutOfTime}
	}
	return f
}

func (w *walk) decide() spec.Finding[Out] {
	var lasting, brief []int32
	for k := range w.holds {
		if w.holds[k].first == none {
			continue
		}
		if w.holds[k].forward() {
			lasting = append(lasting, int32(k))
		} else {
			brief = append(brief, int32(k))
		}
	}
	slices.SortFunc(lasting, func(a, b int32) int { return cmp.Compare(w.holds[a].from, w.holds[b].from) })
	w.compare(lasting)
	if len(w.conflicts) == 0 {
		w.place(lasting, brief)
	}
	if len(w.conflicts) > 0 {
		slices.SortStableFunc(w.conflicts, func(a, b spec.Conflict) int { return cmp.Compare(a.At, b.At) })
		return spec.Finding[Out]{Outcome: spec.Illegal, Conflicts: w.conflicts}
	}
	return spec.Finding[Out]{Outcome: spec.Legal, Order: w.order(lasting, brief)}
}

// compare looks for overlaps and for tokens that do not increase among holds
// that last, by their beginnings.
func (w *walk) compare(lasting []int32) {
	var longest, highest *holding
	for _, k := range lasting {
		h := &w.holds[k]
		if longest != nil && h.from < longest.until {
			w.accuse(w.overlap(longest, h))
		}
		if longest == nil || h.until > longest.until {
			longest = h
		}
		if h.token == 0 {
			continue
		}
		if highest != nil && h.token <= highest.token && highest.until <= h.from {
			w.accuse(w.stale(highest, h))
		}
		if highest == nil || h.token > highest.token {
			highest = h
		}
	}
}

// place finds a moment for the holds that need but one: until, or the end of
// the hold that lasts then. It is kept in until.
func (w *walk) place(lasting, brief []int32) {
	for _, k := range brief {
		h := &w.holds[k]
		n, _ := slices.BinarySearchFunc(lasting, h.until, func(a int32, at int64) int {
			return cmp.Compare(w.holds[a].from, at)
		})
		if n == 0 || w.holds[lasting[n-1]].until <= h.until {
			continue
		}
		around := &w.holds[lasting[n-1]] // the last to begin before
		if h.from < around.until {
			w.accuse(w.inside(around, h))
			continue
		}
		h.until = around.until
	}
}

// order is the holds by their moments, those that last at their beginnings.
func (w *walk) order(lasting, brief []int32) []int32 {
	moment := func(h *holding) int64 {
		if h.forward() {
			return h.from
		}
		return h.until
	}
	slices.SortFunc(brief, func(a, b int32) int { return cmp.Compare(w.holds[a].until, w.holds[b].until) })
	out := make([]int32, 0, len(w.ops))
	for len(lasting) > 0 || len(brief) > 0 {
		var k int32
		if len(lasting) == 0 || len(brief) > 0 && moment(&w.holds[brief[0]]) <= moment(&w.holds[lasting[0]]) {
			k, brief = brief[0], brief[1:]
		} else {
			k, lasting = lasting[0], lasting[1:]
		}
		for i := w.holds[k].first; i != none; i = w.next[i] {
			out = append(out, i)
		}
	}
	return out
}
