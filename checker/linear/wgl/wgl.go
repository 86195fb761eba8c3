// Package wgl decides linearizability for any sequential specification, by
// search: it is for objects and histories that no special decider takes.
package wgl

import (
	"slices"
	"sort"

	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// Decide searches for a legal order of the operations, which may come in any
// order of their calls. It is the search of Wing and Gong, "Testing and
// Verifying Concurrent Objects", 1993, with the memo of Lowe, "Testing for
// Linearizability", 2017, section 4, and these changes:
//
//   - An operation that is pure (spec.Model.Pure) is taken as soon as its
//     answer is right, and never reconsidered: wherever it stood later, it may
//     stand here, as it leaves the state alone.
//   - The memo's key is a hash of 128 bits, updated by each operation (Zobrist
//     1970), in place of a bit set, and the state, which is compared exactly.
//   - Candidates are tried by the time of their return. Of those that ask and
//     were answered the same only the first to return is tried.
//   - Crashed operations are tried last, and only where that can matter: see
//     search.idle.
//
// Its time and memory are exponential in the number of operations at one
// moment at worst, and linear in their number where it need not go back.
//
// Legal comes with an Order, and with the answers Assumed of the crashed
// operations in it. Illegal comes without conflicts: the caller shrinks.
// Frontier says where to look. Let D be the latest return that the search had
// to stop at. What returned before D has a legal order, and what was called by
// D has none. So the shortest illegal prefix of the history ends at D or later,
// and not after the last return of those that were called by D. Frontier is
// the last call by D. If an operation that has not returned yet can do nothing
// but what it turned out to do (no failed compare-and-set, no answer on which
// the next state depends), the shortest illegal prefix ends at D, before the
// next call.
//
// Undecided says which budget ran out; Bytes are counted, not measured, so
// that the same operations and budget always give the same answer. They do not
// include what states refer to, unless S has a method Bytes() int that says.
// Inapplicable are operations that returned before they were called.
//
// Two of all configurations share their hash with a probability below 1e-24
// for 1e7 of them. The second would be skipped, so that Legal is certain and
// Illegal as good as that.
func Decide[S, In, Out any](m spec.Model[S, In, Out], ops []spec.Op[In, Out], b spec.Budget) spec.Finding[Out] {
	return Guided(m, ops, b, nil)
}

// Prefer says in which order to try completed operations, given by their
// positions: those with the least number first. due is the one that returns
// next. It may depend on nothing else.
type Prefer func(op, due int32) int64

// Guided is Decide with another order in which candidates are tried. That does
// not change what is decided, only how soon; by return if prefer is nil.
func Guided[S, In, Out any](m spec.Model[S, In, Out], ops []spec.Op[In, Out], b spec.Budget, prefer Prefer) spec.Finding[Out] {
	for i := range ops {
		if !ops[i].Crashed && ops[i].Return < ops[i].Call {
			return spec.Finding[Out]{Outcome: spec.Inapplicable, Why: "an operation returned before it was called"}
		}
	}
	s := load(m, ops, b)
	s.prefer = prefer
	s.takePure()
	if s.run() {
		order, assumed := s.certificate()
		return spec.Finding[Out]{Outcome: spec.Legal, Order: order, Assumed: assumed}
	}
	if s.why != "" {
		return spec.Finding[Out]{Outcome: spec.Undecided, Why: s.why}
	}
	return spec.Finding[Out]{Outcome: spec.Illegal, Frontier: s.frontier()}
}

// load numbers the operations: completed ones by their calls, from 0 to n, then
// crashed ones by theirs.
func load[S, In, Out any](m spec.Model[S, In, Out], ops []spec.Op[In, Out], b spec.Budget) *search[S, In, Out] {
	s := &search[S, In, Out]{m: m, ops: ops, budget: b, state: m.Init, memo: memo[S]{equal: m.Equal}}
	s.number()
	n, crashed := int(s.n), len(ops)-int(s.n)
	s.calls, s.returns, s.crashed = newList(n), newList(n), newList(crashed)
	s.byRank, s.rank = make([]int32, n), make([]int32, n)
	s.window, s.pure = make([]int32, n), make([]bool, n)
	for i := range s.n {
		s.byRank[i] = i
		o := s.op(i)
		s.pure[i] = m.Pure(o.In, o.Out)
	}
	slices.SortFunc(s.byRank, func(a, b int32) int {
		if x, y := s.op(a).Return, s.op(b).Return; x != y {
			if x < y {
				return -1
			}
			return 1
		}
		return int(a - b)
	})
	end := int32(0)
	for rank, i := range s.byRank {
		s.rank[i] = int32(rank)
		for end < s.n && s.op(end).Call <= s.op(i).Return {
			end++
		}
		s.window[rank] = end
	}
	s.kind = twins(s)
	s.class, s.turn, s.used = crashedTwins(s)
	s.trail = make([]int32, 0, len(ops))
	s.fixed = int64(n)*41 + int64(crashed)*16
	s.sized, _ = any(m.Init).(sized)
	return s
}

// number fills in at.
func (s *search[S, In, Out]) number() {
	s.at = make([]int32, 0, len(s.ops))
	for i := range s.ops {
		if !s.ops[i].Crashed {
			s.at = append(s.at, int32(i))
		}
	}
	s.n = int32(len(s.at))
	for i := range s.ops {
		if s.ops[i].Crashed {
			s.at = append(s.at, int32(i))
		}
	}
	for _, part := range [][]int32{s.at[:s.n], s.at[s.n:]} {
		byCall := func(a, b int32) int {
			switch x, y := s.ops[a].Call, s.ops[b].Call; {
			case x < y:
				return -1
			case x > y:
				return 1
			}
			return int(a - b)
		}
		if !slices.IsSortedFunc(part, byCall) {
			slices.SortFunc(part, byCall)
		}
	}
}

// certificate is the order that was found, in positions of the caller.
func (s *search[S, In, Out]) certificate() ([]int32, map[int32]Out) {
	var assumed map[int32]Out
	for _, f := range s.frames {
		if i := s.trail[f.trail]; i >= s.n {
			if assumed == nil {
				assumed = map[int32]Out{}
			}
			assumed[s.at[i]] = s.m.Outs(f.state, s.op(i).In)[f.out]
		}
	}
	order := s.trail
	for k, i := range order {
		order[k] = s.at[i]
	}
	return order, assumed
}

// frontier is the last call by the latest return that was reached.
func (s *search[S, In, Out]) frontier() int64 {
	until := s.op(s.byRank[s.deepest]).Return
	last := s.op(s.window[s.deepest] - 1).Call
	k := sort.Search(len(s.ops)-int(s.n), func(k int) bool { return s.op(s.n+int32(k)).Call > until })
	if k > 0 {
		last = max(last, s.op(s.n+int32(k)-1).Call)
	}
	return last
}
