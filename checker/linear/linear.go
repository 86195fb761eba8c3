// Package linear checks linearizability, key by key, and proves what it says:
// a violation by the smallest sub-history that still has no legal order, and
// "no violation" by a linearization that an independent verifier accepts.
//
// What counts: an ok operation took effect once between its invocation and its
// completion; a failed one did not happen; an info one took effect once at any
// time after its invocation, or never. The order of two operations is that of
// their events in the history, as in Knossos: A comes before B if and only if
// A's completion stands before B's invocation.
//
// Each key is decided by a decider that is made for its kind of object, in
// near-linear time, where the decider's precondition holds (it is verified,
// never assumed); otherwise by a search that takes exponential time at worst,
// within a budget. porcupine gives a second opinion on small keys and on every
// witness; if two of them disagree the verdict is unknown.
package linear

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/linear/spec"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/internal/nearest"
)

// Options say what a history means and bound its check.
type Options struct {
	// Init is the initial value of a register as JSON; empty: absent.
	Init json.RawMessage
	// Nil says what a read of null means: NilAbsent, it saw that there was no
	// value; NilWildcard, it says nothing, as Knossos has it. Empty: absent
	// without an Init, wildcard with one.
	Nil string
	// FailedCAS says what a failed compare-and-set without a seen value means:
	// FailedDrop, it did not happen and says nothing; FailedMismatch, it found
	// another value at some instant. Empty: mismatch where the recorded error
	// proves it (history.ErrUnmet), else drop.
	FailedCAS string
	// Without switches steps of the pipeline off, see Steps.
	Without []string
	// Timeout bounds the search for violations; 0 is no bound but the
	// context's. Making found ones small may take 5 s more.
	Timeout time.Duration
	// Memory bounds the deciders' memory in bytes, about; 0 is 2 GiB.
	Memory int64
	// Certificates, if not nil, gets the linearization of every key that has
	// one, a Certificate as JSON a line.
	Certificates io.Writer
}

// The values of Options.Nil and Options.FailedCAS.
const (
	NilAbsent      = "absent"
	NilWildcard    = "wildcard"
	FailedDrop     = "drop"
	FailedMismatch = "mismatch"
)

// The steps that Options.Without may name.
const (
	StepDrop     = "drop"     // leave out crashed operations whose effect nobody can have seen
	StepTruncate = "truncate" // end a crashed operation at the return of the first that saw its effect
	StepSpecial  = "special"  // the deciders made for one kind of object
	StepSearch   = "search"   // the generic search
	StepSecond   = "second"   // porcupine's second opinion on small keys
)

// Steps lists what Options.Without may name.
func Steps() []string { return []string{StepDrop, StepTruncate, StepSpecial, StepSearch, StepSecond} }

const (
	defaultMemory = 2 << 30
	maxWitnesses  = 5  // explained in full
	maxLocated    = 20 // searched for the earliest
	shrinkTime    = 5 * time.Second
	firstSteps    = 1 << 21 // of a search, in the first round
	callBytes     = 80      // that a decoded call takes, about
)

// Models lists the names that New knows: Knossos's, Jepsen's and elle-cli's
// where they have one.
func Models() []string {
	var names []string
	for _, k := range kinds() {
		names = append(names, k.name)
	}
	return names
}

// Describe says what a model is, in one line.
func Describe(model string) string {
	for _, k := range kinds() {
		if k.name == model {
			return k.doc
		}
	}
	return ""
}

// New returns the checker named "linearizable" for one of Models.
func New(model string, o Options) (checker.Checker, error) {
	all := kinds()
	if name, ok := Aliases()[model]; ok {
		model = name
	}
	at := slices.IndexFunc(all, func(k kind) bool { return k.name == model })
	if at < 0 {
		return nil, fmt.Errorf("unknown model %q%s; there are: %s", model, nearest.Hint(model, Models()), strings.Join(Models(), ", "))
	}
	if len(o.Init) > 0 && !all[at].valued {
		return nil, fmt.Errorf("model %s has no initial value to set", model)
	}
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.Memory <= 0 {
		o.Memory = defaultMemory
	}
	return &linear{kind: all[at], o: o}, nil
}

func (o Options) validate() error {
	if len(o.Init) > 0 && !json.Valid(o.Init) {
		return fmt.Errorf("initial value %.40q is not JSON", o.Init)
	}
	for _, c := range []struct {
		what, value string
		of          []string
	}{
		{"the meaning of a read of nil", o.Nil, []string{"", NilAbsent, NilWildcard}},
		{"the meaning of a failed cas", o.FailedCAS, []string{"", FailedDrop, FailedMismatch}},
	} {
		if !slices.Contains(c.of, c.value) {
			return fmt.Errorf("%s cannot be %q%s; it can be: %s", c.what, c.value, nearest.Hint(c.value, c.of[1:]), strings.Join(c.of[1:], ", "))
		}
	}
	for _, s := range o.Without {
		if !slices.Contains(Steps(), s) {
			return fmt.Errorf("unknown step %q%s; there are: %s", s, nearest.Hint(s, Steps()), strings.Join(Steps(), ", "))
		}
	}
	return nil
}

func (o Options) without(step string) bool { return slices.Contains(o.Without, step) }

type linear struct {
	kind kind
	o    Options
}

// Name is "linearizable".
func (*linear) Name() string { return "linearizable" }

// keyResult is what came of one key.
type keyResult struct {
	key    int // in the table
	name   string
	counts counts
	decision
	reason string // if undecided
}

// Check decides every key on its own, several at once, small ones first.
func (l *linear) Check(ctx context.Context, h *history.History) (checker.Result, error) {
	switch {
	case len(h.Events) == 0:
		return checker.Result{Verdict: checker.Unknown, Reason: "the history is empty"}, nil
	case history.CompletionOnly(h):
		return checker.Result{Verdict: checker.Unknown, Reason: "the history has completions only: without invocations nothing tells which operations were concurrent"}, nil
	}
	t, err := history.NewTable(h)
	if err != nil {
		return checker.Result{}, err
	}
	r := &round{l: l, table: t, results: make([]keyResult, len(t.Keys)), second: new(atomic.Int64)}
	var done func()
	r.stop, done = stopAfter(ctx, l.o.Timeout)
	r.all()
	done()
	if r.unreadable.Load() {
		return checker.Result{}, l.firstError(t)
	}
	if err := r.unwritten.Load(); err != nil {
		return checker.Result{}, fmt.Errorf("write certificates: %w", *err)
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		for i := range r.results {
			if r.results[i].why == spec.OutOfTime {
				r.results[i].reason = "interrupted before it was decided"
			}
		}
	}
	stop, done := stopAfter(ctx, shrinkTime)
	defer done()
	return l.result(stop, h, t, r.results)
}

// stopAfter is a flag that turns true when the context ends, and after d
// unless that is 0.
func stopAfter(ctx context.Context, d time.Duration) (stop *atomic.Bool, done func()) {
	cancel := func() {}
	if d > 0 {
		ctx, cancel = context.WithTimeout(ctx, d)
	}
	stop = new(atomic.Bool)
	unhook := context.AfterFunc(ctx, func() { stop.Store(true) })
	return stop, func() { unhook(); cancel() }
}

// round decides keys, each with the same budget.
type round struct {
	l       *linear
	table   *history.Table
	stop    *atomic.Bool
	steps   int64
	second  *atomic.Int64 // time spent on second opinions
	results []keyResult

	unreadable atomic.Bool // some key does not decode
	mu         sync.Mutex  // guards the writer of certificates
	unwritten  atomic.Pointer[error]
}

// all decides in rounds of growing budgets, so that one hard key does not keep
// the others from being decided in time.
func (r *round) all() {
	order := make([]int, len(r.results))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(r.table.Len(a), r.table.Len(b)) })
	for _, r.steps = range [...]int64{firstSteps, 1 << 25, 0} {
		r.decide(order)
		order = slices.DeleteFunc(order, func(i int) bool { return r.results[i].why != spec.OutOfSteps })
	}
}

func (r *round) decide(order []int) {
	workers := max(min(runtime.GOMAXPROCS(0), len(order)), 1)
	next := make(chan int)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for i := range next {
				r.results[i] = r.decideKey(i, r.l.o.Memory/int64(workers))
			}
		})
	}
	for _, i := range order {
		next <- i
	}
	close(next)
	all.Wait()
}

// decideKey runs in a goroutine of its own, so it must not panic. It decodes
// the key's operations and lets go of them again: not all keys are in memory at
// once.
func (r *round) decideKey(key int, memory int64) (res keyResult) {
	name := r.table.Keys[key]
	res = keyResult{key: key, name: name}
	defer func() {
		if p := recover(); p != nil {
			res.decision = decision{outcome: spec.Undecided}
			res.reason = fmt.Sprintf("the check panicked: %v", p)
		}
	}()
	if need := int64(r.table.Len(key)) * callBytes; need > memory {
		res.decision, res.counts.calls = decision{why: spec.OutOfMemory}, r.table.Len(key)
		res.reason = r.l.blame(res.why)
		return res
	}
	p, counts, err := r.l.open(r.table, key)
	res.counts = counts
	if err != nil {
		r.unreadable.Store(true)
		r.stop.Store(true)
		return res
	}
	memory -= int64(r.table.Len(key)) * callBytes
	res.decision = p.decide(spec.Budget{Stop: r.stop, Bytes: memory, Steps: r.steps}, r.second)
	if res.outcome == spec.Undecided {
		res.reason = r.l.blame(res.why)
		if res.before != "" {
			res.reason += " (" + res.before + ")"
		}
	}
	if res.outcome == spec.Legal && r.l.o.Certificates != nil {
		r.certificate(p, res)
	}
	res.order = nil
	return res
}

// firstError decodes the keys in order, so that the same history always gives
// the same error.
func (l *linear) firstError(t *history.Table) error {
	for key := range t.Keys {
		if _, _, err := l.open(t, key); err != nil {
			return err
		}
	}
	return errors.New("decode operations: an error came and went")
}

// blame puts the reason of no decision into words.
func (l *linear) blame(why string) string {
	switch why {
	case spec.OutOfTime:
		if l.o.Timeout > 0 {
			return fmt.Sprintf("not decided within %v", l.o.Timeout)
		}
		return "not decided before the deadline"
	case spec.OutOfMemory:
		return "not decided within " + size(l.o.Memory) + " of memory"
	}
	return why
}

// size is a number of bytes in words.
func size(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}

// open decodes one key.
func (l *linear) open(t *history.Table, key int) (problem, counts, error) {
	k := &keyCalls{Table: t, key: key, o: l.o, model: l.kind.name}
	p, err := l.kind.open(k)
	return p, k.counts, err
}
