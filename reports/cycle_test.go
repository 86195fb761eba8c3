package reports_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/txn/explain"
	"github.com/capstan-dev/capstan/reports"
)

// TestCycle draws cycles of several lengths, with hostile texts.
func TestCycle(t *testing.T) {
	r := example(t)
	for n := 2; n <= 6; n++ {
		p := explain.Picture{}
		for i := range n {
			p.Nodes = append(p.Nodes, explain.Node{Name: "T" + strings.Repeat("1", i+1), Process: i, Node: "n1", Side: "minority", Outcome: "ok", Time: "1.000 s to 2.000 s", Mops: []string{"r 1 [2 3]", hostile}})
			p.Edges = append(p.Edges, explain.Edge{Class: []string{"rw", "wr", "ww", "rt"}[i%4], Label: "1: 2 → " + hostile})
		}
		data, err := json.Marshal(map[string]any{"pictures": []explain.Picture{p}})
		if err != nil {
			t.Fatal(err)
		}
		r.Results.Checks = []checker.Result{{Name: "list-append", Verdict: checker.Invalid, Reason: "G2-item", Data: data,
			Anomalies: []checker.Anomaly{{Kind: "G2-item", Events: []int{0, 2}, Text: "T1 < T11"}}}}
		var b bytes.Buffer
		if err := reports.HTML(&b, r); err != nil {
			t.Fatal(err)
		}
		html := b.String()
		if got := strings.Count(html, `<rect class="txn ok"`); got != n {
			t.Errorf("%d boxes, want %d", got, n)
		}
		if got := strings.Count(html, `<g class="edge `); got != n {
			t.Errorf("%d arrows, want %d", got, n)
		}
		for _, bad := range []string{"<script", "<img", "NaN", "Inf"} {
			if strings.Contains(html, bad) {
				t.Errorf("the report of a cycle of %d has %q", n, bad)
			}
		}
	}
}
