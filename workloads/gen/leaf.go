package gen

import (
	"github.com/capstan-dev/capstan/history"
)

// wait is the answer of a source that can only go on after an event.
func wait() (Step, Status) { return Step{At: history.Forever}, Wait }

// leaf is an endless source that draws each operation from a function.
type leaf func() Op

// Func is the endless source that calls f for each operation and gives it to
// the worker that has been idle the longest.
func Func(f func() Op) Source { return leaf(f) }

func (f leaf) Next(v View) (Step, Status) {
	if len(v.Free) == 0 {
		return wait()
	}
	return Step{Op: f(), Worker: v.Free[0]}, Ready
}

func (leaf) Observe(int, history.Event) {}

// Repeat is the endless source of one operation.
func Repeat(op Op) Source { return Func(func() Op { return op }) }

// Once is the source of a single operation.
func Once(op Op) Source { return Limit(1, Repeat(op)) }

// EachWorker gives every worker one operation, made by f for it. A worker
// that is busy gets its own when it is free.
func EachWorker(f func(worker int) Op) Source {
	return &eachWorker{f: f, done: map[int]bool{}}
}

type eachWorker struct {
	f    func(int) Op
	done map[int]bool
}

func (e *eachWorker) Next(v View) (Step, Status) {
	for _, w := range v.Free {
		if !e.done[w] {
			e.done[w] = true
			return Step{Op: e.f(w), Worker: w}, Ready
		}
	}
	if len(e.done) >= len(v.All) {
		return Step{}, Done
	}
	return wait()
}

func (*eachWorker) Observe(int, history.Event) {}

// FirstWorkers gives each of the first n workers the operation once. Of those
// that are connected to the nodes in turn, the first n are on n nodes.
func FirstWorkers(n int, op Op) Source {
	idle := Limit(0, Repeat(op))
	return Reserve(idle, Part{Workers: n, Source: EachWorker(func(int) Op { return op })})
}
