package postgres

import (
	"context"
	"strconv"

	"github.com/capstan-dev/capstan/workloads/bank"
	"github.com/capstan-dev/capstan/workloads/counter"
	"github.com/capstan-dev/capstan/workloads/ids"
	"github.com/capstan-dev/capstan/workloads/monotonic"
	"github.com/capstan-dev/capstan/workloads/writeskew"
)

var (
	_ bank.Store      = (*Conn)(nil)
	_ counter.Store   = (*Conn)(nil)
	_ ids.Store       = (*Conn)(nil)
	_ monotonic.Store = (*Conn)(nil)
	_ writeskew.Store = (*Conn)(nil)
)

// AddTo implements counter.Store.
func (c *Conn) AddTo(ctx context.Context, delta int) error {
	_, err := c.change(ctx, "INSERT INTO counters VALUES (0, $1) ON CONFLICT (id) DO UPDATE SET v = counters.v + excluded.v", delta)
	return err
}

// Get implements counter.Store.
func (c *Conn) Get(ctx context.Context) (int, error) {
	text, err := c.query(ctx, "coalesce((SELECT v FROM counters WHERE id = 0), 0)")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(text)
}

// NextID implements ids.Store: a sequence.
func (c *Conn) NextID(ctx context.Context) (string, error) {
	row, err := c.s.row(ctx, "SELECT nextval('ids')")
	if err != nil {
		return "", classify(err)
	}
	return row[0], nil
}

// OpenAccounts implements bank.Store.
func (c *Conn) OpenAccounts(ctx context.Context, n, balance int) error {
	_, err := c.change(ctx, "INSERT INTO accounts SELECT id, $2::bigint FROM generate_series(0, $1::int - 1) AS id ON CONFLICT DO NOTHING", n, balance)
	return err
}
