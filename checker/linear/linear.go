// Package linear checks linearizability, key by key, and explains a violation
// by the smallest sub-history that still has no legal order.
//
// What counts: an ok operation took effect once between its invocation and its
// completion; a failed one did not happen; an info one took effect once at any
// time after its invocation, or never. The order of two operations is that of
// their events in the history, as in Knossos: A comes before B if and only if
// A's completion stands before B's invocation.
package linear

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/internal/nearest"
)

// Options bound a check.
type Options struct {
	// Init is the initial value of a register. Without it registers begin
	// absent and a read of null saw that; with it a read of null is taken for
	// a read that says nothing, as Knossos does.
	Init json.RawMessage
	// Timeout bounds the search for violations; 0 is no bound but the
	// context's. Making found ones small may take 5 s more.
	Timeout time.Duration
	// Memory bounds the searches' memory in bytes, about; 0 is 2 GiB.
	Memory int64
}

const (
	defaultMemory = 2 << 30
	maxWitnesses  = 5  // explained in full
	maxLocated    = 20 // searched for the earliest
	shrinkTime    = 5 * time.Second
)

// Models lists the names that New knows: Knossos's and elle-cli's.
func Models() []string {
	names := make([]string, len(models))
	for i, m := range models {
		names[i] = m.name
	}
	return names
}

// New returns the checker named "linearizable" for one of Models.
func New(model string, o Options) (checker.Checker, error) {
	for _, m := range models {
		if m.name != model {
			continue
		}
		if len(o.Init) > 0 && !m.valued {
			return nil, fmt.Errorf("model %s has no initial value to set", model)
		}
		if len(o.Init) > 0 && !json.Valid(o.Init) {
			return nil, fmt.Errorf("initial value %.40q is not JSON", o.Init)
		}
		if o.Memory <= 0 {
			o.Memory = defaultMemory
		}
		return &linear{model: m, o: o}, nil
	}
	return nil, fmt.Errorf("unknown model %q%s; there are: %s", model, nearest.Hint(model, Models()), strings.Join(Models(), ", "))
}

type linear struct {
	model model
	o     Options
}

// Name is "linearizable".
func (*linear) Name() string { return "linearizable" }

// keyResult is what came of one key.
type keyResult struct {
	key *keyOps
	finding
	reason string // if undecided
}

// Check decides every key on its own, several at once, small ones first.
func (l *linear) Check(ctx context.Context, h *history.History) (checker.Result, error) {
	keys, reason, err := l.keys(h)
	if err != nil || reason != "" {
		return checker.Result{Verdict: checker.Unknown, Reason: reason}, err
	}
	stop, done := stopAfter(ctx, l.o.Timeout)
	results := l.decide(stop, keys)
	done()
	if errors.Is(ctx.Err(), context.Canceled) {
		for i := range results {
			if results[i].why == outOfTime {
				results[i].reason = "interrupted before it was decided"
			}
		}
	}
	stop, done = stopAfter(ctx, shrinkTime)
	defer done()
	return l.result(stop, h, results)
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

// keys prepares the operations of every key; reason says why there is nothing
// to check.
func (l *linear) keys(h *history.History) (keys []*keyOps, reason string, err error) {
	switch {
	case len(h.Events) == 0:
		return nil, "the history is empty", nil
	case history.CompletionOnly(h):
		return nil, "the history has completions only: without invocations nothing tells which operations were concurrent", nil
	}
	if err := history.CheckKeys(h); err != nil {
		return nil, "", err
	}
	acknowledged := 0
	for _, kh := range history.SplitKeys(h) {
		k, err := l.parse(kh)
		if err != nil {
			return nil, "", err
		}
		keys = append(keys, k)
		acknowledged += k.acknowledged
	}
	if acknowledged == 0 {
		return nil, "the history has no acknowledged (ok) operation", nil
	}
	return keys, "", nil
}

// decide searches in rounds of growing budgets, so that one hard key does not
// keep the others from being decided in time.
func (l *linear) decide(stop *atomic.Bool, keys []*keyOps) []keyResult {
	results := make([]keyResult, len(keys))
	order := make([]int, len(keys))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(len(keys[a].ops), len(keys[b].ops)) })
	for _, steps := range [...]int64{1 << 21, 1 << 25, 0} {
		l.round(stop, keys, order, results, steps)
		order = slices.DeleteFunc(order, func(i int) bool { return results[i].why != outOfSteps })
	}
	return results
}

// round searches the keys in this order, several at once.
func (l *linear) round(stop *atomic.Bool, keys []*keyOps, order []int, results []keyResult, steps int64) {
	workers := max(min(runtime.GOMAXPROCS(0), len(order)), 1)
	next := make(chan int)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for i := range next {
				results[i] = l.decideKey(keys[i], budget{stop: stop, bytes: l.o.Memory / int64(workers), steps: steps})
			}
		})
	}
	for _, i := range order {
		next <- i
	}
	close(next)
	all.Wait()
}

// decideKey runs in a goroutine of its own, so it must not panic.
func (l *linear) decideKey(k *keyOps, b budget) (res keyResult) {
	defer func() {
		if p := recover(); p != nil {
			res = keyResult{k, finding{outcome: undecided}, fmt.Sprintf("the search panicked: %v", p)}
		}
	}()
	ops, steps := k.preprocess(k.ops)
	k.steps = steps
	f := k.search(ops, b)
	return keyResult{k, f, l.blame(f.why)}
}

// blame puts the budget into words.
func (l *linear) blame(why stopReason) string {
	switch why {
	case outOfTime:
		if l.o.Timeout > 0 {
			return fmt.Sprintf("not decided within %v", l.o.Timeout)
		}
		return "not decided before the deadline"
	case outOfMemory:
		return fmt.Sprintf("not decided within %d MiB of memory", l.o.Memory>>20)
	case panicked:
		return "the search panicked"
	}
	return ""
}

// witnessData is a witness for drawing.
type witnessData struct {
	Key string   `json:"key"`
	Ops []opData `json:"ops"`
}

type opData struct {
	Process  int             `json:"process"`
	Node     string          `json:"node"`
	F        string          `json:"f"`
	In       json.RawMessage `json:"in"`
	Out      json.RawMessage `json:"out"`
	Outcome  string          `json:"outcome"`
	Start    int64           `json:"start_ns"`
	End      int64           `json:"end_ns"` // -1: never
	Invoke   int             `json:"invoke"`
	Complete int             `json:"complete"` // -1: none
}

type data struct {
	Model         string        `json:"model"`
	Keys          int           `json:"keys"`
	Ops           int           `json:"ops"`
	BadKeys       []string      `json:"bad_keys"`
	UndecidedKeys []string      `json:"undecided_keys"`
	Preprocessing []string      `json:"preprocessing"`
	Witnesses     []witnessData `json:"witnesses"`
}

func (l *linear) result(stop *atomic.Bool, h *history.History, results []keyResult) (checker.Result, error) {
	d := data{Model: l.model.name, Keys: len(results), BadKeys: []string{}, UndecidedKeys: []string{}, Preprocessing: []string{}, Witnesses: []witnessData{}}
	var bad, open []keyResult
	var steps preSteps
	for _, r := range results {
		d.Ops += r.key.total
		steps.add(r.key.steps)
		switch r.outcome {
		case illegal:
			bad = append(bad, r)
			d.BadKeys = append(d.BadKeys, r.key.name)
		case undecided:
			open = append(open, r)
			d.UndecidedKeys = append(d.UndecidedKeys, r.key.name)
		}
	}
	d.Preprocessing = steps.lines()
	var res checker.Result
	for _, w := range l.witnesses(stop, bad) {
		res.Anomalies = append(res.Anomalies, w.anomaly(h))
		d.Witnesses = append(d.Witnesses, w.data())
	}
	switch {
	case len(bad) > 0:
		res.Verdict = checker.Invalid
		res.Reason = "not linearizable" + onKeys(bad, len(results)) + ": " + res.Anomalies[0].Text
		if len(open) > 0 {
			res.Reason += " Undecided" + onKeys(open, len(results)) + "."
		}
	case len(open) > 0:
		res.Verdict = checker.Unknown
		res.Reason = open[0].reason + onKeys(open, len(results)) + fmt.Sprintf(" (%s operations)", thousands(open[0].key.total))
	default:
		res.Reason = fmt.Sprintf("no violation found in %s operations", thousands(d.Ops))
		if len(results) > 1 || results[0].key.name != "" {
			res.Reason += fmt.Sprintf(" on %s %s", thousands(len(results)), map[bool]string{true: "key", false: "keys"}[len(results) == 1])
		}
	}
	var err error
	if res.Data, err = json.Marshal(d); err != nil {
		return res, errors.Join(errors.New("encode figures"), err)
	}
	return res, nil
}

// onKeys names keys: " on keys 3, 5 and 7 more of 52"; nothing for a history
// without keys.
func onKeys(rs []keyResult, of int) string {
	if of == 1 && rs[0].key.name == "" {
		return ""
	}
	var names []string
	for _, r := range rs[:min(len(rs), maxWitnesses)] {
		names = append(names, r.key.name)
	}
	s := " on key " + names[0]
	if len(rs) > 1 {
		s = " on keys " + strings.Join(names, ", ")
	}
	if more := len(rs) - len(names); more > 0 {
		s += fmt.Sprintf(" and %s more", thousands(more))
	}
	return s + fmt.Sprintf(" of %s", thousands(of))
}

func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// witnesses explains the bad keys whose violations come first.
func (l *linear) witnesses(stop *atomic.Bool, bad []keyResult) []*witness {
	var ws []*witness
	for _, r := range bad[:min(len(bad), maxLocated)] {
		ws = append(ws, locate(r.key, r.frontier, budget{stop: stop, bytes: l.o.Memory}))
	}
	slices.SortStableFunc(ws, func(a, b *witness) int { return cmp.Compare(a.culpritTime(), b.culpritTime()) })
	ws = ws[:min(len(ws), maxWitnesses)]
	for _, w := range ws {
		w.shrinkSafely()
	}
	return ws
}
