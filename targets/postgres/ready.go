package postgres

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/capstan-dev/capstan/targets/deploy"
)

// Ready implements targets.System: every node answers a query, all standbys
// stream from the primary and have replayed what it had when it was asked, and
// the workloads' tables are everywhere. It makes the tables if there are none,
// and brings back nodes that were left behind when the role was handed over.
func (s *system) Ready(ctx context.Context) error {
	if s.Spec.Topology == patroni {
		return s.Await(ctx, s.askPatroni)
	}
	return s.Await(ctx, func(ctx context.Context) error { return s.askStreams(ctx, s.primary(), s.Members()) })
}

// servers are the nodes with PostgreSQL that were not taken out.
func (s *system) servers() []string {
	members := s.Members()
	return slices.DeleteFunc(slices.Clone(s.Cluster().Served()), func(n string) bool { return !slices.Contains(members, n) })
}

// askStreams is nil if all the others follow the primary at this moment.
func (s *system) askStreams(ctx context.Context, primary string, names []string) error {
	lsn, streaming, err := s.askPrimary(ctx, primary, len(names)-1)
	if err != nil {
		return deploy.NotReady(primary, err)
	}
	for _, n := range names {
		switch {
		case n == primary:
			continue
		case !slices.Contains(streaming, n):
			return deploy.NotReady(n, errors.Join(errors.New("standby does not stream from the primary"), s.rejoin(ctx, n)))
		}
		if err := s.askStandby(ctx, n, lsn); err != nil {
			return deploy.NotReady(n, errors.Join(err, s.nudge(ctx, primary)))
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
CREATE TABLE IF NOT EXISTS items (pk int PRIMARY KEY, sk int NOT NULL, nk int NOT NULL, v bigint NOT NULL, iv bigint NOT NULL);
CREATE INDEX IF NOT EXISTS items_sk ON items (sk);
CREATE INDEX IF NOT EXISTS items_iv ON items (iv);
CREATE TABLE IF NOT EXISTS counters (id int PRIMARY KEY, v bigint NOT NULL);
CREATE TABLE IF NOT EXISTS accounts (id int PRIMARY KEY, balance bigint NOT NULL);
CREATE TABLE IF NOT EXISTS monotonic (k int PRIMARY KEY, v int NOT NULL);
CREATE TABLE IF NOT EXISTS skew_a (id int PRIMARY KEY, k int NOT NULL);
CREATE INDEX IF NOT EXISTS skew_a_k ON skew_a (k);
CREATE TABLE IF NOT EXISTS skew_b (id int PRIMARY KEY, k int NOT NULL);
CREATE INDEX IF NOT EXISTS skew_b_k ON skew_b (k);
CREATE SEQUENCE IF NOT EXISTS ids;
CREATE INDEX IF NOT EXISTS registers_sk ON registers (sk);`

// hasTables is true once the statement above was done: what it does is one
// transaction.
const hasTables = "to_regclass('registers_sk') IS NOT NULL"

// askPrimary returns how far the primary's log is, and who streams it. Tables are
// made when all standbys do: a commit that waits for one while the next is copied
// stays invisible there until the primary logs its running transactions again.
func (s *system) askPrimary(ctx context.Context, node string, standbys int) (lsn string, streaming []string, err error) {
	err = s.on(ctx, node, func(ctx context.Context, c *session) error {
		row, err := c.row(ctx, `SELECT current_setting('server_version'), pg_current_wal_lsn(),
			(SELECT coalesce(string_agg(application_name, ','), '') FROM pg_stat_replication WHERE state = 'streaming' AND application_name <> 'pg_basebackup'),
			`+hasTables)
		if err != nil {
			return err
		}
		s.SetVersion("postgres", row[0])
		lsn, streaming = row[1], strings.FieldsFunc(row[2], func(r rune) bool { return r == ',' })
		if row[3] != "t" && len(streaming) >= standbys {
			_, err = c.exec(ctx, makeTables)
		}
		return err
	})
	return lsn, streaming, err
}

// on runs f with a connection of its own to a node.
func (s *system) on(ctx context.Context, node string, f func(context.Context, *session) error) error {
	ctx, cancel := context.WithTimeout(ctx, deploy.AskTimeout)
	defer cancel()
	c, err := s.dial(ctx, node, "capstan-ready")
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	return f(ctx, c)
}

func (s *system) askStandby(ctx context.Context, node, lsn string) error {
	row, err := s.query(ctx, node, "capstan-ready", `SELECT coalesce(pg_last_wal_replay_lsn() >= $1::pg_lsn, false),
		`+hasTables, lsn)
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

// nudge lets an idle primary write something. A base backup leaves its position
// at the begin of an empty segment of the log, which no standby reaches before
// the next record, and that comes within 15 s only.
func (s *system) nudge(ctx context.Context, primary string) error {
	_, err := s.query(ctx, primary, "capstan-ready", "SELECT pg_create_restore_point('capstan')")
	return err
}

// primaries asks every node whether it takes itself for the primary. Nodes
// that do not answer are left out.
func (s *system) primaries(ctx context.Context) ([]string, error) {
	return s.Where(ctx, s.servers(), s.isPrimary)
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
