package hold_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/checker/linear/hold"
	"github.com/capstan-dev/capstan/checker/linear/spec"
	"github.com/capstan-dev/capstan/checker/linear/spec/spectest"
	"github.com/capstan-dev/capstan/checker/linear/wgl"
)

type op = spec.Op[hold.In, hold.Out]

func locks() []hold.Lock {
	return []hold.Lock{hold.Mutex(), hold.Owned(), hold.Reentrant(2), hold.Fenced(), hold.ReentrantFenced(2), hold.ReentrantFenced(3)}
}

// shape says what histories draw makes.
type shape struct {
	ops, owners int
	spread      int     // of the times
	crash       float64 // share that crashes
	same        float64 // share of owners that go on after a crash
	wrong       float64 // share of asking for what the lock cannot give now
}

func small(r *rand.Rand) shape {
	return shape{
		ops: 3 + r.IntN(10), owners: 1 + r.IntN(4), spread: 1 + r.IntN(6),
		crash: []float64{0, 0, .1, .2, .4}[r.IntN(5)], same: .5 * float64(r.IntN(2)), wrong: .1,
	}
}

// draw makes a history of owners who take turns to acquire and release what
// they hold, in order of calls. What the lock refuses has failed, and is not
// there.
func draw(r *rand.Rand, l hold.Lock, s shape) []op {
	type step struct {
		op
		at     int64
		effect bool
	}
	steps := make([]step, 0, s.ops)
	fresh := int32(s.owners)
	for o := range s.owners {
		owner, now := int32(o), int64(0)
		for range s.ops/s.owners + 1 {
			call := now + 1 + r.Int64N(int64(s.spread))
			ret := call + r.Int64N(int64(2*s.spread))
			now = ret
			st := step{op: op{In: hold.In{Owner: owner}, Call: call, Return: ret}, at: call + r.Int64N(ret-call+1), effect: true}
			if r.Float64() < s.crash {
				st.Crashed, st.Return = true, spec.Never
				st.effect = r.IntN(2) == 0
				if r.Float64() >= s.same {
					owner = fresh
					fresh++
				}
			}
			steps = append(steps, st)
		}
	}
	slices.SortFunc(steps, func(a, b step) int { return cmp.Compare(a.at, b.at) })
	m := hold.Model(l)
	state, holds := m.Init, map[int32]int{}
	var ops []op
	for _, st := range steps {
		if holds[st.In.Owner] > 0 && r.IntN(l.Limit+1) > 0 {
			st.In.Verb = hold.Release
		}
		if r.Float64() < s.wrong {
			st.In.Verb = hold.Release - st.In.Verb
		}
		if !st.effect {
			ops = append(ops, st.op)
			continue
		}
		outs := m.Outs(state, st.In)
		if len(outs) == 0 {
			continue
		}
		out := outs[r.IntN(len(outs))]
		state, _ = m.Step(state, st.In, out)
		holds[st.In.Owner] += 1 - 2*int(st.In.Verb)
		if !st.Crashed {
			st.Out = out
		}
		ops = append(ops, st.op)
	}
	slices.SortStableFunc(ops, func(a, b op) int { return cmp.Compare(a.Call, b.Call) })
	return ops
}

func mutate(r *rand.Rand, ops []op) []op {
	if len(ops) == 0 {
		return ops
	}
	i := r.IntN(len(ops))
	o := &ops[i]
	switch r.IntN(8) {
	case 0:
		return slices.Delete(ops, i, i+1)
	case 1:
		o.In.Owner = r.Int32N(4)
	case 2:
		o.In.Verb = hold.Release - o.In.Verb
	case 3:
		o.Call -= r.Int64N(3)
	case 4, 5:
		if !o.Crashed && o.In.Verb == hold.Acquire {
			o.Out.Token = r.Int64N(5)
		}
	default:
		if !o.Crashed {
			d := r.Int64N(9) - 4
			o.Call, o.Return = o.Call+d, o.Return+d
		}
	}
	return ops
}

func subject(l hold.Lock) spectest.Subject[hold.State, hold.In, hold.Out] {
	return spectest.Subject[hold.State, hold.In, hold.Out]{
		Model: hold.Model(l),
		Draw: func(r *rand.Rand) []op {
			ops := draw(r, l, small(r))
			if r.IntN(3) > 0 {
				for range 1 + r.IntN(2) {
					ops = mutate(r, ops)
				}
			}
			slices.SortStableFunc(ops, func(a, b op) int { return cmp.Compare(a.Call, b.Call) })
			return ops[:min(len(ops), 14)]
		},
		Decide: func(ops []op) spec.Finding[hold.Out] { return hold.Decide(l, ops, spec.Budget{}) },
	}
}

func TestDiffer(t *testing.T) {
	for k, l := range locks() {
		t.Run(fmt.Sprintf("%s-%d", l.Name, l.Limit), func(t *testing.T) {
			t.Parallel()
			s := subject(l)
			if l.Owned {
				s.Inapplicable = .25
			}
			s.Differ(t, spectest.Histories(t), uint64(k))
		})
	}
}

func TestConflictsAreSmall(t *testing.T) {
	for _, l := range []hold.Lock{hold.Mutex(), hold.Owned(), hold.Fenced()} {
		s, r := subject(l), rand.New(rand.NewPCG(3, 7))
		sizes := map[int]int{}
		for range spectest.Histories(t) / 10 {
			ops := s.Draw(r)
			f := hold.Decide(l, ops, spec.Budget{})
			counted := f.Frontier > 0 // then it may take all of them
			for _, c := range f.Conflicts {
				sizes[len(c.Ops)]++
				if len(c.Ops) > 4 && !counted {
					t.Fatalf("%s: %d operations: %q", l.Name, len(c.Ops), c.Say)
				}
			}
		}
		t.Logf("%s: conflicts by size: %v", l.Name, sizes)
	}
}

// TestCrashedRelease of anyone is named, and who had the lock is not said to have
// kept it.
func TestCrashedRelease(t *testing.T) {
	ops := []op{
		{In: hold.In{Verb: hold.Release, Owner: 9}, Call: 0, Return: spec.Never, Crashed: true},
		{In: hold.In{Owner: 1}, Call: 1, Return: 2},
		{In: hold.In{Owner: 2}, Call: 3, Return: 4},
		{In: hold.In{Owner: 3}, Call: 5, Return: 6},
		{In: hold.In{Verb: hold.Release, Owner: 3}, Call: 7, Return: 8},
	}
	f := hold.Decide(hold.Mutex(), ops, spec.Budget{})
	if f.Outcome != spec.Illegal || len(f.Conflicts) != 1 || !slices.Equal(f.Conflicts[0].Ops, []int32{0, 1, 2, 3}) {
		t.Fatalf("%v %+v", f.Outcome, f.Conflicts)
	}
	want := "3 acquires, from {1} to {3}, all succeeded, and there must be one release between any two; but only {0} can have come then"
	if got := f.Conflicts[0].Say; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestFrontier of a sweep is where the shortest illegal prefix ends.
func TestFrontier(t *testing.T) {
	s, r := subject(hold.Mutex()), rand.New(rand.NewPCG(5, 7))
	seen, sizes := 0, [2]int{}
	for range spectest.Histories(t) / 5 {
		ops := s.Draw(r)
		f := s.Decide(ops)
		if f.Outcome != spec.Illegal || f.Frontier == 0 {
			continue
		}
		seen++
		sizes[min(1, len(f.Conflicts))]++
		next := int64(spec.Never)
		var returns []int64
		for _, o := range ops {
			if o.Call > f.Frontier {
				next = min(next, o.Call)
			}
			if !o.Crashed {
				returns = append(returns, o.Return)
			}
		}
		slices.Sort(returns)
		for _, at := range returns {
			var prefix []op
			for _, o := range ops {
				if o.Return > at {
					o.Return, o.Crashed, o.Out = spec.Never, true, hold.Out{}
				}
				if o.Call <= at {
					prefix = append(prefix, o)
				}
			}
			if spectest.Brute(s.Model, prefix) {
				continue
			}
			if at < f.Frontier || at >= next {
				t.Fatalf("frontier %d, but the shortest illegal prefix ends at %d:\n%s", f.Frontier, at, spectest.Format(ops))
			}
			break
		}
	}
	t.Logf("%d of these without a conflict, %d with one", sizes[0], sizes[1])
	if seen < 100 {
		t.Errorf("only %d such histories", seen)
	}
}

// TestNeeds: parts of legal histories that are closed under Needs are legal.
func TestNeeds(t *testing.T) {
	for _, l := range locks() {
		s, r := subject(l), rand.New(rand.NewPCG(7, 7))
		parts := 0
		for range spectest.Histories(t) / 10 {
			ops := s.Draw(r)
			if len(ops) == 0 || !spectest.Brute(s.Model, ops) {
				continue
			}
			keep := make([]bool, len(ops))
			needs := hold.Needs(l, ops)
			work := []int32{}
			for i := range ops {
				if r.IntN(3) == 0 {
					work = append(work, int32(i))
				}
			}
			for len(work) > 0 {
				i := work[len(work)-1]
				work = work[:len(work)-1]
				if !keep[i] {
					keep[i] = true
					work = append(work, needs[i]...)
				}
			}
			var part []op
			for i := range ops {
				if keep[i] {
					part = append(part, ops[i])
				}
			}
			if len(part) > 0 && len(part) < len(ops) {
				parts++
			}
			if !spectest.Brute(s.Model, part) {
				t.Fatalf("%s is legal:\n%sbut not the part %v:\n%s", l.Name, spectest.Format(ops), keep, spectest.Format(part))
			}
		}
		if parts < spectest.Histories(t)/200 {
			t.Errorf("%s: only %d histories had a part", l.Name, parts)
		}
	}
}

// TestLaws: what leaves more room never makes a legal history illegal.
func TestLaws(t *testing.T) {
	for _, l := range locks() {
		s, r := subject(l), rand.New(rand.NewPCG(9, 7))
		for range spectest.Histories(t) / 10 {
			ops := s.Draw(r)
			if len(ops) == 0 || s.Decide(ops).Outcome != spec.Legal {
				continue
			}
			later := slices.Clone(ops)
			if o := &later[r.IntN(len(ops))]; !o.Crashed {
				o.Return += r.Int64N(20)
			}
			crashed := append(slices.Clone(ops), op{In: hold.In{Verb: hold.Verb(r.IntN(2)), Owner: 99}, Call: r.Int64N(20), Return: spec.Never, Crashed: true})
			for name, changed := range map[string][]op{"completed later": later, "one more crashed": crashed} {
				if got := s.Decide(changed).Outcome; got == spec.Illegal {
					t.Fatalf("%s, %s: legal became illegal:\n%s", l.Name, name, spectest.Format(changed))
				}
			}
		}
	}
}

func TestSimulated(t *testing.T) {
	for _, l := range locks() {
		for seed := range uint64(8) {
			r := rand.New(rand.NewPCG(seed, 7))
			ops := draw(r, l, shape{ops: 4000, owners: 1 + int(seed), spread: 50, crash: .001 * float64(seed%3)})
			f := hold.Decide(l, ops, spec.Budget{})
			if f.Outcome != spec.Legal {
				t.Fatalf("%s, seed %d: %v %s %+v", l.Name, seed, f.Outcome, f.Why, f.Conflicts)
			}
			if err := spec.Verify(ops, f.Order, f.Assumed, hold.Model(l).Object()); err != nil {
				t.Fatalf("%s, seed %d: %v", l.Name, seed, err)
			}
			if !plant(r, ops) {
				continue
			}
			f = hold.Decide(l, ops, spec.Budget{})
			if f.Outcome != spec.Illegal || len(f.Conflicts) == 0 {
				t.Fatalf("%s, seed %d, planted: %v %s", l.Name, seed, f.Outcome, f.Why)
			}
			for _, c := range f.Conflicts {
				var part []op
				for _, i := range c.Ops {
					part = append(part, ops[i])
				}
				if got := spec.Porcupine(hold.Model(l), part, time.Minute); got != spec.Illegal {
					t.Fatalf("%s: conflict %q is %v", l.Name, c.Say, got)
				}
			}
		}
	}
}

// plant lets an acquire end early, while another owner holds the lock. It is
// the first of its owner in a while, so that nobody is wrong but the lock.
func plant(r *rand.Rand, ops []op) bool {
	for range 10_000 {
		i := 1 + r.IntN(len(ops)-1)
		o := &ops[i]
		if o.Crashed || o.In.Verb == hold.Release {
			continue
		}
		for k := i - 1; k > max(0, i-50); k-- {
			p := &ops[k]
			if p.Crashed || p.In.Owner == o.In.Owner || p.In.Verb == hold.Acquire || p.Return >= o.Return || p.Call <= o.Call {
				continue
			}
			o.Return = p.Call - 1
			return o.Return >= o.Call
		}
	}
	return false
}

func TestBudgets(t *testing.T) {
	ops := draw(rand.New(rand.NewPCG(1, 7)), hold.Owned(), shape{ops: 100, owners: 3, spread: 9})
	stop := &atomic.Bool{}
	stop.Store(true)
	for _, c := range []struct {
		budget spec.Budget
		why    string
	}{
		{spec.Budget{Stop: stop}, spec.OutOfTime},
		{spec.Budget{Bytes: 100}, spec.OutOfMemory},
		{spec.Budget{Steps: 10}, spec.OutOfSteps},
	} {
		for _, l := range locks() {
			if f := hold.Decide(l, ops, c.budget); f.Outcome != spec.Undecided || f.Why != c.why {
				t.Errorf("%s: got %v, %q, want %q", l.Name, f.Outcome, f.Why, c.why)
			}
		}
	}
}

// TestSearchAgrees compares with the generic search beyond the size of brute
// force.
func TestSearchAgrees(t *testing.T) {
	for _, l := range locks() {
		r := rand.New(rand.NewPCG(21, 7))
		count := map[spec.Outcome]int{}
		for range spectest.Histories(t) / 50 {
			ops := draw(r, l, shape{ops: 60, owners: 1 + r.IntN(5), spread: 1 + r.IntN(9), crash: .02, wrong: .1})
			if r.IntN(3) > 0 {
				ops = mutate(r, ops)
			}
			f := hold.Decide(l, ops, spec.Budget{})
			count[f.Outcome]++
			if f.Outcome == spec.Inapplicable {
				continue
			}
			if want := wgl.Decide(hold.Model(l), ops, spec.Budget{Steps: 1e6}); want.Outcome != spec.Undecided && want.Outcome != f.Outcome {
				t.Fatalf("%s: %v, but the search says %v:\n%s", l.Name, f.Outcome, want.Outcome, spectest.Format(ops))
			}
		}
		t.Logf("%s: %v", l.Name, count)
	}
}

// FuzzDecide reads operations from bytes: verb and owner, token, call, length.
func FuzzDecide(f *testing.F) {
	f.Add(byte(1), []byte{0, 1, 3, 2, 1, 0, 9, 2, 2, 2, 4, 3, 200, 0, 1, 1})
	f.Fuzz(func(t *testing.T, kind byte, data []byte) {
		l := locks()[int(kind)%len(locks())]
		var ops []op
		for ; len(data) >= 4 && len(ops) < 12; data = data[4:] {
			o := op{In: hold.In{Verb: hold.Verb(data[0] % 2), Owner: int32(data[0] / 2 % 4)}, Call: int64(data[2] % 32)}
			o.Return, o.Out.Token = o.Call+int64(data[3]%16), int64(data[1]%5)
			if o.Crashed = data[0] >= 200; o.Crashed {
				o.Return, o.Out = spec.Never, hold.Out{}
			}
			ops = append(ops, o)
		}
		found := hold.Decide(l, ops, spec.Budget{})
		if found.Outcome == spec.Inapplicable {
			return
		}
		if legal := spectest.Brute(hold.Model(l), ops); legal != (found.Outcome == spec.Legal) {
			t.Fatalf("%s: found %v, but brute force says legal=%v:\n%s", l.Name, found.Outcome, legal, spectest.Format(ops))
		}
		if err := subject(l).Confirm(ops, found); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkDecide(b *testing.B) {
	for _, l := range []hold.Lock{hold.Mutex(), hold.ReentrantFenced(3)} {
		for _, n := range []int{1e3, 1e4, 1e5, 1e6} {
			b.Run(fmt.Sprintf("%s/n=%d", l.Name, n), func(b *testing.B) {
				ops := draw(rand.New(rand.NewPCG(1, 7)), l, shape{ops: 5 * n, owners: 5, spread: 50})
				ops = ops[:min(n, len(ops))]
				b.ReportAllocs()
				for b.Loop() {
					if f := hold.Decide(l, ops, spec.Budget{}); f.Outcome != spec.Legal {
						b.Fatal(f.Outcome, f.Why, len(f.Conflicts))
					}
				}
				b.ReportMetric(float64(len(ops)), "ops")
			})
		}
	}
}
