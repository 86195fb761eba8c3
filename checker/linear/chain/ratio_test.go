package chain_test

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/checker/linear/chain"
	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// BenchmarkRatio compares with porcupine on the same histories in one run,
// medians of three seeds. Where porcupine does not end in time, the ratio is a
// lower bound. It takes a minute; run it with -benchtime 1x.
func BenchmarkRatio(b *testing.B) {
	for _, x := range []struct {
		name string
		load load
	}{
		{"valid", load{clients: 5, n: 5000}},
		{"valid", load{clients: 10, n: 1000}},
		{"valid", load{clients: 10, n: 5000}},
		{"invalid", load{clients: 5, n: 5000, stale: 1}},
		{"invalid, 1 % crashed", load{clients: 5, n: 5000, crash: .01, stale: 1}},
	} {
		var mine, theirs, ratios []float64
		capped := ""
		for seed := range uint64(3) {
			x.load.seed = seed
			ops, n := x.load.history()
			m := measure(ops, n)
			start := time.Now()
			if spec.Porcupine(chain.Model(0), ops, 20*time.Second) == spec.Undecided {
				capped = " at least, porcupine did not end in 20 s"
			}
			p := time.Since(start).Seconds()
			mine, theirs, ratios = append(mine, m), append(theirs, p), append(ratios, p/m)
		}
		b.Logf("%s, c=%d, n=%d: porcupine %.1f ms, chain with certificate or conflicts %.3f ms: %.0fx%s",
			x.name, x.load.clients, x.load.n, median(theirs)*1e3, median(mine)*1e3, median(ratios), capped)
	}
}

// measure is the mean time of a decision in seconds.
func measure(ops []chain.Op, n int) float64 {
	decide(ops, n)
	runtime.GC() // porcupine's garbage of the round before is not ours to pay
	start := time.Now()
	for range 20 {
		decide(ops, n)
	}
	return time.Since(start).Seconds() / 20
}

func median(x []float64) float64 {
	slices.Sort(x)
	return x[len(x)/2]
}

// BenchmarkVerify is the check of a certificate.
func BenchmarkVerify(b *testing.B) {
	ops, n := load{clients: 10, n: 1e6}.history()
	f := decide(ops, n)
	for b.Loop() {
		if err := spec.Verify(ops, f.Order, f.Assumed, chain.Model(0).Object()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIllegal finds one stale read.
func BenchmarkIllegal(b *testing.B) {
	for name, n := range map[string]int{"n=1000": 1e3, "n=10000": 1e4, "n=100000": 1e5, "n=1000000": 1e6} {
		b.Run(name, func(b *testing.B) {
			ops, values := load{clients: 10, n: n, crash: .01, stale: 1}.history()
			b.ReportAllocs()
			for b.Loop() {
				if decide(ops, values).Outcome != spec.Illegal {
					b.Fatal("not illegal")
				}
			}
		})
	}
}

// crowd is a history in which opaque operations leave no order, though each
// two of them do: n values are written at once, none of them may stay, and
// only n-1 others come to replace them. Before it there are so many legal ones.
func crowd(before, n int) ([]chain.Op, int) {
	ops, values := load{clients: 10, n: before, cas: .5, guess: .5, opaque: true}.history()
	at := int64(0)
	for i := range ops {
		at = max(at, ops[i].Call)
		if ops[i].Return < spec.Never {
			at = max(at, ops[i].Return)
		}
	}
	v := int32(values)
	first := v
	for range n {
		ops = append(ops, chain.Op{In: chain.In{Verb: chain.Write, A: v}, Call: at + 10, Return: at + 20})
		v++
	}
	for k := range n {
		ops = append(ops, chain.Op{In: chain.In{Verb: chain.CAS, A: first + int32(k), B: v}, Out: chain.Out{V: chain.Opaque}, Call: at + 30, Return: at + 40})
		v++
	}
	return ops, int(v)
}

// TestCrowd: the search does not lose itself in what is illegal for a reason
// that is near.
func TestCrowd(t *testing.T) {
	for _, before := range []int{0, 1000, 20_000} {
		for _, n := range []int{2, 8, 14} {
			ops, values := crowd(before, n)
			start := time.Now()
			f := chain.Decide(ops, 0, values, spec.Budget{Steps: 20_000_000})
			t.Logf("%d before, %d at once: %v", before, n, time.Since(start))
			if f.Outcome != spec.Illegal || len(f.Conflicts[0].Ops) != 2*n {
				t.Fatalf("%d before, %d at once: %v %s", before, n, f.Outcome, f.Why)
			}
			inspect(t, ops, f)
			confirm(t, ops, f.Conflicts[0])
		}
	}
}

// TestBudget: what the budget does not allow is undecided, with the reason.
func TestBudget(t *testing.T) {
	ops, values := load{clients: 10, n: 2000, cas: .5, guess: .5, opaque: true}.history()
	if f := chain.Decide(ops, 0, values, spec.Budget{Bytes: 100}); f.Outcome != spec.Undecided || f.Why != spec.OutOfMemory {
		t.Errorf("%v %s", f.Outcome, f.Why)
	}
	if f := chain.Decide(ops, 0, values, spec.Budget{Steps: 1}); f.Outcome == spec.Illegal || f.Outcome == spec.Undecided && f.Why != spec.OutOfSteps {
		t.Errorf("%v %s", f.Outcome, f.Why)
	}
	if f := chain.Decide(ops, 0, 3, spec.Budget{}); f.Outcome != spec.Inapplicable {
		t.Errorf("%v %s", f.Outcome, f.Why)
	}
}

// FuzzDecide decides whatever history the bytes make.
func FuzzDecide(f *testing.F) {
	f.Add(uint64(1), uint8(0))
	f.Add(uint64(2), uint8(4))
	f.Fuzz(func(t *testing.T, seed uint64, kind uint8) {
		names := []string{"rw", "told", "cas", "ahead", "opaque", "opaque-cas", "opaque-write", "both", "repeated"}
		s := subject(t, mixes[names[int(kind)%len(names)]])
		ops := s.Random(rand.New(rand.NewPCG(seed, 11)))
		got := s.Decide(ops)
		if got.Outcome == spec.Inapplicable {
			return
		}
		if err := s.Confirm(ops, got); err != nil {
			t.Fatal(err)
		}
	})
}
