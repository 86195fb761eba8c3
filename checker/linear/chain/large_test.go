package chain_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/checker/linear/chain"
	"github.com/capstan-dev/capstan/checker/linear/spec"
	"github.com/capstan-dev/capstan/checker/linear/spec/spectest"
)

// load is a simulated register under saturated clients with exponential
// latency, mean 10 ms, half reads; what is not a read is a write or, as a share
// of it, a cas. Crashed operations took effect at once (45 %), late (5 %), or
// never.
type load struct {
	n, clients int
	crash, cas float64
	guess      float64 // share of cas that compare with an old value
	opaque     bool
	stale      int // reads to be answered by an old value
	seed       uint64
}

type effect struct {
	at int64
	op int32
}

// history also tells how many values there are.
func (l load) history() ([]chain.Op, int) {
	r := rand.New(rand.NewPCG(l.seed, 1))
	ops, effects := l.ask(r)
	next := l.answer(ops, effects, r)
	for i := range ops { // those that never took effect
		if o := &ops[i]; o.In.Verb != chain.Read && o.In.A == 0 && o.In.B == 0 {
			next++
			if o.In.A = next; o.In.Verb == chain.CAS {
				o.In.A, o.In.B = next/2, next
			}
		}
	}
	slices.SortStableFunc(ops, func(a, b chain.Op) int { return cmp.Compare(a.Call, b.Call) })
	l.lie(ops, r)
	return ops, int(next) + 1
}

// ask draws who asks what and when, and when it takes effect.
func (l load) ask(r *rand.Rand) ([]chain.Op, []effect) {
	ops := make([]chain.Op, 0, l.n)
	free := make([]int64, l.clients)
	var effects []effect
	for len(ops) < l.n {
		c := slices.Index(free, slices.Min(free))
		call := free[c] + 1 + int64(r.ExpFloat64()*1e4)
		ret := call + 1 + int64(r.ExpFloat64()*1e7)
		free[c] = ret
		o := chain.Op{Call: call, Return: ret}
		if r.IntN(2) == 0 {
			o.In.Verb = chain.Write
			if r.Float64() < l.cas {
				o.In.Verb = chain.CAS
			}
		}
		at := call + r.Int64N(ret-call+1)
		if o.In.Verb != chain.Read && r.Float64() < l.crash {
			o.Crashed, o.Return = true, spec.Never
			switch x := r.IntN(100); {
			case x >= 50:
				at = -1
			case x >= 45:
				at = ret + int64(r.ExpFloat64()*1e8)
			}
		}
		if at >= 0 {
			effects = append(effects, effect{at, int32(len(ops))})
		}
		ops = append(ops, o)
	}
	slices.SortFunc(effects, func(a, b effect) int { return cmp.Compare(a.at, b.at) })
	return ops, effects
}

// answer lets the effects happen, and returns the last value.
func (l load) answer(ops []chain.Op, effects []effect, r *rand.Rand) (next int32) {
	value := int32(0)
	for _, e := range effects {
		o := &ops[e.op]
		if o.In.Verb == chain.CAS && r.Float64() >= l.guess {
			o.In.A = value
		} else if o.In.Verb == chain.CAS {
			o.In.A = max(0, value-int32(r.IntN(l.clients)))
		}
		var out chain.Out
		switch {
		case o.In.Verb == chain.Read:
			out.V = value
		case o.In.Verb == chain.Write:
			next++
			o.In.A, value = next, next
		default:
			next++
			o.In.B = next
			switch out.OK = o.In.A == value; {
			case out.OK:
				value = next
			case l.opaque:
				out.V = chain.Opaque
			default:
				out.V = value
			}
		}
		if !o.Crashed {
			o.Out = out
		}
	}
	return next
}

// lie gives reads in the middle values that were overwritten long before.
func (l load) lie(ops []chain.Op, r *rand.Rand) {
	for k := range l.stale {
		at := len(ops) * (k + 1) / (l.stale + 1)
		for ops[at].In.Verb != chain.Read {
			at++
		}
		from := max(0, at-6*l.clients-r.IntN(10))
		for ops[from].In.Verb != chain.Read {
			from--
		}
		ops[at].Out.V = ops[from].Out.V
	}
}

func decide(ops []chain.Op, values int) spec.Finding[chain.Out] {
	return chain.Decide(ops, 0, values, spec.Budget{})
}

// loads are all kinds of histories, by a seed.
func loads(n int, seed uint64) load {
	r := rand.New(rand.NewPCG(seed, 3))
	return load{
		n: n, clients: []int{2, 5, 10, 20, 50}[r.IntN(5)], crash: []float64{0, .01, .05}[r.IntN(3)],
		cas: []float64{0, .2, .5, 1}[r.IntN(4)], guess: []float64{0, .3, 1}[r.IntN(3)], opaque: r.IntN(2) == 0, seed: seed,
	}
}

func TestLargeLegal(t *testing.T) {
	for seed := range uint64(200) {
		l := loads(2000, seed)
		ops, n := l.history()
		f := decide(ops, n)
		if f.Outcome != spec.Legal {
			t.Fatalf("%+v: %v %s", l, f.Outcome, f.Why)
		}
		if err := spec.Verify(ops, f.Order, f.Assumed, chain.Model(0).Object()); err != nil {
			t.Fatalf("%+v: %v", l, err)
		}
	}
}

// TestLargeIllegal plants a violation; each conflict must convince porcupine.
func TestLargeIllegal(t *testing.T) {
	illegal := 0
	sizes := map[int]int{}
	for seed := range uint64(200) {
		l := loads(2000, seed)
		ops, n := l.history()
		r := rand.New(rand.NewPCG(seed, 4))
		planted := plant(ops, l, r)
		start := time.Now()
		f := decide(ops, n)
		if d := time.Since(start); d > time.Second {
			t.Logf("%+v: %v", l, d)
		}
		inspect(t, ops, f)
		if f.Outcome == spec.Legal {
			if err := spec.Verify(ops, f.Order, f.Assumed, chain.Model(0).Object()); err != nil || planted == "stale" && l.cas == 0 {
				t.Fatalf("%+v: %s: legal, %v", l, planted, err)
			}
			continue
		}
		if f.Outcome != spec.Illegal {
			t.Fatalf("%+v: %s: %v %s", l, planted, f.Outcome, f.Why)
		}
		illegal++
		for _, c := range f.Conflicts {
			sizes[len(c.Ops)]++
			confirm(t, ops, c)
		}
	}
	t.Logf("%d of 200 illegal; sizes of conflicts %v", illegal, sizes)
	if illegal < 100 {
		t.Errorf("only %d of 200 are illegal", illegal)
	}
}

func confirm(t *testing.T, ops []chain.Op, c spec.Conflict) {
	t.Helper()
	var sub []chain.Op
	for _, i := range c.Ops {
		o := ops[i]
		if slices.Contains(c.Blind, i) {
			o = chain.Blind(o)
		}
		sub = append(sub, o)
	}
	if got := spec.Porcupine(chain.Model(0), sub, 10*time.Second); got != spec.Illegal {
		t.Fatalf("porcupine calls it %v: %s\n%s", got, c.Say, spectest.Format(sub))
	}
}

// plant changes one operation in the middle.
func plant(ops []chain.Op, l load, r *rand.Rand) string {
	if r.IntN(2) == 0 || l.cas == 0 || l.clients > 10 {
		l.stale = 1
		l.lie(ops, r)
		return "stale"
	}
	for i := len(ops) / 2; i < len(ops); i++ {
		o := &ops[i]
		if o.In.Verb != chain.CAS || o.Crashed {
			continue
		}
		switch {
		case !o.Out.OK && r.IntN(2) == 0:
			o.Out = chain.Out{OK: true}
			return "swapped"
		case o.Out.OK && l.opaque:
			o.Out = chain.Out{V: chain.Opaque}
			return "denied"
		}
	}
	return "nothing"
}

// TestNeeds: what is closed under Needs of a legal history is legal.
func TestNeeds(t *testing.T) {
	for name, x := range mixes {
		t.Run(name, func(t *testing.T) {
			s := subject(t, x)
			r := rand.New(rand.NewPCG(5, 6))
			for range spectest.Histories(t) / 10 {
				ops := s.Random(r)
				if !spectest.Brute(s.Model, ops) {
					continue
				}
				needs := chain.Needs(ops)
				out := make([]bool, len(ops))
				for i := range out {
					out[i] = r.IntN(4) == 0
				}
				drop(out, needs)
				var sub []chain.Op
				for i := range ops {
					if !out[i] {
						sub = append(sub, ops[i])
					}
				}
				if !spectest.Brute(s.Model, sub) {
					t.Fatalf("legal:\n%sbut not\n%s%v", spectest.Format(ops), spectest.Format(sub), needs)
				}
			}
		})
	}
}

func drop(out []bool, needs [][]int32) {
	for again := true; again; {
		again = false
		for i := range out {
			if !out[i] && slices.ContainsFunc(needs[i], func(j int32) bool { return out[j] }) {
				out[i], again = true, true
			}
		}
	}
}

// TestLaws: neither a later completion nor one more crashed operation makes a
// legal history illegal, and one less makes none legal.
func TestLaws(t *testing.T) {
	for name, x := range mixes {
		t.Run(name, func(t *testing.T) {
			s := subject(t, x)
			r := rand.New(rand.NewPCG(8, 9))
			for range spectest.Histories(t) / 10 {
				ops := s.Random(r)
				if s.Decide(ops).Outcome != spec.Legal {
					continue
				}
				i := r.IntN(len(ops))
				if !ops[i].Crashed {
					ops[i].Return += int64(r.IntN(10))
				}
				ops = append(ops, chain.Op{In: chain.In{Verb: chain.Write, A: values - 1}, Call: int64(r.IntN(20)), Return: spec.Never, Crashed: true})
				if f := s.Decide(ops); f.Outcome != spec.Legal {
					t.Fatalf("operation %d was delayed, and now it is %v:\n%s", i, f.Outcome, spectest.Format(ops))
				}
			}
		})
	}
}

func BenchmarkRegister(b *testing.B) {
	for _, n := range []int{1e3, 1e4, 1e5, 1e6} {
		for _, l := range []load{
			{clients: 5}, {clients: 10, crash: .01}, {clients: 50, crash: .05},
		} {
			l.n = n
			bench(b, l, fmt.Sprintf("n=%d/c=%d/crash=%v", n, l.clients, l.crash))
		}
	}
}

func BenchmarkCAS(b *testing.B) {
	for _, n := range []int{1e3, 1e4, 1e5, 1e6} {
		for _, l := range []load{
			{clients: 5, cas: .5}, {clients: 10, cas: .5, guess: .5, crash: .01},
			{clients: 5, cas: .5, guess: .5, opaque: true},
			{clients: 20, cas: .5, guess: .5, crash: .01, opaque: true},
		} {
			l.n = n
			bench(b, l, fmt.Sprintf("n=%d/c=%d/crash=%v/guess=%v/opaque=%v", n, l.clients, l.crash, l.guess, l.opaque))
		}
	}
}

func bench(b *testing.B, l load, name string) {
	b.Run(name, func(b *testing.B) {
		ops, n := l.history()
		b.ReportAllocs()
		for b.Loop() {
			if f := decide(ops, n); f.Outcome != spec.Legal {
				b.Fatal(f.Outcome, f.Why)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(l.n), "ns/operation")
	})
}
