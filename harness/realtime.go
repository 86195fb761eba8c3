package harness

import (
	"context"
	"time"

	"github.com/capstan-dev/capstan/cluster"
)

// realTime is the runtime of real systems: goroutines and the monotonic clock.
type realTime struct {
	start time.Time
	wake  chan struct{}
}

// RealTime makes a runtime of goroutines and the monotonic clock.
func RealTime() cluster.Runtime {
	return &realTime{start: time.Now(), wake: make(chan struct{}, 1)}
}

func (r *realTime) Now() time.Duration { return time.Since(r.start) }

func (r *realTime) Go(f func()) { go f() }

func (r *realTime) Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *realTime) WithTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d)
}

func (r *realTime) Wait(ctx context.Context, until time.Duration) {
	t := time.NewTimer(until - r.Now())
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.wake:
	case <-ctx.Done():
	}
}

func (r *realTime) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}
