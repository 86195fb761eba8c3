// Package infer has what the inferences of the several kinds of objects have in
// common: the dependencies that they find, with the evidence for each, and the
// anomalies that need no cycle.
package infer

import (
	"maps"

	"github.com/capstan-dev/capstan/checker/txn/graph"
	"github.com/capstan-dev/capstan/checker/txn/log"
)

// None stands for a micro-operation that there is not.
const None = -1

// Inference is what follows from a log.
type Inference struct {
	// Edges are the dependencies between transactions, by their numbers in the
	// log, without those of process and real time. No edge leads from a
	// transaction to itself. So many Barriers come behind the transactions, see
	// graph.Graph.
	Edges    []graph.Edge
	Barriers int
	Found    Finds
	// Open says what could not be inferred in full, and why: of that no verdict
	// may say valid.
	Open []string
	// Evidence tells why an edge of Edges is there.
	Evidence func(from, to int32, c graph.Class) Evidence
}

// Evidence says which micro-operations make a dependency, and on which values.
// Of the orders of process and time there is none.
type Evidence struct {
	Key int32 // None if there is none
	// FromMop and ToMop are positions in Log.Mops; None if there is none.
	FromMop, ToMop int32
	// Value is the version that the dependency is about: the one that was
	// overwritten (ww), written and read (wr), read and overwritten (rw). In
	// a list it is the last element; log.Nil is the initial version.
	Value log.Value
	// Next is the version that overwrote it (ww, rw).
	Next log.Value
	// Why says how the order of the two versions is known where the object
	// does not tell it itself, e.g. "sequential-keys"; empty for lists.
	Why string
}

// NoEvidence is that of the orders of process and time.
func NoEvidence() Evidence {
	return Evidence{Key: None, FromMop: None, ToMop: None, Value: log.Nil, Next: log.Nil}
}

// Found is an anomaly that needs no cycle.
type Found struct {
	// Kind is the name in package adya.
	Kind string
	Key  int32
	// Txns are the transactions: first the one that saw or did what it must
	// not, then those that it depends on.
	Txns []int32
	// Mops are positions in Log.Mops, one for each of Txns; None where there is
	// none.
	Mops []int32
	// Values are what it is about:
	//	G1a, G1b, garbage-read, future-read: the value that was read
	//	dirty-update: the failed version, and the one after it
	//	duplicate-elements: the element
	//	incompatible-order: the first two elements that differ; log.Nil where
	//	a list ends. Or, if the second transaction wrote what the first read:
	//	two elements in the order of the list, which it appended the other way
	//	lost-update: the version that both read (the last element)
	//	cyclic-versions: the versions of the cycle
	//	internal: what was to be expected last, and what was read last
	//	predicate-read-miss: the versions of the key
	Values []log.Value
	// Why says how the order of the versions is known; empty where the values
	// tell it themselves.
	Why string
}

// Kept of each kind are kept in full.
const Kept = 16

// Finds collects anomalies: how many of each kind, and the first of each.
type Finds struct {
	Counts map[string]int
	All    []Found
}

// Add counts an anomaly. make is called for those that are kept.
func (f *Finds) Add(kind string, make func() Found) {
	if f.Counts == nil {
		f.Counts = map[string]int{}
	}
	if f.Counts[kind]++; f.Counts[kind] > Kept {
		return
	}
	found := make()
	found.Kind = kind
	f.All = append(f.All, found)
}

// Merge takes over what others found, which are of other kinds.
func (f *Finds) Merge(o *Finds) {
	if f.Counts == nil {
		f.Counts = map[string]int{}
	}
	maps.Copy(f.Counts, o.Counts)
	f.All = append(f.All, o.All...)
}
