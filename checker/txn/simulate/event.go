package simulate

import "time"

// Workload is what transactions do.
type Workload uint8

// ListAppend appends to lists and reads them whole; RWRegister writes and
// reads registers; SetAdd adds to sets and reads them whole. Each value is
// written once a key.
const (
	ListAppend Workload = iota
	RWRegister
	SetAdd
)

// Workloads are all of them.
func Workloads() []Workload { return []Workload{ListAppend, RWRegister, SetAdd} }

// String is the workload's name, as elle-cli has it or would.
func (w Workload) String() string { return [...]string{"list-append", "rw-register", "set-add"}[w] }

// Type is Jepsen's: how a transaction begins and ends.
type Type uint8

// Invoke begins a transaction; OK: it committed; Fail: it did not; Info:
// nobody knows.
const (
	Invoke Type = iota
	OK
	Fail
	Info
)

// String is the type's name in histories.
func (t Type) String() string { return [...]string{"invoke", "ok", "fail", "info"}[t] }

// Mop is one micro-operation.
type Mop struct {
	Write bool
	Key   int32
	// Value is what was written, from 1; of a read register, 0 is nil.
	Value int32
	// List is what was read of a list, or of a set, in the order of its adds.
	List []int32
	// A read saw so many committed writes of the key, and own ones if there
	// are any.
	saw int32
	own bool
}

// Event is one line of a history. What reads saw is known in OK only.
type Event struct {
	Index   int
	Time    time.Duration
	Process int
	Type    Type
	// Mops are reused after the event: who keeps them copies them. Their lists
	// stay as they are.
	Mops []Mop
}
