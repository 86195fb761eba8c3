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
func (c clocks) Skew(ctx context.Context, node string, s cluster.Skew) error {
	h, err := c.w.host(node)
	if err != nil {
		return err
	}
	if h.skew != s || s.Drift != 0 {
		h.skew, h.skewed = s, c.w.now
		h.logf("clock is off by %v, gains %g", s.Offset, s.Drift)
	}
	return ctx.Err()
}

// offset is how far the wall clock is off now.
func (h *host) offset() time.Duration {
	return h.skew.Offset + time.Duration(h.skew.Drift*float64(h.w.now-h.skewed))
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
	date := epoch().Add(c.w.now + h.offset())
	return date.Sub(epoch().Add(c.w.now)), nil
}

var _ cluster.Clocks = clocks{}
