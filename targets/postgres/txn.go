package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/tables"
	"github.com/capstan-dev/capstan/workloads/predicate"
	"github.com/capstan-dev/capstan/workloads/txn"
)

var (
	_ txn.Appender    = (*Conn)(nil)
	_ txn.Registers   = (*Conn)(nil)
	_ predicate.Store = (*Conn)(nil)
)

// Isolation implements targets.Isolation. PostgreSQL's repeatable read is
// snapshot isolation (documentation, 13.2.2). Of what a standby shows it
// promises that it is consistent, at read committed. A client that appends by
// writing back what it read is promised nothing there: its update may be lost,
// and with it what makes a list one.
func (s *system) Isolation() string {
	level := s.Spec.Levels[levelIsolation]
	switch {
	case s.wasForced():
		return ""
	case level == "read-committed" && s.Spec.Levels[tables.LevelAppend] == "rmw":
		return ""
	case level == "read-committed":
		return "read-committed"
	case s.Spec.Levels[levelRead] == readReplica:
		return ""
	case level == "repeatable-read":
		return "snapshot-isolation"
	}
	return level
}

// dialect is PostgreSQL's SQL. The parameters are texts, whose types are named
// where they do not follow from a column.
func dialect() tables.Dialect {
	return tables.Dialect{
		Half:     "SELECT balance FROM accounts WHERE id % 2 = $1 ORDER BY id",
		Count:    "INSERT INTO monotonic VALUES ($1, $2) ON CONFLICT (k) DO UPDATE SET v = excluded.v",
		NextRow:  "INSERT INTO list_rows SELECT $1::int, $1::int, $1::int, coalesce(max(i), 0) + 1, $2::int FROM list_rows",
		NewItem:  "INSERT INTO items VALUES ($1, $1, $1, $2, $2) ON CONFLICT DO NOTHING",
		Register: upsert("registers", "$2::int", "$2::int"),
		List:     upsert("lists", "$2::text", "$2::text"),
		Concat:   upsert("lists", "$2::text", "lists.v || ',' || $2::text"),
		Item: tables.Upsert{
			Update: "UPDATE items SET v = $2, iv = $2",
			Insert: "INSERT INTO items VALUES ($1, $1, $1, $2, $2) ON CONFLICT (pk) DO UPDATE SET v = excluded.v, iv = excluded.v",
		},
	}
}

func upsert(table, value, to string) tables.Upsert {
	return tables.Upsert{
		Update: "UPDATE " + table + " SET v = " + to,
		Insert: "INSERT INTO " + table + " VALUES ($1::int, $1::int, $1::int, " + value + ") ON CONFLICT (pk) DO UPDATE SET v = " + to,
	}
}

// transact runs one transaction. Until its COMMIT is sent it certainly has no
// effect: a server that hears no more of it rolls it back. do says whether it
// is to be committed; rolled back without an error, it answered by what it read.
func (c *Conn) transact(ctx context.Context, do func() (commit bool, err error)) error {
	if err := c.begin(ctx); err != nil {
		return c.rollback(ctx, err)
	}
	commit, err := do()
	if err != nil {
		return c.rollback(ctx, err)
	}
	if commit {
		return c.commit(ctx)
	}
	if _, err := c.s.exec(ctx, "ROLLBACK"); err != nil {
		return errors.Join(classify(fmt.Errorf("end the reads: %w", err)), c.Close())
	}
	return nil
}

// begin starts a transaction and looks, in the same round trip, whether the
// node is a standby.
func (c *Conn) begin(ctx context.Context) error {
	results, err := c.s.exec(ctx, "BEGIN; SELECT pg_is_in_recovery()")
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if standby := results[len(results)-1].Rows; c.levels[levelRead] == readPrimary && string(standby[0][0]) == "t" {
		return fmt.Errorf("%s is a standby; level read=primary", c.node)
	}
	return nil
}

// rollback ends a transaction after an error. If that fails the connection is
// of no use any more, and the transaction ends with it.
func (c *Conn) rollback(ctx context.Context, why error) error {
	if !c.s.IsClosed() {
		if _, err := c.s.exec(ctx, "ROLLBACK"); err != nil {
			why = errors.Join(why, err, c.Close())
		}
	}
	return targets.NotApplied(why)
}

// commit says what is known of a transaction after its COMMIT was sent. A
// transaction that had failed answers ROLLBACK, and no error.
func (c *Conn) commit(ctx context.Context) error {
	results, err := c.s.exec(ctx, "COMMIT")
	if err != nil {
		return classify(fmt.Errorf("commit: %w", err))
	}
	if tag := results[len(results)-1].CommandTag.String(); tag != "COMMIT" {
		return targets.NotApplied(fmt.Errorf("commit: the server answered %s", tag))
	}
	return nil
}
