package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// pollEvery is how often a cluster that is coming up is asked.
	pollEvery = 100 * time.Millisecond
	// askTimeout bounds one question to one node.
	askTimeout = 2 * time.Second
	logLines   = 15
)

// Ready implements targets.System: every node answers a query, all standbys
// stream from the primary, and the workloads' tables are everywhere. It makes
// the tables if there are none.
func (s *system) Ready(ctx context.Context) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := s.ask(ctx)
		if err == nil {
			return nil
		}
		if dead := s.docker.Alive(ctx); dead != nil && ctx.Err() == nil {
			return fmt.Errorf("wait for postgres: %w", dead)
		}
		select {
		case <-ctx.Done():
			return s.notReady(ctx, err)
		case <-tick.C:
		}
	}
}

// notReadyError is one node that is not ready yet, and why.
type notReadyError struct {
	node string
	err  error
}

func (e *notReadyError) Error() string { return e.node + ": " + e.err.Error() }
func (e *notReadyError) Unwrap() error { return e.err }

// notReady says which node is not ready, with its last log lines.
func (s *system) notReady(ctx context.Context, err error) error {
	lines := ""
	if node := (*notReadyError)(nil); errors.As(err, &node) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
		defer cancel()
		lines, _ = s.docker.Tail(ctx, node.node, logLines)
	}
	return fmt.Errorf("wait for postgres: %w: %w%s", ctx.Err(), err, lines)
}

// ask is nil if the cluster is ready at this moment.
func (s *system) ask(ctx context.Context) error {
	names := s.names()
	if err := s.askPrimary(ctx, names[0], len(names)-1); err != nil {
		return &notReadyError{names[0], err}
	}
	for _, n := range names[1:] {
		if err := s.askStandby(ctx, n); err != nil {
			return &notReadyError{n, err}
		}
	}
	return nil
}

const makeTables = `
CREATE TABLE IF NOT EXISTS kv (k int PRIMARY KEY, v int NOT NULL);
CREATE TABLE IF NOT EXISTS elements (v int NOT NULL);`

func (s *system) askPrimary(ctx context.Context, node string, standbys int) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	c, err := s.dial(ctx, node, "capstan-ready")
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	row, err := c.row(ctx, `SELECT current_setting('server_version'),
		(SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND application_name <> 'pg_basebackup'),
		to_regclass('kv') IS NOT NULL AND to_regclass('elements') IS NOT NULL`)
	if err != nil {
		return err
	}
	s.versions["postgres"] = row[0]
	if row[1] != fmt.Sprint(standbys) {
		return fmt.Errorf("%s of %d standbys stream", row[1], standbys)
	}
	if row[2] != "t" {
		return c.exec(ctx, makeTables)
	}
	return nil
}

func (s *system) askStandby(ctx context.Context, node string) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	c, err := s.dial(ctx, node, "capstan-ready")
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	row, err := c.row(ctx, `SELECT to_regclass('kv') IS NOT NULL AND to_regclass('elements') IS NOT NULL`)
	if err == nil && row[0] != "t" {
		err = errors.New("tables have not arrived")
	}
	return err
}

// primaries asks every node whether it takes itself for the primary. Nodes
// that do not answer are left out.
func (s *system) primaries(ctx context.Context) ([]string, error) {
	names := s.names()
	is := make([]bool, len(names))
	var wg sync.WaitGroup
	for i, n := range names {
		wg.Go(func() { is[i] = s.isPrimary(ctx, n) })
	}
	wg.Wait()
	var primaries []string
	for i, n := range names {
		if is[i] {
			primaries = append(primaries, n)
		}
	}
	return primaries, ctx.Err()
}

func (s *system) isPrimary(ctx context.Context, node string) bool {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	c, err := s.dial(ctx, node, "capstan-primaries")
	if err != nil {
		return false
	}
	defer c.Close(ctx)
	row, err := c.row(ctx, "SELECT pg_is_in_recovery()")
	return err == nil && row[0] == "f"
}
