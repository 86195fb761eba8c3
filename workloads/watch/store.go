// Package watch is the workload of a value that is written and of observers who
// must all see the same writes, in the same order, none left out.
package watch

import "context"

// Store is what a connection offers to be driven by this workload. Errors
// follow workloads.Client's rule.
type Store interface {
	// WriteWatched writes the value.
	WriteWatched(ctx context.Context, v int) error
	// Watch waits until there are writes after the revision, or for a short
	// time, and returns their values in order, and the revision of the last
	// one: where the next call goes on. Revision 0 is the beginning.
	Watch(ctx context.Context, after int64) (values []int, revision int64, err error)
}
