package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
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
// stream from the primary and have replayed what it had when it was asked, and
// the workloads' tables are everywhere. It makes the tables if there are none.
func (s *system) Ready(ctx context.Context) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var last error // what was wrong when there was still time
	for {
		err := s.ask(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err
		}
		if dead := s.docker.Alive(ctx, s.names()...); dead != nil && ctx.Err() == nil {
			return fmt.Errorf("wait for postgres: %w", dead)
		}
		select {
		case <-ctx.Done():
			return s.notReady(ctx, last)
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
	lsn, err := s.askPrimary(ctx, names[0], len(names)-1)
	if err != nil {
		return &notReadyError{names[0], err}
	}
	for _, n := range names[1:] {
		if err := s.askStandby(ctx, n, lsn); err != nil {
			return &notReadyError{n, err}
		}
	}
	return nil
}

const makeTables = `
CREATE TABLE IF NOT EXISTS kv (k int PRIMARY KEY, v int NOT NULL);
CREATE TABLE IF NOT EXISTS elements (v int NOT NULL);
CREATE TABLE IF NOT EXISTS lists (pk int PRIMARY KEY, sk int NOT NULL, nk int NOT NULL, v text NOT NULL);
CREATE INDEX IF NOT EXISTS lists_sk ON lists (sk);
CREATE TABLE IF NOT EXISTS list_rows (pk int, sk int NOT NULL, nk int NOT NULL, i int, v int NOT NULL, PRIMARY KEY (pk, i));
CREATE INDEX IF NOT EXISTS list_rows_sk ON list_rows (sk);
CREATE TABLE IF NOT EXISTS registers (pk int PRIMARY KEY, sk int NOT NULL, nk int NOT NULL, v int NOT NULL);
CREATE INDEX IF NOT EXISTS registers_sk ON registers (sk);`

// askPrimary returns how far the primary's log is.
func (s *system) askPrimary(ctx context.Context, node string, standbys int) (lsn string, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	c, err := s.dial(ctx, node, "capstan-ready")
	if err != nil {
		return "", err
	}
	defer c.Close(ctx)
	row, err := c.row(ctx, `SELECT current_setting('server_version'), pg_current_wal_lsn(),
		(SELECT count(DISTINCT application_name) FROM pg_stat_replication
			WHERE state = 'streaming' AND application_name <> 'pg_basebackup'),
		to_regclass('kv') IS NOT NULL AND to_regclass('elements') IS NOT NULL AND to_regclass('registers_sk') IS NOT NULL`)
	if err != nil {
		return "", err
	}
	s.version.Store(&row[0])
	if row[2] != strconv.Itoa(standbys) {
		return "", fmt.Errorf("%s of %d standbys stream", row[2], standbys)
	}
	if row[3] != "t" {
		_, err = c.exec(ctx, makeTables)
	}
	return row[1], err
}

func (s *system) askStandby(ctx context.Context, node, lsn string) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	c, err := s.dial(ctx, node, "capstan-ready")
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	row, err := c.row(ctx, `SELECT coalesce(pg_last_wal_replay_lsn() >= $1::pg_lsn, false),
		to_regclass('kv') IS NOT NULL AND to_regclass('elements') IS NOT NULL AND to_regclass('registers_sk') IS NOT NULL`, lsn)
	switch {
	case err != nil:
		return err
	case row[0] != "t":
		return errors.New("standby is behind the primary")
	case row[1] != "t":
		return errors.New("tables have not arrived")
	}
	return nil
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
