// Package spectest tests deciders of linearizability against each other on
// random small histories: a brute-force twin, porcupine, and the verifier.
package spectest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// Histories is how many random histories a differential test takes:
// CAPSTAN_HISTORIES, or 50,000, or a tenth of that under -short.
func Histories(t testing.TB) int {
	if s := os.Getenv("CAPSTAN_HISTORIES"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("CAPSTAN_HISTORIES=%q is not a number", s)
		}
		return n
	}
	if testing.Short() {
		return 5_000
	}
	return 50_000
}

// Subject is a decider under test.
type Subject[S, In, Out any] struct {
	Model spec.Model[S, In, Out]
	// In draws the i-th operation.
	In func(r *rand.Rand, i int) In
	// Mutate draws another answer to in, legal or not.
	Mutate func(r *rand.Rand, in In, out Out) Out
	// Draw makes histories where the ones of Random would not do: clients that
	// have a state of their own, say. nil: Random's are taken.
	Draw func(r *rand.Rand) []spec.Op[In, Out]
	// Prepare removes what deciders do not take (crashed reads); nil if none.
	Prepare func([]spec.Op[In, Out]) []spec.Op[In, Out]
	Decide  func([]spec.Op[In, Out]) spec.Finding[Out]
	// Blind is an operation of which only the effect counts (see
	// spec.Conflict); nil if there are none.
	Blind func(spec.Op[In, Out]) spec.Op[In, Out]
	// Undecided is the share of histories that may stay Undecided.
	Undecided float64
	// Inapplicable is the share of histories that may be Inapplicable.
	Inapplicable float64
}

// Random makes the history of a legal object, 3 to 12 operations of 1 to 4
// clients, up to 40 % of them crashed, full of equal times, and in two of three
// cases changed in one to three places.
func (s Subject[S, In, Out]) Random(r *rand.Rand) []spec.Op[In, Out] {
	n, clients := 3+r.IntN(10), 1+r.IntN(4)
	crash := []float64{0, 0, .1, .2, .4}[r.IntN(5)]
	spread := 1 + r.IntN(6)
	type effect struct {
		at int64
		op int
	}
	var ops []spec.Op[In, Out]
	var effects []effect
	free := make([]int64, clients)
	for i := range n {
		c := r.IntN(clients)
		call := free[c] + int64(r.IntN(spread))
		ret := call + int64(r.IntN(2*spread))
		free[c] = ret + int64(r.IntN(2)) // 0: touches the next
		o := spec.Op[In, Out]{In: s.In(r, i), Call: call, Return: ret}
		at := call + r.Int64N(ret-call+1)
		if r.Float64() < crash {
			o.Crashed, o.Return = true, spec.Never
			if r.IntN(3) == 0 {
				at = call + int64(r.IntN(4*spread))
			}
		}
		ops = append(ops, o)
		if !o.Crashed || r.IntN(2) == 0 {
			effects = append(effects, effect{at, i})
		}
	}
	r.Shuffle(len(effects), func(i, j int) { effects[i], effects[j] = effects[j], effects[i] })
	slices.SortStableFunc(effects, func(a, b effect) int { return int(a.at - b.at) })
	state := s.Model.Init
	for _, e := range effects {
		o := &ops[e.op]
		outs := s.Model.Outs(state, o.In)
		if len(outs) == 0 {
			if !o.Crashed { // it would block: it never got an answer
				o.Crashed, o.Return = true, spec.Never
			}
			continue
		}
		out := outs[r.IntN(len(outs))]
		next, ok := s.Model.Step(state, o.In, out)
		if !ok {
			panic(fmt.Sprintf("model %s offers %v to %v and then refuses it", s.Model.Name, out, o.In))
		}
		state = next
		if !o.Crashed {
			o.Out = out
		}
	}
	if r.IntN(3) > 0 {
		for range 1 + r.IntN(3) {
			s.mutate(r, ops)
		}
	}
	slices.SortStableFunc(ops, func(a, b spec.Op[In, Out]) int { return int(a.Call - b.Call) })
	if s.Prepare != nil {
		ops = s.Prepare(ops)
	}
	return ops
}

func (s Subject[S, In, Out]) draw(r *rand.Rand) []spec.Op[In, Out] {
	if s.Draw != nil {
		return s.Draw(r)
	}
	return s.Random(r)
}

func (s Subject[S, In, Out]) mutate(r *rand.Rand, ops []spec.Op[In, Out]) {
	o := &ops[r.IntN(len(ops))]
	if o.Crashed {
		o.Call += int64(r.IntN(5))
		return
	}
	switch r.IntN(4) {
	case 0:
		o.Return = o.Call + r.Int64N(o.Return-o.Call+1)
	case 1:
		d := int64(r.IntN(7) - 3)
		o.Call, o.Return = max(0, o.Call+d), max(0, o.Return+d)
	default:
		o.Out = s.Mutate(r, o.In, o.Out)
	}
}

// Brute decides by trying every order.
func Brute[S, In, Out any](m spec.Model[S, In, Out], ops []spec.Op[In, Out]) bool {
	if len(ops) > 30 {
		panic("too many operations for brute force")
	}
	dead := map[uint32][]S{}
	var try func(done uint32, s S) bool
	try = func(done uint32, s S) bool {
		if slices.ContainsFunc(dead[done], func(d S) bool { return m.Equal(d, s) }) {
			return false
		}
		left, deadline := false, int64(spec.Never)
		for i := range ops {
			if done&(1<<i) == 0 && !ops[i].Crashed {
				left, deadline = true, min(deadline, ops[i].Return)
			}
		}
		if !left {
			return true
		}
		for i := range ops {
			if done&(1<<i) != 0 || ops[i].Call > deadline {
				continue
			}
			outs := []Out{ops[i].Out}
			if ops[i].Crashed {
				outs = m.Outs(s, ops[i].In)
			}
			for _, out := range outs {
				if next, ok := m.Step(s, ops[i].In, out); ok && try(done|1<<i, next) {
					return true
				}
			}
		}
		dead[done] = append(dead[done], s)
		return false
	}
	return try(0, m.Init)
}

// Differ runs n random histories through the decider, the brute-force twin and
// (one in eight) porcupine, and demands: the same verdict, an order that the
// verifier accepts, and conflicts that are illegal by themselves.
func (s Subject[S, In, Out]) Differ(t *testing.T, n int, seed uint64) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 7))
	count := map[spec.Outcome]int{}
	for i := range n {
		ops := s.draw(r)
		f := s.Decide(slices.Clone(ops))
		count[f.Outcome]++
		if f.Outcome == spec.Undecided || f.Outcome == spec.Inapplicable {
			continue
		}
		legal := Brute(s.Model, ops)
		if i%8 == 0 {
			if got := spec.Porcupine(s.Model, ops, 0) == spec.Legal; got != legal {
				t.Fatalf("history %d: brute force says legal=%v, porcupine %v:\n%s", i, legal, got, Format(ops))
			}
		}
		if (f.Outcome == spec.Legal) != legal {
			t.Fatalf("history %d: found %v, but brute force says legal=%v:\n%s%+v", i, f.Outcome, legal, Format(ops), f)
		}
		if err := s.Confirm(ops, f); err != nil {
			t.Fatalf("history %d: %v:\n%s%+v", i, err, Format(ops), f)
		}
	}
	t.Logf("%d histories: %v", n, count)
	if got := float64(count[spec.Undecided]); got > s.Undecided*float64(n) {
		t.Errorf("%v of %d histories undecided", got, n)
	}
	if got := float64(count[spec.Inapplicable]); got > s.Inapplicable*float64(n) {
		t.Errorf("%v of %d histories inapplicable", got, n)
	}
	if count[spec.Legal] < n/20 || count[spec.Illegal] < n/20 {
		t.Errorf("the generator is too one-sided to test anything: %v", count)
	}
}

// Confirm checks the certificate or the conflicts of a finding.
func (s Subject[S, In, Out]) Confirm(ops []spec.Op[In, Out], f spec.Finding[Out]) error {
	if f.Outcome == spec.Legal {
		return spec.Verify(ops, f.Order, f.Assumed, s.Model.Object())
	}
	for _, c := range f.Conflicts {
		if len(c.Ops) == 0 {
			return fmt.Errorf("conflict without operations: %q", c.Say)
		}
		var sub []spec.Op[In, Out]
		for _, i := range c.Ops {
			o := ops[i]
			if slices.Contains(c.Blind, i) {
				o = s.Blind(o)
			}
			sub = append(sub, o)
		}
		if Brute(s.Model, sub) {
			return fmt.Errorf("conflict %v is legal by itself", c.Ops)
		}
	}
	return nil
}

// Format lists the operations, one a line.
func Format[In, Out any](ops []spec.Op[In, Out]) string {
	text := ""
	for i, o := range ops {
		if o.Crashed {
			text += fmt.Sprintf("%3d [%d..] %+v crashed\n", i, o.Call, o.In)
		} else {
			text += fmt.Sprintf("%3d [%d..%d] %+v -> %+v\n", i, o.Call, o.Return, o.In, o.Out)
		}
	}
	return text
}
