package sim

import (
	"context"
	"fmt"
	"time"

	"github.com/capstan-dev/capstan/cluster"
)

// clocks is the power over the wall clocks.
type clocks struct{ w *World }

// Skew implements cluster.Clocks.
func (c clocks) Skew(ctx context.Context, node string, offset time.Duration) error {
	h, err := c.w.host(node)
	if err != nil {
		return err
	}
	if h.skew != offset {
		h.skew = offset
		h.logf("clock is off by %v", offset)
	}
	return ctx.Err()
}

// Offset implements cluster.Clocks: it compares the node's date to the true.
func (c clocks) Offset(ctx context.Context, node string) (time.Duration, error) {
	h, err := c.w.host(node)
	if err != nil {
		return 0, err
	}
	if err := c.w.pass(ctx); err != nil {
		return 0, fmt.Errorf("ask %s for its time: %w", node, err)
	}
	date := epoch().Add(c.w.now + h.skew)
	return date.Sub(epoch().Add(c.w.now)), nil
}

var _ cluster.Clocks = clocks{}
