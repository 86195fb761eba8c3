package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/capstan-dev/capstan/targets/deploy"
)

// Ready implements targets.System: every node answers a query, all standbys
// stream from the primary and have replayed what it had when it was asked, and
// the workloads' tables are everywhere. It makes the tables if there are none.
func (s *system) Ready(ctx context.Context) error { return s.Await(ctx, s.ask) }

// ask is nil if the cluster is ready at this moment.
func (s *system) ask(ctx context.Context) error {
	names := s.Members()
	lsn, err := s.askPrimary(ctx, names[0], len(names)-1)
	if err != nil {
		return deploy.NotReady(names[0], err)
	}
	for _, n := range names[1:] {
		if err := s.askStandby(ctx, n, lsn); err != nil {
			return deploy.NotReady(n, err)
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
	ctx, cancel := context.WithTimeout(ctx, deploy.AskTimeout)
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
	s.SetVersion("postgres", row[0])
	if row[2] != strconv.Itoa(standbys) {
		return "", fmt.Errorf("%s of %d standbys stream", row[2], standbys)
	}
	if row[3] != "t" {
		_, err = c.exec(ctx, makeTables)
	}
	return row[1], err
}

func (s *system) askStandby(ctx context.Context, node, lsn string) error {
	ctx, cancel := context.WithTimeout(ctx, deploy.AskTimeout)
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
	return s.Where(ctx, s.Members(), s.isPrimary)
}

func (s *system) isPrimary(ctx context.Context, node string) bool {
	c, err := s.dial(ctx, node, "capstan-primaries")
	if err != nil {
		return false
	}
	defer c.Close(ctx)
	row, err := c.row(ctx, "SELECT pg_is_in_recovery()")
	return err == nil && row[0] == "f"
}
