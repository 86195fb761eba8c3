package reports_test

import (
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/converge"
	"github.com/capstan-dev/capstan/checker/durable"
	"github.com/capstan-dev/capstan/checker/recovery"
	"github.com/capstan-dev/capstan/checker/stale"
	"github.com/capstan-dev/capstan/checker/weak"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/reports"
)

// What is measured is told on the terminal, what is measured of single nodes in
// the report only, and what could not be told is not a number in either.
func TestMeasurements(t *testing.T) {
	after := 40 * time.Millisecond
	r := reports.Run{History: &history.History{}, Results: reports.Results{
		Verdict: checker.Invalid, Reason: "r", Checks: []checker.Result{},
		Models: &weak.Report{
			Refuted:     []weak.Refutation{{Model: weak.MonotonicWrites, Count: 3, Events: []int{0}, Text: "this and that"}},
			AlsoRefuted: []string{weak.Causal}, NotRefuted: []string{weak.MonotonicReads}, Strongest: []string{weak.MonotonicReads},
			Undecided: []weak.Undecided{{Model: weak.Sequential, Reason: "too much"}},
		},
		Staleness: &stale.Report{
			All:    stale.Group{Reads: 10, Stale: 1, Age: stale.Ages{P50: after, P99: after, Max: after}, Versions: stale.Counts{P50: 2, P99: 2, Max: 2}},
			Groups: []stale.Group{{By: stale.ByPhase, Name: "before", Reads: 4}, {By: stale.ByNode, Name: "n7", Reads: 4}}, Delta: after,
		},
		Durability: &durable.Report{
			All:    durable.Group{Counts: durable.Counts{Acknowledged: 9, Lost: 1}},
			Groups: []durable.Group{{By: durable.BySide, Name: "minority", Counts: durable.Counts{Acknowledged: 3, Lost: 1}}},
			Found:  []durable.Finding{{Kind: durable.Lost, Text: "the write of 5 is lost"}},
		},
		Convergence: &converge.Report{Keys: 2, Converged: 1, Diverged: 1, Slowest: after},
		Recovery: &recovery.Report{Faults: []recovery.Fault{{Fault: 1, Name: "kill", Rows: []recovery.Row{
			{By: recovery.All, First: recovery.Moment{After: &after}, Latency: recovery.Moment{Absent: "nobody asked"}},
		}}}},
	}}
	var text, html strings.Builder
	if err := reports.Text(&text, r); err != nil {
		t.Fatal(err)
	}
	if err := reports.HTML(&html, r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Strongest not refuted: monotonic-reads. Weakest refuted: monotonic-writes. Undecided: 1.",
		"at 3 operations", "a weaker one is", "too much", "10.0 % of 10 reads", "40.00 ms", "Of 9 acknowledged writes 1 were certainly lost",
		"the write of 5 is lost", "side minority", "agree on 1 of 2 keys", "1 kill",
	} {
		if got := strings.Join(strings.Fields(text.String()), " "); !strings.Contains(got, want) {
			t.Errorf("the text lacks %q:\n%s", want, text.String())
		}
		if !strings.Contains(html.String(), want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	if strings.Contains(text.String(), "node n7") || !strings.Contains(html.String(), "node n7") {
		t.Error("a node's figures belong to the report, not to the terminal")
	}
	if !strings.Contains(html.String(), "this and that") {
		t.Error("the report does not tell the witness of a model")
	}
}
