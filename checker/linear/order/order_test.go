package order

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/checker/linear/spec"
	"github.com/capstan-dev/capstan/checker/linear/spec/spectest"
)

// object is one kind of object and how to test it.
type object[S, In, Out any] struct {
	spectest.Subject[S, In, Out]
	needs func([]spec.Op[In, Out]) [][]int32
	// says are words of conflicts that random histories must reach.
	says []string
	// live is a correct object, and draws the next operation.
	live func(r *rand.Rand) (in func(i int) In, do func(In) Out)
	// plant breaks an answer of a long history.
	plant func(r *rand.Rand, ops []spec.Op[In, Out])
}

func (o object[S, In, Out]) test(t *testing.T) {
	t.Run("differ", func(t *testing.T) { o.Differ(t, spectest.Histories(t), 1) })
	t.Run("reach", o.reach)
	t.Run("laws", o.laws)
	t.Run("medium", o.medium)
	t.Run("large", o.large)
}

// reach shows that random histories reach each kind of conflict.
func (o object[S, In, Out]) reach(t *testing.T) {
	r, said := rand.New(rand.NewPCG(5, 6)), map[string]int{}
	for range 30_000 {
		ops := o.Random(r)
		f := o.Decide(ops)
		for _, c := range f.Conflicts {
			placeholders(t, ops, c)
			for _, p := range o.says {
				if strings.Contains(c.Say, p) {
					said[p]++
				}
			}
		}
		if len(f.Assumed) > 0 {
			said["assumed"]++
		}
	}
	t.Log(said)
	for _, p := range o.says {
		if said[p] < 8 {
			t.Errorf("%q came up %d times only", p, said[p])
		}
	}
}

// laws: of a legal history each part that has what it needs is legal, and so
// it is if an operation returns later or one more crashed.
func (o object[S, In, Out]) laws(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 9))
	for range spectest.Histories(t) / 5 {
		ops := o.Random(r)
		f := o.Decide(ops)
		if f.Outcome == spec.Illegal {
			o.closure(t, ops, f)
		}
		if f.Outcome != spec.Legal || len(ops) == 0 {
			continue
		}
		sub := closed(r, ops, o.needs(ops), .3)
		if f := o.Decide(sub); f.Outcome != spec.Legal {
			t.Fatalf("legal:\n%sbut not its part:\n%s%+v", spectest.Format(ops), spectest.Format(sub), f)
		}
		if op := &ops[r.IntN(len(ops))]; !op.Crashed {
			op.Return += r.Int64N(5)
		}
		ops = append(ops, spec.Op[In, Out]{In: o.In(r, 77), Call: r.Int64N(20), Return: spec.Never, Crashed: true})
		if o.Prepare != nil {
			ops = o.Prepare(ops)
		}
		if f := o.Decide(ops); f.Outcome == spec.Illegal {
			t.Fatalf("no longer legal:\n%s%+v", spectest.Format(ops), f)
		}
	}
}

// closure shows that conflicts with all that they need are illegal still:
// nothing that was left out could have made them right.
func (o object[S, In, Out]) closure(t *testing.T, ops []spec.Op[In, Out], f spec.Finding[Out]) {
	t.Helper()
	needs := o.needs(ops)
	for _, c := range f.Conflicts {
		keep := make([]bool, len(ops))
		for _, i := range c.Ops {
			add(keep, needs, i)
		}
		if sub := kept(ops, keep); spectest.Brute(o.Model, sub) {
			t.Fatalf("conflict %v is legal with all that it needs:\n%s%s", c.Ops, c.Say, spectest.Format(ops))
		}
	}
}

func closed[In, Out any](r *rand.Rand, ops []spec.Op[In, Out], needs [][]int32, share float64) []spec.Op[In, Out] {
	keep := make([]bool, len(ops))
	for i := range ops {
		if r.Float64() < share {
			add(keep, needs, int32(i))
		}
	}
	return kept(ops, keep)
}

func add(keep []bool, needs [][]int32, i int32) {
	if !keep[i] {
		keep[i] = true
		for _, j := range needs[i] {
			add(keep, needs, j)
		}
	}
}

func kept[In, Out any](ops []spec.Op[In, Out], keep []bool) (sub []spec.Op[In, Out]) {
	for i, o := range ops {
		if keep[i] {
			sub = append(sub, o)
		}
	}
	return sub
}

// medium compares with porcupine on histories of 20 operations.
func (o object[S, In, Out]) medium(t *testing.T) {
	r, count := rand.New(rand.NewPCG(14, 15)), map[spec.Outcome]int{}
	for i := range spectest.Histories(t) / 50 {
		ops := o.simulate(r, 20, 1+r.IntN(5), []float64{0, .1, .2}[i%3])
		for range r.IntN(3) {
			if p := &ops[r.IntN(len(ops))]; !p.Crashed {
				p.Out = o.Mutate(r, p.In, p.Out)
			}
		}
		f := o.Decide(ops)
		count[f.Outcome]++
		if f.Outcome != spec.Legal && f.Outcome != spec.Illegal {
			continue
		}
		if got := spec.Porcupine(o.Model, ops, 20*time.Millisecond); got != spec.Undecided && got != f.Outcome {
			t.Fatalf("history %d: porcupine says %v, found %v\n%s%+v", i, got, f.Outcome, spectest.Format(ops), f)
		}
		if err := o.Confirm(ops, f); err != nil {
			t.Fatalf("history %d: %v\n%s%+v", i, err, spectest.Format(ops), f)
		}
	}
	t.Log(count)
}

// large finds long histories of a correct object legal, and a planted
// violation with conflicts that porcupine confirms.
func (o object[S, In, Out]) large(t *testing.T) {
	r, sizes := rand.New(rand.NewPCG(12, 13)), map[int]int{}
	for i := range 40 {
		ops := o.simulate(r, 2000, 1+r.IntN(20), []float64{0, .01, .1}[i%3])
		f := o.Decide(ops)
		if f.Outcome != spec.Legal || len(ops) == 0 {
			t.Fatalf("history %d of a correct object: %v %s %+v", i, f.Outcome, f.Why, f.Conflicts)
		}
		if err := spec.Verify(ops, f.Order, f.Assumed, o.Model.Object()); err != nil {
			t.Fatal(err)
		}
		o.plant(r, ops)
		if f = o.Decide(ops); f.Outcome != spec.Illegal {
			t.Fatalf("history %d: planted violation not found: %v", i, f.Outcome)
		}
		for _, c := range f.Conflicts {
			sizes[len(c.Ops)]++
			var sub []spec.Op[In, Out]
			for _, i := range c.Ops {
				sub = append(sub, ops[i])
			}
			if len(sub) < 13 && spec.Porcupine(o.Model, sub, time.Second) != spec.Illegal {
				t.Fatalf("porcupine does not find the conflict illegal: %s\n%s", c.Say, spectest.Format(sub))
			}
		}
	}
	t.Log("conflicts by size:", sizes)
}

// simulate runs n operations of a correct object with c clients.
func (o object[S, In, Out]) simulate(r *rand.Rand, n, c int, crash float64) []spec.Op[In, Out] {
	draw, do := o.live(r)
	ops := simulate(r, n, c, crash, draw, do)
	if o.Prepare != nil {
		ops = o.Prepare(ops)
	}
	return ops
}

func simulate[In, Out any](r *rand.Rand, n, c int, crash float64, draw func(i int) In, do func(In) Out) []spec.Op[In, Out] {
	ops, free := make([]spec.Op[In, Out], 0, n), make([]int64, c)
	type effect struct {
		at int64
		op int
	}
	var due []effect
	now := int64(0)
	apply := func(until int64) {
		for len(due) > 0 && due[0].at <= until {
			o := &ops[due[0].op]
			due = due[1:]
			if out := do(o.In); !o.Crashed {
				o.Out = out
			}
		}
	}
	for i := range n {
		k := slices.Index(free, slices.Min(free)) // all are busy
		now = max(now, free[k]) + 1 + r.Int64N(20)
		apply(now)
		o := spec.Op[In, Out]{In: draw(i), Call: now, Return: now + 1 + r.Int64N(int64(40*c))}
		at := now + r.Int64N(o.Return-now+1)
		free[k] = o.Return
		if o.Crashed = r.Float64() < crash; o.Crashed {
			o.Return, free[k] = spec.Never, now
		}
		ops = append(ops, o)
		if !o.Crashed || r.IntN(2) == 0 {
			j := len(due)
			for j > 0 && due[j-1].at > at {
				j--
			}
			due = slices.Insert(due, j, effect{at, i})
		}
	}
	apply(spec.Never)
	return ops
}

// updatesOnly removes crashed operations that change nothing.
func updatesOnly[In, Out any](update func(In) bool) func([]spec.Op[In, Out]) []spec.Op[In, Out] {
	return func(ops []spec.Op[In, Out]) []spec.Op[In, Out] {
		return slices.DeleteFunc(ops, func(o spec.Op[In, Out]) bool { return o.Crashed && !update(o.In) })
	}
}

// some is a random completed operation in the middle that pick accepts.
func some[In, Out any](r *rand.Rand, ops []spec.Op[In, Out], pick func(*spec.Op[In, Out]) bool) *spec.Op[In, Out] {
	for {
		o := &ops[len(ops)/4+r.IntN(len(ops)/2)]
		if !o.Crashed && pick(o) {
			return o
		}
	}
}

func lists() object[[]int32, ListIn, ListOut] {
	o := object[[]int32, ListIn, ListOut]{needs: ListNeeds}
	o.Model = ListModel()
	o.In = func(r *rand.Rand, i int) ListIn {
		if r.IntN(2) == 0 {
			return ListIn{Append: true, V: int32(i + 1)}
		}
		return ListIn{}
	}
	o.Mutate = func(r *rand.Rand, in ListIn, out ListOut) ListOut {
		if !in.Append {
			out.List = scramble(r, out.List)
		}
		return out
	}
	o.Prepare = updatesOnly[ListIn, ListOut](func(in ListIn) bool { return in.Append })
	o.Decide = func(ops []listOp) spec.Finding[ListOut] { return DecideList(ops, spec.Budget{}) }
	o.says = []string{"nobody ever", "twice", "at position", "does not have", "yet {", "and had", "to append it", "and not", " before "}
	o.live = func(r *rand.Rand) (func(int) ListIn, func(ListIn) ListOut) {
		var list []int32
		return func(i int) ListIn { return o.In(r, i) }, func(in ListIn) ListOut {
			if in.Append {
				list = append(list, in.V)
				return ListOut{}
			}
			return ListOut{List: list[:len(list):len(list)]}
		}
	}
	o.plant = func(r *rand.Rand, ops []listOp) {
		p := some(r, ops, func(o *listOp) bool { return !o.In.Append && len(o.Out.List) > 200 })
		list := slices.Clone(p.Out.List)
		switch n := len(list); r.IntN(3) {
		case 0:
			list = list[:n-100]
		case 1:
			list[n-1], list[n-100] = list[n-100], list[n-1]
		default:
			list = slices.Delete(list, n-100, n-99)
		}
		p.Out.List = list
	}
	return o
}

// scramble changes a list in one place.
func scramble(r *rand.Rand, s []int32) []int32 {
	s = slices.Clone(s)
	switch n := len(s); {
	case n > 0 && r.IntN(3) == 0:
		return slices.Delete(s, n-1, n)
	case n > 1 && r.IntN(2) == 0:
		i, j := r.IntN(n), r.IntN(n)
		s[i], s[j] = s[j], s[i]
		return s
	case n > 0 && r.IntN(3) == 0:
		at := r.IntN(n)
		return slices.Delete(s, at, at+1)
	}
	return slices.Insert(s, r.IntN(len(s)+1), int32(1+r.IntN(12)))
}

func sets() object[[]int32, SetIn, SetOut] {
	o := object[[]int32, SetIn, SetOut]{needs: SetNeeds}
	o.Model = SetModel()
	o.In = func(r *rand.Rand, i int) SetIn {
		if r.IntN(2) == 0 {
			return SetIn{Add: true, V: int32(i + 1)}
		}
		return SetIn{}
	}
	o.Mutate = func(r *rand.Rand, in SetIn, out SetOut) SetOut {
		if !in.Add {
			out.Set = scramble(r, out.Set)
		}
		return out
	}
	o.Prepare = updatesOnly[SetIn, SetOut](func(in SetIn) bool { return in.Add })
	o.Decide = func(ops []setOp) spec.Finding[SetOut] { return DecideSet(ops, spec.Budget{}) }
	o.says = []string{"nobody ever", "twice", "whichever", "does not have", "and had", "to add it", "and not"}
	o.live = func(r *rand.Rand) (func(int) SetIn, func(SetIn) SetOut) {
		var set []int32
		return func(i int) SetIn { return o.In(r, i) }, func(in SetIn) SetOut {
			if in.Add {
				set = append(set, in.V)
				return SetOut{}
			}
			got := slices.Clone(set)
			if len(got) > 1 {
				got[0], got[len(got)-1] = got[len(got)-1], got[0]
			}
			return SetOut{Set: got}
		}
	}
	o.plant = func(r *rand.Rand, ops []setOp) {
		p := some(r, ops, func(o *setOp) bool { return !o.In.Add && len(o.Out.Set) > 200 })
		at := 1 + r.IntN(len(p.Out.Set)/2)
		p.Out.Set = slices.Delete(slices.Clone(p.Out.Set), at, at+1+r.IntN(2))
	}
	return o
}

func versioned() object[VersionOut, VersionIn, VersionOut] {
	o := object[VersionOut, VersionIn, VersionOut]{}
	initial := VersionOut{Version: 3, V: 1}
	o.needs = func(ops []versionOp) [][]int32 { return VersionsNeeds(ops, initial) }
	var seen []int64
	for v := range int64(30) {
		seen = append(seen, v)
	}
	o.Model = VersionsModel(initial, seen)
	o.In = func(r *rand.Rand, i int) VersionIn {
		if r.IntN(5) < 2 {
			return VersionIn{Write: true, V: int32(1 + r.IntN(3))}
		}
		return VersionIn{}
	}
	o.Mutate = func(r *rand.Rand, in VersionIn, out VersionOut) VersionOut {
		if !in.Write && r.IntN(2) == 0 {
			out.V = int32(1 + r.IntN(3))
		} else {
			out.Version = min(29, out.Version+int64(r.IntN(5)-2))
		}
		return out
	}
	o.Prepare = updatesOnly[VersionIn, VersionOut](func(in VersionIn) bool { return in.Write })
	o.Decide = func(ops []versionOp) spec.Finding[VersionOut] { return DecideVersions(ops, initial, spec.Budget{}) }
	o.says = []string{"already at the start", "which is {=1}", "both made", "made with", "in it", "can have made", "that had begun by then", "which made it", "made version", "found version", "older", "assumed"}
	o.live = func(r *rand.Rand) (func(int) VersionIn, func(VersionIn) VersionOut) {
		s := initial
		return func(i int) VersionIn { return o.In(r, i) }, func(in VersionIn) VersionOut {
			if in.Write {
				s = VersionOut{s.Version + 1 + r.Int64N(2)*r.Int64N(2), in.V}
				return VersionOut{Version: s.Version}
			}
			return s
		}
	}
	o.plant = func(r *rand.Rand, ops []versionOp) {
		p := some(r, ops, func(o *versionOp) bool { return !o.In.Write })
		q := some(r, ops, func(o *versionOp) bool { return o.Return < p.Call-500 || o.Call > p.Return+500 })
		p.Out.Version = q.Out.Version
	}
	return o
}

// adding draws its deltas for i from deltas.
func adding(deltas func(r *rand.Rand, i int) int64, says ...string) object[int64, AddIn, AddOut] {
	o := object[int64, AddIn, AddOut]{needs: AddGetNeeds, says: says}
	o.Model = AddGetModel()
	o.In = func(r *rand.Rand, i int) AddIn {
		if r.IntN(5) < 3 {
			return AddIn{Add: true, Delta: deltas(r, i)}
		}
		return AddIn{}
	}
	o.Mutate = func(r *rand.Rand, _ AddIn, out AddOut) AddOut {
		return AddOut{out.V + int64(r.IntN(5)-2)*max(1, deltas(r, 0))}
	}
	o.Prepare = updatesOnly[AddIn, AddOut](func(in AddIn) bool { return in.Add })
	o.Decide = func(ops []addOp) spec.Finding[AddOut] { return DecideAddGet(ops, spec.Budget{}) }
	o.live = func(r *rand.Rand) (func(int) AddIn, func(AddIn) AddOut) {
		total := int64(0)
		return func(i int) AddIn { return o.In(r, i) }, func(in AddIn) AddOut {
			if in.Add {
				total += in.Delta
			}
			return AddOut{total}
		}
	}
	o.plant = func(r *rand.Rand, ops []addOp) {
		p := some(r, ops, func(o *addOp) bool { return !o.In.Add })
		q := some(r, ops, func(o *addOp) bool { return o.Return < p.Call-500 || o.Call > p.Return+500 })
		p.Out = q.Out
	}
	return o
}

func ids(ascending bool) object[[]int64, IDIn, IDOut] {
	o := object[[]int64, IDIn, IDOut]{needs: IDsNeeds, says: []string{"both got"}}
	var some []int64
	for id := range int64(24) {
		some = append(some, id)
	}
	if ascending {
		o.says = append(o.says, "the smaller")
	}
	o.Model = IDsModel(ascending, some)
	o.In = func(*rand.Rand, int) IDIn { return IDIn{} }
	o.Mutate = func(r *rand.Rand, _ IDIn, _ IDOut) IDOut { return IDOut{r.Int64N(24)} }
	o.Prepare = updatesOnly[IDIn, IDOut](func(IDIn) bool { return false })
	o.Decide = func(ops []idOp) spec.Finding[IDOut] { return DecideIDs(ops, ascending, spec.Budget{}) }
	o.live = func(r *rand.Rand) (func(int) IDIn, func(IDIn) IDOut) {
		last := int64(0)
		return func(int) IDIn { return IDIn{} }, func(IDIn) IDOut {
			last += 1 + r.Int64N(3)
			return IDOut{last}
		}
	}
	o.plant = func(r *rand.Rand, ops []idOp) {
		ops[len(ops)*2/3+r.IntN(9)].Out = ops[len(ops)/3+r.IntN(9)].Out
	}
	return o
}

func TestList(t *testing.T)     { lists().test(t) }
func TestSet(t *testing.T)      { sets().test(t) }
func TestVersions(t *testing.T) { versioned().test(t) }
func TestIDs(t *testing.T) {
	t.Run("any", ids(false).test)
	t.Run("ascending", ids(true).test)
}

func TestAddGet(t *testing.T) {
	up := []string{"other side", "though each", "at once", "nothing leads", "do not make it up", "is smaller", "assumed"}
	t.Run("ones", adding(func(*rand.Rand, int) int64 { return 1 }, up[0], up[1], up[3], up[4], up[5], up[6], "which led to it").test)
	t.Run("threes", adding(func(*rand.Rand, int) int64 { return 3 }, up...).test)
	t.Run("down", adding(func(*rand.Rand, int) int64 { return -2 }, "is larger", "lowest", "assumed").test)
	t.Run("zeros", adding(func(r *rand.Rand, _ int) int64 { return 2 * r.Int64N(2) }, up...).test)
	t.Run("different", func(t *testing.T) {
		o := adding(func(r *rand.Rand, _ int) int64 { return 1 + r.Int64N(4) }, append(up, "right sum")...)
		o.Undecided = .001
		t.Run("differ", func(t *testing.T) { o.Differ(t, spectest.Histories(t), 1) })
		t.Run("reach", o.reach)
		t.Run("laws", o.laws)
		t.Run("medium", o.medium)
		t.Run("large", o.large)
	})
	t.Run("mixed", func(t *testing.T) {
		o := adding(func(r *rand.Rand, i int) int64 { return int64(1-2*r.IntN(2)) * int64(1<<(i%12)) },
			"both went on", "no add led to", "no add led there", "had only before")
		o.Inapplicable = .6
		t.Run("differ", func(t *testing.T) { o.Differ(t, spectest.Histories(t), 1) })
		t.Run("reach", o.reach)
		t.Run("laws", o.laws)
		t.Run("medium", o.medium)
	})
}

// TestCircle: adds that lead to each other, and nothing leads to them.
func TestCircle(t *testing.T) {
	ops := []addOp{
		{In: AddIn{true, 1}, Out: AddOut{1}, Call: 0, Return: 9},
		{In: AddIn{true, 2}, Out: AddOut{7}, Call: 0, Return: 9},
		{In: AddIn{true, -2}, Out: AddOut{5}, Call: 0, Return: 9},
	}
	f := DecideAddGet(ops, spec.Budget{})
	if f.Outcome != spec.Illegal || !slices.Equal(f.Conflicts[0].Ops, []int32{1, 2}) {
		t.Errorf("got %+v", f)
	}
	if spectest.Brute(AddGetModel(), ops[1:]) {
		t.Error("legal by itself")
	}
}

func TestInapplicable(t *testing.T) {
	twice := []listOp{{In: ListIn{true, 1}, Return: 1}, {In: ListIn{true, 1}, Call: 2, Return: 3}}
	if f := DecideList(twice, spec.Budget{}); f.Outcome != spec.Inapplicable || f.Why == "" {
		t.Errorf("got %+v", f)
	}
	if f := DecideSet([]setOp{{In: SetIn{true, 1}}, {In: SetIn{true, 1}}}, spec.Budget{}); f.Outcome != spec.Inapplicable {
		t.Errorf("got %+v", f)
	}
	if f := DecideList(twice, spec.Budget{Bytes: 1}); f.Outcome != spec.Undecided || f.Why != spec.OutOfMemory {
		t.Errorf("got %+v", f)
	}
}

func FuzzDecide(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, a, b uint64) {
		fuzz(t, lists(), a, b)
		fuzz(t, sets(), a, b)
		fuzz(t, versioned(), a, b)
		fuzz(t, adding(func(*rand.Rand, int) int64 { return 2 }), a, b)
		fuzz(t, ids(true), a, b)
	})
}

func fuzz[S, In, Out any](t *testing.T, o object[S, In, Out], a, b uint64) {
	ops := o.Random(rand.New(rand.NewPCG(a, b)))
	f := o.Decide(ops)
	if (f.Outcome == spec.Legal) != spectest.Brute(o.Model, ops) {
		t.Fatalf("%+v\n%s", f, spectest.Format(ops))
	}
	if err := o.Confirm(ops, f); err != nil {
		t.Fatal(err)
	}
}

// bench measures histories of 1e3 to 1e6 operations. Reads of whole lists and
// sets are as rare as it takes for 20 elements an operation in all.
func bench[S, In, Out any](b *testing.B, o object[S, In, Out], rare func(n int) func(r *rand.Rand, i int) In) {
	for n := 1000; n <= 1_000_000; n *= 10 {
		r := rand.New(rand.NewPCG(1, 1))
		draw, do := o.live(r)
		if rare != nil {
			in := rare(n)
			draw = func(i int) In { return in(r, i) }
		}
		ops := simulate(r, n, 10, .01, draw, do)
		if o.Prepare != nil {
			ops = o.Prepare(ops)
		}
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if f := o.Decide(ops); f.Outcome != spec.Legal {
					b.Fatal(f.Outcome, f.Why, f.Conflicts)
				}
			}
		})
	}
}

// Few reads of a long list, and many of a short one.
func BenchmarkList(b *testing.B) {
	bench(b, lists(), func(n int) func(*rand.Rand, int) ListIn {
		return func(r *rand.Rand, i int) ListIn { return ListIn{Append: r.IntN(n) >= 40, V: int32(i)} }
	})
}

func BenchmarkListShort(b *testing.B) {
	bench(b, lists(), func(n int) func(*rand.Rand, int) ListIn {
		return func(r *rand.Rand, i int) ListIn { return ListIn{Append: r.IntN(n) < 40, V: int32(i)} }
	})
}

func BenchmarkSet(b *testing.B) {
	bench(b, sets(), func(n int) func(*rand.Rand, int) SetIn {
		return func(r *rand.Rand, i int) SetIn { return SetIn{Add: r.IntN(n) >= 40, V: int32(i)} }
	})
}

func BenchmarkSetShort(b *testing.B) {
	bench(b, sets(), func(n int) func(*rand.Rand, int) SetIn {
		return func(r *rand.Rand, i int) SetIn { return SetIn{Add: r.IntN(n) < 40, V: int32(i)} }
	})
}

func BenchmarkVersions(b *testing.B) { bench(b, versioned(), nil) }
func BenchmarkIDs(b *testing.B)      { bench(b, ids(true), nil) }
func BenchmarkAddGetDifferent(b *testing.B) {
	bench(b, adding(func(r *rand.Rand, _ int) int64 { return 1 + r.Int64N(5) }), nil)
}

func BenchmarkAddGet(b *testing.B) {
	bench(b, adding(func(*rand.Rand, int) int64 { return 1 }), nil)
}

// placeholders shows that the words name operations of the conflict only, and
// times between them only where there are any.
func placeholders[In, Out any](t *testing.T, ops []spec.Op[In, Out], c spec.Conflict) {
	t.Helper()
	for _, m := range regexp.MustCompile(`\{(\d+)(?:<(\d+))?\}`).FindAllStringSubmatch(c.Say, -1) {
		i, _ := strconv.Atoi(m[1])
		j, err := strconv.Atoi(m[2])
		if !slices.Contains(c.Ops, int32(i)) || err == nil && !slices.Contains(c.Ops, int32(j)) {
			t.Fatalf("%q names an operation outside of %v", c.Say, c.Ops)
		}
		if err == nil && ops[i].Return >= ops[j].Call {
			t.Fatalf("%q: %s does not exist in\n%s", c.Say, m[0], spectest.Format(ops))
		}
	}
}

func TestStop(t *testing.T) {
	var stop atomic.Bool
	stop.Store(true)
	b := spec.Budget{Stop: &stop}
	r := rand.New(rand.NewPCG(3, 4))
	counter := adding(func(r *rand.Rand, _ int) int64 { return 1 + r.Int64N(4) })
	for _, why := range []string{
		DecideList(lists().simulate(r, 100, 3, .1), b).Why,
		DecideSet(sets().simulate(r, 100, 3, .1), b).Why,
		DecideVersions(versioned().simulate(r, 100, 3, .1), VersionOut{}, b).Why,
		DecideAddGet(counter.simulate(r, 100, 3, .1), b).Why,
		DecideIDs(ids(true).simulate(r, 100, 3, .1), true, b).Why,
	} {
		if why != spec.OutOfTime {
			t.Errorf("why is %q", why)
		}
	}
	if f := DecideAddGet(counter.simulate(r, 2000, 3, .1), spec.Budget{Steps: 10}); f.Outcome != spec.Undecided || f.Why == "" {
		t.Errorf("got %v %q", f.Outcome, f.Why)
	}
}
