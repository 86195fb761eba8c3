package weak

import (
	"math/rand/v2"
	"slices"
)

// brute is a history judged straight from the definitions, with everything
// tried.
type brute struct {
	ops    []Op
	init   []int32
	from   []int // index, -1 no read or unseen answer, -2 initial, -3 thin air
	po, co [][]bool
	lost   bool // co is cyclic
	thin   bool
}

func newBrute(ops []Op, init []int32) *brute {
	b := &brute{init: init}
	b.ops = keepSeen(ops, init)
	n := len(b.ops)
	b.from, b.po, b.co = make([]int, n), square(n), square(n)
	for i, o := range b.ops {
		b.from[i] = -1
		if o.See != None && !o.Crashed {
			b.from[i] = b.source(o)
			b.thin = b.thin || b.from[i] == -3
		}
		for j, p := range b.ops {
			b.po[i][j] = o.Process == p.Process && o.Return < p.Call
		}
	}
	for i := range n {
		copy(b.co[i], b.po[i])
	}
	for i, w := range b.from {
		if w >= 0 {
			b.co[w][i] = true
		}
	}
	close3(b.co)
	for i := range n {
		b.lost = b.lost || b.co[i][i]
	}
	return b
}

func keepSeen(ops []Op, init []int32) []Op {
	keep := make([]bool, len(ops))
	for again := true; again; {
		again = false
		for i, o := range ops {
			k := !o.Crashed
			for j, r := range ops {
				k = k || j != i && keep[j] && r.See != None && r.See == o.Set && r.Key == o.Key && init[o.Key] != o.Set
			}
			again = again || k != keep[i]
			keep[i] = k
		}
	}
	var out []Op
	for i, o := range ops {
		if keep[i] {
			out = append(out, o)
		}
	}
	return out
}

func (b *brute) source(o Op) int {
	if o.See == b.init[o.Key] {
		return -2
	}
	for j, w := range b.ops {
		if w.Set == o.See && w.Key == o.Key {
			return j
		}
	}
	return -3
}

func square(n int) [][]bool {
	m := make([][]bool, n)
	for i := range m {
		m[i] = make([]bool, n)
	}
	return m
}

func close3(m [][]bool) {
	for k := range m {
		for i := range m {
			for j := range m {
				m[i][j] = m[i][j] || m[i][k] && m[k][j]
			}
		}
	}
}

// extends says whether the operations in use have an order that contains
// before and in which the ones in legal find the latest write.
func (b *brute) extends(use []bool, before [][]bool, legal func(i int) bool) bool {
	done := make([]bool, len(b.ops))
	now := slices.Repeat([]int{-2}, len(b.init))
	var try func() bool
	try = func() bool {
		all := true
		for i, o := range b.ops {
			if !use[i] || done[i] {
				continue
			}
			all = false
			ready := true
			for j := range b.ops {
				ready = ready && !(use[j] && !done[j] && before[j][i])
			}
			if !ready || b.from[i] != -1 && legal(i) && now[o.Key] != b.from[i] {
				continue
			}
			was := now[o.Key]
			done[i] = true
			if o.Set != None {
				now[o.Key] = i
			}
			if try() {
				return true
			}
			done[i], now[o.Key] = false, was
		}
		return all
	}
	return try()
}

func (b *brute) processes() [][]int {
	by := map[int32][]int{}
	for i, o := range b.ops {
		if !o.Crashed {
			by[o.Process] = append(by[o.Process], i)
		}
	}
	var out [][]int
	for _, p := range by {
		out = append(out, p)
	}
	return out
}

func (b *brute) sequential() bool {
	from := slices.Clone(b.from)
	defer func() { b.from = from }()
	b.from = slices.Clone(from)
	for i, o := range b.ops { // crashed ones that were seen found what they had to
		if o.Crashed && o.See != None {
			if b.from[i] = b.source(o); b.from[i] == -3 {
				return false
			}
		}
	}
	return b.extends(slices.Repeat([]bool{true}, len(b.ops)), b.po, func(int) bool { return true })
}

func (b *brute) pastOf(i int) []bool {
	use := make([]bool, len(b.ops))
	for j := range b.ops {
		use[j] = j == i || b.co[j][i]
	}
	return use
}

func (b *brute) causal() bool {
	for r := range b.ops {
		if b.from[r] != -1 && !b.extends(b.pastOf(r), b.co, func(i int) bool { return i == r }) {
			return false
		}
	}
	return !b.lost
}

func (b *brute) memory() bool {
	if b.lost {
		return false
	}
	for _, p := range b.processes() {
		if !b.extends(b.pastOf(p[len(p)-1]), b.co, func(i int) bool { return slices.Contains(p, i) }) {
			return false
		}
	}
	return true
}

func (b *brute) pram() bool {
	for _, p := range b.processes() {
		use := make([]bool, len(b.ops))
		for i, o := range b.ops {
			use[i] = o.Set != None || slices.Contains(p, i)
		}
		if !b.extends(use, b.po, func(i int) bool { return slices.Contains(p, i) }) {
			return false
		}
	}
	return true
}

// convergence tries every order of all operations that contains co.
func (b *brute) convergence() bool {
	if b.lost {
		return false
	}
	n := len(b.ops)
	var order []int
	done := make([]bool, n)
	var try func() bool
	try = func() bool {
		if len(order) == n {
			return true
		}
		for i, o := range b.ops {
			ready := !done[i]
			for j := range n {
				ready = ready && (done[j] || !b.co[j][i])
			}
			if !ready {
				continue
			}
			last := -2
			for _, j := range order {
				if b.co[j][i] && b.ops[j].Set != None && b.ops[j].Key == o.Key {
					last = j
				}
			}
			if b.from[i] != -1 && b.from[i] != last {
				continue
			}
			done[i] = true
			order = append(order, i)
			if try() {
				return true
			}
			order = order[:len(order)-1]
			done[i] = false
		}
		return false
	}
	return try()
}

// ordered says whether the writes of each key have an order that contains
// before, in which each of the reads finds the last of the writes that it sees.
func (b *brute) ordered(reads []int, sees func(r int) []bool, before [][]bool) bool {
	for key := range b.init {
		var writes []int
		for i, o := range b.ops {
			if o.Set != None && int(o.Key) == key {
				writes = append(writes, i)
			}
		}
		ok := false
		permute(writes, 0, func(order []int) bool {
			for i := range order {
				for j := range i {
					if before[order[i]][order[j]] {
						return false
					}
				}
			}
			for _, r := range reads {
				last := -2
				v := sees(r)
				for _, w := range order {
					if v[w] {
						last = w
					}
				}
				if int(b.ops[r].Key) == key && last != b.from[r] {
					return false
				}
			}
			ok = true
			return true
		})
		if !ok {
			return false
		}
	}
	return true
}

func permute(a []int, k int, f func([]int) bool) bool {
	if k == len(a) {
		return f(a)
	}
	for i := k; i < len(a); i++ {
		a[k], a[i] = a[i], a[k]
		if permute(a, k+1, f) {
			return true
		}
		a[k], a[i] = a[i], a[k]
	}
	return false
}

func (b *brute) readsOf(p []int) []int {
	return slices.DeleteFunc(slices.Clone(p), func(i int) bool { return b.from[i] == -1 })
}

func (b *brute) readYourWrites() bool {
	for _, p := range b.processes() {
		own := square(len(b.ops))
		for i := range b.ops {
			for j := range b.ops {
				own[i][j] = b.po[i][j] && b.ops[i].Process == b.ops[p[0]].Process
			}
		}
		ok := b.ordered(b.readsOf(p), func(r int) []bool {
			v := make([]bool, len(b.ops))
			for i, o := range b.ops {
				v[i] = o.Set != None && b.po[i][r]
			}
			if b.from[r] >= 0 {
				v[b.from[r]] = true
			}
			return v
		}, own)
		if !ok {
			return false
		}
	}
	return true
}

// monotone judges a piece of a process: what a write brings with it is behind.
func (b *brute) monotone(piece []int, brings, before [][]bool) bool {
	return b.ordered(piece, func(r int) []bool {
		v := make([]bool, len(b.ops))
		for _, e := range piece {
			if w := b.from[e]; w >= 0 {
				v[w] = true
				for i := range b.ops {
					v[i] = v[i] || brings[i][w]
				}
			}
			if e == r {
				break
			}
		}
		return v
	}, before)
}

// pieces cuts the reads of a process where they are not monotone.
func (b *brute) pieces(p []int) (pieces [][]int) {
	none := square(len(b.ops))
	for _, r := range b.readsOf(p) {
		if n := len(pieces); n > 0 && b.monotone(append(slices.Clone(pieces[n-1]), r), none, none) {
			pieces[n-1] = append(pieces[n-1], r)
		} else {
			pieces = append(pieces, []int{r})
		}
	}
	return pieces
}

func (b *brute) monotonicReads() bool {
	for _, p := range b.processes() {
		if len(b.pieces(p)) > 1 {
			return false
		}
	}
	return true
}

func (b *brute) eachPiece(f func(piece []int) bool) bool {
	for _, p := range b.processes() {
		for _, piece := range b.pieces(p) {
			if !f(piece) {
				return false
			}
		}
	}
	return true
}

func (b *brute) monotonicWrites() bool {
	before := square(len(b.ops))
	for i := range b.ops {
		for j := range b.ops {
			before[i][j] = b.po[i][j] && b.ops[i].Set != None && b.ops[j].Set != None
		}
	}
	return b.eachPiece(func(piece []int) bool { return b.monotone(piece, before, before) })
}

func (b *brute) writesFollowReads() bool {
	d := square(len(b.ops))
	for r, w := range b.from {
		for j, o := range b.ops {
			if w >= 0 && o.Set != None && (b.po[r][j] || r == j) {
				d[w][j] = true
			}
		}
	}
	close3(d)
	for i := range d {
		if d[i][i] {
			return false
		}
	}
	return b.eachPiece(func(piece []int) bool { return b.monotone(piece, d, d) })
}

func (b *brute) allows(model string) bool {
	switch {
	case b.thin:
		return false
	case model == Sequential:
		return b.sequential()
	case model == CausalMemory:
		return b.memory()
	case model == CausalConvergence:
		return b.convergence()
	case model == Causal:
		return b.causal()
	case model == PRAM:
		return b.pram()
	case model == ReadYourWrites:
		return b.readYourWrites()
	case model == MonotonicReads:
		return b.monotonicReads()
	case model == MonotonicWrites:
		return b.monotonicWrites()
	}
	return b.writesFollowReads()
}

// random makes a history of 2 to 10 operations of up to 3 processes (crashed
// ones may go on) on up to 3 keys. Each process reads from a replica of its own,
// which takes in writes late, mostly in order, and in half of the histories keeps
// the one that was made last; some reads are then changed.
func random(r *rand.Rand) ([]Op, []int32) {
	keys, procs := 1+r.IntN(3), 1+r.IntN(3)
	latest := r.IntN(2) == 0
	init := slices.Repeat([]int32{0}, keys)
	crash := []float64{0, 0, .15, .3}[r.IntN(4)]
	order := r.Float64() // how often replicas take in the oldest first
	change := r.Float64() * .5
	var ops []Op
	written := make([][]int32, keys)
	type replica struct {
		now  []int32
		left []int // operations not taken in
	}
	reps := make([]replica, procs)
	for p := range reps {
		reps[p].now = slices.Clone(init)
	}
	n := 2 + r.IntN(9)
	clock := int64(0)
	free := make([]int64, procs)
	for i := range n {
		p, key := r.IntN(procs), int32(r.IntN(keys))
		rep := &reps[p]
		for len(rep.left) > 0 && r.IntN(3) > 0 {
			at := 0
			if r.Float64() > order {
				at = r.IntN(len(rep.left))
			}
			o := ops[rep.left[at]]
			if !latest || rep.now[o.Key] < o.Set {
				rep.now[o.Key] = o.Set
			}
			rep.left = slices.Delete(rep.left, at, at+1)
		}
		clock++
		call := max(clock, free[p])
		o := Op{Process: int32(p), Key: key, See: None, Set: None, Call: call, Return: call + int64(r.IntN(2)), Note: int32(i)}
		free[p] = o.Return + 1
		clock = call
		verb := r.IntN(8)
		if verb < 4 || verb == 7 {
			o.See = rep.now[key]
			if r.Float64() < change && len(written[key]) > 0 {
				o.See = append(written[key], 0)[r.IntN(len(written[key])+1)]
			}
			if r.IntN(200) == 0 {
				o.See = 1 + int32(r.IntN(n))
			}
		}
		if verb >= 4 {
			o.Set = int32(i) + 1
			written[key] = append(written[key], o.Set)
			rep.now[key] = o.Set
			for q := range reps {
				if q != p {
					reps[q].left = append(reps[q].left, i)
				}
			}
		}
		if r.Float64() < crash {
			o.Crashed, o.Return = true, Never
		}
		ops = append(ops, o)
	}
	slices.SortStableFunc(ops, func(a, b Op) int { return int(a.Call - b.Call) })
	return ops, init
}
