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

// TestSmallest has each anomaly at its smallest, and next to it what is none: a
// strictly serializable history, or one that shows less. The definitions agree.
func TestSmallest(t *testing.T) {
	for _, c := range []struct {
		name, tale string
		turns      int
		want       string
	}{
		{"garbage", "ok t{x1}", 0, "garbage-read"},
		{"no garbage", "init x1; ok t{x1}", 0, ""},
		{"G1a by a key", "fail ix1; ok rx1", 0, "G1a"},
		{"G1a by a predicate", "fail ix1; ok t{x1}", 0, "G1a"},
		{"not G1a: unseen", "fail ix1; ok t{}", 0, ""},
		{"not G1a: crashed", "info ix1; ok t{x1}", 0, ""},
		{"not G1a: written again", "fail ix1; ok ix1; ok t{x1}", 0, ""},
		{"an aborted delete was looked at", "init x1; fail dx; ok t{}", 0, "predicate-read-miss"},
		{"a crashed delete was looked at", "init x1; info dx; ok t{}", 0, ""},
		{"G1b by a key", "ok ix1 wx2; ok rx1", 0, "G1b"},
		{"G1b by a predicate", "ok ix1 wx2; ok =1{x1}", 0, "G1b"},
		{"not G1b: the last", "ok ix1 wx2; ok =1{} =2{x2}", 0, ""},
		{"not G1b: written again", "ok ix1 wx2 wx1; ok rx1 =1{x1}", 0, ""},
		{"not G1b: its own", "ok ix1 =1{x1} wx2", 0, ""},
		{"future read", "ok t{x1} ix1", 0, "future-read"},
		{"not a future read", "ok ix1 t{x1}", 0, ""},
		{"not a future read: written again", "ok ix1 t{x1} wx2 wx1", 0, ""},
		{"internal", "ok ix1 rx_", 0, "internal"},
		{"internal, of a delete", "init x1; ok dx rx1", 0, "internal"},
		{"not internal", "init x1; ok dx rx_ ix2 rx2", 0, ""},
		{"missed", "init x1; ok t{}", 0, "predicate-read-miss"},
		{"missed, and deleted later", "init x1; ok t{} dx", 0, "predicate-read-miss"},
		{"not missed: deleted before", "init x1; ok dx t{} ix2", 0, ""},
		{"not missed: it does not match", "init x1; ok =2{} %2,0{}", 0, ""},
		{"lost update", "init x1; ok rx1 wx2; ok rx1 wx3", 0, "G2-item lost-update"},
		{"lost update of nothing", "ok rx_ ix1; ok rx_ ix2", 0, "G2-item lost-update"},
		{"updates in turn", "init x1; ok rx1 wx2; ok rx2 wx3", 0, ""},
		{"an update and a blind write", "init x1; ok rx1 wx2; ok wx3", 0, ""},
		{"an update that may have been", "init x1; ok rx1 wx2; info rx1 wx3", 0, ""},
		{"G1c", "ok ix1 t{x1y2}; ok iy2 t{x1y2}", 0, "G1c"},
		{"G1c by what is not there", "init x1y1; ok dx =1{}; ok dy =1{}", 0, "G1c"},
		{"not G1c: in turn", "ok ix1 t{x1}; ok iy2 t{x1y2}", 0, ""},
		{"G-single-item", "ok ix1 iy1; ok rx1 ry_", 0, "G-single-item"},
		{"not G-single-item", "ok ix1 iy1; ok rx1 ry1", 0, ""},
		{"G-single", "ok ix1 iy1; ok rx1 =1{x1}", 0, "G-single"},
		{"G-single by a delete", "init x1y1; ok dx dy; ok rx_ =1{y1}", 0, "G-single-item"},
		{"G-single by a change", "init x1y1; ok wx2 wy2; ok rx2 =2{x2}", 0, "G-single"},
		{"not G-single", "ok ix1 iy1; ok rx1 =1{x1y1}", 0, ""},
		{"not G-single: it does not match", "ok ix1 iy1; ok rx1 =2{}", 0, ""},
		{"G-nonadjacent-item", "ok ix1; ok iy1; ok rx1 ry_; ok rx_ ry1", 0, "G-nonadjacent-item"},
		{"G-nonadjacent", "ok ix1; ok iy1; ok t{x1}; ok t{y1}", 0, "G-nonadjacent"},
		{"G-nonadjacent of both", "ok ix1; ok iy1; ok t{x1}; ok rx_ ry1", 0, "G-nonadjacent"},
		{"not G-nonadjacent", "ok ix1; ok iy1; ok t{x1}; ok t{x1y1}", 0, ""},
		{"G2-item", "ok rx_ iy1; ok ry_ ix1", 0, "G2-item"},
		{"not G2-item", "ok rx_ iy1; ok ry1 ix1", 0, ""},
		{"G2", "ok t{} ix1; ok t{} iy1", 0, "G2"},
		{"G2 of both", "ok rx_ iy1; ok =1{} ix1", 0, "G2"},
		{"G2 by changes", "init x1y1; ok =2{} wx2; ok =2{} wy2", 0, "G2"},
		{"G2-item by changes of what was read", "init x1y1; ok =1{x1y1} wx2; ok =1{x1y1} wy2", 0, "G2-item"},
		{"not G2: in turn", "ok t{} ix1; ok t{x1} iy1", 0, ""},
		{"not G2: it does not match", "ok rx_ iy2; ok =1{} ix1", 0, ""},
		{"G2-item: it matched and matches", "init x1y1; ok %2,1{x1y1} wx3; ok %2,1{x1y1} wy3", 0, "G2-item"},
		{"G1c-process", "ok t{x1}; ok ix1", 1, "G1c-process"},
		{"G1c-realtime", "ok t{x1}; ok ix1", 2, "G1c-realtime"},
		{"G-single-process", "ok ix1; ok t{}", 1, "G-single-process"},
		{"G-single-realtime", "ok ix1; ok t{}", 2, "G-single-realtime"},
		{"G-single-item-realtime", "init x1; ok dx; ok rx1", 2, "G-single-item-realtime"},
		{"not at the same time", "ok ix1; ok t{}", 0, ""},
		{"in turn", "ok ix1; ok t{x1}; ok dx; ok t{}", 1, ""},
		{"a crashed one has no end", "info ix1; ok t{}", 2, ""},
	} {
		s := told(c.tale, c.turns)
		out := check(t, s)
		if got := strings.Join(slices.Sorted(maps.Keys(out.Counts)), " "); got != c.want {
			t.Errorf("%s: %q, want %q\n%s", c.name, got, c.want, s)
		}
		for model, allowed := range s.models() {
			if is := slices.Contains(slices.Concat(out.Refuted, out.AlsoRefuted), model); is && allowed || c.want == "" && !allowed {
				t.Errorf("%s: %s is refuted: %v; by the definitions there is an execution: %v\n%s", c.name, model, is, allowed, s)
			}
		}
	}
}
