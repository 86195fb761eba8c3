// Package log holds a history of transactions in flat arrays of integers: what
// the inference of dependencies reads. It is made from a history.History or,
// faster, from a file of Jepsen's EDN or of JSON lines.
//
// Values are numbers, not strings: see Value. The lists that were read are not
// stored one by one. Of each key the log has the longest list, and almost every
// read is a prefix of it, so that its length says everything; the few that are
// not are kept apart (Odd).
package log

import (
	"strconv"
	"time"

	"github.com/capstan-dev/capstan/history"
)

// Outcome is what a client learned about its transaction.
type Outcome uint8

// OK: it was committed. Info: it may have been, at any time after its
// invocation. Fail: it was not.
const (
	OK Outcome = iota
	Info
	Fail
)

// String is the outcome as histories have it.
func (o Outcome) String() string { return [...]string{"ok", "info", "fail"}[o] }

// Fun is what a micro-operation does.
type Fun uint8

const (
	// Append adds Value to the end of the list.
	Append Fun = iota
	// Write sets the register to Value.
	Write
	// Read is the read of a register: it returned Value, or Nil.
	Read
	// List is the read of a list: it returned the first Value (a number)
	// elements of the key's Longest.
	List
	// Odd is the read of a list that is no prefix of the key's longest one:
	// it returned Odd[Value].
	Odd
	// Blind is a read that tells nothing: its transaction is not ok.
	Blind
	// Insert makes the register, with Value.
	Insert
	// Delete removes the register.
	Delete
	// Add puts Value into the set.
	Add
	// Set is the read of a set: it returned Sets[Value].
	Set
	// Predicate is a read of all registers that match; its Value stands for a
	// text, and it has no Key.
	Predicate
)

// Writes says whether it makes a version.
func (f Fun) Writes() bool {
	return f == Append || f == Write || f == Insert || f == Delete || f == Add
}

// Value is an element of a list or the value of a register. Natural numbers
// below 2^31 are themselves, Nil is the absence of a value, and what is less
// stands for a text in Log.Texts.
type Value int32

// Nil is the value that a register has before its first write.
const Nil Value = -1

// Mop is one micro-operation of a transaction.
type Mop struct {
	Key   int32
	Value Value // see Fun
	Fun   Fun
}

// Never is the position of an event that is not in the history.
const Never = -1

// Txn is one transaction.
type Txn struct {
	// Start and End are the times of its two events; 0 if not recorded.
	Start, End time.Duration
	// Invoke and Complete are the positions of its events in the history, the
	// order of real time; Never if there is no such event.
	Invoke, Complete int32
	// InvokeIndex and CompleteIndex are the events' indexes as recorded, for
	// people; Never if there is no such event.
	InvokeIndex, CompleteIndex int32
	Process                    int32
	Node                       int32 // in Log.Nodes
	// Its micro-operations are Log.Mops[First:Last].
	First, Last int32
	Outcome     Outcome
}

// Log is a history of transactions, in order of their completions; those
// without a completion come last, in order of their invocations.
type Log struct {
	Txns []Txn
	Mops []Mop
	// Keys has the text of each key, as JSON.
	Keys []string
	// Longest has, of each key, the longest list that an ok transaction read,
	// the first one if there are several.
	Longest [][]Value
	// Odd has the lists of the reads that are no prefixes of the longest.
	Odd [][]Value
	// Sets has the sets that were read, as they were written; the first is empty.
	Sets [][]Value
	// Texts has the values that are no small natural numbers, as JSON.
	Texts []string
	// Nodes has the names of nodes; the first is "".
	Nodes []string
	// Events counts the events of clients and others.
	Events int
	// Nemesis has the events of the nemesis.
	Nemesis []history.Event
}

// Of are the micro-operations of a transaction.
func (l *Log) Of(t int32) []Mop { return l.Mops[l.Txns[t].First:l.Txns[t].Last] }

// Name is how people are told of a transaction: T and the index of the event
// that completed it, or that invoked it if none did.
func (l *Log) Name(t int32) string {
	x := &l.Txns[t]
	if x.CompleteIndex != Never {
		return "T" + strconv.Itoa(int(x.CompleteIndex))
	}
	return "T" + strconv.Itoa(int(x.InvokeIndex))
}

// Elements are what a read of a list or a set returned; nil for all else.
func (l *Log) Elements(m Mop) []Value {
	switch m.Fun {
	case List:
		return l.Longest[m.Key][:m.Value]
	case Odd:
		return l.Odd[m.Value]
	case Set:
		return l.Sets[m.Value]
	}
	return nil
}

// Text is a value as JSON.
func (l *Log) Text(v Value) string {
	switch {
	case v >= 0:
		return strconv.Itoa(int(v))
	case v == Nil:
		return "null"
	}
	return l.Texts[-2-v]
}

// CompletionOnly says whether no transaction has an invocation: then nothing is
// known of real time.
func (l *Log) CompletionOnly() bool {
	for i := range l.Txns {
		if l.Txns[i].Invoke != Never {
			return false
		}
	}
	return true
}
