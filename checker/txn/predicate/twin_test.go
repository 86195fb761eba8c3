package predicate_test

import (
	"math/bits"
	"slices"

	"github.com/capstan-dev/capstan/history"
)

// The definitions, with everything tried. A tale's init has happened before all
// else, as it is trusted to.

// before says which transactions are known to come before which.
type before func(a, b *trial) bool

func unordered(_, _ *trial) bool { return false }

func realtime(a, b *trial) bool { return a.outcome == history.OK && a.complete < b.invoke }

func session(a, b *trial) bool {
	return a.outcome == history.OK && b.outcome == history.OK && a.process == b.process && a.invoke < b.invoke
}

// happened are the sets of transactions that may have happened: all that are
// ok, and any that are unknown.
func (s tale) happened() []uint {
	var sure, maybe uint
	for i, x := range s.txns {
		switch x.outcome {
		case history.OK:
			sure |= 1 << i
		case history.Info:
			maybe |= 1 << i
		}
	}
	out := []uint{sure}
	for set := maybe; set > 0; set = (set - 1) & maybe {
		out = append(out, sure|set)
	}
	return out
}

// commits tries orders of commits in which each transaction of a set reads one
// state, with its own writes, that there was: the last one, if it is serial, or
// an earlier one, if nobody has written since what it writes.
func (s tale) commits(serial bool, order before) bool {
	return slices.ContainsFunc(s.happened(), func(set uint) bool {
		return s.next(set, []state{s.init}, nil, serial, order)
	})
}

// next tries each of those that are left as the next to commit.
func (s tale) next(left uint, states []state, done []int, serial bool, order before) bool {
	if left == 0 {
		return true
	}
	for i := range s.txns {
		x := &s.txns[i]
		waits := func(j int) bool { return left>>j&1 == 1 && order(&s.txns[j], x) }
		if left>>i&1 == 0 || slices.ContainsFunc([]int{0, 1, 2, 3, 4}[:len(s.txns)], waits) {
			continue
		}
		for n := len(done); n >= 0; n-- {
			conflict := func(j int) bool { return order(&s.txns[j], x) || s.collide(j, i) }
			if serial && n < len(done) || slices.ContainsFunc(done[n:], conflict) {
				break
			}
			if !x.fits(states[n]) {
				continue
			}
			after := x.apply(states[len(states)-1])
			if s.next(left&^(1<<i), append(states[:len(states):len(states)], after), append(done[:len(done):len(done)], i), serial, order) {
				return true
			}
			break // it is all the same for the others
		}
	}
	return false
}

func (s tale) collide(i, j int) bool {
	return slices.ContainsFunc(s.txns[i].steps, func(a step) bool {
		return a.writes() && slices.ContainsFunc(s.txns[j].steps, func(b step) bool { return b.writes() && b.key == a.key })
	})
}

// fits says whether the reads of a transaction are of a state and own writes.
func (x *trial) fits(now state) bool {
	for _, s := range x.steps {
		if s.writes() {
			now[s.key] = s.value
			continue
		}
		saw := s
		saw.see(now)
		if x.outcome == history.OK && (saw.value != s.value || saw.found != s.found) {
			return false
		}
	}
	return true
}

func (x *trial) apply(now state) state {
	for _, s := range x.steps {
		if s.writes() {
			now[s.key] = s.value
		}
	}
	return now
}

// version of a key: what a transaction installed, -1 for the first.
type version struct{ by, value int }

// reading is a read of one key from outside, by key or by a predicate, with the
// versions that it may have seen; if there are several it is to be chosen.
type reading struct {
	by, key    int
	item, pred bool
	test       test
	versions   []version
}

// adya has the levels of Adya (thesis, 1999, chapters 3 and 4) that a tale keeps
// by some order of versions and some choice of version sets; nothing if there
// are more choices than most.
func (s tale) adya(most int) map[string]bool {
	out := map[string]bool{"read-uncommitted": !s.garbage()}
	for level := range s.levels(&dsg{}, 0, true) {
		out[level] = false
	}
	for _, set := range s.happened() {
		sound, internal, reads := s.readings(set)
		var orders [3][][]version
		choices := 1
		for k := range orders {
			orders[k] = s.orders(set, k)
			choices *= len(orders[k])
		}
		for _, r := range reads {
			choices *= max(1, len(r.versions))
			if sound && choices > most {
				return nil
			}
		}
		for n := 0; sound && n < choices; n++ {
			g := dsg{}
			left := n
			var order [3][]version
			for k := range order {
				order[k] = orders[k][left%len(orders[k])]
				left /= len(orders[k])
			}
			g.writes(order)
			for _, r := range reads {
				g.read(r, r.versions[left%len(r.versions)], order[r.key])
				left /= len(r.versions)
			}
			for level, holds := range s.levels(&g, set, internal) {
				out[level] = out[level] || holds
			}
		}
	}
	return out
}

// orders are all orders of the versions that transactions install of a key: the
// last each of them wrote.
func (s tale) orders(set uint, key int) (out [][]version) {
	var all []version
	for i, x := range s.txns {
		if v := x.last(key, len(x.steps)); set>>i&1 == 1 && v != nil {
			all = append(all, version{i, v.value})
		}
	}
	var from func(i int)
	from = func(i int) {
		if i == len(all) {
			out = append(out, slices.Concat([]version{{-1, s.init[key]}}, all))
		}
		for j := i; j < len(all); j++ {
			all[i], all[j] = all[j], all[i]
			from(i + 1)
			all[i], all[j] = all[j], all[i]
		}
	}
	from(0)
	return out
}

// last is the last write of a key among the first n steps; nil if there is none.
func (x *trial) last(key, n int) *step {
	for i := n - 1; i >= 0; i-- {
		if s := &x.steps[i]; s.writes() && s.key == key {
			return s
		}
	}
	return nil
}

// readings are all reads from outside. They are not sound if one can be of no
// version that was installed (G1a, G1b, nobody's), and not internal if one does
// not see what its own transaction wrote.
func (s tale) readings(set uint) (sound, internal bool, out []reading) {
	sound, internal = true, true
	for i := range s.txns {
		x := &s.txns[i]
		for n, at := range x.steps {
			if x.outcome != history.OK || at.writes() {
				continue
			}
			for k := range s.init {
				if at.f == "r" && k != at.key {
					continue
				}
				r := reading{by: i, key: k, pred: at.f == "rp", test: at.test}
				saw := at.value
				if r.pred {
					saw = at.found[k]
				}
				r.item = !r.pred || saw != 0
				if own := x.last(k, n); own != nil {
					internal = internal && r.agrees(own.value, saw)
				}
				if slices.ContainsFunc(x.steps[:n], func(o step) bool { return o.writes() && o.key == k && r.agrees(o.value, saw) }) {
					continue
				}
				for _, v := range s.orders(set, k)[0] {
					if v.by != i && r.agrees(v.value, saw) {
						r.versions = append(r.versions, v)
					}
				}
				sound = sound && len(r.versions) > 0
				out = append(out, r)
			}
		}
	}
	return sound, internal, out
}

// agrees says whether a read that saw a value, or nothing, can be of a version.
func (r reading) agrees(value, saw int) bool {
	if r.pred && saw == 0 {
		return !r.test.matches(value)
	}
	return value == saw
}

// garbage says whether a read shows what nobody can have written.
func (s tale) garbage() bool {
	for _, x := range s.txns {
		for _, r := range x.steps {
			for k := range s.init {
				saw := r.found[k]
				if r.f == "r" && r.key == k {
					saw = r.value
				}
				writes := func(x trial) bool {
					return slices.ContainsFunc(x.steps, func(o step) bool { return o.writes() && o.key == k && o.value == saw })
				}
				if x.outcome == history.OK && saw != 0 && saw != s.init[k] && !slices.ContainsFunc(s.txns, writes) {
					return true
				}
			}
		}
	}
	return false
}

// relation has for each transaction the set of those that depend on it.
type relation [5]uint

func (r *relation) add(a, b int) {
	if a >= 0 && b >= 0 && a != b {
		r[a] |= 1 << b
	}
}

func union(rs ...relation) (out relation) {
	for _, r := range rs {
		for i := range r {
			out[i] |= r[i]
		}
	}
	return out
}

// then is the composition: a step of one, and a step of the other.
func (r relation) then(o relation) (out relation) {
	for i, set := range r {
		for ; set != 0; set &= set - 1 {
			out[i] |= o[bits.TrailingZeros(set)]
		}
	}
	return out
}

func (r relation) closed() relation {
	for range r {
		r = union(r, r.then(r))
	}
	return r
}

func (r relation) cyclic() bool {
	for i, set := range r.closed() {
		if set>>i&1 == 1 {
			return true
		}
	}
	return false
}

// dsg is Adya's direct serialization graph of one choice.
type dsg struct {
	ww, wr, rw, rwp relation
	// future: a predicate looked beyond what its own transaction wrote later,
	// which is circular information flow (G1c) of one transaction.
	future bool
}

func (g *dsg) writes(orders [3][]version) {
	for _, order := range orders {
		for i := 1; i < len(order); i++ {
			g.ww.add(order[i-1].by, order[i].by)
		}
	}
}

// read adds the dependencies of a read (section 3.1): on who wrote the version,
// if it was read; by a predicate, on all who changed whether the key matches up
// to there, and of all who did so later.
func (g *dsg) read(r reading, v version, order []version) {
	at := slices.Index(order, v)
	if r.item {
		g.wr.add(v.by, r.by)
		if at+1 < len(order) {
			g.rw.add(r.by, order[at+1].by)
		}
	}
	for i := 1; r.pred && i < len(order); i++ {
		switch changes := r.test.matches(order[i].value) != r.test.matches(order[i-1].value); {
		case changes && i <= at:
			g.future = g.future || order[i].by == r.by
			g.wr.add(order[i].by, r.by)
		case changes:
			g.rwp.add(r.by, order[i].by)
		}
	}
}

// levels: PL-2 proscribes G1, PL-2+ G-single besides, PL-2.99 the cycles without
// predicate anti-dependencies, PL-3 all, PL-SI those without two adjacent
// anti-dependencies (Cerone and Gotsman, JACM 2018, theorem 10).
func (s tale) levels(g *dsg, set uint, internal bool) map[string]bool {
	depends, anti := union(g.ww, g.wr), union(g.rw, g.rwp)
	if depends.cyclic() || g.future {
		return nil
	}
	single := false
	reach := depends.closed()
	for i, set := range anti.then(reach) {
		single = single || set>>i&1 == 1
	}
	var sessions, time relation
	for i := range s.txns {
		for j := range s.txns {
			if set>>i&1 == 1 && set>>j&1 == 1 && session(&s.txns[i], &s.txns[j]) {
				sessions.add(i, j)
			}
			if set>>i&1 == 1 && set>>j&1 == 1 && realtime(&s.txns[i], &s.txns[j]) {
				time.add(i, j)
			}
		}
	}
	return map[string]bool{
		"read-committed":                true,
		"strong-session-read-committed": !union(depends, sessions).cyclic(),
		"strong-read-committed":         !union(depends, time).cyclic(),
		"consistent-view":               !single,
		"repeatable-read":               !union(depends, g.rw).cyclic(),
		"serializable":                  internal && !union(depends, anti).cyclic(),
		"snapshot-isolation":            internal && !union(depends, depends.then(anti)).cyclic(),
	}
}

// models are all that are defined, and whether they allow a tale.
func (s tale) models() map[string]bool {
	out := map[string]bool{
		"strict-serializable":               s.commits(true, realtime),
		"strong-session-serializable":       s.commits(true, session),
		"serializable":                      s.commits(true, unordered),
		"strong-snapshot-isolation":         s.commits(false, realtime),
		"strong-session-snapshot-isolation": s.commits(false, session),
		"snapshot-isolation":                s.commits(false, unordered),
	}
	for level, holds := range s.adya(1 << 16) {
		if same, ok := out[level]; ok && same != holds {
			out["by commits and by versions, "+level] = true
		}
		out[level] = out[level] || holds
	}
	return out
}
