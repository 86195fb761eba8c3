package spec_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/capstan-dev/capstan/checker/linear/chain"
	"github.com/capstan-dev/capstan/checker/linear/spec"
	"github.com/capstan-dev/capstan/checker/linear/spec/spectest"
)

// The verifier is all that stands behind a certificate: it accepts an order if
// and only if it is a linearization, by the definition.
func TestVerify(t *testing.T) {
	m := chain.Model(0)
	r := rand.New(rand.NewPCG(1, 1))
	subject := spectest.Subject[int32, chain.In, chain.Out]{
		Model: m,
		In: func(r *rand.Rand, i int) chain.In {
			return chain.In{Verb: chain.Verb(r.IntN(3)), A: int32(r.IntN(3)), B: int32(r.IntN(3))}
		},
		Mutate: func(r *rand.Rand, in chain.In, _ chain.Out) chain.Out {
			return chain.Out{V: int32(r.IntN(3)), OK: in.Verb == chain.CAS && r.IntN(2) == 0}
		},
	}
	right, wrong := 0, 0
	for range spectest.Histories(t) {
		ops := subject.Random(r)
		order := make([]int32, 0, len(ops))
		for i := range ops {
			if !ops[i].Crashed || r.IntN(2) == 0 {
				order = append(order, int32(i))
			}
		}
		slices.SortStableFunc(order, func(a, b int32) int { return int(ops[a].Return>>1 - ops[b].Return>>1) })
		damage(r, &order)
		assumed := map[int32]chain.Out{}
		for i := range ops {
			if ops[i].Crashed {
				assumed[int32(i)] = chain.Out{OK: true}
			}
		}
		got := spec.Verify(ops, order, assumed, m.Object()) == nil
		if want := linearization(m, ops, order, assumed); got != want {
			t.Fatalf("order %v: accepted is %t, want %t\n%s", order, got, want, spectest.Format(ops))
		} else if want {
			right++
		} else {
			wrong++
		}
	}
	if right < 100 || wrong < 100 {
		t.Errorf("too one-sided: %d right, %d wrong", right, wrong)
	}
}

// damage leaves the order as it is, or swaps, drops or repeats an entry.
func damage(r *rand.Rand, order *[]int32) {
	o := *order
	if len(o) == 0 {
		return
	}
	switch i, j := r.IntN(len(o)), r.IntN(len(o)); r.IntN(8) {
	case 0:
		o[i], o[j] = o[j], o[i]
	case 1:
		*order = slices.Delete(o, i, i+1)
	case 2:
		*order = append(o, o[i])
	case 3:
		*order = append(o, int32(len(o)+5))
	}
}

// linearization is the definition, in quadratic time.
func linearization(m spec.Model[int32, chain.In, chain.Out], ops []chain.Op, order []int32, assumed map[int32]chain.Out) bool {
	at := map[int32]int{}
	s := m.Init
	for n, i := range order {
		if _, twice := at[i]; twice || i < 0 || int(i) >= len(ops) {
			return false
		}
		at[i] = n
		out := ops[i].Out
		if ops[i].Crashed {
			out = assumed[i]
		}
		next, ok := m.Step(s, ops[i].In, out)
		if !ok {
			return false
		}
		s = next
	}
	for i := range ops {
		n, in := at[int32(i)]
		if !in && !ops[i].Crashed {
			return false
		}
		for j := range ops {
			if k, also := at[int32(j)]; in && also && ops[i].Return < ops[j].Call && n > k {
				return false
			}
		}
	}
	return true
}
