package predicate_test

import (
	"context"
	"flag"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/capstan-dev/capstan/checker/txn"
	"github.com/capstan-dev/capstan/checker/txn/adya"
	"github.com/capstan-dev/capstan/checker/txn/predicate"
)

var (
	histories = flag.Int("histories", 5000, "random small histories to compare with the definitions")
	firstSeed = flag.Uint64("seed", 1, "seed of the first history")
)

// check judges a tale; nil if nothing was shown.
func check(t *testing.T, s tale) *txn.Outcome {
	t.Helper()
	u, err := predicate.Read(s.history())
	if err != nil {
		t.Fatalf("%v\n%s", err, s)
	}
	out, err := txn.Check(context.Background(), u.Log, u.Infer)
	if err != nil {
		return nil
	}
	return out
}

// TestAgainstDefinitions: what is refuted has no execution, whatever was chosen.
func TestAgainstDefinitions(t *testing.T) {
	refuted, missed, wide := map[string]int{}, map[string]int{}, 0
	for i := range *histories {
		seed := *firstSeed + uint64(i)
		s := random(rand.New(rand.NewPCG(seed, 0)))
		out := check(t, s)
		if out == nil {
			continue
		}
		models := s.models()
		if _, ok := models["read-committed"]; !ok {
			wide++
		}
		for model, allowed := range models {
			is := slices.Contains(slices.Concat(out.Refuted, out.AlsoRefuted), model)
			switch {
			case !adya.Known(model):
				t.Fatalf("seed %d: contradiction: %s\n%s", seed, model, s)
			case is && allowed:
				t.Fatalf("seed %d: %s is refuted by %v, but there is an execution\n%s", seed, model, slices.Sorted(maps.Keys(out.Counts)), s)
			case is:
				refuted[model]++
			case !allowed:
				missed[model]++
			}
			for weaker := range adya.Weaker(model) {
				if weak, ok := models[adya.Friendly(weaker)]; ok && allowed && !weak {
					t.Fatalf("seed %d: by the definitions, %s allows it and %s does not\n%s", seed, model, weaker, s)
				}
			}
		}
	}
	t.Logf("%d histories, of %d too many choices; refuted: %v; refuted by the definitions only: %v", *histories, wide, refuted, missed)
	for model := range (tale{}).models() {
		if *histories >= 5000 && refuted[model] == 0 {
			t.Errorf("%s was never refuted: nothing was compared", model)
		}
	}
}

// TestSmallest has each anomaly at its smallest, and next to it what is none.
func TestSmallest(t *testing.T) {
	for _, c := range []struct {
		name, tale string
		turns      int
		want       string
	}{} {
		s := told(c.tale, c.turns)
		out := check(t, s)
		if got := strings.Join(slices.Sorted(maps.Keys(out.Counts)), " "); got != c.want {
			t.Errorf("%s: %q, want %q\n%s", c.name, got, c.want, s)
		}
	}
}
