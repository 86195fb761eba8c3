package wgl

import (
	"math"
	"unsafe"

	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// search is one search. Operations go by their numbers, see load.
type search[S, In, Out any] struct {
	m      spec.Model[S, In, Out]
	ops    []spec.Op[In, Out]
	at     []int32 // number -> position in ops
	n      int32   // completed operations
	budget spec.Budget

	rank, byRank []int32 // place by return of a completed operation, and back
	window       []int32 // rank -> how many completed operations were called by that return
	pure         []bool
	kind         []int32 // twins share it
	prefer       Prefer
	class, turn  []int32 // of crashed operations, less n
	used         []int32 // class -> how many were taken

	// The configuration: what was not taken yet, and what was in which order.
	calls, returns, crashed list
	trail                   []int32
	frames                  []frame[S] // one for each of the trail that is not pure
	state                   S
	taken                   key

	memo    memo[S]
	deepest int32 // rank of the latest return that was reached
	steps   int64
	fixed   int64 // bytes besides the memo
	held    int64 // bytes that states refer to
	sized   sized
	why     string
}

// sized is a state that refers to memory.
type sized interface{ Bytes() int }

// frame is how to get back to the configuration before a move.
type frame[S any] struct {
	state S
	trail int32
	out   int32
}

// move is an operation to take, and which answer of the possible ones if it
// crashed. They are tried completed ones first, by return, then crashed ones
// by call.
type move struct{ op, out int32 }

var nothing = move{-1, 0}

func (s *search[S, In, Out]) op(i int32) *spec.Op[In, Out] { return &s.ops[s.at[i]] }

// run is true if all completed operations were taken.
func (s *search[S, In, Out]) run() bool {
	last := nothing
	for {
		first := s.returns.first()
		if first == s.n {
			return true
		}
		s.deepest = max(s.deepest, first)
		m, next, ok := s.next(last, first)
		if s.why != "" {
			return false
		}
		if !ok {
			if len(s.frames) == 0 {
				return false
			}
			last = s.back()
			continue
		}
		s.take(m, next)
		last = nothing
		if !s.memo.add(s.taken, s.m.Hash(s.state), s.state) {
			last = s.back()
		} else if s.sized != nil {
			s.held += int64(any(s.state).(sized).Bytes())
		}
	}
}

// next is the first move after last that the state allows, and the state that
// it leads to. first is the rank of the first return.
func (s *search[S, In, Out]) next(last move, first int32) (m move, next S, ok bool) {
	for last.op < s.n {
		if s.over() {
			return m, next, false
		}
		i := s.candidate(last.op, first)
		if i < 0 {
			last = move{s.n + s.crashed.first(), -1}
			break
		}
		last.op = i
		o := s.op(i)
		if next, ok = s.m.Step(s.state, o.In, o.Out); ok && !s.idle(o, o.Out, next) {
			return last, next, true
		}
	}
	return s.nextCrashed(last, first)
}

// candidate is the completed operation that returns first of those that return
// after the one given and were called by the first return; -1 if there is none.
func (s *search[S, In, Out]) candidate(last, first int32) int32 {
	if s.prefer != nil {
		return s.preferred(last, first)
	}
	after := int32(-1)
	if last >= 0 {
		after = s.rank[last]
	}
	best, at := int32(-1), s.n
	end := s.window[first]
	for i := s.calls.first(); i < end; i = s.calls.next[i] {
		if r := s.rank[i]; r > after && r < at && !s.pure[i] && !s.second(i, end) {
			best, at = i, r
		}
	}
	return best
}

// preferred is candidate in the caller's order, and by return where that has no
// preference.
func (s *search[S, In, Out]) preferred(last, first int32) int32 {
	due := s.at[s.byRank[first]]
	type place struct {
		key  int64
		rank int32
	}
	before := func(a, b place) bool { return a.key < b.key || a.key == b.key && a.rank < b.rank }
	after := place{math.MinInt64, -1}
	if last >= 0 {
		after = place{s.prefer(s.at[last], due), s.rank[last]}
	}
	best, at := int32(-1), place{math.MaxInt64, s.n}
	end := s.window[first]
	for i := s.calls.first(); i < end; i = s.calls.next[i] {
		if s.pure[i] || s.second(i, end) {
			continue
		}
		if p := (place{s.prefer(s.at[i], due), s.rank[i]}); before(after, p) && before(p, at) {
			best, at = i, p
		}
	}
	return best
}

// second is true if a twin returns before i does.
func (s *search[S, In, Out]) second(i, end int32) bool {
	if s.kind == nil || s.kind[i] == 0 {
		return false
	}
	for j := s.calls.first(); j < end; j = s.calls.next[j] {
		if s.kind[j] == s.kind[i] && s.rank[j] < s.rank[i] {
			return true
		}
	}
	return false
}

func (s *search[S, In, Out]) nextCrashed(last move, first int32) (m move, next S, ok bool) {
	until := s.op(s.byRank[first]).Return
	end := int32(len(s.ops)) - s.n
	for k := last.op - s.n; k < end; k = s.crashed.next[k] {
		o := s.op(s.n + k)
		if o.Call > until {
			break
		}
		if s.used[s.class[k]] != s.turn[k] {
			continue
		}
		outs := s.m.Outs(s.state, o.In)
		from := int32(0)
		if k == last.op-s.n {
			from = last.out + 1
		}
		for out := from; out < int32(len(outs)); out++ {
			if s.over() {
				return m, next, false
			}
			next, ok = s.m.Step(s.state, o.In, outs[out])
			if ok && !s.m.Equal(next, s.state) && !s.idle(o, outs[out], next) {
				return move{s.n + k, out}, next, true
			}
		}
	}
	return m, next, false
}

// idle says that o, which leads to next, need not follow a crashed operation
// that was just taken.
//
// Take a legal order with as few crashed operations as can be. If o led to next
// without the crashed one too, the latter could be left out: so no such o
// follows. And if o, completed, and the crashed one lead to next in the other
// order too, it is found that way: let the crashed one, or several in a row,
// wait until a completed operation (or one that is pure: then it is not the
// last of the trail) needs them. The crashed ones among themselves are not
// reordered, as each order might then wait for the other.
//
// This holds together with the memo. Assume that some visited configuration
// can be completed, and take one with the fewest crashed operations in all and
// of those with the fewest left to take. Its next operation must be idle there,
// for the next configuration would be visited and have fewer left. It does not
// make the one before it superfluous, since there are fewest. So it is completed
// and fits before the crashed operations at the end of the path by which the
// configuration was visited, as far back as it is idle. There it was tried, and
// after it those crashed ones, none of which is superfluous. So a configuration
// with fewer left was visited.
func (s *search[S, In, Out]) idle(o *spec.Op[In, Out], out Out, next S) bool {
	if len(s.frames) == 0 || s.trail[len(s.trail)-1] < s.n {
		return false
	}
	f := &s.frames[len(s.frames)-1]
	s.steps++
	without, ok := s.m.Step(f.state, o.In, out)
	if !ok {
		return false
	}
	if s.m.Equal(without, next) {
		return true
	}
	if o.Crashed {
		return false
	}
	c := s.op(s.trail[len(s.trail)-1])
	swapped, ok := s.m.Step(without, c.In, s.m.Outs(f.state, c.In)[f.out])
	return ok && s.m.Equal(swapped, next)
}

// take makes a move, and takes all pure operations that fit then.
func (s *search[S, In, Out]) take(m move, next S) {
	s.frames = append(s.frames, frame[S]{s.state, int32(len(s.trail)), m.out})
	s.state = next
	s.remove(m.op)
	s.takePure()
}

func (s *search[S, In, Out]) takePure() {
	first := s.returns.first()
	if first == s.n {
		return
	}
	end := s.window[first]
	for i := s.calls.first(); i < end; i = s.calls.next[i] {
		if !s.pure[i] {
			continue
		}
		o := s.op(i)
		s.steps++
		if _, ok := s.m.Step(s.state, o.In, o.Out); !ok {
			continue
		}
		s.remove(i)
		if s.rank[i] == first {
			if first = s.returns.first(); first == s.n {
				return
			}
			end = s.window[first]
		}
	}
}

func (s *search[S, In, Out]) remove(i int32) {
	s.trail = append(s.trail, i)
	s.taken.flip(i)
	if i >= s.n {
		s.crashed.remove(i - s.n)
		s.used[s.class[i-s.n]]++
		return
	}
	s.calls.remove(i)
	s.returns.remove(s.rank[i])
}

// back undoes the last move and says which it was.
func (s *search[S, In, Out]) back() move {
	f := &s.frames[len(s.frames)-1]
	m := move{s.trail[f.trail], f.out}
	for k := int32(len(s.trail)) - 1; k >= f.trail; k-- {
		i := s.trail[k]
		s.taken.flip(i)
		if i >= s.n {
			s.crashed.restore(i - s.n)
			s.used[s.class[i-s.n]]--
			continue
		}
		s.calls.restore(i)
		s.returns.restore(s.rank[i])
	}
	s.trail = s.trail[:f.trail]
	s.state = f.state
	s.frames = s.frames[:len(s.frames)-1]
	return m
}

// over is true if a budget ran out.
func (s *search[S, In, Out]) over() bool {
	s.steps++
	switch {
	case s.why != "":
	case s.budget.Stopped():
		s.why = spec.OutOfTime
	case s.budget.Bytes > 0 && s.bytes() > s.budget.Bytes:
		s.why = spec.OutOfMemory
	case s.budget.Steps > 0 && s.steps > s.budget.Steps:
		s.why = spec.OutOfSteps
	}
	return s.why != ""
}

func (s *search[S, In, Out]) bytes() int64 {
	return s.fixed + s.held + s.memo.bytes() + int64(len(s.frames))*int64(unsafe.Sizeof(frame[S]{}))
}
