package mysql

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/capstan-dev/capstan/workloads/txn"
)

var (
	_ txn.Appender  = (*Conn)(nil)
	_ txn.Registers = (*Conn)(nil)
)

// AppendTxn implements txn.Appender.
func (c *Conn) AppendTxn(ctx context.Context, mops []txn.Mop) ([]txn.Mop, error) {
	return c.txn(ctx, mops, func(m *txn.Mop, writes bool) (err error) {
		if m.F == "append" {
			return c.appendTo(ctx, m.Key, m.Value)
		}
		m.List, err = c.list(ctx, m.Key, writes)
		return err
	})
}

// WriteTxn implements txn.Registers.
func (c *Conn) WriteTxn(ctx context.Context, mops []txn.Mop) ([]txn.Mop, error) {
	return c.txn(ctx, mops, func(m *txn.Mop, writes bool) error {
		if m.F == "w" {
			return c.upsert(ctx, "registers", "VALUES(v)", m.Key, strconv.Itoa(m.Value))
		}
		vs, err := c.column(ctx, c.locked("SELECT v FROM registers WHERE "+c.by()+" = ?", writes), m.Key)
		if err == nil && len(vs) > 0 {
			m.Value, m.Known = vs[0], true
		}
		return err
	})
}

func (c *Conn) txn(ctx context.Context, mops []txn.Mop, do func(m *txn.Mop, writes bool) error) ([]txn.Mop, error) {
	writes := false
	for _, m := range mops {
		writes = writes || m.F != "r"
	}
	err := c.transact(ctx, func() (bool, error) {
		for i := range mops {
			if err := do(&mops[i], writes); err != nil {
				return false, fmt.Errorf("%s of %d: %w", mops[i].F, mops[i].Key, err)
			}
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	return mops, nil
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
	return notApplied(why)
}

// by is the column that rows are found by.
func (c *Conn) by() string {
	switch c.levels[levelIndex] {
	case "secondary":
		return "sk"
	case "none":
		return "nk"
	}
	return "pk"
}

// locked is a query that locks what it reads, if the level says so.
func (c *Conn) locked(sql string, writes bool) string {
	if writes && c.levels[levelSelect] == "for-update" {
		return sql + " FOR UPDATE"
	}
	return sql
}

// column reads a query's column of integers.
func (c *Conn) column(ctx context.Context, sql string, args ...any) ([]int, error) {
	_, rows, err := c.s.query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return numbers(rows, 0)
}

// list reads a list: one row of text, or a row for each element.
func (c *Conn) list(ctx context.Context, key int, writes bool) ([]int, error) {
	if c.levels[levelAppend] == "rows" {
		return c.column(ctx, c.locked("SELECT v FROM list_rows WHERE "+c.by()+" = ? ORDER BY i", writes), key)
	}
	text, err := c.listText(ctx, key, writes)
	if err != nil {
		return nil, err
	}
	list := []int{}
	for f := range strings.SplitSeq(text, ",") {
		if f == "" {
			continue
		}
		e, err := strconv.Atoi(f)
		if err != nil {
			return nil, fmt.Errorf("read element: %w", err)
		}
		list = append(list, e)
	}
	return list, nil
}

func (c *Conn) listText(ctx context.Context, key int, writes bool) (string, error) {
	_, rows, err := c.s.query(ctx, c.locked("SELECT v FROM lists WHERE "+c.by()+" = ?", writes), key)
	if err != nil || len(rows) == 0 {
		return "", err
	}
	return rows[0][0], nil
}

func (c *Conn) appendTo(ctx context.Context, key, value int) error {
	switch c.levels[levelAppend] {
	case "rows":
		// Two that take the same number exclude each other by the primary key.
		_, _, err := c.s.exec(ctx, `INSERT INTO list_rows (pk, sk, nk, i, v)
			SELECT ?, ?, ?, COALESCE(MAX(i), 0) + 1, ? FROM list_rows WHERE `+c.by()+" = ?", key, key, key, value, key)
		return err
	case "rmw":
		text, err := c.listText(ctx, key, true)
		if err != nil {
			return err
		}
		return c.upsert(ctx, "lists", "VALUES(v)", key, strings.TrimPrefix(text+","+strconv.Itoa(value), ","))
	}
	return c.upsert(ctx, "lists", "CONCAT(v, ',', VALUES(v))", key, strconv.Itoa(value))
}

// upsert changes the row of a key, or makes it. By the primary key that is one
// statement; by other columns it is an update, and what makes the row if there
// was none.
func (c *Conn) upsert(ctx context.Context, table, to string, key int, value string) error {
	if by := c.by(); by != "pk" {
		set := strings.ReplaceAll(to, "VALUES(v)", "?")
		found, _, err := c.s.exec(ctx, "UPDATE "+table+" SET v = "+set+" WHERE "+by+" = ?", value, key)
		if err != nil || found > 0 {
			return err
		}
	}
	_, _, err := c.s.exec(ctx, "INSERT INTO "+table+" (pk, sk, nk, v) VALUES (?, ?, ?, ?) ON DUPLICATE KEY UPDATE v = "+to,
		key, key, key, value)
	return err
}
