package adya_test

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/capstan-dev/capstan/checker/txn/adya"
	"github.com/google/go-cmp/cmp"
)

// table reads the rows of a published table of Elle's.
func table(t *testing.T, file string) (rows [][]string) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		row := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		for len(row) < 5 {
			row = append(row, "")
		}
		rows = append(rows, row)
	}
	return rows[1:]
}

func words(s string) []string {
	if s == "" {
		return nil
	}
	out := strings.Split(s, ",")
	slices.Sort(out)
	return slices.Compact(out)
}

func TestModelsAgreeWithElle(t *testing.T) {
	var anomalies []string
	for _, row := range table(t, "anomalies.tsv") {
		anomalies = append(anomalies, row[0])
	}
	for _, row := range table(t, "models.tsv") {
		name, short := row[1], row[2]
		if !adya.Known(name) || adya.Friendly(name) != adya.Friendly(short) {
			t.Errorf("%s: known %v, friendly %s", name, adya.Known(name), adya.Friendly(name))
		}
		if diff := cmp.Diff(words(row[3]), slices.Sorted(maps.Keys(adya.Weaker(name)))); diff != "" {
			t.Errorf("weaker than %s: %s", name, diff)
		}
		if diff := cmp.Diff(words(row[4]), slices.Sorted(maps.Keys(adya.Proscribed(name, anomalies)))); diff != "" {
			t.Errorf("proscribed by %s: %s", name, diff)
		}
	}
}

func TestAnomaliesAgreeWithElle(t *testing.T) {
	friendly := func(s string) []string {
		out := words(s)
		for i := range out {
			out[i] = adya.Friendly(out[i])
		}
		slices.Sort(out)
		return out
	}
	for _, row := range table(t, "anomalies.tsv") {
		name := row[0]
		implied := adya.Implied(name)
		delete(implied, name)
		if diff := cmp.Diff(words(row[2]), slices.Sorted(maps.Keys(implied))); diff != "" {
			t.Errorf("implied by %s: %s", name, diff)
		}
		v := adya.Judge([]string{name})
		if diff := cmp.Diff(friendly(row[3]), v.Refuted); diff != "" {
			t.Errorf("refuted by %s: %s", name, diff)
		}
		if diff := cmp.Diff(friendly(row[4]), v.Also); diff != "" {
			t.Errorf("also refuted by %s: %s", name, diff)
		}
	}
}

func TestJudge(t *testing.T) {
	for anomalies, want := range map[string][]string{
		"":              {"strict-serializable"},
		"G2-realtime":   {"strong-session-serializable", "strong-snapshot-isolation"},
		"G2-item":       {"strong-snapshot-isolation", "update-serializable"},
		"G-single-item": {},
	} {
		v := adya.Judge(strings.Fields(anomalies))
		if len(want) > 0 && !cmp.Equal(v.Strongest, want) {
			t.Errorf("strongest after %q: %v", anomalies, v.Strongest)
		}
		if n := len(v.Refuted) + len(v.Also) + len(v.Not) + len(v.Unchecked); n != len(adya.Models()) {
			t.Errorf("%q: %d of %d models", anomalies, n, len(adya.Models()))
		}
	}
}

func TestRank(t *testing.T) {
	order := []string{"duplicate-elements", "G1a", "G0", "G1c", "G-single-item", "G2-item", "G2", "G0-process", "G2-process", "G0-realtime", "G2-item-realtime", "PL-SI-cycle-exists"}
	if !slices.IsSortedFunc(order, func(a, b string) int { return adya.Rank(a) - adya.Rank(b) }) {
		t.Error("out of order")
	}
}

func TestWhatNoAnomalyRefutesIsNotChecked(t *testing.T) {
	for model, want := range map[string]bool{
		"linearizable": false, "view-serializable": false, "PRAM": false, "1SR": false,
		"read-uncommitted": true, "serializable": true, "PL-SS": true, "prefix": true,
	} {
		if got := adya.Checked(model); got != want {
			t.Errorf("%s: %v, want %v", model, got, want)
		}
	}
}

func TestUnabbreviated(t *testing.T) {
	for name, want := range map[string]string{
		"SI": "snapshot-isolation", ":serializable": "serializable", "pl-3": "PL-3", "causal": "causal-cerone",
		"PL-2+": "PL-2+", "linearizable": "linearizable", "best": "best", "Read-Committed": "read-committed",
	} {
		if got := adya.Unabbreviated(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	for _, m := range adya.Checkable() {
		if adya.Unabbreviated(m) != m {
			t.Errorf("%s is also %s", m, adya.Unabbreviated(m))
		}
	}
}
