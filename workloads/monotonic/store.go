// Package monotonic is the workload of registers that only grow: transactions
// that increment one and transactions that read several.
package monotonic

import "context"

// Store is what a connection offers to be driven by this workload. Registers
// are 0 at first. Errors follow workloads.Client's rule.
type Store interface {
	// Increment adds 1 to the key's register in one transaction, by reading it
	// and writing it back, and returns what it wrote.
	Increment(ctx context.Context, key int) (int, error)
	// ReadMany reads the keys' registers in one transaction.
	ReadMany(ctx context.Context, keys []int) ([]int, error)
}
