package sim

import (
	"context"
	"time"
)

// epoch is where virtual time begins as a date. It lies in the past, so that a
// deadline of the real clock is far away in virtual time and never mistaken
// for one of ours.
func epoch() time.Time { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) }

// timeCtx is a context whose deadline is virtual.
type timeCtx struct {
	parent  context.Context
	k       *Kernel
	at      time.Duration
	err     error
	done    chan struct{}
	timer   Timer
	waiters []waiter
	after   []*afterFunc
	unlink  func() bool
	plain   bool // an ancestor can be cancelled without the kernel
}

// isPlain tells whether a context can end without the kernel knowing.
func isPlain(ctx context.Context) bool {
	if c, ok := ctx.(*timeCtx); ok {
		return c.plain
	}
	return ctx.Done() != nil
}

type afterFunc struct{ f func() }

// kernelKey finds the timeCtx below contexts that were derived from it.
type kernelKey struct{ k *Kernel }

// WithTimeout implements cluster.Runtime. The context ends by virtual time, by
// its cancel function, and with a parent that is virtual too. That a plain
// parent was cancelled shows in Err and ends waits, but closes Done only later:
// there is no goroutine to watch it.
func (k *Kernel) WithTimeout(parent context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	c := &timeCtx{parent: parent, k: k, at: k.now + max(d, 0), plain: isPlain(parent)}
	if p := k.virtual(parent); p != nil {
		c.unlink = p.AfterFunc(func() { c.end(p.Err()) })
	}
	c.timer = k.post(c.at, c, 0, 0, 0, nil)
	return c, c.cancel
}

// virtual finds the timeCtx that ends a context.
func (k *Kernel) virtual(ctx context.Context) *timeCtx {
	if c, ok := ctx.(*timeCtx); ok && c.k == k {
		return c
	}
	if ctx.Done() == nil {
		return nil // made so that no ancestor ends it
	}
	c, _ := ctx.Value(kernelKey{k}).(*timeCtx)
	return c
}

func (c *timeCtx) handle(uint8, uint32, uint32, any) { c.end(context.DeadlineExceeded) }

func (c *timeCtx) cancel() { c.end(context.Canceled) }

func (c *timeCtx) end(err error) {
	if c.err != nil {
		return
	}
	c.err = err
	c.timer.Stop()
	if c.unlink != nil {
		c.unlink()
	}
	if c.done != nil {
		close(c.done)
	}
	for _, w := range c.waiters {
		c.k.wake(w.t, w.turn)
	}
	// A child that ends takes itself off the list.
	after := c.after
	c.after = nil
	for _, a := range after {
		a.f()
	}
}

// Deadline is the date of virtual time.
func (c *timeCtx) Deadline() (time.Time, bool) {
	own := epoch().Add(c.at)
	if p, ok := c.parent.Deadline(); ok && p.Before(own) {
		return p, true
	}
	return own, true
}

func (c *timeCtx) Done() <-chan struct{} {
	if c.done == nil {
		c.done = make(chan struct{})
		if c.err != nil {
			close(c.done)
		}
	}
	return c.done
}

func (c *timeCtx) Err() error {
	if c.err != nil {
		return c.err
	}
	if c.k.now >= c.at {
		return context.DeadlineExceeded
	}
	return c.parent.Err()
}

func (c *timeCtx) Value(key any) any {
	if k, ok := key.(kernelKey); ok && k.k == c.k {
		return c
	}
	return c.parent.Value(key)
}

// AfterFunc makes contexts that the standard library derives directly from this
// one end with it at once, without a goroutine that waits for Done.
func (c *timeCtx) AfterFunc(f func()) (stop func() bool) {
	if c.err != nil {
		f()
		return func() bool { return false }
	}
	a := &afterFunc{f}
	c.after = append(c.after, a)
	return func() bool {
		for i, x := range c.after {
			if x == a {
				c.after = append(c.after[:i], c.after[i+1:]...)
				return true
			}
		}
		return false
	}
}
