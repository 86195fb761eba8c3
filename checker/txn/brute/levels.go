package brute

import "slices"

// levels of Adya's by what they proscribe in a graph, chapters 3 and 4 of the
// thesis: PL-1 no G0; PL-2 no G1; PL-CS no G-cursor besides; PL-2L no
// G-monotonic; PL-2+ no G-single; PL-3U no G-update; PL-2.99 and PL-3 no G2
// (there are no predicates). PL-FCV proscribes G-SIb, the cycles with just one
// anti-dependency if starts count: where it is not known when transactions
// began, all may have begun before any committed; then there are no
// dependencies on starts, and G-SIb is G-single. PL-SI is by the
// characterization of Cerone and Gotsman, Analysing Snapshot Isolation (JACM
// 2018), theorem 10: no cycle but such with two adjacent anti-dependencies.
// Monotonic atomic view has no OTV besides G1 (Bailis et al., VLDB 2013). The
// sessions and the order of time are dependencies of the strong variants.
func (g *dsg) levels() map[string]bool {
	depends := g.ww.union(g.wr)
	all := depends.union(g.rw)
	pl1 := !g.nonsense && !g.ww.cyclic()
	pl2 := !g.impossible && !g.intermediate && !depends.cyclic()
	view := pl2 && !single(depends, g.rw)
	sessions, time := g.known(session), g.known(realtime)
	return map[string]bool{
		"read-uncommitted":                pl1,
		"strong-session-read-uncommitted": pl1 && !g.ww.union(sessions).cyclic(),
		"strong-read-uncommitted":         pl1 && !g.ww.union(time).cyclic(),
		"read-committed":                  pl2,
		"strong-session-read-committed":   pl2 && !depends.union(sessions).cyclic(),
		"strong-read-committed":           pl2 && !depends.union(time).cyclic(),
		"cursor-stability":                pl2 && !g.cursor(),
		"monotonic-view":                  pl2 && !g.monotonic(depends),
		"monotonic-atomic-view":           pl2 && !g.vanishes(),
		"consistent-view":                 view,
		"forward-consistent-view":         view,
		"update-serializable":             pl2 && !g.update(all),
		"repeatable-read":                 pl2 && !all.cyclic(),
		"serializable":                    pl2 && !g.internal && !all.cyclic(),
		"snapshot-isolation":              pl2 && !g.internal && !g.composed(depends).cyclic(),
	}
}

// known are the pairs of transactions that happened in an order.
func (g *dsg) known(before order) relation {
	out := make(relation, len(g.h.txns))
	for i := range g.h.txns {
		for j := range g.h.txns {
			if g.happened>>i&1 == 1 && g.happened>>j&1 == 1 && before(&g.h.txns[i], &g.h.txns[j]) {
				out.add(i, j)
			}
		}
	}
	return out
}

// single finds a cycle with just one anti-dependency.
func single(depends, rw relation) bool {
	reach := depends.closed()
	for a := range rw {
		for b := range rw {
			if rw.has(a, b) && reach.has(b, a) {
				return true
			}
		}
	}
	return false
}

// composed are dependencies, each with an anti-dependency after it or not.
func (g *dsg) composed(depends relation) relation {
	out := slices.Clone(depends)
	for a := range depends {
		for b := range depends {
			if depends.has(a, b) {
				out[a] |= g.rw[b]
			}
		}
	}
	return out
}

// cursor finds G-cursor: a cycle of one anti-dependency and writes overwritten,
// all by one key.
func (g *dsg) cursor() bool {
	for key, order := range g.orders {
		ww, rw := make(relation, len(g.ww)), make(relation, len(g.ww))
		for i := 1; i < len(order); i++ {
			ww.add(order[i-1].by, order[i].by)
		}
		for _, r := range g.reads {
			if int(r.key) == key && r.at+1 < len(order) {
				rw.add(r.by, order[r.at+1].by)
			}
		}
		if single(ww, rw) {
			return true
		}
	}
	return false
}

// monotonic finds G-monotonic: a transaction reads what another overwrote, and
// by then already depends on that other one. Its reads and writes are vertices
// of their own (the unfolded graph), each after those before it.
func (g *dsg) monotonic(depends relation) bool {
	reach := depends.closed()
	for i := range reach {
		reach[i] |= 1 << i
	}
	for _, r := range g.reads {
		if r.at+1 == len(g.orders[r.key]) {
			continue
		}
		over := g.orders[r.key][r.at+1].by
		for _, w := range g.before(r) {
			if over != r.by && reach.has(over, w) {
				return true
			}
		}
	}
	return false
}

// before are those on whom a transaction depends by its operations up to a read:
// who wrote what it read, and what it overwrote.
func (g *dsg) before(r observed) []int {
	var out []int
	for _, o := range g.reads {
		if o.by == r.by && o.op <= r.op && o.at >= 0 {
			out = append(out, g.orders[o.key][o.at].by)
		}
	}
	for _, o := range g.h.txns[r.by].ops[:r.op] {
		if !o.write {
			continue
		}
		order := g.orders[o.key]
		at := slices.IndexFunc(order, func(e element) bool { return e.value == o.value })
		if at < 0 || !g.h.final(order[at], o.key) {
			continue
		}
		for at > 0 && order[at].by == r.by {
			at-- // its own versions between are none that are installed
		}
		out = append(out, order[at].by)
	}
	return slices.DeleteFunc(out, func(w int) bool { return w == r.by })
}

// vanishes finds OTV, observed transaction vanishes: a transaction reads what
// another wrote, and then of some key an older version than that one's.
func (g *dsg) vanishes() bool {
	for _, first := range g.reads {
		if first.at < 0 {
			continue
		}
		seen := g.orders[first.key][first.at].by
		for _, r := range g.reads {
			later := g.orders[r.key][r.at+1:]
			if r.by == first.by && r.op > first.op && seen != r.by && slices.ContainsFunc(later, func(e element) bool { return e.by == seen }) {
				return true
			}
		}
	}
	return false
}

// update finds G-update: a cycle with an anti-dependency among the transactions
// that write and at most one that only reads. Cycles without one are G1.
func (g *dsg) update(all relation) bool {
	var writers uint
	for i, t := range g.h.txns {
		if slices.ContainsFunc(t.ops, func(o op) bool { return o.write }) {
			writers |= 1 << i
		}
	}
	for i := range all {
		if all.among(writers | 1<<i).cyclic() {
			return true
		}
	}
	return false
}

// among is the relation between the transactions of a set.
func (r relation) among(set uint) relation {
	out := make(relation, len(r))
	for i := range r {
		if set>>i&1 == 1 {
			out[i] = r[i] & set
		}
	}
	return out
}
