// Package set is the workload that adds unique elements to one grow-only set
// and reads it whole: no acknowledged element may be lost.
package set

import "context"

// Store is what a connection offers to be driven by this workload. The set is
// empty at the start of each run. Errors follow workloads.Client's rule.
type Store interface {
	Add(ctx context.Context, element int) error
	// ReadAll returns all elements, in any order.
	ReadAll(ctx context.Context) ([]int, error)
}
