package weak

import "sort"

// sessions judges read-your-writes, monotonic-reads and monotonic-writes, and
// cuts each process into pieces where its reads went back.
type sessions struct {
	t    *trace
	last *last
	// piece numbers the pieces, from 1; of is by operation, 0: no read.
	piece int32
	of    []int32

	ryw, mr, mw *tally

	ownPiece, own []int32 // by key: the last write of the process of stamp ownPiece
	sight         sight
}

func judgeSessions(t *trace, keys int) *sessions {
	s := &sessions{
		t: t, last: newLast(t, keys), of: make([]int32, len(t.ops)),
		ryw: newTally(ReadYourWrites), mr: newTally(MonotonicReads), mw: newTally(MonotonicWrites),
		ownPiece: make([]int32, keys), own: make([]int32, keys),
		sight: sight{stamp: make([]int32, len(t.chains)), grown: make([][]growth, len(t.chains))},
	}
	for c := range t.chains {
		s.piece++
		for _, i := range t.session(c) {
			if t.reader(i) && t.from[i] != thinAir {
				s.ownWrites(i, int32(c)+1)
				s.read(i)
			}
			if t.writer(i) && !t.ops[i].Crashed {
				key := t.ops[i].Key
				s.ownPiece[key], s.own[key] = int32(c)+1, i
			}
		}
	}
	return s
}

// ownWrites refutes read-your-writes: all that binds are the process's own
// writes, so that only a read of the initial value or of an own write that is not
// its last can contradict.
func (s *sessions) ownWrites(r, stamp int32) {
	t, key := s.t, s.t.ops[r].Key
	if s.ownPiece[key] != stamp {
		return
	}
	own, w := s.own[key], s.t.from[r]
	switch {
	case w == initial:
		s.ryw.add(t, r, 2, func() violation {
			return newViolation(ReadYourWrites, r, []int32{own, r},
				"{%d} was acknowledged; later its own {.%d} found the initial value: the write was not there", own, r)
		})
	case w >= 0 && w != own && t.chain[w] == t.chain[r] && t.pos[w] < t.pos[own]:
		s.ryw.add(t, r, 3, func() violation {
			return newViolation(ReadYourWrites, r, []int32{w, own, r},
				"after {%d} came its {.%d}, which was acknowledged; its later {.%d} found the older of the two", w, own, r)
		})
	}
}

// read refutes monotonic-reads and, within a piece, monotonic-writes.
func (s *sessions) read(r int32) {
	t := s.t
	w := t.from[r]
	before := s.last.before(s.piece, t.ops[r].Key)
	if before >= 0 && t.from[before] != w && s.wentBack(r, before, w) {
		s.piece++
	} else {
		s.monotonicWrites(r, before, w)
	}
	s.of[r] = s.piece
	s.last.add(t, s.piece, r)
	if w >= 0 {
		s.sight.see(t, s.piece, w, r)
	}
}

// wentBack: the process read w, then something else, then w again; before the
// first read of all it read the initial value.
func (s *sessions) wentBack(r, before, w int32) bool {
	t := s.t
	if w == initial {
		s.mr.add(t, r, 3, func() violation {
			return newViolation(MonotonicReads, r, []int32{t.from[before], before, r},
				"{%d} found what {%d} wrote; its later {.%d} found the initial value again", before, t.from[before], r)
		})
		return true
	}
	first := s.last.firstOf(s.piece, w)
	if first < 0 {
		return false
	}
	s.mr.add(t, r, 5, func() violation {
		if t.from[before] < 0 {
			return newViolation(MonotonicReads, r, []int32{w, first, before, r},
				"{%d} found what {%d} wrote, its {.%d} found the initial value, and its {.%d} the write again", first, w, before, r)
		}
		return newViolation(MonotonicReads, r, []int32{w, t.from[before], first, before, r},
			"{%d} found what {%d} wrote; then its {.%d} found what {%d} wrote, which so replaced the first; then its {.%d} went back", first, w, before, t.from[before], r)
	})
	return true
}

// monotonicWrites: the process has seen a write, and with it the earlier ones
// of that write's process.
func (s *sessions) monotonicWrites(r, before, w int32) {
	t, key := s.t, s.t.ops[r].Key
	from, to := t.writes.of(key)
	if w == initial {
		for l := from; l < to; l++ {
			first := t.writes.ops[l][0]
			if by := s.sight.when(s.piece, first, t); by >= 0 {
				s.mw.add(t, r, 4, func() violation { return s.missing(r, first, by) })
				return
			}
		}
		return
	}
	if later := t.later(w); later >= 0 {
		if by := s.sight.when(s.piece, later, t); by >= 0 {
			s.mw.add(t, r, 5, func() violation { return s.missing(r, later, by) })
			return
		}
	}
	if before < 0 || t.from[before] == w || s.last.firstOf(s.piece, w) >= 0 {
		return
	}
	if by := s.sight.when(s.piece, w, t); by >= 0 && t.pos[by] <= t.pos[before] {
		s.mw.add(t, r, 6, func() violation {
			seen := t.from[by]
			return newViolation(MonotonicWrites, r, []int32{w, seen, by, t.from[before], before, r},
				"{%d} found what {%d} wrote, in front of which stood its {.%d}, so that this one was visible too; then {%d} found another value, and {%d} the visible one after all", by, seen, w, before, r)
		})
	}
}

// missing: by found a write behind gone, and yet r found an older value.
func (s *sessions) missing(r, gone, by int32) violation {
	t := s.t
	seen, w := t.from[by], t.from[r]
	found := "the initial value"
	if w >= 0 {
		found = "the older value, which its writer had replaced"
	}
	if seen == gone {
		return newViolation(MonotonicWrites, r, []int32{w, gone, by, r},
			"{%d} found what {%d} wrote; its later {.%d} found %s", by, gone, r, found)
	}
	return newViolation(MonotonicWrites, r, []int32{w, gone, seen, by, r},
		"{%d} found what {%d} wrote, in front of which stood its {.%d}; yet later {%d} found %s", by, seen, gone, r, found)
}

// later is the next write to the same key in the chain of w, -1: none.
func (t *trace) later(w int32) int32 {
	key := t.ops[w].Key
	from, to := t.writes.of(key)
	l := from + int32(sort.Search(int(to-from), func(l int) bool { return t.writes.chain[from+int32(l)] >= t.chain[w] }))
	all := t.writes.ops[l]
	at := sort.Search(len(all), func(n int) bool { return t.pos[all[n]] > t.pos[w] })
	if at == len(all) {
		return -1
	}
	return all[at]
}

// sight is what a process has seen of each chain, in one piece: all up to the
// latest write that it read.
type sight struct {
	stamp []int32
	grown [][]growth
}

type growth struct {
	upto int32 // operations of the chain
	by   int32 // the read that did it
}

func (s *sight) see(t *trace, piece, w, by int32) {
	s.grow(piece, t.chain[w], t.pos[w]+1, by)
	if b := t.branch[t.chain[w]]; b >= 0 {
		s.grow(piece, t.chain[b], t.pos[b]+1, by)
	}
}

func (s *sight) grow(piece, chain, upto, by int32) {
	if s.stamp[chain] != piece {
		s.stamp[chain], s.grown[chain] = piece, s.grown[chain][:0]
	}
	g := s.grown[chain]
	if len(g) == 0 || g[len(g)-1].upto < upto {
		s.grown[chain] = append(g, growth{upto, by})
	}
}

// when is the read by which a write became visible, -1: it is not.
func (s *sight) when(piece, w int32, t *trace) int32 {
	c := t.chain[w]
	if s.stamp[c] != piece {
		return -1
	}
	g := s.grown[c]
	at := sort.Search(len(g), func(i int) bool { return g[i].upto > t.pos[w] })
	if at == len(g) {
		return -1
	}
	return g[at].by
}
