// Package sim drives clusters of simulated nodes in virtual time: a kernel of
// events and coroutines, links with delay, loss and cuts, processes that can be
// killed and paused, clocks that go wrong, and disks that forget what was not
// synced. All of it runs in one thread and draws from seeded streams, so the
// same seed gives the same bytes.
package sim

import (
	"context"
	"errors"
	"time"
)

// ErrIdle is returned to an owner that waits for something that cannot happen:
// there are no more events.
var ErrIdle = errors.New("nothing is left to happen in the simulation")

// ErrClosed is returned to an owner that waits in a simulation that has ended.
var ErrClosed = errors.New("the simulation has ended")

// errNestedPark marks a bug of ours: only tasks and the owner can wait.
const errNestedPark = "sim: an event handler tried to wait"

// pollEvery is how many events pass between two looks at the owner's context,
// which may be cancelled from outside of the simulation.
const pollEvery = 256

// Kernel keeps virtual time and runs events and tasks, one at a time. It
// implements cluster.Runtime. It makes progress only while its owner, the
// goroutine outside of all tasks, waits in one of its methods.
type Kernel struct {
	now    time.Duration
	queue  queue
	cur    *task // the running task; nil in the owner and in event handlers
	owner  task
	inLoop bool
	woken  bool
	closed bool
	tasks  taskList
	plain  []waiter // those to poll
	events uint64
}

// New gives a kernel at time 0.
func New() *Kernel { return &Kernel{} }

// Now is the virtual time since the kernel was made.
func (k *Kernel) Now() time.Duration { return k.now }

// Events is the number of events that were run.
func (k *Kernel) Events() uint64 { return k.events }

// handler takes events without a closure for each. kind, a, b and p are the
// handler's own.
type handler interface {
	handle(kind uint8, a, b uint32, p any)
}

// post schedules an event for h.
func (k *Kernel) post(at time.Duration, h handler, kind uint8, a, b uint32, p any) Timer {
	slot, gen := k.queue.push(at, event{h: h, kind: kind, a: a, b: b, p: p})
	return Timer{k: k, slot: slot, gen: gen}
}

// After runs f in d, in the kernel, where it must not wait.
func (k *Kernel) After(d time.Duration, f func()) Timer {
	return k.post(k.now+max(d, 0), nil, 0, 0, 0, f)
}

// Timer is an event that can still be called off. The zero value is none.
type Timer struct {
	k    *Kernel
	slot uint32
	gen  uint32
}

// Stop calls the event off. It is a no-op if it has happened.
func (t Timer) Stop() {
	if t.k != nil {
		t.k.queue.cancel(t.slot, t.gen)
	}
}

// loop runs events until *done, or until that time, or until ctx ends. It
// reports an error only in the last case and when no events are left.
func (k *Kernel) loop(ctx context.Context, until time.Duration, done *bool) error {
	if k.inLoop {
		panic(errNestedPark)
	}
	k.inLoop = true
	defer func() { k.inLoop = false }()
	for n := 0; !*done; n++ {
		if n%pollEvery == 0 {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			k.poll()
		}
		at, ok := k.queue.next()
		if !ok && until == forever {
			return ErrIdle
		}
		if !ok || at > until {
			k.now = max(k.now, until)
			return nil
		}
		k.step()
	}
	return nil
}

// step runs the next event.
func (k *Kernel) step() {
	at, e := k.queue.pop()
	k.now = at
	k.events++
	if e.h != nil {
		e.h.handle(e.kind, e.a, e.b, e.p)
	} else {
		e.p.(func())()
	}
}

// Wait implements cluster.Runtime: it runs the simulation.
func (k *Kernel) Wait(ctx context.Context, until time.Duration) {
	if k.cur != nil {
		panic("sim: Wait called from a task")
	}
	// The error is the caller's to find: its context, or its clock.
	_ = k.loop(ctx, until, &k.woken)
	k.woken = false
}

// Wake implements cluster.Runtime.
func (k *Kernel) Wake() { k.woken = true }

// Close ends the tasks that are left: their pending and future waits unwind
// them. Nothing runs in the kernel after it.
func (k *Kernel) Close() {
	if k.cur != nil || k.inLoop {
		panic("sim: Close called from inside of the simulation")
	}
	k.closed = true
	for t := k.tasks.head; t != nil; t = k.tasks.head {
		k.cur = t
		t.stop()
		k.cur = nil
		k.tasks.remove(t)
	}
	k.queue = queue{}
}
