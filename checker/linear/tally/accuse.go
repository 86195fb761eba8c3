package tally

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/capstan-dev/capstan/checker/linear/spec"
)

const (
	most = 100 // conflicts are enough for anyone
	few  = 4   // operations are not worth to be made fewer
)

// bound is a read and why it cannot be right.
type bound struct {
	read  int32
	after int32 // the read to count from, or none
	high  bool  // it saw more than can have been added
	odd   bool  // it saw what no number of equal adds makes
	limit int64
}

const none int32 = -1

// accuse finds the reads that break a bound:
//
//	sum <= what was added before its call + the positive adds called by its return
//	sum >= what was added before its call + the negative adds called by its return
//
// where "before" means that they returned. If all adds have one sign, say they
// are positive, a read r also bounds each read after it:
//
//	sum >= sum(r) + all adds called after the return of r and returned before the call
//
// If they are of one amount as well and each sum is a multiple of it, then this
// is all: take the sum as a number at each time that jobs with intervals raise.
// Every chain of bounds on its differences over two moments is one of these
// three or weaker.
func accuse(ops []op, s *sweep, unit, sign int64) []spec.Conflict {
	w := &court{ops: ops, sign: sign, byCall: s.byCall, byReturn: s.byReturn}
	w.prefix()
	if unit != 0 {
		for _, i := range s.byReturn {
			if o := &ops[i]; o.In.Verb == Read && (o.Out%unit != 0 || o.Out/unit < 0) {
				w.bounds = append(w.bounds, bound{read: i, after: none, odd: true, limit: unit})
			}
		}
	}
	w.follow()
	slices.SortStableFunc(w.bounds, func(a, b bound) int { return cmp.Compare(ops[a.read].Return, ops[b.read].Return) })
	seen := map[int32]bool{}
	var out []spec.Conflict
	for _, b := range w.bounds {
		if !seen[b.read] && len(out) < most {
			seen[b.read] = true
			out = append(out, w.conflict(b))
		}
	}
	return out
}

type court struct {
	ops              []op
	sign             int64
	byCall, byReturn []int32
	bounds           []bound
}

// prefix finds reads beyond the sums of what was called or had returned.
func (w *court) prefix() {
	type sums struct{ plus, minus int64 }
	count := func(s *sums, i int32) {
		if o := &w.ops[i]; o.In.Verb == Add {
			s.plus += max(o.In.Delta, 0)
			s.minus += min(o.In.Delta, 0)
		}
	}
	returned := make([]sums, len(w.ops)) // read -> before its call
	var before, called sums
	k := 0
	for _, i := range w.byCall {
		for ; k < len(w.byReturn) && w.ops[w.byReturn[k]].Return < w.ops[i].Call; k++ {
			count(&before, w.byReturn[k])
		}
		returned[i] = before
	}
	k = 0
	for _, i := range w.byReturn {
		o := &w.ops[i]
		for ; k < len(w.byCall) && w.ops[w.byCall[k]].Call <= o.Return; k++ {
			count(&called, w.byCall[k])
		}
		if o.In.Verb == Add {
			continue
		}
		if least := returned[i].plus + called.minus; o.Out < least {
			w.bounds = append(w.bounds, bound{read: i, after: none, high: false, limit: least})
		}
		if greatest := called.plus + returned[i].minus; o.Out > greatest {
			w.bounds = append(w.bounds, bound{read: i, after: none, high: true, limit: greatest})
		}
	}
}

// follow finds reads that an earlier read bounds, if all adds have one sign.
// Those come first for reads that have both reasons, as they are shorter. Reads
// that saw too much are no measure for others.
func (w *court) follow() {
	if w.sign == 0 {
		return
	}
	wrong := map[int32]bool{}
	for _, b := range w.bounds {
		wrong[b.read] = b.odd || b.high == (w.sign > 0)
	}
	var reads []int32 // by return
	for _, i := range w.byReturn {
		if w.ops[i].In.Verb == Read && !wrong[i] {
			reads = append(reads, i)
		}
	}
	t := newMaxima(len(reads))
	var found []bound
	k, inserted := 0, 0
	for _, i := range w.byCall {
		for ; k < len(w.byReturn) && w.ops[w.byReturn[k]].Return < w.ops[i].Call; k++ {
			o := &w.ops[w.byReturn[k]]
			if o.In.Verb == Read {
				if wrong[w.byReturn[k]] {
					continue
				}
				t.raise(inserted, inserted+1, w.seen(o)-math.MinInt64/2)
				inserted++
				continue
			}
			earlier, _ := slices.BinarySearchFunc(reads, o.Call, func(r int32, at int64) int { return cmp.Compare(w.ops[r].Return, at) })
			t.raise(0, earlier, w.sign*o.In.Delta)
		}
		if o := &w.ops[i]; o.In.Verb == Read && !o.Crashed && inserted > 0 {
			if least, at := t.max(); w.seen(o) < least {
				found = append(found, bound{read: i, after: reads[at]})
			}
		}
	}
	w.bounds = append(found, w.bounds...)
}

// seen is what a read saw, as if the adds were positive, and not so large that it
// could overflow. Larger sums are not reached anyway.
func (w *court) seen(o *op) int64 {
	return w.sign * max(-math.MaxInt64/4, min(o.Out, math.MaxInt64/4))
}

// conflict puts a bound into words.
func (w *court) conflict(b bound) spec.Conflict {
	sum := w.ops[b.read].Out
	switch {
	case b.odd:
		return w.tell(b.read, fmt.Sprintf("{%d} returned %d, but all adds are of %d", b.read, sum, b.limit), []int32{b.read})
	case b.after != none:
		return w.behind(b)
	}
	out := w.alone(b)
	if len(out.Ops) <= few {
		return out
	}
	if c, ok := w.since(b); ok && len(c.Ops) < len(out.Ops) {
		return c
	}
	return out
}

// alone: a read breaks a bound that needs no other read. What may make it right
// are all adds of the one sign that had begun when it returned; of those of the
// other sign that had returned before it began, the fewest that refute it are
// named.
func (w *court) alone(b bound) spec.Conflict {
	read := &w.ops[b.read]
	may, must, most := w.sides(b, func(o *op) bool { return o.Call <= read.Return }, func(o *op) bool { return o.Return < read.Call })
	must, left := w.fewest(b, must, most)
	return w.tell(b.read, w.sayAlone(b, most, left-most, len(may), len(must)), slices.Concat([]int32{b.read}, may, must))
}

// sides are the adds that may make a read right, with their sum, and those that
// make it worse, of the times that are given.
func (w *court) sides(b bound, maybe, surely func(*op) bool) (may, must []int32, most int64) {
	for i := range w.ops {
		switch o := &w.ops[i]; {
		case o.In.Verb == Read || o.In.Delta == 0:
		case o.In.Delta*b.way() > 0 && maybe(o):
			may, most = append(may, int32(i)), most+o.In.Delta
		case o.In.Delta*b.way() < 0 && surely(o):
			must = append(must, int32(i))
		}
	}
	return may, must, most
}

// fewest of the adds that make a read worse, as it can have seen limit without
// them, that refute it; and what it can have seen with them.
func (w *court) fewest(b bound, must []int32, limit int64) ([]int32, int64) {
	w.largestFirst(must)
	for k, i := range must {
		if w.refuted(b, limit) {
			return must[:k], limit
		}
		limit += w.ops[i].In.Delta
	}
	return must, limit
}

func (w *court) refuted(b bound, limit int64) bool {
	out := max(-math.MaxInt64/2, min(w.ops[b.read].Out, math.MaxInt64/2))
	return limit*b.way() < out*b.way()
}

// way is the sign of the adds that may make the read right.
func (b bound) way() int64 {
	if b.high {
		return 1
	}
	return -1
}

// sayAlone: adds that make most may have taken effect, adds that make least must
// have, so and so many.
func (w *court) sayAlone(b bound, most, least int64, may, must int) string {
	kind, limit := "adds of less than 0", "it must have seen at least"
	if b.high {
		kind, limit = "adds of more than 0", "it can have seen at most"
	}
	if b.high && w.sign > 0 || !b.high && w.sign < 0 {
		kind = "adds"
	}
	say := fmt.Sprintf("{%d} returned %d, but ", b.read, w.ops[b.read].Out)
	before := fmt.Sprintf("adds of %d in all (%d of them) had returned before it began", least, must)
	begun := fmt.Sprintf("all %s that had begun when it returned (%d of them) make %d", kind, may, most)
	switch {
	case may == 0 && must == 0:
		return say + fmt.Sprintf("no %s had begun when it returned", kind)
	case may == 0 && w.sign != 0:
		return say + before
	case may == 0:
		return say + before + fmt.Sprintf(", and no %s had begun when it returned", kind)
	case must == 0:
		return say + begun
	}
	return say + before + ", and " + begun + fmt.Sprintf(", so that %s %d", limit, most+least)
}

// largestFirst so that few adds make much.
func (w *court) largestFirst(adds []int32) {
	amount := func(i int32) int64 { return max(w.ops[i].In.Delta, -w.ops[i].In.Delta) }
	slices.SortStableFunc(adds, func(a, b int32) int {
		return cmp.Or(cmp.Compare(amount(b), amount(a)), cmp.Compare(w.ops[a].Return, w.ops[b].Return))
	})
}

// behind: a read lacks adds that ran entirely after an earlier read.
func (w *court) behind(b bound) spec.Conflict {
	first, second := &w.ops[b.after], &w.ops[b.read]
	say := fmt.Sprintf("{%d} returned %d, {%d<%d} before {%d} began; yet that returned %d", b.after, first.Out, b.after, b.read, b.read, second.Out)
	var between []int32
	for _, i := range w.byCall {
		if o := &w.ops[i]; o.In.Verb == Add && o.Call > first.Return && o.Return < second.Call && o.In.Delta != 0 {
			between = append(between, i)
		}
	}
	w.largestFirst(between)
	ops, got := []int32{b.after, b.read}, w.sign*first.Out
	for k := 0; k < len(between) && got <= w.sign*second.Out; k++ {
		ops, got = append(ops, between[k]), got+w.sign*w.ops[between[k]].In.Delta
	}
	if n := len(ops) - 2; n > 0 {
		say = fmt.Sprintf("{%d} returned %d; then adds of %d in all (%d of them) began and returned before {%d} began; yet that returned %d", b.after, first.Out, w.sign*got-first.Out, n, b.read, second.Out)
	}
	return w.tell(b.read, say, ops)
}

// since looks for a recent read from which the adds that can have happened
// since are few and not enough.
func (w *court) since(b bound) (spec.Conflict, bool) {
	read := &w.ops[b.read]
	n, _ := slices.BinarySearchFunc(w.byReturn, read.Call, func(i int32, at int64) int { return cmp.Compare(w.ops[i].Return, at) })
	for k, tried := n-1, 0; k >= 0 && tried < 4; k-- {
		from := w.byReturn[k]
		r := &w.ops[from]
		if r.In.Verb == Add || r.Out < -math.MaxInt64/4 || r.Out > math.MaxInt64/4 {
			continue
		}
		tried++
		may, must, most := w.sides(b,
			func(o *op) bool { return o.Call <= read.Return && o.Return >= r.Call },
			func(o *op) bool { return o.Call > r.Return && o.Return < read.Call })
		must, limit := w.fewest(b, must, r.Out+most)
		if !w.refuted(b, limit) {
			continue
		}
		say := fmt.Sprintf("{%d} returned %d; the adds that can have taken effect between that and {%d} make %d in all (%d of them), so it can have seen %d; yet it returned %d",
			from, r.Out, b.read, limit-r.Out, len(may), limit, read.Out)
		if len(must) > 0 {
			say = fmt.Sprintf("{%d} returned %d; between that and {%d} adds of %d in all (%d of them) took effect, and those that can have raised it make %d (%d of them), so it can have seen %d at most; yet it returned %d",
				from, r.Out, b.read, limit-r.Out-most, len(must), most, len(may), limit, read.Out)
			if !b.high {
				say = fmt.Sprintf("{%d} returned %d; between that and {%d} adds of %d in all (%d of them) took effect, and those that can have lowered it make %d (%d of them), so it must have seen %d at least; yet it returned %d",
					from, r.Out, b.read, limit-r.Out-most, len(must), most, len(may), limit, read.Out)
			}
		}
		return w.tell(b.read, say, slices.Concat([]int32{from, b.read}, may, must)), true
	}
	return spec.Conflict{}, false
}

func (w *court) tell(read int32, say string, ops []int32) spec.Conflict {
	slices.SortFunc(ops, func(a, b int32) int { return cmp.Or(cmp.Compare(w.ops[a].Call, w.ops[b].Call), cmp.Compare(a, b)) })
	return spec.Conflict{Ops: ops, At: w.ops[read].Return, Say: say}
}

// maxima is a segment tree of numbers, minus infinity at first: a range can be
// raised, and the greatest of all asked for.
type maxima struct {
	size  int
	top   []int64 // greatest below a node, with the raises at it and below
	extra []int64 // raises at a node
}

func newMaxima(n int) *maxima {
	size := 1
	for size < n {
		size *= 2
	}
	t := &maxima{size, make([]int64, 2*size), make([]int64, 2*size)}
	for i := range t.top {
		t.top[i] = math.MinInt64 / 2
	}
	return t
}

// raise adds to all from a to before b.
func (t *maxima) raise(a, b int, by int64) { t.at(1, 0, t.size, a, b, by) }

func (t *maxima) at(node, from, to, a, b int, by int64) {
	if a >= to || b <= from {
		return
	}
	if a <= from && to <= b {
		t.top[node] += by
		t.extra[node] += by
		return
	}
	mid := (from + to) / 2
	t.at(2*node, from, mid, a, b, by)
	t.at(2*node+1, mid, to, a, b, by)
	t.top[node] = t.extra[node] + max(t.top[2*node], t.top[2*node+1])
}

// max is the greatest and its last place.
func (t *maxima) max() (int64, int) {
	node := 1
	for node < t.size {
		if node *= 2; t.top[node+1] >= t.top[node] {
			node++
		}
	}
	return t.top[1], node - t.size
}
