package presence

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// defaultSteps bound the search of blind elements.
const defaultSteps = 20_000_000

// maxFrontier of states are kept at a time.
const maxFrontier = 1 << 14

// state is one way in which an element can have come to where it is. Pending
// operations have a bit each.
type state struct {
	there int
	fine  uint64   // reads and blind operations that saw what they need
	used  uint64   // those that flipped the element
	took  [2]int32 // crashed ones that flipped it to there, the earliest by call
}

// path leads to a state: n flips, the last first.
type path struct {
	flip
	before *path
	n      int
}

// way is a state and how it was reached.
type way struct {
	state
	path *path
}

type searcher struct {
	*decider
	pending  [64]int32 // operation by bit, -1 if it is free
	taken    uint64
	crashed  [2][]int32
	frontier []way
	next     []way
	spare    []way
	seen     map[state]bool // of next, if these are many
	now      int64
}

// search is the sweep with choices. An operation whose answer is unknown may
// flip the element or not: it may do so as long as it is pending, whether or
// not it is needed now. Of the choices those are tried that no other one
// dominates; what returned leaves no trace, so that few states remain.
func (d *decider) search(e element) fate {
	s := &searcher{decider: d, frontier: make([]way, 1)}
	if d.bits == nil {
		d.bits = make([]uint8, len(d.ops))
	}
	next := 0
	for n, x := range e.returns {
		if n&255 == 255 && d.b.Stopped() {
			return fate{failed: -1, why: spec.OutOfTime}
		}
		s.now = d.ops[x].Return
		for ; next < len(e.calls) && d.ops[e.calls[next]].Call <= s.now; next++ {
			i := e.calls[next]
			switch k := d.kinds[i]; {
			case k.maybe():
				s.crashed[k.after()] = append(s.crashed[k.after()], i)
			case k != anything && s.taken == ^uint64(0):
				return fate{failed: -1, why: "more than 64 operations on one element, with unknown answers, were in flight"}
			case k != anything:
				d.bits[i] = uint8(bits.TrailingZeros64(^s.taken))
				s.begin(i, int(d.bits[i]))
			}
		}
		if d.kinds[x] == anything || d.ops[x].Crashed {
			continue
		}
		last := s.frontier
		s.next, s.seen = s.spare[:0], nil
		for _, w := range last {
			s.finish(w.state, w.path, x, int(d.bits[x]))
		}
		s.prune()
		if d.steps -= int64(len(s.next)); d.steps < 0 || len(s.next) > maxFrontier {
			return fate{failed: -1, why: spec.OutOfSteps}
		}
		if len(s.next) == 0 {
			return fate{failed: x, flips: flips(shortest(last))}
		}
		s.frontier, s.spare, s.taken = s.next, last, s.taken&^(1<<d.bits[x])
	}
	return fate{failed: -1, flips: flips(shortest(s.frontier))}
}

// maxPruned ways are compared with each other.
const maxPruned = 256

// prune drops ways that another one dominates: with the same flips still due
// it has as much behind it and as much at hand.
func (s *searcher) prune() {
	if len(s.next) < 2 || len(s.next) > maxPruned {
		return
	}
	var known uint64
	for left := s.taken; left != 0; left &= left - 1 {
		if b := bits.TrailingZeros64(left); s.kinds[s.pending[b]].flips() {
			known |= 1 << b
		}
	}
	dominates := func(a, b *state) bool {
		return a.there == b.there && (a.used^b.used)&known == 0 && a.used&^b.used == 0 && b.fine&^a.fine == 0 &&
			a.took[0] <= b.took[0] && a.took[1] <= b.took[1]
	}
	kept := s.next[:0]
	for n := range s.next {
		w := s.next[n]
		if slices.ContainsFunc(kept, func(k way) bool { return dominates(&k.state, &w.state) }) {
			continue
		}
		kept = slices.DeleteFunc(kept, func(k way) bool { return dominates(&w.state, &k.state) })
		kept = append(kept, w)
	}
	s.next = kept
}

// begin gives operation i a bit.
func (s *searcher) begin(i int32, bit int) {
	s.pending[bit], s.taken = i, s.taken|1<<bit
	k := s.kinds[i]
	if k.flips() {
		return
	}
	for n := range s.frontier {
		if w := &s.frontier[n]; w.there == k.after() {
			w.fine |= 1 << bit
		}
	}
}

// finish adds the states in which x, which is about to return, has what it
// needs.
func (s *searcher) finish(st state, p *path, x int32, bit int) {
	k, mask := s.kinds[x], uint64(1)<<bit
	to := k.after()
	done := func(st state, p *path) {
		st.fine, st.used = st.fine&^mask, st.used&^mask
		s.add(way{st, p})
	}
	if st.used&mask != 0 {
		done(st, p)
		return
	}
	if st.fine&mask != 0 {
		done(st, p)
	} else if !k.flips() {
		s.flips(st, p, to, done)
	}
	if k.reads() {
		return
	}
	// x flips the element itself, now or never.
	itself := func(st state, p *path) {
		if st.used&mask == 0 {
			st, p = s.flip(st, p, to, x, mask)
		}
		done(st, p)
	}
	if st.there != to {
		itself(st, p)
	} else {
		s.flips(st, p, 1-to, itself)
	}
}

// few ways are looked through, more are hashed.
const few = 32

func (s *searcher) add(w way) {
	if len(s.next) < few {
		if slices.ContainsFunc(s.next, func(o way) bool { return o.state == w.state }) {
			return
		}
	} else {
		if s.seen == nil {
			s.seen = make(map[state]bool)
			for _, o := range s.next {
				s.seen[o.state] = true
			}
		}
		if s.seen[w.state] {
			return
		}
		s.seen[w.state] = true
	}
	s.next = append(s.next, w)
}

// flips goes on from all ways to flip the element that none dominates: what
// must flip once goes first, and those of one kind in the order in which they
// return; only a blind operation that returns earlier is another choice.
func (s *searcher) flips(st state, p *path, to int, then func(state, *path)) {
	known, blind := -1, -1
	for left := s.taken &^ st.used; left != 0; left &= left - 1 {
		b := bits.TrailingZeros64(left)
		i := s.pending[b]
		switch k := s.kinds[i]; {
		case k.reads() || k.after() != to:
		case k.flips() && (known < 0 || s.ops[i].Return < s.ops[s.pending[known]].Return):
			known = b
		case k.blind() && (blind < 0 || s.ops[i].Return < s.ops[s.pending[blind]].Return):
			blind = b
		}
	}
	if known >= 0 {
		next, path := s.flip(st, p, to, s.pending[known], 1<<known)
		then(next, path)
	}
	if blind >= 0 && (known < 0 || s.ops[s.pending[blind]].Return < s.ops[s.pending[known]].Return) {
		next, path := s.flip(st, p, to, s.pending[blind], 1<<blind)
		then(next, path)
	}
	if n := st.took[to]; known < 0 && blind < 0 && int(n) < len(s.crashed[to]) {
		next, path := s.flip(st, p, to, s.crashed[to][n], 0)
		next.took[to]++
		then(next, path)
	}
}

func (s *searcher) flip(st state, p *path, to int, i int32, mask uint64) (state, *path) {
	st.there = to
	st.used |= mask
	for left := s.taken; left != 0; left &= left - 1 {
		b := bits.TrailingZeros64(left)
		if k := s.kinds[s.pending[b]]; !k.flips() && k.after() == to {
			st.fine |= 1 << b
		}
	}
	return st, &path{flip{i, s.now}, p, p.len() + 1}
}

// shortest is the first path with the fewest flips.
func shortest(frontier []way) *path {
	return slices.MinFunc(frontier, func(a, b way) int { return cmp.Compare(a.path.len(), b.path.len()) }).path
}

func (p *path) len() int {
	if p == nil {
		return 0
	}
	return p.n
}

func flips(p *path) []flip {
	n := p.len()
	list := make([]flip, n)
	for q := p; q != nil; q = q.before {
		n--
		list[n] = q.flip
	}
	return list
}
