// Package writeskew is the workload of write skew by predicates, Adya's G2 as
// in Jepsen's adya: of two transactions that each insert only if neither has,
// both succeed.
package writeskew

import "context"

// Store is what a connection offers to be driven by this workload. Errors
// follow workloads.Client's rule.
type Store interface {
	// InsertUnless does, in one transaction: it reads by a predicate, not by
	// primary key, whether either of the two tables has a row for the key; if
	// none has, it inserts one with this identifier into the table, 0 or 1.
	// done is false if there was a row; then it certainly had no effect.
	InsertUnless(ctx context.Context, key, table, id int) (done bool, err error)
}
