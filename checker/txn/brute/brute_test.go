package brute_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/capstan-dev/capstan/checker/txn"
	"github.com/capstan-dev/capstan/checker/txn/adya"
	"github.com/capstan-dev/capstan/checker/txn/brute"
	"github.com/capstan-dev/capstan/checker/txn/graph"
	"github.com/capstan-dev/capstan/checker/txn/infer"
	append_ "github.com/capstan-dev/capstan/checker/txn/infer/append"
	"github.com/capstan-dev/capstan/checker/txn/infer/set"
	"github.com/capstan-dev/capstan/checker/txn/infer/wr"
	"github.com/capstan-dev/capstan/checker/txn/log"
	"github.com/capstan-dev/capstan/checker/txn/simulate"
	"github.com/capstan-dev/capstan/history"
)

var (
	histories = flag.Int("histories", 3000, "random small histories to compare with the oracle, for each workload")
	firstSeed = flag.Uint64("seed", 1, "seed of the first history")
)

// small are options of a history of at most 6 transactions.
func small(rng *rand.Rand, w simulate.Workload) simulate.Options {
	o := simulate.Default()
	levels := simulate.Levels()
	o.Isolation = levels[rng.IntN(len(levels))]
	o.Workload, o.Seed = w, rng.Uint64()
	o.Transactions, o.Processes = 2+rng.IntN(5), 1+rng.IntN(4)
	o.Keys, o.WritesPerKey, o.Zipf = 1+rng.IntN(3), 1+rng.IntN(4), 0
	o.MaxLength = 1 + rng.IntN(4)
	o.Fail, o.Info = 0.15*float64(rng.IntN(2)), 0.2*float64(rng.IntN(2))
	return o
}

// generate makes the events of a simulation, apart from each other.
func generate(t testing.TB, o simulate.Options) []simulate.Event {
	t.Helper()
	var events []simulate.Event
	if _, err := simulate.Run(o, func(e *simulate.Event) error {
		c := *e
		c.Mops = slices.Clone(e.Mops)
		events = append(events, c)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return events
}

// damage changes what reads saw, and when things happened.
func damage(rng *rand.Rand, events []simulate.Event) {
	for range rng.IntN(4) {
		if rng.IntN(3) == 0 {
			move(rng, events)
		} else {
			misread(rng, events)
		}
	}
	for i := range events {
		events[i].Index = i
	}
}

// move swaps two events that stand side by side, unless they are of one
// process, a few times.
func move(rng *rand.Rand, events []simulate.Event) {
	for range 4 {
		i := rng.IntN(len(events) - 1)
		if events[i].Process != events[i+1].Process {
			events[i], events[i+1] = events[i+1], events[i]
		}
	}
}

// misread gives one read another answer.
func misread(rng *rand.Rand, events []simulate.Event) {
	e := &events[rng.IntN(len(events))]
	if e.Type != simulate.OK {
		return
	}
	m := &e.Mops[rng.IntN(len(e.Mops))]
	if m.Write {
		return
	}
	var written []int32
	for _, other := range events {
		for _, w := range other.Mops {
			if other.Type == simulate.Invoke && w.Write && w.Key == m.Key {
				written = append(written, w.Value)
			}
		}
	}
	if rng.IntN(30) == 0 {
		written = append(written, 99)
	}
	if rng.IntN(3) == 0 {
		rng.Shuffle(len(written), func(i, j int) { written[i], written[j] = written[j], written[i] })
	}
	n := rng.IntN(len(written) + 1)
	m.List, m.Value = written[:n], 0
	if n > 0 {
		m.Value = written[n-1]
	}
}

// record turns events into a history.
func record(events []simulate.Event, w simulate.Workload) *history.History {
	h := &history.History{}
	kinds := [...]history.Kind{simulate.Invoke: history.Invoke, simulate.OK: history.OK, simulate.Fail: history.Fail, simulate.Info: history.Info}
	for _, e := range events {
		h.Events = append(h.Events, history.Event{Index: e.Index, Time: e.Time, Process: e.Process, F: "txn", Kind: kinds[e.Type], Value: e.JSON(w)})
	}
	return h
}

// check judges a log, registers with assumptions; nil if there is nothing.
func check(l *log.Log, w simulate.Workload, assume wr.Options) *txn.Outcome {
	inference := append_.Infer
	switch w {
	case simulate.SetAdd:
		inference = set.Infer
	case simulate.RWRegister:
		inference = func(l *log.Log) (*infer.Inference, error) { return wr.Infer(l, assume) }
	}
	out, err := txn.Check(context.Background(), l, inference)
	if err != nil {
		return nil
	}
	return out
}

// show writes a history for people.
func show(events []simulate.Event, w simulate.Workload) string {
	var b strings.Builder
	for _, e := range events {
		fmt.Fprintf(&b, "%d %d %s %s\n", e.Index, e.Process, e.Type, e.JSON(w))
	}
	return b.String()
}

func TestAgainstOracle(t *testing.T) {
	for _, w := range simulate.Workloads() {
		t.Run(w.String(), func(t *testing.T) {
			t.Parallel()
			n := campaign{gaps: map[string]int{}, refuted: map[string]int{}}
			for i := range *histories {
				n.compare(t, w, *firstSeed+uint64(i))
				if t.Failed() {
					return
				}
			}
			t.Logf("%d histories, %d with cycles; refuted: %v; refuted by the oracle only: %v", *histories, n.cycles, n.refuted, n.gaps)
		})
	}
}

// serial are the models of which nothing is missed in lists.
var serial = []string{"serializable", "strong-session-serializable", "strict-serializable"}

type campaign struct {
	gaps, refuted map[string]int
	cycles        int
}

func (n *campaign) compare(t *testing.T, w simulate.Workload, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 0))
	events := generate(t, small(rng, w))
	damage(rng, events)
	read := log.FromHistory
	if w == simulate.SetAdd {
		read = log.SetsFromHistory
	}
	l, err := read(record(events, w))
	if err != nil {
		t.Fatalf("seed %d: %v\n%s", seed, err, show(events, w))
	}
	out := check(l, w, wr.Options{})
	if out == nil {
		return
	}
	oracle := brute.New(l)
	refuted := slices.Concat(out.Refuted, out.AlsoRefuted)
	models := oracle.Allows()
	for model, allowed := range oracle.Adya(1000) {
		if same, ok := models[model]; ok && same != allowed {
			t.Errorf("seed %d: the oracle contradicts itself: %s is %v by commits, %v by versions\n%s", seed, model, same, allowed, show(events, w))
		}
		models[model] = allowed
	}
	n.lattice(t, seed, models, func() string { return show(events, w) })
	for model, allowed := range models {
		switch is := slices.Contains(refuted, adya.Friendly(model)); {
		case is && allowed && w == simulate.SetAdd && out.Counts[adya.G1b] > 0:
			// To the oracle a set is as many objects as it has elements, none of
			// which has an intermediate version.
		case is && allowed:
			t.Errorf("seed %d: %s is refuted by %v, but there is an execution\n%s", seed, model, slices.Sorted(maps.Keys(out.Counts)), show(events, w))
		case is:
			n.refuted[model]++
		case !allowed:
			n.gaps[model]++
			if w == simulate.ListAppend && slices.Contains(serial, model) {
				t.Errorf("seed %d: %s has no execution, but only %v was found\n%s", seed, model, slices.Sorted(maps.Keys(out.Counts)), show(events, w))
			}
		}
	}
	switch w {
	case simulate.RWRegister:
		n.assume(t, seed, l, models, func() string { return show(events, w) })
	case simulate.ListAppend:
		n.compareCycles(t, seed, oracle.Components(), out, func() string { return show(events, w) })
	}
}

// lattice holds the models against each other: what one allows, the weaker ones
// allow. The tables of Elle's say which those are, the oracle's definitions are
// its own.
func (n *campaign) lattice(t *testing.T, seed uint64, models map[string]bool, text func() string) {
	for model, allowed := range models {
		for weaker := range adya.Weaker(model) {
			weak, there := models[adya.Friendly(weaker)]
			if there && allowed && !weak {
				t.Errorf("seed %d: by the oracle, %s allows it and %s does not\n%s", seed, model, adya.Friendly(weaker), text())
			}
		}
	}
}

// assume adds what each model makes sure of: then what is refuted must still be
// so, and less is missed.
func (n *campaign) assume(t *testing.T, seed uint64, l *log.Log, models map[string]bool, text func() string) {
	for model, assume := range map[string]wr.Options{
		"serializable":                {WritesFollowReads: true},
		"snapshot-isolation":          {WritesFollowReads: true},
		"strong-session-serializable": {WritesFollowReads: true, Sequential: true},
		"strict-serializable":         {WritesFollowReads: true, Sequential: true, Linearizable: true},
	} {
		out := check(l, simulate.RWRegister, assume)
		is := slices.Contains(slices.Concat(out.Refuted, out.AlsoRefuted), model)
		switch {
		case is && models[model]:
			t.Errorf("seed %d: %+v: %s is refuted by %v, but there is an execution\n%s", seed, assume, model, slices.Sorted(maps.Keys(out.Counts)), text())
		case !is && !models[model]:
			n.gaps[model+", assumed"]++
		}
	}
}

// compareCycles holds the kinds of cycles that were found, and their lengths,
// against those that there are. A kind may be missing if one is there that
// implies it. Where lists contradict each other there is no order to compare.
func (n *campaign) compareCycles(t *testing.T, seed uint64, parts []brute.Component, out *txn.Outcome, text func() string) {
	for _, kind := range []string{adya.IncompatibleOrder, adya.DuplicateElements, adya.GarbageRead, adya.G1a, adya.DirtyUpdate, adya.Internal, adya.FutureRead} {
		if out.Counts[kind] > 0 {
			return
		}
	}
	for _, part := range parts {
		found := map[string]int{}
		for _, a := range out.Anomalies {
			if a.Cycle == nil || !slices.Contains(part.Txns, a.Cycle.Txns()[0]) {
				continue
			}
			n.cycles++
			kind := a.Kind
			if rest, ok := strings.CutPrefix(kind, adya.G1c); ok && !slices.ContainsFunc(a.Cycle.Steps, func(s infer.Step) bool { return s.Class == graph.WR }) {
				kind = adya.G0 + rest // of an unknown transaction
			}
			found[kind] = len(a.Cycle.Steps)
			if part.Shortest[kind] != found[kind] {
				t.Errorf("seed %d: %s of %d steps, want %d\n%s", seed, kind, found[kind], part.Shortest[kind], text())
			}
		}
		for kind, length := range part.Shortest {
			if !implied(kind, found) {
				t.Errorf("seed %d: there is %s of %d steps, only %v was found\n%s", seed, kind, length, found, text())
			}
		}
	}
}

func implied(kind string, found map[string]int) bool {
	for f := range found {
		if adya.Implied(f)[kind] {
			return true
		}
	}
	return false
}
