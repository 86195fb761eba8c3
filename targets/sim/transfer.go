package sim

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// askTransfer tells a leader to hand its role to another node, by index.
type askTransfer struct{ to int }

// How long a transfer may take, and how often it is looked at.
const (
	transferTimeout = 5 * time.Second
	transferEvery   = 10 * time.Millisecond
)

// transfer hands the leader's role to a node, and waits until all that believe
// to be leader is that node. A node that lags too far behind is asked again.
func (s *system) transfer(ctx context.Context, to string) error {
	index := slices.Index(s.nodes, to)
	if index < 0 {
		return fmt.Errorf("transfer leadership: no node %q", to)
	}
	limit, cancel := s.world.WithTimeout(ctx, transferTimeout)
	defer cancel()
	for {
		leaders, err := s.primaries(limit)
		if err != nil {
			return fmt.Errorf("transfer leadership to %s: %w", to, err)
		}
		if slices.Equal(leaders, []string{to}) {
			return nil
		}
		for _, l := range leaders {
			if l != to {
				s.asker[slices.Index(s.nodes, l)].Start(askTransfer{index})
			}
		}
		if err := s.world.Sleep(limit, transferEvery); err != nil {
			return fmt.Errorf("transfer leadership to %s: the leaders are %v: %w", to, leaders, err)
		}
	}
}
