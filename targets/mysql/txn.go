package mysql

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

// statements are those of MariaDB and MySQL.
func statements() tables.Dialect {
	return tables.Dialect{
		Half:     "SELECT balance FROM accounts WHERE MOD(id, 2) = $1 ORDER BY id",
		Count:    "INSERT INTO monotonic VALUES ($1, $2) ON DUPLICATE KEY UPDATE v = VALUES(v)",
		NextRow:  "INSERT INTO list_rows (pk, sk, nk, i, v) SELECT $1, $1, $1, COALESCE(MAX(i), 0) + 1, $2 FROM list_rows",
		NewItem:  "INSERT IGNORE INTO items (pk, sk, nk, v, iv) VALUES ($1, $1, $1, $2, $2)",
		Register: upsert("registers", "$2"),
		List:     upsert("lists", "$2"),
		Concat:   upsert("lists", "CONCAT(v, ',', $2)"),
		Item: tables.Upsert{
			Update: "UPDATE items SET v = $2, iv = $2",
			Insert: "INSERT INTO items (pk, sk, nk, v, iv) VALUES ($1, $1, $1, $2, $2) ON DUPLICATE KEY UPDATE v = $2, iv = $2",
		},
	}
}

func upsert(table, to string) tables.Upsert {
	return tables.Upsert{
		Update: "UPDATE " + table + " SET v = " + to,
		Insert: "INSERT INTO " + table + " (pk, sk, nk, v) VALUES ($1, $1, $1, $2) ON DUPLICATE KEY UPDATE v = " + to,
	}
}

// transact runs one transaction. Until its COMMIT is sent it certainly has no
// effect: a server that hears no more of it rolls it back. do says whether it
// is to be committed; rolled back without an error, it answered by what it read.
func (c *Conn) transact(ctx context.Context, do func() (commit bool, err error)) error {
	if _, _, err := c.s.exec(ctx, "START TRANSACTION"); err != nil {
		return c.rollback(ctx, fmt.Errorf("begin: %w", err))
	}
	commit, err := do()
	if err == nil {
		err = c.stillReadable(ctx)
	}
	if err != nil {
		return c.rollback(ctx, err)
	}
	if !commit {
		if _, _, err := c.s.exec(ctx, "ROLLBACK"); err != nil {
			return errors.Join(classify(fmt.Errorf("end the reads: %w", err)), c.Close())
		}
		return nil
	}
	if _, _, err := c.s.exec(ctx, "COMMIT"); err != nil {
		err = classifyCommit(fmt.Errorf("commit: %w", err))
		return errors.Join(err, c.Close()) // whatever is left of it ends with the connection
	}
	return nil
}

// stillReadable asks a node at the end of a transaction whether it is a
// replica, where replicas may not be read. A replica refuses writes by itself.
func (c *Conn) stillReadable(ctx context.Context) error {
	if c.levels[levelRead] != readPrimary {
		return nil
	}
	row, err := c.s.row(ctx, "SELECT @@global.read_only")
	if err != nil {
		return err
	}
	return c.readable(row[0])
}

// rollback ends a transaction after an error. If that fails the connection is
// of no use any more, and the transaction ends with it.
func (c *Conn) rollback(ctx context.Context, why error) error {
	if !c.Closed() {
		if _, _, err := c.s.exec(ctx, "ROLLBACK"); err != nil {
			why = errors.Join(why, err, c.Close())
		}
	}
	return targets.NotApplied(why)
}
