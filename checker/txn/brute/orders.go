package brute

import (
	"slices"

	"github.com/capstan-dev/capstan/checker/txn/log"
)

// snapshots is a family of models: transactions commit one after the other, and
// each reads what the first so many had committed.
type snapshots struct {
	before order
	// serial: the snapshot is all before the commit.
	serial bool
	// conflicts: what was committed since the snapshot wrote other keys.
	conflicts bool
}

// committing tries all orders of commits. place judges the last of them.
func (h *History) committing(before order, place func(done []*txn) bool) bool {
	used := make([]bool, len(h.txns))
	var next func(done []*txn, oks int) bool
	next = func(done []*txn, oks int) bool {
		if oks == h.oks {
			return true
		}
		for i := range h.txns {
			t := &h.txns[i]
			if used[i] || h.waits(t, used, before) {
				continue
			}
			used[i] = true
			more := append(done[:len(done):len(done)], t)
			count := oks
			if t.ok {
				count++
			}
			if place(more) && next(more, count) {
				return true
			}
			used[i] = false
		}
		return false
	}
	return next(nil, 0)
}

// waits says whether another one must come first.
func (h *History) waits(t *txn, used []bool, before order) bool {
	for j := range h.txns {
		if !used[j] && &h.txns[j] != t && before(&h.txns[j], t) {
			return true
		}
	}
	return false
}

// allows says whether the history can have come about.
func (s snapshots) allows(h *History) bool {
	return h.committing(s.before, func(done []*txn) bool {
		t, done := done[len(done)-1], done[:len(done)-1]
		for n := len(done); n >= 0; n-- {
			if s.sees(h, t, done, n) {
				return true
			}
			if s.serial {
				return false
			}
		}
		return false
	})
}

// sees says whether t can have read the first n of what was committed.
func (s snapshots) sees(h *History, t *txn, done []*txn, n int) bool {
	for _, later := range done[n:] {
		if s.before(later, t) {
			return false
		}
		for _, o := range t.ops {
			if o.write && later.writes(o.key) && (s.conflicts || h.exposes(t, o.key)) {
				return false
			}
		}
	}
	return h.fits(t, func(key int32) []log.Value { return h.values(done[:n], key) })
}

// visibility is a family of models: each transaction sees some of those that
// were committed before it, each as a whole.
type visibility struct {
	// transitive: it sees what they saw.
	transitive bool
	// conflicts: it sees all that wrote what it writes.
	conflicts bool
}

// allows says whether the history can have come about. Sets are chosen in the
// order of commits, so that a choice is tried with all later ones.
func (v visibility) allows(h *History) bool {
	used := make([]bool, len(h.txns))
	var next func(done []*txn, sets []uint, oks int) bool
	next = func(done []*txn, sets []uint, oks int) bool {
		if oks == h.oks {
			return true
		}
		for i := range h.txns {
			if used[i] {
				continue
			}
			t := &h.txns[i]
			used[i] = true
			count := oks
			if t.ok {
				count++
			}
			for set := range uint(1) << len(done) {
				if !v.sees(h, t, done, sets, set) {
					continue
				}
				if next(append(done[:len(done):len(done)], t), append(sets[:len(sets):len(sets)], set), count) {
					return true
				}
				if !v.transitive {
					break // for later ones it is all the same
				}
			}
			used[i] = false
		}
		return false
	}
	return next(nil, nil, 0)
}

func (v visibility) sees(h *History, t *txn, done []*txn, sets []uint, set uint) bool {
	for i, other := range done {
		if set>>i&1 == 1 {
			if v.transitive && sets[i]&^set != 0 {
				return false
			}
			continue
		}
		for _, o := range t.ops {
			if o.write && other.writes(o.key) && (v.conflicts || h.exposes(t, o.key)) {
				return false
			}
		}
	}
	return h.fits(t, func(key int32) []log.Value { return h.version(done, set, key) })
}

// version are the values of a key in a set: the version that its last visible
// writer made, which for lists has all before it.
func (h *History) version(done []*txn, set uint, key int32) []log.Value {
	for i := len(done) - 1; i >= 0; i-- {
		if set>>i&1 == 1 && done[i].writes(key) {
			return h.values(done[:i+1], key)
		}
	}
	return nil
}

// growing says whether the history can have come about where transactions commit
// one after the other, and each read sees what the first so many had committed,
// no fewer than the read before it: Adya's thesis, section 4.3, on the read
// consistency of Oracle, with statements of one read each.
func (h *History) growing() bool {
	return h.committing(none, func(done []*txn) bool {
		t, done := done[len(done)-1], done[:len(done)-1]
		var own []op
		n := 0 // the fewest that will do are the best for the reads to come
		for _, o := range t.ops {
			if o.write {
				own = append(own, o)
				continue
			}
			for n <= len(done) && !h.sawFirst(o, own, done, n) {
				n++
			}
			if n > len(done) {
				return false
			}
		}
		return true
	})
}

// sawFirst says whether a read can be of the first n of what was committed. If it
// shows a list with own elements at its end, nobody else's came between.
func (h *History) sawFirst(read op, own []op, done []*txn, n int) bool {
	appended := slices.ContainsFunc(own, func(o op) bool { return o.key == read.key })
	if h.lists && appended && slices.ContainsFunc(done[n:], func(t *txn) bool { return t.writes(read.key) }) {
		return false
	}
	return h.same(read, h.values(done[:n], read.key), own)
}

// Allows has the models that are defined by orders of commits, by their
// friendly names, and whether the history can have come about in each.
func (h *History) Allows() map[string]bool {
	out := map[string]bool{}
	for name, s := range map[string]snapshots{
		"strict-serializable":               {realtime, true, false},
		"strong-session-serializable":       {session, true, false},
		"serializable":                      {none, true, false},
		"strong-snapshot-isolation":         {realtime, false, true},
		"strong-session-snapshot-isolation": {session, false, true},
		"snapshot-isolation":                {none, false, true},
		"prefix":                            {none, false, false},
	} {
		out[name] = s.allows(h)
	}
	out["monotonic-snapshot-read"] = h.growing()
	// What one model allows its weaker ones allow, by the definitions.
	psi := out["snapshot-isolation"] || visibility{true, true}.allows(h)
	cc := psi || out["prefix"] || visibility{true, false}.allows(h)
	ua := psi || visibility{false, true}.allows(h)
	out["parallel-snapshot-isolation"], out["causal-cerone"], out["update-atomic"] = psi, cc, ua
	out["read-atomic"] = cc || ua || visibility{false, false}.allows(h)
	return out
}
