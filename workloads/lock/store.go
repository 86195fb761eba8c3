// Package lock is the workload of mutual exclusion: clients acquire a lock with
// a lease, read what it protects, write it back with an element added, and
// release it. A lock that two hold at once shows as an element that is lost.
package lock

import (
	"context"
	"time"
)

// Store is what a connection offers to be driven by this workload. There are
// many locks, by key, and each protects a list of its own in a real store,
// which is empty at first. Errors follow workloads.Client's rule.
type Store interface {
	// Acquire tries once to get the lock for that long; it does not wait for
	// its holder. ok is false if it was not got. The token is one that no
	// earlier holder had, and greater, where the system gives such tokens and
	// the level asks for them; otherwise 0.
	Acquire(ctx context.Context, key int, owner string, lease time.Duration) (token int64, ok bool, err error)
	// Release gives it back, if the owner still has it.
	Release(ctx context.Context, key int, owner string) error
	// Load reads the protected list.
	Load(ctx context.Context, key int) ([]int, error)
	// Save replaces the protected list. With a token that is not 0 the store
	// itself refuses if it saw a greater one before: ok is false then, and the
	// call certainly had no effect.
	Save(ctx context.Context, key int, list []int, token int64) (ok bool, err error)
}
