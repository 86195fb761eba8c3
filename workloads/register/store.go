// Package register is the workload of reads, writes and compare-and-sets on
// independent registers, checked for linearizability per key.
package register

import "context"

// Store is what a connection offers to be driven by this workload. Keys are
// fresh for each run and begin absent. Errors follow workloads.Client's rule.
type Store interface {
	// Read returns the key's value; ok is false if the key is absent.
	Read(ctx context.Context, key int) (v int, ok bool, err error)
	Write(ctx context.Context, key, v int) error
	// CAS sets the key to new if its value is old. ok is false, with no
	// error, if it certainly was not.
	CAS(ctx context.Context, key, old, new int) (ok bool, err error)
}
