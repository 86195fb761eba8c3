// Package predicate is the workload of transactions that read by predicates, as
// Elle's closed-predicate. Their histories are judged by checker/txn.
package predicate

import "context"

// Mop is one micro-operation of a transaction.
type Mop struct {
	// F is "insert", "w" (which makes the key or changes it), "delete", "r", or
	// "rp", a read by predicate.
	F   string
	Key int
	// Value is what is written, or what a read by key returned.
	Value int
	// Known is true for a read by key that found a value.
	Known bool
	// Test is the predicate, Found the values by key that fulfil it.
	Test  Test
	Found map[int]int
}

// Writes is true for a micro-operation that is no read.
func (m Mop) Writes() bool { return m.F != "r" && m.F != "rp" }

// Test is a predicate on values.
type Test struct {
	// F is "true" for all values, "=" for those equal to Value, or "mod" for
	// those that leave Value when divided by Modulus.
	F              string
	Modulus, Value int
}

// Store is what a connection offers to be driven by this workload. There are no
// keys at first.
type Store interface {
	// PredicateTxn runs one transaction and returns its micro-operations with
	// what the reads returned. An insert of a key that there is, or a delete of
	// one that there is not, ends it without effect: history.ErrUnmet. Other
	// errors follow workloads.Client's rule.
	PredicateTxn(context.Context, []Mop) ([]Mop, error)
}
