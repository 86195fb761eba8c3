package sim

import (
	"context"
	"iter"
	"time"
)

// task is a coroutine, or the owner. It waits for one thing at a time; turn
// tells the waits apart, so that a late wake of an earlier one is ignored.
type task struct {
	k          *Kernel
	turn       uint32
	parked     bool
	resumed    bool // the owner's, for its loop
	resume     func() (struct{}, bool)
	stop       func()
	yield      func(struct{}) bool
	prev, next *task
}

// stopped unwinds a task when the kernel closes.
type stopped struct{}

// Go implements cluster.Runtime: f starts when the kernel next runs.
func (k *Kernel) Go(f func()) {
	if k.closed {
		return
	}
	t := &task{k: k}
	t.resume, t.stop = iter.Pull(func(yield func(struct{}) bool) {
		defer recoverStopped()
		t.yield = yield
		f()
	})
	k.tasks.add(t)
	k.post(k.now, t, 0, 0, 0, nil)
}

func recoverStopped() {
	if p := recover(); p != nil {
		if _, ok := p.(stopped); !ok {
			panic(p)
		}
	}
}

// handle resumes the task.
func (t *task) handle(uint8, uint32, uint32, any) {
	t.k.cur = t
	_, more := t.resume()
	t.k.cur = nil
	if !more {
		t.k.tasks.remove(t)
	}
	t.k.poll()
}

// self is the task that is running, which may be the owner.
func (k *Kernel) self() *task {
	if k.cur != nil {
		return k.cur
	}
	if k.inLoop {
		panic(errNestedPark)
	}
	return &k.owner
}

// park suspends the running task until wake. Only an owner gets an error.
func (k *Kernel) park(ctx context.Context, t *task) error {
	if k.closed {
		panic(stopped{})
	}
	t.parked = true
	if t == &k.owner {
		t.resumed = false
		err := k.loop(ctx, forever, &t.resumed)
		t.parked = false
		return err
	}
	if !t.yield(struct{}{}) {
		panic(stopped{})
	}
	return nil
}

// wake ends the wait of that turn, if the task is still in it.
func (k *Kernel) wake(t *task, turn uint32) {
	if !t.parked || t.turn != turn {
		return
	}
	t.parked = false
	if t == &k.owner {
		t.resumed = true
		return
	}
	k.post(k.now, t, 0, 0, 0, nil)
}

// signal lets one task wait for one thing that happens once.
type signal struct {
	t     *task
	turn  uint32
	fired bool
}

// fire makes the thing happen.
func (k *Kernel) fire(s *signal) {
	s.fired = true
	if s.t != nil {
		k.wake(s.t, s.turn)
	}
}

// await parks the running task until the signal fires or the context ends.
func (k *Kernel) await(ctx context.Context, s *signal) error {
	if s.fired {
		return nil
	}
	if err := k.ended(ctx); err != nil {
		return err
	}
	t := k.self()
	if k.closed && t == &k.owner {
		return ErrClosed
	}
	t.turn++
	s.t, s.turn = t, t.turn
	vc := k.virtual(ctx)
	if vc != nil {
		vc.waiters = append(vc.waiters, waiter{t, t.turn, ctx})
	}
	plain := isPlain(ctx)
	if plain {
		k.plain = append(k.plain, waiter{t, t.turn, ctx})
	}
	err := k.park(ctx, t)
	s.t = nil
	if vc != nil {
		vc.waiters = forget(vc.waiters, t)
	}
	if plain {
		k.plain = forget(k.plain, t)
	}
	if s.fired {
		return nil
	}
	if err != nil {
		return err
	}
	return k.ended(ctx)
}

// ended tells why a context has ended. A context that the standard library
// derived hears of its virtual ancestor by a goroutine, which is too late.
func (k *Kernel) ended(ctx context.Context) error {
	if c := k.virtual(ctx); c != nil && c.Err() != nil {
		return c.Err()
	}
	return ctx.Err()
}

// waiter is a wait that a context can end.
type waiter struct {
	t    *task
	turn uint32
	ctx  context.Context
}

func forget(ws []waiter, t *task) []waiter {
	for i, w := range ws {
		if w.t == t {
			return append(ws[:i], ws[i+1:]...)
		}
	}
	return ws
}

// poll wakes those whose context was cancelled by other means than the
// kernel's: by the owner or by a task, after which the kernel looks at once so
// that it is deterministic, or by a goroutine outside, which cannot be.
func (k *Kernel) poll() {
	for _, w := range k.plain {
		if w.t.parked && w.ctx.Err() != nil {
			k.wake(w.t, w.turn)
		}
	}
}

// Sleep implements cluster.Runtime.
func (k *Kernel) Sleep(ctx context.Context, d time.Duration) error {
	var s signal
	t := k.post(k.now+max(d, 0), &sleeper{k, &s}, 0, 0, 0, nil)
	defer t.Stop()
	if err := k.await(ctx, &s); err != nil {
		return err
	}
	return k.ended(ctx)
}

type sleeper struct {
	k *Kernel
	s *signal
}

func (s *sleeper) handle(uint8, uint32, uint32, any) { s.k.fire(s.s) }

// taskList holds the live tasks in the order of their making.
type taskList struct{ head, tail *task }

func (l *taskList) add(t *task) {
	t.prev = l.tail
	if l.tail != nil {
		l.tail.next = t
	} else {
		l.head = t
	}
	l.tail = t
}

func (l *taskList) remove(t *task) {
	if t.prev == nil && l.head != t {
		return
	}
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		l.head = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	} else {
		l.tail = t.prev
	}
	t.prev, t.next = nil, nil
}
