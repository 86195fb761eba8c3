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
	// CAS sets the key to new if its value is old. That it found something
	// else is an answer, not an error. A system that has none at its levels
	// returns history.ErrNotOffered, and is then asked for reads and writes.
	CAS(ctx context.Context, key, old, new int) (Swap, error)
}

// Swap is the answer to a compare-and-set.
type Swap struct {
	// Done: it found the old value and set the new one. Otherwise it
	// certainly had no effect.
	Done bool
	// Known: if not Done, the system told in the same step what it found:
	// Value, or nothing if Absent.
	Known, Absent bool
	Value         int
}

// Found is the answer that found a value, or nothing if ok is false.
func Found(v int, ok bool) Swap { return Swap{Known: true, Absent: !ok, Value: v} }
