package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// PollEvery is how often a cluster that is coming up is asked.
	PollEvery = 100 * time.Millisecond
	// AskTimeout bounds one question to one node.
	AskTimeout = 2 * time.Second
	logLines   = 15
)

// NotReady is the error for a node that is not ready yet, and why.
func NotReady(node string, err error) error { return &notReadyError{node, err} }

type notReadyError struct {
	node string
	err  error
}

func (e *notReadyError) Error() string { return e.node + ": " + e.err.Error() }
func (e *notReadyError) Unwrap() error { return e.err }

// Await asks again and again until there is no error. It gives up when the
// context ends, with the last answer that was given in time and the last log
// lines of the node that it was about (see NotReady), or when a server is dead.
func (d *Deployment) Await(ctx context.Context, ask func(context.Context) error) error {
	tick := time.NewTicker(PollEvery)
	defer tick.Stop()
	var last error // what was wrong when there was still time
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err
		}
		if dead := d.Docker.Alive(ctx, d.Members()...); dead != nil && ctx.Err() == nil {
			return fmt.Errorf("wait for %s: %w", d.target, dead)
		}
		select {
		case <-ctx.Done():
			return d.gaveUp(ctx, last)
		case <-tick.C:
		}
	}
}

// Poll tries again and again until there is no error, or the context ends.
func Poll(ctx context.Context, every time.Duration, try func() error) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// gaveUp says which node is not ready, with its last log lines.
func (d *Deployment) gaveUp(ctx context.Context, err error) error {
	lines := ""
	if node := (*notReadyError)(nil); errors.As(err, &node) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), AskTimeout)
		defer cancel()
		lines, _ = d.Docker.Tail(ctx, node.node, logLines)
	}
	return fmt.Errorf("wait for %s: %w: %w%s", d.target, ctx.Err(), err, lines)
}
