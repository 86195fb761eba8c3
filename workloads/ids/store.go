// Package ids is the workload that asks for identifiers that nobody may get
// twice.
package ids

import "context"

// Store is what a connection offers to be driven by this workload. Errors
// follow workloads.Client's rule.
type Store interface {
	// NextID returns an identifier that was never returned before, made the
	// way that the system offers: a sequence, an auto-increment, a counter.
	NextID(ctx context.Context) (string, error)
}
