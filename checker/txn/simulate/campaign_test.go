package simulate_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/capstan-dev/capstan/checker/txn"
	"github.com/capstan-dev/capstan/checker/txn/adya"
	"github.com/capstan-dev/capstan/checker/txn/explain"
	"github.com/capstan-dev/capstan/checker/txn/infer"
	lists "github.com/capstan-dev/capstan/checker/txn/infer/append"
	"github.com/capstan-dev/capstan/checker/txn/infer/set"
	"github.com/capstan-dev/capstan/checker/txn/infer/wr"
	"github.com/capstan-dev/capstan/checker/txn/log"
	"github.com/capstan-dev/capstan/checker/txn/simulate"
)

var (
	valid    = flag.Int("valid", 2000, "valid transactions to judge, for each level and workload")
	campaign = flag.Uint64("campaign", 1, "seed of the campaigns")
)

func workloads() []simulate.Workload { return simulate.Workloads() }

// open reads a history of some format.
func open(t testing.TB, text []byte, w simulate.Workload, format string) *log.Log {
	t.Helper()
	path := filepath.Join(t.TempDir(), "history."+format)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(path)
	read := log.Open
	if w == simulate.SetAdd {
		read = log.OpenSets
	}
	l, err := read(path)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// judge checks a log of a workload.
func judge(t testing.TB, l *log.Log, w simulate.Workload, o wr.Options) *txn.Outcome {
	t.Helper()
	inference := lists.Infer
	switch w {
	case simulate.SetAdd:
		inference = set.Infer
	case simulate.RWRegister:
		inference = func(l *log.Log) (*infer.Inference, error) { return wr.Infer(l, o) }
	}
	out, err := txn.Check(context.Background(), l, inference)
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Open) > 0 {
		t.Errorf("left open: %v", out.Open)
	}
	return out
}

// any are options of all sorts.
func anyOptions(rng *rand.Rand, level string, w simulate.Workload) simulate.Options {
	o := simulate.Default()
	o.Isolation, o.Workload, o.Seed = level, w, rng.Uint64()
	o.Processes = 1 + rng.IntN(30)
	o.Keys = 1 + rng.IntN(20)
	o.WritesPerKey = 1 << rng.IntN(9)
	o.Zipf = rng.Float64() * 1.5
	o.MaxLength = 1 + rng.IntN(8)
	o.Writes = 0.1 + 0.8*rng.Float64()
	o.ReadOnly, o.WriteOnly = 0.4*rng.Float64(), 0.4*rng.Float64()
	o.Fail, o.Info = 0.1*rng.Float64(), 0.1*rng.Float64()
	return o
}

// implies are the friendly names of the models that a level keeps.
func implies(level string) map[string]bool {
	out := map[string]bool{}
	for m := range adya.Weaker(level) {
		out[adya.Friendly(m)] = true
	}
	return out
}

// TestNoFalseAccusation: no model that a level implies is refuted.
func TestNoFalseAccusation(t *testing.T) {
	for _, w := range workloads() {
		for _, level := range simulate.Levels() {
			t.Run(w.String()+"/"+level, func(t *testing.T) {
				t.Parallel()
				rng := rand.New(rand.NewPCG(*campaign, 1))
				kept := implies(level)
				for done := 0; done < *valid; {
					o := anyOptions(rng, level, w)
					o.Transactions = min(1+rng.IntN(1<<(1+rng.IntN(16))), *valid)
					done += o.Transactions
					accuse(t, o, kept)
				}
			})
		}
	}
}

func accuse(t *testing.T, o simulate.Options, kept map[string]bool) {
	text, _ := generate(t, o, "jsonl")
	l := open(t, text, o.Workload, "jsonl")
	if !slices.ContainsFunc(l.Txns, func(x log.Txn) bool { return x.Outcome == log.OK }) {
		return // nothing to judge
	}
	for _, assume := range assumptions(o.Workload, kept) {
		out := judge(t, l, o.Workload, assume)
		for _, m := range slices.Concat(out.Refuted, out.AlsoRefuted) {
			if kept[m] {
				t.Errorf("%+v, %+v: %s is refuted by %v", o, assume, m, slices.Sorted(maps.Keys(out.Counts)))
			}
		}
	}
}

// assumptions are what may be assumed of registers, none and all, at a level.
func assumptions(w simulate.Workload, kept map[string]bool) []wr.Options {
	all := []wr.Options{{}}
	if w == simulate.RWRegister && kept["update-atomic"] {
		all = append(all, wr.Options{
			WritesFollowReads: true,
			Sequential:        kept["strong-session-serializable"],
			Linearizable:      kept["strict-serializable"],
		})
	}
	return all
}

// TestNoStronger: a level shows that it is no stronger than it says.
func TestNoStronger(t *testing.T) {
	for level, refuted := range map[string][]string{
		"strict-serializable":               nil,
		"strong-session-serializable":       {"strong-snapshot-isolation"},
		"serializable":                      {"strong-session-snapshot-isolation"},
		"strong-snapshot-isolation":         {"repeatable-read"},
		"strong-session-snapshot-isolation": {"repeatable-read", "strong-snapshot-isolation"},
		"snapshot-isolation":                {"repeatable-read", "strong-session-snapshot-isolation"},
		"parallel-snapshot-isolation":       {"snapshot-isolation"},
		"prefix":                            {"update-atomic", "consistent-view"},
		"causal-cerone":                     {"update-atomic", "consistent-view"},
		"update-atomic":                     {"snapshot-isolation", "consistent-view"},
		"read-atomic":                       {"update-atomic", "consistent-view"},
		"monotonic-atomic-view":             {"update-atomic", "consistent-view"},
		"read-committed":                    {"read-atomic", "cursor-stability"},
		"read-uncommitted":                  {"read-committed"},
	} {
		o := simulate.Default()
		o.Isolation, o.Transactions, o.Keys = level, 3000, 5
		text, _ := generate(t, o, "edn")
		out := judge(t, open(t, text, o.Workload, "edn"), o.Workload, wr.Options{})
		for _, m := range refuted {
			if !slices.Contains(slices.Concat(out.Refuted, out.AlsoRefuted), m) {
				t.Errorf("%s: %s is not refuted, only %v", level, m, out.Refuted)
			}
		}
		if level == "strict-serializable" && len(out.Refuted) > 0 {
			t.Errorf("%s: %v is refuted", level, out.Refuted)
		}
	}
}

// TestPlanted: each planted anomaly is found, at its transactions, and nothing
// else is.
func TestPlanted(t *testing.T) {
	for _, w := range workloads() {
		found := 0
		for _, name := range simulate.Anomalies(w) {
			for seed := range uint64(5) {
				o := simulate.Default()
				o.Workload, o.Transactions, o.Anomalies, o.Seed = w, int(seed)*100, []string{name}, *campaign+seed
				text, planted := generate(t, o, "edn")
				l := open(t, text, o.Workload, "edn")
				out := judge(t, l, w, wr.Options{WritesFollowReads: name == "cyclic-versions"})
				if err := finds(l, out, planted[0]); err != nil {
					t.Errorf("%s in %s, seed %d: %v", name, w, o.Seed, err)
					continue
				}
				found++
			}
		}
		t.Logf("%s: %d planted anomalies found", w, found)
	}
}

// finds holds an outcome against the one planted anomaly.
func finds(l *log.Log, out *txn.Outcome, p simulate.Planted) error {
	kinds := []string{simulate.Finding(p.Anomaly)}
	if base, ok := strings.CutSuffix(kinds[0], adya.WithProcess); ok {
		kinds = append(kinds, base+adya.WithRealtime)
	}
	if !slices.ContainsFunc(kinds, func(k string) bool { return out.Counts[k] > 0 }) {
		return fmt.Errorf("found %v, want %v", out.Counts, kinds)
	}
	for _, a := range out.Anomalies {
		for _, x := range explain.Txns(a) {
			if !slices.Contains(p.Transactions, int(l.Txns[x].CompleteIndex)) {
				return fmt.Errorf("%s accuses the transaction that ends at %d", a.Kind, l.Txns[x].CompleteIndex)
			}
		}
	}
	refuted := slices.Concat(out.Refuted, out.AlsoRefuted)
	for _, m := range adya.Judge(kinds[len(kinds)-1:]).Refuted {
		if !slices.Contains(refuted, m) {
			return fmt.Errorf("%s is not refuted, only %v", m, out.Refuted)
		}
	}
	return nil
}

// TestLaws: what must not change the outcome does not.
func TestLaws(t *testing.T) {
	for _, w := range workloads() {
		for i, level := range simulate.Levels() {
			for seed := range uint64(5) {
				o := simulate.Default()
				o.Isolation, o.Workload, o.Transactions, o.Keys, o.Seed = level, w, 60, 3, *campaign+seed*100+uint64(i)
				laws(t, o)
			}
		}
	}
}

func laws(t *testing.T, o simulate.Options) {
	events := record(t, o)
	want := outcomeOf(t, events, o.Workload)
	same := func(law string, changed []simulate.Event) {
		t.Helper()
		if got := outcomeOf(t, changed, o.Workload); !maps.Equal(got.Counts, want.Counts) || !slices.Equal(got.Refuted, want.Refuted) {
			t.Errorf("%s, %s, seed %d: %s: %v %v, before it was %v %v", o.Isolation, o.Workload, o.Seed, law,
				got.Counts, got.Refuted, want.Counts, want.Refuted)
		}
	}
	same("other names", mapMops(events, func(e *simulate.Event, m *simulate.Mop) {
		e.Process = 1000 - e.Process
		m.Key = 5000 - 3*m.Key
		if m.Value != 0 {
			m.Value = 7*m.Value + 11
		}
		for i := range m.List {
			m.List[i] = 7*m.List[i] + 11
		}
	}))
	same("a failed read less", slices.DeleteFunc(clone(events), readers(events, simulate.Fail)))
	other := o
	other.Isolation, other.Seed = "strict-serializable", o.Seed+1
	more := mapMops(record(t, other), func(e *simulate.Event, m *simulate.Mop) { e.Process += 100_000; m.Key += 100_000 })
	same("a valid history after it", slices.Concat(clone(events), more))

	timeless := slices.DeleteFunc(clone(events), func(e simulate.Event) bool { return e.Type == simulate.Invoke })
	got := outcomeOf(t, timeless, o.Workload)
	if a, b := untimed(got), untimed(want); !slices.Equal(a, b) {
		t.Errorf("%s, %s, seed %d: completions only: refuted %v, before %v", o.Isolation, o.Workload, o.Seed, a, b)
	}
	if o.Isolation == "strict-serializable" {
		same("no readers", slices.DeleteFunc(clone(events), readers(events, simulate.OK)))
	}
}

// untimed are the refuted models that know no real time, by the kinds of the
// anomalies: which cycle of a kind is told depends on the order of the history.
func untimed(o *txn.Outcome) []string {
	all := slices.Concat(o.Refuted, o.AlsoRefuted)
	slices.Sort(all)
	return slices.DeleteFunc(all, func(m string) bool {
		return !adya.Follows(m, o.Refuted) || m == "strict-serializable" || strings.HasPrefix(m, "strong-") && !strings.HasPrefix(m, "strong-session")
	})
}

// readers finds the events of transactions that ended like that and only read.
func readers(events []simulate.Event, end simulate.Type) func(simulate.Event) bool {
	drop := map[int]bool{}
	open := map[int]int{}
	for _, e := range events {
		if e.Type == simulate.Invoke {
			open[e.Process] = e.Index
		} else if e.Type == end && !slices.ContainsFunc(e.Mops, func(m simulate.Mop) bool { return m.Write }) {
			drop[e.Index], drop[open[e.Process]] = true, true
		}
	}
	return func(e simulate.Event) bool { return drop[e.Index] }
}

// record keeps the events of a simulation.
func record(t testing.TB, o simulate.Options) []simulate.Event {
	t.Helper()
	var events []simulate.Event
	if _, err := simulate.Run(o, func(e *simulate.Event) error {
		events = append(events, clone([]simulate.Event{*e})...)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return events
}

func clone(events []simulate.Event) []simulate.Event {
	return mapMops(events, func(*simulate.Event, *simulate.Mop) {})
}

// mapMops changes each micro-operation, and for the first one the event.
func mapMops(events []simulate.Event, f func(*simulate.Event, *simulate.Mop)) []simulate.Event {
	out := slices.Clone(events)
	for i := range out {
		e := &out[i]
		process := e.Process
		e.Mops = slices.Clone(e.Mops)
		for k := range e.Mops {
			e.Process = process
			e.Mops[k].List = slices.Clone(e.Mops[k].List)
			f(e, &e.Mops[k])
		}
	}
	return out
}

// encode writes events, in their order.
func encode(t testing.TB, events []simulate.Event, w simulate.Workload, format string) []byte {
	t.Helper()
	var buf bytes.Buffer
	out, err := simulate.NewWriter(&buf, format, w)
	if err != nil {
		t.Fatal(err)
	}
	for i := range events {
		e := events[i]
		e.Index = i
		if err := out.Write(&e); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func outcomeOf(t testing.TB, events []simulate.Event, w simulate.Workload) *txn.Outcome {
	t.Helper()
	return judge(t, open(t, encode(t, events, w, "jsonl"), w, "jsonl"), w, wr.Options{})
}

// TestFormats: the formats say the same.
func TestFormats(t *testing.T) {
	for _, w := range workloads() {
		for _, level := range []string{"read-uncommitted", "snapshot-isolation"} {
			o := simulate.Default()
			o.Isolation, o.Workload, o.Anomalies = level, w, []string{"G1a", "internal"}
			var outcomes []string
			for _, format := range []string{"edn", "jsonl"} {
				text, _ := generate(t, o, format)
				b, err := json.Marshal(judge(t, open(t, text, w, format), w, wr.Options{}))
				if err != nil {
					t.Fatal(err)
				}
				outcomes = append(outcomes, string(b))
			}
			if outcomes[0] != outcomes[1] {
				t.Errorf("%s, %s: EDN and JSON lines differ", level, w)
			}
		}
	}
}
