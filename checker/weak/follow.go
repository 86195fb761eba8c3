package weak

import "context"

// follower judges writes-follow-reads: within a piece of a process the visible
// writes are those that it read and, for each of them, what was read in the
// causal past of its writer. A cycle in their order needs either a value that
// was visible, not found, and found then; or one that is found although a
// visible write has it among what its writer had read.
type follower struct {
	c      *causality
	s      *sessions
	tally  *tally
	known  []int32    // clock: the causal past of all that was read in the piece
	behind [][]int32  // by key: the joined clocks of the visible writes
	stamp  []int32    // by key
	at     []int32    // by list of reads: those before it are visible
	atOf   []int32    // by list of reads: its stamp
	since  []sighting // by write
	any    []int32    // by key: a visible write
	first  [][]int32  // by write: its first reader of each chain
	work   int64      // entries of clocks joined so far
	asked  int64      // the work at which the time was looked at
}

type sighting struct {
	piece, at int32 // the position of the read on this key at which it was visible
}

// judgeFollows counts the violations. With an error the tally holds those found
// until then.
func judgeFollows(ctx context.Context, c *causality, s *sessions, keys int) (*tally, error) {
	t := c.t
	f := &follower{
		c: c, s: s, tally: newTally(WritesFollowReads), known: make([]int32, c.k),
		behind: make([][]int32, keys), stamp: make([]int32, keys), any: make([]int32, keys),
		at: make([]int32, len(t.reads.ops)), atOf: make([]int32, len(t.reads.ops)),
		since: make([]sighting, len(t.ops)), first: firstReaders(t),
	}
	l := newLast(t, keys)
	piece := int32(0)
	for i := range t.chains {
		for n, r := range t.session(i) {
			if err := f.stop(ctx, n); err != nil {
				return f.tally, err
			}
			if s.of[r] == 0 {
				continue
			}
			if s.of[r] != piece {
				piece = s.of[r]
				clear(f.known)
			}
			f.read(r, piece, l.before(piece, t.ops[r].Key))
			l.add(t, piece, r)
		}
	}
	return f.tally, nil
}

// maxCounting bounds the entries of clocks joined to count violations.
const maxCounting = 1 << 31

// stop looks at the time now and then. Where reads go back again and again the
// same past is taken in for each piece; when it is known that the model is
// refuted, counting on is not worth that.
func (f *follower) stop(ctx context.Context, n int) error {
	if f.tally.count > 0 && f.work > maxCounting {
		return errWork
	}
	if n&255 == 0 || f.work-f.asked > 1<<24 {
		f.asked = f.work
		return ctx.Err()
	}
	return nil
}

// firstReaders lists the first reader of each write in each chain.
func firstReaders(t *trace) [][]int32 {
	first := make([][]int32, len(t.ops))
	for _, all := range t.reads.ops {
		for _, r := range all {
			w := t.from[r]
			if n := len(first[w]); n == 0 || t.chain[first[w][n-1]] != t.chain[r] {
				first[w] = append(first[w], r)
			}
		}
	}
	return first
}

// read looks at one read; before is the one before it on this key and piece.
func (f *follower) read(r, piece, before int32) {
	t := f.c.t
	key, w := t.ops[r].Key, t.from[r]
	if w >= 0 {
		f.upto(f.known, w)
	}
	if f.stamp[key] != piece {
		f.stamp[key], f.any[key] = piece, -1
		if f.behind[key] == nil {
			f.behind[key] = make([]int32, f.c.k)
		}
		clear(f.behind[key])
	}
	f.discover(key, piece, t.pos[r])
	if w == initial {
		if gone := f.any[key]; gone >= 0 {
			f.tally.add(t, r, f.c.g.least(4), func() violation { return f.tell(r, gone, piece) })
		}
		return
	}
	f.show(key, w, piece, t.pos[r])
	if before >= 0 && t.from[before] != w && f.since[w].at <= t.pos[before] {
		f.tally.add(t, r, f.c.g.least(6), func() violation { return f.tellAgain(r, before, piece) })
		return
	}
	for _, reader := range f.first[w] {
		if t.pos[reader] < f.behind[key][t.chain[reader]] {
			f.tally.add(t, r, f.c.g.least(5), func() violation { return f.tell(r, f.after(key, w, piece), piece) })
			return
		}
	}
}

// discover takes what the writers of all that was read had read of this key.
func (f *follower) discover(key, piece, at int32) {
	t := f.c.t
	from, to := t.reads.of(key)
	for l := from; l < to; l++ {
		upto := f.known[t.reads.chain[l]]
		if upto == 0 {
			continue
		}
		if f.atOf[l] != piece {
			f.atOf[l], f.at[l] = piece, 0
		}
		all := t.reads.ops[l]
		for int(f.at[l]) < len(all) && t.pos[all[f.at[l]]] < upto {
			f.show(key, t.from[all[f.at[l]]], piece, at)
			f.at[l]++
			f.work += 8 // about what that costs
		}
	}
}

func (f *follower) show(key, w, piece, at int32) {
	if f.since[w].piece != piece {
		f.since[w] = sighting{piece, at}
		f.any[key] = w
		f.upto(f.behind[key], w)
	}
}

// upto joins the past of a write; what it found itself belongs to that.
func (f *follower) upto(into []int32, w int32) {
	t := f.c.t
	f.work += int64(len(into))
	join(into, f.c.of(w))
	into[t.chain[w]] = max(into[t.chain[w]], t.pos[w]+1)
}

// after is a visible write whose writer had read w.
func (f *follower) after(key, w, piece int32) int32 {
	t := f.c.t
	from, to := t.writes.of(key)
	for l := from; l < to; l++ {
		for _, other := range t.writes.ops[l] {
			if other != w && f.since[other].piece == piece && f.hadRead(other, w) {
				return other
			}
		}
	}
	return -1
}

func (f *follower) hadRead(other, w int32) bool {
	t := f.c.t
	for _, r := range f.first[w] {
		if r == other || t.pos[r] < f.c.of(other)[t.chain[r]] {
			return true
		}
	}
	return false
}

// sight is a way by which a write became visible to r in the piece: it was read,
// or the writer of what was read had read it.
func (f *follower) sight(w, r, piece int32) []edge {
	t := f.c.t
	for _, by := range t.chains[t.chain[r]][:t.pos[r]+1] {
		if f.s.of[by] != piece || t.from[by] < 0 {
			continue
		}
		var way []edge
		if t.from[by] != w {
			if way = f.hadReadBy(t.from[by], w); way == nil {
				continue
			}
		}
		way = append(way, edge{t.from[by], by, -1, readFrom})
		if by != r {
			way = append(way, edge{by, r, -1, program})
		}
		return way
	}
	return nil
}

// hadReadBy is a way from w to other that begins with a read of w.
func (f *follower) hadReadBy(other, w int32) []edge {
	if !f.hadRead(other, w) {
		return nil
	}
	return f.c.g.path(quest{a: w, b: other, reads: true})
}

// tell: gone was visible to r, which found something older.
func (f *follower) tell(r, gone, piece int32) violation {
	w := f.c.t.from[r]
	second := f.sight(gone, r, piece)
	v := newViolation(WritesFollowReads, r, append(opsOf(second), r, w), "")
	v.say = tellPath(second) + ", which found the initial value all the same"
	if w >= 0 {
		first := f.hadReadBy(gone, w)
		v = newViolation(WritesFollowReads, r, append(append(opsOf(first), opsOf(second)...), r, w), "")
		v.say = tellPath(first) + "; " + tellPath(second) + ", which went back to the older value"
	}
	return v
}

// tellAgain: what r found was visible before, when another value was found.
func (f *follower) tellAgain(r, before, piece int32) violation {
	t := f.c.t
	w := t.from[r]
	way := f.sight(w, before, piece)
	v := newViolation(WritesFollowReads, r, append(opsOf(way), r, before, t.from[before], w), "")
	v.say = tellPath(way) + ", which found another value; its later {." + itoa(r) + "} found the one that was visible before"
	return v
}
