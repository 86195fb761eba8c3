// Package txn judges histories of transactions: which anomalies of Adya and
// Elle they show, and which models of isolation that refutes.
package txn

import "github.com/capstan-dev/capstan/checker/txn/infer"

// Outcome is what was found.
type Outcome struct {
	OK, Info, Fail int // transactions
	// Anomalies are in order of severity, the shortest cycle of a kind first.
	Anomalies []infer.Anomaly
	// Counts has how many anomalies of each kind were found. Of cycles it is
	// one for each strongly connected component, and such as refute more by
	// their form.
	Counts map[string]int
	// Refuted are the weakest models that the kinds of anomalies refute,
	// AlsoRefuted all that are stronger and what a cycle refutes by its form,
	// NotRefuted all others, and Strongest the strongest among those.
	Refuted, AlsoRefuted, NotRefuted, Strongest []string
	// Besides are the weakest of what only the form of a cycle refutes.
	Besides []string
	// Open says what could not be decided, and why.
	Open []string
	// Notes say what the history does not tell.
	Notes []string
}
