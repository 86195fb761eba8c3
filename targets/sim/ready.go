package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"
)

// How long Ready waits, in virtual time, and how often it asks.
const (
	readyTimeout = 60 * time.Second
	readyEvery   = 50 * time.Millisecond
)

// Ready implements targets.System: every node answers, and all of them agree
// on a primary where there is one.
func (s *system) Ready(ctx context.Context) error {
	limit, cancel := s.world.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		err := s.check(limit)
		if err == nil {
			return nil
		}
		if sleep := s.world.Sleep(limit, readyEvery); sleep != nil {
			return fmt.Errorf("wait for sim/%s: %w", s.topology.name, errors.Join(err, sleep))
		}
	}
}

// check says which node is not ready, and why.
func (s *system) check(ctx context.Context) error {
	roles, err := s.roles(ctx)
	if err != nil {
		return err
	}
	for i, r := range roles {
		switch {
		case r == nil:
			return s.notReady(i, "does not answer")
		case !r.ready:
			return s.notReady(i, "knows no primary")
		case r.primary != roles[0].primary:
			return s.notReady(i, "knows another primary than "+s.nodes[0])
		}
	}
	if s.topology.led && roles[roles[0].primary].primary != roles[0].primary {
		return s.notReady(roles[0].primary, "does not know that it is primary")
	}
	return nil
}

// tail is how many lines of a log go into an error.
const tail = 5

func (s *system) notReady(i int, why string) error {
	lines := bytes.Split(bytes.TrimSpace(s.world.Log(s.nodes[i])), []byte("\n"))
	lines = lines[max(0, len(lines)-tail):]
	return fmt.Errorf("%s %s; its last log lines:\n%s", s.nodes[i], why, bytes.Join(lines, []byte("\n")))
}
