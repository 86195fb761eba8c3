package tables

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/capstan-dev/capstan/workloads/txn"
)

// AppendTxn implements txn.Appender.
func (c *Client) AppendTxn(ctx context.Context, mops []txn.Mop) ([]txn.Mop, error) {
	return c.txn(ctx, mops, func(m *txn.Mop, writes bool) (err error) {
		if m.F == "append" {
			return c.appendTo(ctx, m.Key, m.Value)
		}
		m.List, err = c.list(ctx, m.Key, writes)
		return err
	})
}

// WriteTxn implements txn.Registers.
func (c *Client) WriteTxn(ctx context.Context, mops []txn.Mop) ([]txn.Mop, error) {
	return c.txn(ctx, mops, func(m *txn.Mop, writes bool) (err error) {
		if m.F == "w" {
			return c.upsert(ctx, c.dialect.Register, m.Key, strconv.Itoa(m.Value))
		}
		m.Value, m.Known, err = c.value(ctx, "registers", m.Key, writes)
		return err
	})
}

// txn runs the micro-operations of a transaction.
func (c *Client) txn(ctx context.Context, mops []txn.Mop, do func(m *txn.Mop, writes bool) error) ([]txn.Mop, error) {
	writes := false
	for _, m := range mops {
		writes = writes || m.F != "r"
	}
	err := c.session.Transact(ctx, func() (bool, error) {
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

// list reads a list: one row of text, or a row for each element.
func (c *Client) list(ctx context.Context, key int, writes bool) ([]int, error) {
	if c.levels[LevelAppend] == "rows" {
		return c.numbers(ctx, c.locked("SELECT v FROM list_rows"+c.by()+" ORDER BY i", writes), key)
	}
	text, err := c.listText(ctx, key, writes)
	list := []int{}
	for f := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' }) {
		e, err := strconv.Atoi(f)
		if err != nil {
			return nil, fmt.Errorf("read element: %w", err)
		}
		list = append(list, e)
	}
	return list, err
}

// listText reads a list that is one row of text; there is none at first.
func (c *Client) listText(ctx context.Context, key int, writes bool) (string, error) {
	rows, err := c.session.Query(ctx, c.locked("SELECT v FROM lists"+c.by(), writes), key)
	if err != nil || len(rows) == 0 {
		return "", err
	}
	return rows[0][0], nil
}

// value reads the value of a row of one number, if it is there.
func (c *Client) value(ctx context.Context, table string, key int, writes bool) (v int, known bool, err error) {
	vs, err := c.numbers(ctx, c.locked("SELECT v FROM "+table+c.by(), writes), key)
	return append(vs, 0)[0], len(vs) > 0, err
}

func (c *Client) appendTo(ctx context.Context, key, value int) error {
	text := strconv.Itoa(value)
	switch c.levels[LevelAppend] {
	case "rows":
		// Two that take the same number exclude each other by the primary key.
		return c.change(ctx, c.dialect.NextRow+c.by(), key, value)
	case "rmw":
		before, err := c.listText(ctx, key, true)
		if err != nil {
			return err
		}
		return c.upsert(ctx, c.dialect.List, key, strings.TrimPrefix(before+","+text, ","))
	}
	return c.upsert(ctx, c.dialect.Concat, key, text)
}

// upsert changes the row of a key, or makes it. By the primary key that is one
// statement; by other columns it is an update, and what makes the row if there
// was none.
func (c *Client) upsert(ctx context.Context, u Upsert, key int, value string) error {
	if index := c.levels[LevelIndex]; index == "secondary" || index == "none" {
		found, err := c.session.Change(ctx, u.Update+c.by(), key, value)
		if err != nil || found > 0 {
			return err
		}
	}
	return c.change(ctx, u.Insert, key, value)
}
