package reports_test

import (
	"testing"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/plan"
	"github.com/capstan-dev/capstan/reports"
)

func TestRefutesClaim(t *testing.T) {
	for _, c := range []struct {
		check, kind, claim string
		want               bool
	}{
		{"linearizable", "nonlinearizable", "linearizable", true},
		{"linearizable", "nonlinearizable", "sequential", false},
		{"set", "lost", "sequential", true},
		{"set", "lost", "", false},
		{"bank", "wrong-total", "read-committed", false},
		{"bank", "wrong-total", "repeatable-read", true},
		{"bank", "wrong-total", "snapshot-isolation", true},
		{"write-skew", "G2", "snapshot-isolation", false},
		{"write-skew", "G2", "repeatable-read", false},
		{"write-skew", "G2", "serializable", true},
		{"long-fork", "long-fork", "read-committed", false},
		{"long-fork", "long-fork", "parallel-snapshot-isolation", false},
		{"long-fork", "long-fork", "snapshot-isolation", true},
		{"mutual-exclusion", "held-twice", "linearizable", false},
		{"mutual-exclusion", "stale-token", "linearizable", true},
		{"protected-lists", "lost-update", "linearizable", false},
		{"protected-lists", "lost", "linearizable", true},
	} {
		r := reports.Run{Info: plan.Info{Claim: c.claim}, Results: reports.Results{Checks: []checker.Result{
			{Name: c.check, Verdict: checker.Invalid, Anomalies: []checker.Anomaly{{Kind: c.kind}}}}}}
		if got := reports.RefutesClaim(r); got != c.want {
			t.Errorf("%s in %s refutes %q: %v", c.kind, c.check, c.claim, got)
		}
	}
}
