package chain_test

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/capstan-dev/capstan/checker/linear/chain"
	"github.com/capstan-dev/capstan/checker/linear/spec"
	"github.com/capstan-dev/capstan/checker/linear/spec/spectest"
)

// mix is a kind of history: how many of ten operations are reads and writes,
// the rest are cas; what failed cas tell; and how often a value is set again.
type mix struct {
	reads, writes int
	opaque, told  bool
	repeat        float64
	ahead         int // cas compare with values that are not set yet
}

var mixes = map[string]mix{
	"rw":           {reads: 5, writes: 5},
	"told":         {reads: 3, writes: 3, told: true},
	"cas":          {reads: 2, writes: 1, told: true},
	"ahead":        {reads: 2, writes: 1, told: true, opaque: true, ahead: 2},
	"opaque":       {reads: 2, writes: 4, opaque: true},
	"opaque-cas":   {reads: 1, writes: 2, opaque: true},
	"opaque-write": {reads: 0, writes: 5, opaque: true},
	"both":         {reads: 2, writes: 3, opaque: true, told: true},
	"repeated":     {reads: 2, writes: 6, opaque: true, told: true, repeat: .1},
}

const values = 18

func subject(t *testing.T, x mix) spectest.Subject[int32, chain.In, chain.Out] {
	m := chain.Model(0)
	all := m.Outs
	m.Outs = func(s int32, in chain.In) []chain.Out {
		outs := all(s, in)
		if len(outs) == 2 && !x.opaque {
			return outs[:1]
		}
		if len(outs) == 2 && !x.told {
			return outs[1:]
		}
		return outs
	}
	return spectest.Subject[int32, chain.In, chain.Out]{
		Model: m,
		In: func(r *rand.Rand, i int) chain.In {
			v := int32(i + 1)
			if r.Float64() < x.repeat {
				v = int32(r.IntN(i + 1))
			}
			switch k := r.IntN(10); {
			case k < x.reads:
				return chain.In{}
			case k < x.reads+x.writes:
				return chain.In{Verb: chain.Write, A: v}
			}
			return chain.In{Verb: chain.CAS, A: int32(max(0, i-r.IntN(4)+x.ahead*r.IntN(3))), B: v}
		},
		Mutate: func(r *rand.Rand, in chain.In, out chain.Out) chain.Out {
			switch {
			case in.Verb == chain.Write:
				return out
			case in.Verb == chain.Read:
				return chain.Out{V: int32(r.IntN(values))}
			case r.IntN(3) == 0:
				return chain.Out{OK: true}
			case x.opaque && (!x.told || r.IntN(2) == 0):
				return chain.Out{V: chain.Opaque}
			}
			return chain.Out{V: int32(r.IntN(values))}
		},
		Blind: chain.Blind,
		Decide: func(ops []chain.Op) spec.Finding[chain.Out] {
			f := chain.Decide(ops, 0, values, spec.Budget{})
			inspect(t, ops, f)
			return f
		},
		Inapplicable: 5 * x.repeat,
	}
}

var names = regexp.MustCompile(`\{(\d+)(?:<(\d+))?\}`)

// inspect checks the form of a finding.
func inspect(t *testing.T, ops []chain.Op, f spec.Finding[chain.Out]) {
	t.Helper()
	if f.Outcome == spec.Illegal && (len(f.Conflicts) == 0 || len(f.Conflicts) > 100) {
		t.Fatalf("%d conflicts", len(f.Conflicts))
	}
	if f.Outcome != spec.Legal && f.Outcome != spec.Illegal && f.Why == "" {
		t.Fatalf("%v, and no reason", f.Outcome)
	}
	at := int64(-1)
	for _, c := range f.Conflicts {
		if c.At < at || !slices.IsSortedFunc(c.Ops, func(i, j int32) int { return int(ops[i].Call - ops[j].Call) }) {
			t.Fatalf("conflict %+v is out of order", c)
		}
		at = c.At
		for _, n := range names.FindAllStringSubmatch(c.Say, -1) {
			i, _ := strconv.Atoi(n[1])
			j := i
			if n[2] != "" {
				j, _ = strconv.Atoi(n[2])
				if ops[i].Return >= ops[j].Call {
					t.Fatalf("%q measures a time that is none:\n%s", c.Say, spectest.Format(ops))
				}
			}
			if !slices.Contains(c.Ops, int32(i)) || !slices.Contains(c.Ops, int32(j)) {
				t.Fatalf("%q names operations other than %v:\n%s", c.Say, c.Ops, spectest.Format(ops))
			}
		}
	}
}

func TestDiffer(t *testing.T) {
	for name, x := range mixes {
		t.Run(name, func(t *testing.T) {
			subject(t, x).Differ(t, spectest.Histories(t), 1)
		})
	}
}
