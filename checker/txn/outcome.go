// Package txn judges histories of transactions: which anomalies of Adya and
// Elle they show, and which models of isolation that refutes.
package txn

import (
	"github.com/capstan-dev/capstan/checker/txn/graph"
	"github.com/capstan-dev/capstan/checker/txn/infer"
)

// Outcome is what was found.
type Outcome struct {
	OK, Info, Fail int // transactions
	// Anomalies are in order of severity, the shortest cycle of a kind first.
	Anomalies []Anomaly
	// Counts has how many anomalies of each kind were found. Of cycles it is
	// one for each strongly connected component.
	Counts map[string]int
	// Refuted are the weakest models that are refuted, AlsoRefuted all that
	// are stronger, NotRefuted all others, and Strongest the strongest among
	// those.
	Refuted, AlsoRefuted, NotRefuted, Strongest []string
	// Open says what could not be decided, and why.
	Open []string
	// Notes say what the history does not tell.
	Notes []string
}

// Anomaly is one anomaly with its witness: a cycle, or what was found without
// one. If both are missing, it is a class of cycles which exists, but of which
// no cycle was found in time.
type Anomaly struct {
	Kind  string
	Cycle *Cycle
	Found *infer.Found
}

// Cycle is a cycle of dependencies with its evidence.
type Cycle struct{ Steps []Step }

// Step is one dependency with its evidence.
type Step struct {
	graph.Step
	infer.Evidence
}

// Txns are the transactions of the cycle, in its order.
func (c *Cycle) Txns() []int32 {
	var out []int32
	for _, s := range c.Steps {
		out = append(out, s.From)
	}
	return out
}
