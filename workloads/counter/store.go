// Package counter is the workload that increments one counter and reads it:
// every acknowledged increment must be counted in the end, once.
package counter

import "context"

// Store is what a connection offers to be driven by this workload. The counter
// is 0 at the start of each run. Errors follow workloads.Client's rule.
type Store interface {
	// AddTo adds delta, which is positive.
	AddTo(ctx context.Context, delta int) error
	Get(ctx context.Context) (int, error)
}
