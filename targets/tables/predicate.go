package tables

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/workloads/predicate"
)

// PredicateTxn implements predicate.Store, on the table items.
func (c *Client) PredicateTxn(ctx context.Context, mops []predicate.Mop) ([]predicate.Mop, error) {
	writes := slices.ContainsFunc(mops, predicate.Mop.Writes)
	var unmet error
	err := c.session.Transact(ctx, func() (bool, error) {
		for i := range mops {
			m := &mops[i]
			met, err := c.item(ctx, m, writes)
			if err != nil {
				return false, fmt.Errorf("%s of %d: %w", m.F, m.Key, err)
			}
			if !met {
				unmet = fmt.Errorf("%w: %s of %d", history.ErrUnmet, m.F, m.Key)
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	return mops, unmet
}

// item does one micro-operation; met is false if its row was there, or was not.
func (c *Client) item(ctx context.Context, m *predicate.Mop, writes bool) (met bool, err error) {
	found := int64(1)
	switch m.F {
	case "insert":
		found, err = c.session.Change(ctx, c.dialect.NewItem, m.Key, m.Value)
	case "w":
		err = c.upsert(ctx, c.dialect.Item, m.Key, strconv.Itoa(m.Value))
	case "delete":
		found, err = c.session.Change(ctx, "DELETE FROM items"+c.by(), m.Key)
	case "r":
		m.Value, m.Known, err = c.value(ctx, "items", m.Key, writes)
	case "rp":
		m.Found, err = c.matching(ctx, m.Test, writes)
	default:
		return false, fmt.Errorf("%w: there is no micro-operation %q", history.ErrNotApplied, m.F)
	}
	return found > 0, err
}

// matching reads the items whose values fulfil a predicate. Column iv has the
// same values as column v, and an index.
func (c *Client) matching(ctx context.Context, t predicate.Test, writes bool) (map[int]int, error) {
	column := "v"
	if c.levels[LevelIndex] == "secondary" {
		column = "iv"
	}
	sql, args := "SELECT pk, "+column+" FROM items", []any{}
	switch t.F {
	case "=":
		sql, args = sql+" WHERE "+column+" = $1", []any{t.Value}
	case "mod":
		sql, args = sql+" WHERE "+column+" % $1 = $2", []any{t.Modulus, t.Value}
	}
	rows, err := c.session.Query(ctx, c.locked(sql, writes), args...)
	if err != nil {
		return nil, err
	}
	found := map[int]int{}
	for _, row := range rows {
		k, err := strconv.Atoi(row[0])
		if err != nil {
			return nil, fmt.Errorf("read key: %w", err)
		}
		if found[k], err = strconv.Atoi(row[1]); err != nil {
			return nil, fmt.Errorf("read value: %w", err)
		}
	}
	return found, nil
}
