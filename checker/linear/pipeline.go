package linear

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/capstan-dev/capstan/checker/linear/spec"
	"github.com/capstan-dev/capstan/checker/linear/wgl"
	"github.com/capstan-dev/capstan/checker/value"
)

// problem is one key, ready to be decided: an object of some kind.
type problem interface {
	// decide says whether the key is linearizable. second counts the time that
	// second opinions took, of all keys.
	decide(b spec.Budget, second *atomic.Int64) decision
	// witnesses explains an illegal key, the earliest violation first.
	witnesses(d decision, sc *scene, b spec.Budget, most int) []*witness
	// certificate is the linearization of a legal key.
	certificate(d decision) (Certificate, error)
	// follow verifies a certificate in one pass.
	follow(Certificate) error
}

// decision is what came of one key.
type decision struct {
	outcome   spec.Outcome
	decider   string // that decided
	why       string // if undecided
	defect    bool   // of ours: two deciders disagree
	before    string // why the special decider had passed
	frontier  int64
	conflicts []spec.Conflict
	steps     preSteps
	seconded  bool // porcupine said the same
	order     []int32
	assumed   any // map[int32]Out
}

// object is one key of one kind of object.
type object[S, In, Out any] struct {
	calls  *keyCalls
	model  spec.Model[S, In, Out]
	ops    []spec.Op[In, Out] // ascending by Call
	at     []int32            // by op: its call
	values *value.Names       // that ops number; nil if they do not
	needed [][]int32          // see wholeNeeds

	// special is the decider made for this kind, of that name; nil if there
	// is none.
	special func([]spec.Op[In, Out], spec.Budget) spec.Finding[Out]
	named   string
	// needs says which operations must stay if one stays, so that a part of a
	// legal history is legal; nil if there is no such rule, and all must.
	needs func([]spec.Op[In, Out]) [][]int32
	// prefer says in which order the search tries operations; nil: by return.
	prefer preference[In, Out]
	// reduce leaves out and narrows crashed operations before the search,
	// where that is exact; nil for kinds that have no such rule.
	reduce func(*object[S, In, Out], []spec.Op[In, Out]) reduction[In, Out]
	// relax makes an operation one that is legal wherever it is; nil if there
	// is no such thing.
	relax func(spec.Op[In, Out]) (spec.Op[In, Out], bool)
	// tell puts a witness into words, and says what else to show with it; ""
	// if it has no words for it.
	tell func(*object[S, In, Out], *candidate[In, Out], teller, []shown) (string, []shown)
}

type preference[In, Out any] func([]spec.Op[In, Out]) func(op, due int32) int64

// run searches.
func (x *object[S, In, Out]) run(ops []spec.Op[In, Out], b spec.Budget) spec.Finding[Out] {
	if x.prefer == nil {
		return wgl.Decide(x.model, ops, b)
	}
	return wgl.Guided(x.model, ops, b, x.prefer(ops))
}

// reduction is a history with less in it that is legal if and only if the
// other is.
type reduction[In, Out any] struct {
	ops    []spec.Op[In, Out]
	origin []int32 // by op: its position before; nil if nothing was left out
	steps  preSteps
}

func (r reduction[In, Out]) from(i int32) int32 {
	if r.origin == nil {
		return i
	}
	return r.origin[i]
}

// preSteps counts what was done to crashed operations, for the record.
type preSteps struct {
	dropped   int
	truncated int
	ambiguous int // left alone because their value is not unique
	unseen    int // that a special decider found to be without effect
	seen      int // that it found to have taken effect
}

func (s *preSteps) add(t preSteps) {
	s.dropped += t.dropped
	s.truncated += t.truncated
	s.ambiguous += t.ambiguous
	s.unseen += t.unseen
	s.seen += t.seen
}

func (s preSteps) lines() []string {
	out := []string{}
	note := func(n int, format string) {
		if n > 0 {
			out = append(out, fmt.Sprintf(format, thousands(n)))
		}
	}
	note(s.dropped, "dropped %s crashed operations whose effect nobody can have seen")
	note(s.truncated, "ended %s crashed operations at the return of the first operation that saw their effect")
	note(s.ambiguous, "left %s crashed operations open: others have the same effect")
	note(s.unseen, "%s crashed operations are not in the linearization: nobody saw an effect")
	note(s.seen, "%s crashed operations are in the linearization")
	return out
}

func (x *object[S, In, Out]) decide(b spec.Budget, second *atomic.Int64) decision {
	d := decision{why: "all steps that could decide it are switched off"}
	if x.special != nil && !x.calls.o.without(StepSpecial) {
		d = x.conclude(x.trySpecial(x.ops, b), x.named)
	}
	if d.outcome == spec.Undecided && d.why != spec.OutOfTime && !d.defect && !x.calls.o.without(StepSearch) {
		passed := ""
		if d.decider != "" {
			passed = d.why
		}
		d = x.search(b)
		if d.why == spec.OutOfSteps && b.Steps == firstSteps {
			if c, ok := x.convict(b); ok {
				d = decision{outcome: spec.Illegal, decider: "windows", conflicts: []spec.Conflict{c}}
			}
		}
		d.before = passed
	}
	if d.outcome != spec.Undecided {
		x.secondOpinion(&d, second)
	}
	return d
}

// trySpecial runs the special decider. A panic of it is a defect, but no reason
// not to search.
func (x *object[S, In, Out]) trySpecial(ops []spec.Op[In, Out], b spec.Budget) (f spec.Finding[Out]) {
	defer func() {
		if p := recover(); p != nil {
			f = spec.Finding[Out]{Why: fmt.Sprintf("defect: %s panicked: %v", x.named, p)}
		}
	}()
	return x.special(ops, b)
}

// conclude takes a finding over all operations, after its linearization has
// been verified.
func (x *object[S, In, Out]) conclude(f spec.Finding[Out], by string) decision {
	d := decision{outcome: f.Outcome, decider: by, why: f.Why, frontier: f.Frontier, conflicts: f.Conflicts}
	switch f.Outcome {
	case spec.Inapplicable:
		d.outcome = spec.Undecided
		d.why = by + " does not apply: " + f.Why
	case spec.Legal:
		if err := spec.Verify(x.ops, f.Order, f.Assumed, x.model.Object()); err != nil {
			return decision{defect: true, why: fmt.Sprintf("defect: %s found a linearization that does not hold: %v", by, err)}
		}
		d.order, d.assumed = f.Order, f.Assumed
		d.steps.seen = crashedIn(x.ops, f.Order)
		d.steps.unseen = crashedIn(x.ops, nil) - d.steps.seen
	}
	return d
}

// crashedIn counts the crashed operations of an order, or of all if it is nil.
func crashedIn[In, Out any](ops []spec.Op[In, Out], order []int32) int {
	n := 0
	if order == nil {
		for i := range ops {
			if ops[i].Crashed {
				n++
			}
		}
	}
	for _, i := range order {
		if ops[i].Crashed {
			n++
		}
	}
	return n
}

// search is the generic decider, after crashed operations were left out or
// narrowed. Its linearization is verified on the operations as they were.
func (x *object[S, In, Out]) search(b spec.Budget) decision {
	r := reduction[In, Out]{ops: x.ops}
	if x.reduce != nil {
		r = x.reduce(x, x.ops)
	}
	f := x.run(r.ops, b)
	assumed := make(map[int32]Out, len(f.Assumed))
	for at, i := range f.Order {
		from := r.from(i)
		f.Order[at] = from
		if out, ok := f.Assumed[i]; ok {
			assumed[from] = out
		} else if x.ops[from].Crashed {
			assumed[from] = r.ops[i].Out
		}
	}
	f.Assumed = assumed
	d := x.conclude(f, searchName)
	d.steps = r.steps
	return d
}

const searchName = "search"

const (
	secondOps = 40                    // a key of no more operations gets a second opinion
	secondOne = 50 * time.Millisecond // at most for one
	secondAll = time.Second           // for all of them
)

// secondOpinion asks porcupine where that is cheap.
func (x *object[S, In, Out]) secondOpinion(d *decision, spent *atomic.Int64) {
	if x.calls.o.without(StepSecond) || len(x.ops) > secondOps || spent.Load() > int64(secondAll) {
		return
	}
	began := time.Now()
	second := spec.Porcupine(x.model, x.ops, secondOne)
	spent.Add(int64(time.Since(began)))
	switch second {
	case spec.Undecided:
	case d.outcome:
		d.seconded = true
	default:
		*d = decision{defect: true, why: fmt.Sprintf("defect: %s says %v, porcupine %v", d.decider, d.outcome, second)}
	}
}
