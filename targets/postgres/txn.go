package postgres

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
	case level == "read-committed" && s.Spec.Levels[levelAppend] == "rmw":
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

// AppendTxn implements txn.Appender.
func (c *Conn) AppendTxn(ctx context.Context, mops []txn.Mop) ([]txn.Mop, error) {
	return c.txn(ctx, mops, func(ctx context.Context, m *txn.Mop, writes bool) (err error) {
		if m.F == "append" {
			return c.appendTo(ctx, m.Key, m.Value)
		}
		m.List, err = c.list(ctx, m.Key, writes)
		return err
	})
}

// WriteTxn implements txn.Registers.
func (c *Conn) WriteTxn(ctx context.Context, mops []txn.Mop) ([]txn.Mop, error) {
	return c.txn(ctx, mops, func(ctx context.Context, m *txn.Mop, writes bool) (err error) {
		if m.F == "w" {
			return c.set(ctx, m.Key, m.Value)
		}
		m.Value, m.Known, err = c.register(ctx, m.Key, writes)
		return err
	})
}

// txn runs the micro-operations of a transaction.
func (c *Conn) txn(ctx context.Context, mops []txn.Mop, do func(context.Context, *txn.Mop, bool) error) ([]txn.Mop, error) {
	writes := false
	for _, m := range mops {
		writes = writes || m.F != "r"
	}
	err := c.transact(ctx, func() (bool, error) {
		for i := range mops {
			if err := do(ctx, &mops[i], writes); err != nil {
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
	return notApplied(why)
}

// commit says what is known of a transaction after its COMMIT was sent. A
// transaction that had failed answers ROLLBACK, and no error.
func (c *Conn) commit(ctx context.Context) error {
	results, err := c.s.exec(ctx, "COMMIT")
	if err != nil {
		return classify(fmt.Errorf("commit: %w", err))
	}
	if tag := results[len(results)-1].CommandTag.String(); tag != "COMMIT" {
		return notApplied(fmt.Errorf("commit: the server answered %s", tag))
	}
	return nil
}

// column is what rows are found by.
func (c *Conn) column() string {
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

// lookup reads column v of a key's rows.
func (c *Conn) lookup(ctx context.Context, sql string, key int) ([]string, error) {
	r := c.s.do(ctx, sql, key)
	if r.Err != nil {
		return nil, r.Err
	}
	var vs []string
	for _, row := range r.Rows {
		vs = append(vs, string(row[0]))
	}
	return vs, nil
}

// list reads a list: one row of text, or a row for each element.
func (c *Conn) list(ctx context.Context, key int, writes bool) ([]int, error) {
	sql := "SELECT v FROM lists WHERE " + c.column() + " = $1"
	if c.levels[levelAppend] == "rows" {
		sql = "SELECT v FROM list_rows WHERE " + c.column() + " = $1 ORDER BY i"
	}
	vs, err := c.lookup(ctx, c.locked(sql, writes), key)
	if err != nil {
		return nil, err
	}
	list := []int{}
	for _, f := range strings.FieldsFunc(strings.Join(vs, ","), func(r rune) bool { return r == ',' }) {
		e, err := strconv.Atoi(f)
		if err != nil {
			return nil, fmt.Errorf("read element: %w", err)
		}
		list = append(list, e)
	}
	return list, nil
}

func (c *Conn) appendTo(ctx context.Context, key, value int) error {
	switch c.levels[levelAppend] {
	case "rows":
		// Two that take the same number exclude each other by the primary key.
		_, err := c.s.change(ctx, `INSERT INTO list_rows SELECT $1::int, $1::int, $1::int, coalesce(max(i), 0) + 1, $2::int
			FROM list_rows WHERE `+c.column()+" = $1", key, value)
		return err
	case "rmw":
		vs, err := c.lookup(ctx, c.locked("SELECT v FROM lists WHERE "+c.column()+" = $1", true), key)
		if err != nil {
			return err
		}
		text := strings.Join(append(vs, strconv.Itoa(value)), ",")
		return c.upsert(ctx, "lists", "$2", key, text)
	}
	return c.upsert(ctx, "lists", "lists.v || ',' || $2", key, strconv.Itoa(value))
}

// register reads a register.
func (c *Conn) register(ctx context.Context, key int, writes bool) (v int, ok bool, err error) {
	vs, err := c.lookup(ctx, c.locked("SELECT v FROM registers WHERE "+c.column()+" = $1", writes), key)
	if err != nil || len(vs) == 0 {
		return 0, false, err
	}
	v, err = strconv.Atoi(vs[0])
	return v, true, err
}

func (c *Conn) set(ctx context.Context, key, value int) error {
	return c.upsert(ctx, "registers", "$2", key, strconv.Itoa(value))
}

// upsert changes the row of a key, or makes it. By the primary key that is one
// statement; by other columns it is an update, and what makes the row if there
// was none.
func (c *Conn) upsert(ctx context.Context, table, to string, key int, value string) error {
	typed := map[string]string{"lists": "$2::text", "registers": "$2::int"}[table]
	to = strings.ReplaceAll(to, "$2", typed)
	if col := c.column(); col != "pk" {
		n, err := c.s.change(ctx, "UPDATE "+table+" SET v = "+to+" WHERE "+col+" = $1", key, value)
		if err != nil || n > 0 {
			return err
		}
	}
	_, err := c.s.change(ctx, "INSERT INTO "+table+" VALUES ($1::int, $1::int, $1::int, "+typed+") ON CONFLICT (pk) DO UPDATE SET v = "+to, key, value)
	return err
}
