package chain

import (
	"cmp"
	"slices"

	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// search puts jobs in order: one after the other, each only if no other one
// must have begun before it ends, and begins when it is due at the latest. It
// goes back where it cannot go on, and remembers from where there is no way: a
// set of jobs done, and the latest due time tried with it. Crashed operations
// of values that nobody saw are wild cards, for when nothing else can replace
// a value in time.
type search struct {
	t    *table
	d    *demands
	jobs []job // by s
	// The jobs that are left, as rings around the last index: by s, by f.
	byS, byF ring
	left     int
	// wild are writes that fit anywhere after their call, by call; the first
	// used of them are gone. odd are other wild cards: cas, and those whose
	// value opaque operations compare with.
	wild  []int32
	used  int
	odd   []odd
	cas   bool // among odd
	stack []frame
	now   int64 // when all that is done can be over
	due   int64 // when the next one must begin
	last  int32 // value
	hash  key
	dead  map[key]int64
	steps int64
	// deepest is how far the search came, and missed what was due there.
	deepest int
	missed  int64
}

// job is a chain to be put in order: it must begin by f, needs time until s,
// and its first operation was called at b. What comes next is due at due, or
// earlier if it is loose and had to begin before f.
type job struct {
	f, s, b, due int64
	head, tail   int32
	loose        bool
}

func (s *search) job(z *zone) job {
	j := job{f: z.f, s: z.s, b: s.t.vals[z.head].b, head: z.head}
	j.due = spec.Never
	for v := z.head; v != none; v = s.t.vals[v].next {
		by := min(j.due, s.t.vals[v].f)
		if lo := s.d.start[v]; lo < s.d.start[v+1] && s.d.c[lo] <= by {
			j.loose = true
		}
		j.due, j.tail = s.d.due(v, by), v
	}
	return j
}

type key [2]uint64

// odd is a wild card that fits at some places only.
type odd struct {
	op, value int32
	after     int32 // the value it replaces; none: any
	used      bool
}

// frame is one step of the search, and what was the case before it.
type frame struct {
	now, due int64
	last     int32
	did      int32 // job; or -1: wild; or -2-k: odd k
	next     int32 // job to try next
	stage    int32 // 0: jobs by s; 1: the job with the earliest f; 2: wild; 3+k: odd k
}

const (
	byS int32 = iota
	earliest
	anyWild
	firstOdd
)

func newSearch(t *table, d *demands, zones []zone) *search {
	s := &search{t: t, d: d, left: len(zones), due: spec.Never, now: dawn, last: none, dead: map[key]int64{}}
	s.jobs = make([]job, 0, len(zones))
	s.stack = make([]frame, 0, len(zones)+1)
	t.byLast(zones, func(k int32) { s.jobs = append(s.jobs, s.job(&zones[k])) })
	order := make([]int32, len(zones))
	for k := range order {
		order[k] = int32(k)
	}
	s.byS = newRing(order)
	slices.SortFunc(order, func(a, b int32) int { return cmp.Compare(s.jobs[a].f, s.jobs[b].f) })
	s.byF = newRing(order)
	for _, i := range t.wild {
		v := t.target(i)
		switch {
		case t.isCAS(i):
			s.odd = append(s.odd, odd{op: i, value: v, after: t.ops[i].In.A})
			s.cas = true
		case d.start[v] < d.start[v+1]:
			s.odd = append(s.odd, odd{op: i, value: v, after: none})
		default:
			s.wild = append(s.wild, i)
		}
	}
	slices.SortFunc(s.wild, func(i, j int32) int { return cmp.Compare(t.ops[i].Call, t.ops[j].Call) })
	return s
}

// ring is a doubly linked list over indexes, from which entries are taken and
// put back in the opposite order.
type ring struct{ next, prev []int32 }

func newRing(order []int32) ring {
	n := len(order)
	r := ring{make([]int32, n+1), make([]int32, n+1)}
	at := int32(n)
	for _, k := range order {
		r.next[at], r.prev[k] = k, at
		at = k
	}
	r.next[at], r.prev[n] = int32(n), at
	return r
}

func (r *ring) take(k int32) { r.next[r.prev[k]], r.prev[r.next[k]] = r.next[k], r.prev[k] }
func (r *ring) back(k int32) { r.next[r.prev[k]], r.prev[r.next[k]] = k, k }
func (r *ring) first() int32 { return r.next[len(r.next)-1] }

// stuck looks for a time when somebody must be the last of all that began by
// then, and whoever can be is due before anything else begins. It returns the
// values of those, or nil: then there may be an order, or not.
func (s *search) stuck() (values []int32) {
	order := make([]int32, len(s.jobs))
	for k := range order {
		order[k] = int32(k)
	}
	slices.SortFunc(order, func(a, b int32) int { return cmp.Compare(s.jobs[a].b, s.jobs[b].b) })
	first := s.firstWild()
	var able []int32 // who can be the last of those so far
	top, second, longest := int64(dawn), int64(dawn), int32(none)
	for n, k := range order {
		if j := &s.jobs[k]; j.s > top {
			top, second, longest = j.s, top, k
		} else {
			second = max(second, j.s)
		}
		able = append(able, k)
		kept, due := able[:0], int64(dawn)
		for _, a := range able {
			limit := top
			if a == longest {
				limit = second
			}
			if s.jobs[a].f >= limit {
				kept, due = append(kept, a), max(due, s.jobs[a].due)
			}
		}
		able = kept
		next := int64(spec.Never)
		if n+1 < len(order) {
			next = s.jobs[order[n+1]].b
		}
		if due >= next || due >= first {
			continue
		}
		for _, a := range able {
			values = append(values, s.jobs[a].tail)
		}
		return values
	}
	return nil
}

// firstWild is the call of the first wild card of any kind.
func (s *search) firstWild() int64 {
	first := int64(spec.Never)
	for _, i := range s.t.wild {
		first = min(first, s.t.ops[i].Call)
	}
	return first
}

// run searches until it has found an order, or knows that there is none, or
// the budget is gone. It can be called again with a larger one.
func (s *search) run(b spec.Budget) verdict {
	if len(s.stack) == 0 && !s.enter() {
		return s.verdict(spec.Illegal, "")
	}
	for {
		s.steps++
		switch {
		case b.Steps > 0 && s.steps > b.Steps:
			return s.verdict(spec.Undecided, spec.OutOfSteps)
		case s.steps&255 == 0 && b.Stopped():
			return s.verdict(spec.Undecided, spec.OutOfTime)
		case b.Bytes > 0 && s.size() > b.Bytes:
			return s.verdict(spec.Undecided, spec.OutOfMemory)
		}
		if s.left == 0 && s.due == spec.Never {
			return s.done()
		}
		if s.step() {
			if !s.enter() {
				s.undo()
			}
			continue
		}
		s.bury()
		if len(s.stack) == 1 {
			return s.verdict(spec.Illegal, "")
		}
		s.stack = s.stack[:len(s.stack)-1]
		s.undo()
	}
}

func (s *search) size() int64 {
	return int64(len(s.jobs))*120 + int64(cap(s.stack))*32 + int64(len(s.dead))*64
}

func (s *search) verdict(o spec.Outcome, why string) verdict {
	v := verdict{outcome: o, why: why, search: s}
	for _, i := range s.t.opaque {
		if s.t.ops[i].Return == s.missed {
			v.suspects = append(v.suspects, i)
		}
	}
	return v
}

// enter opens a frame for the state, unless there is no way from it.
func (s *search) enter() bool {
	if len(s.dead) > 0 {
		if due, ok := s.dead[s.key()]; ok && s.due <= due {
			return false
		}
	}
	if len(s.stack) >= s.deepest {
		s.deepest, s.missed = len(s.stack), s.due
	}
	s.stack = append(s.stack, frame{now: s.now, due: s.due, last: s.last, next: s.byS.first()})
	return true
}

func (s *search) key() key {
	k := s.hash
	if s.cas {
		k.mix(uint64(s.last) + 1<<40)
	}
	k.mix(uint64(s.used) + 1<<41)
	return k
}

func (s *search) bury() {
	k := s.key()
	if due, ok := s.dead[k]; !ok || due < s.due {
		s.dead[k] = s.due
	}
}

// mix adds x to a set, or takes it out.
func (k *key) mix(x uint64) {
	for n := range k {
		z := x*0x9e3779b97f4a7c15 + uint64(n+1)*0xd1342543de82ef95
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		k[n] ^= z ^ z>>31
	}
}

// step tries what has not been tried in the frame on top.
func (s *search) step() bool {
	f := &s.stack[len(s.stack)-1]
	end := int32(len(s.jobs))
	first := s.byF.first()
	deadline := int64(spec.Never)
	if first != end {
		deadline = s.jobs[first].f
	}
	for f.stage == byS {
		k := f.next
		if k == end || s.jobs[k].s > deadline {
			f.stage = earliest
			break
		}
		f.next = s.byS.next[k]
		if s.try(f, k) {
			return true
		}
	}
	if f.stage == earliest {
		f.stage = anyWild
		if first != end && s.jobs[first].s > deadline {
			if other := s.byF.next[first]; (other == end || s.jobs[first].s <= s.jobs[other].f) && s.try(f, first) {
				return true
			}
		}
	}
	if s.due == spec.Never {
		return false
	}
	if f.stage == anyWild {
		f.stage = firstOdd
		if s.useWild(f, deadline) {
			return true
		}
	}
	for int(f.stage-firstOdd) < len(s.odd) {
		f.stage++
		if s.useOdd(f, f.stage-firstOdd-1, deadline) {
			return true
		}
	}
	return false
}

// try does job k next.
func (s *search) try(f *frame, k int32) bool {
	j := &s.jobs[k]
	if max(s.now, j.b) > s.due {
		return false
	}
	now, due := max(s.now, j.s), j.due
	if j.loose && s.due < spec.Never {
		var ok bool
		if now, due, ok = s.t.run(s.d, j.head, s.now, s.due); !ok {
			return false
		}
	}
	s.now, s.due, s.last = now, due, j.tail
	s.byS.take(k)
	s.byF.take(k)
	s.left--
	s.hash.mix(uint64(k))
	f.did = k
	return true
}

func (s *search) useWild(f *frame, deadline int64) bool {
	if s.used == len(s.wild) {
		return false
	}
	i := s.wild[s.used]
	call := s.t.ops[i].Call
	if call > min(s.due, deadline) {
		return false
	}
	s.used++
	s.now, s.due, s.last = max(s.now, call), spec.Never, s.t.target(i)
	f.did = -1
	return true
}

func (s *search) useOdd(f *frame, k int32, deadline int64) bool {
	o := &s.odd[k]
	call := s.t.ops[o.op].Call
	if o.used || o.after != none && o.after != s.last || call > min(s.due, deadline) {
		return false
	}
	o.used = true
	s.now, s.due, s.last = max(s.now, call), s.d.due(o.value, s.due), o.value
	s.hash.mix(uint64(k) + 1<<42)
	f.did = -2 - k
	return true
}

// undo takes back what the frame on top did.
func (s *search) undo() {
	f := &s.stack[len(s.stack)-1]
	switch k := f.did; {
	case k >= 0:
		s.byF.back(k)
		s.byS.back(k)
		s.left++
		s.hash.mix(uint64(k))
	case k == -1:
		s.used--
	default:
		s.odd[-2-k].used = false
		s.hash.mix(uint64(-2-k) + 1<<42)
	}
	s.now, s.due, s.last = f.now, f.due, f.last
}

// done is the order that was found.
func (s *search) done() verdict {
	heads := make([]int32, 0, len(s.stack))
	wild := 0
	for k := range s.stack[:len(s.stack)-1] { // the one on top did nothing
		switch did := s.stack[k].did; {
		case did >= 0:
			heads = append(heads, s.jobs[did].head)
		case did == -1:
			heads = append(heads, s.t.revive(s.wild[wild]))
			wild++
		default:
			heads = append(heads, s.t.revive(s.odd[-2-did].op))
		}
	}
	return s.t.legal(heads, s.d)
}

// revive lets a wild card have taken effect after all.
func (t *table) revive(i int32) int32 {
	v := t.target(i)
	t.vals[v].set = i
	return v
}
