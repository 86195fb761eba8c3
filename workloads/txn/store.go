// Package txn holds the workloads of transactions: append, whose transactions
// append to lists and read them, and wr, whose transactions write and read
// registers. Their histories are judged by checker/txn.
package txn

import "context"

// Mop is one micro-operation of a transaction.
type Mop struct {
	// F is "append", "w" or "r".
	F   string
	Key int
	// Value is what is appended or written, or what a read of a register
	// returned.
	Value int
	// Known is true for a read of a register that found a value.
	Known bool
	// List is what a read of a list returned.
	List []int
}

// Appender is what a connection offers to be driven by append. Lists are empty
// at first. It runs one transaction and returns its micro-operations with what
// the reads returned. Errors follow workloads.Client's rule.
type Appender interface {
	AppendTxn(context.Context, []Mop) ([]Mop, error)
}

// Registers is the same for wr. Registers have no value at first.
type Registers interface {
	WriteTxn(context.Context, []Mop) ([]Mop, error)
}
