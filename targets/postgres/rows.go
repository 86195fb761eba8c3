package postgres

import (
	"context"
	"fmt"
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

// Transfer implements bank.Store.
func (c *Conn) Transfer(ctx context.Context, from, to, amount int) (done bool, err error) {
	err = c.transact(ctx, func() (bool, error) {
		var balances []int
		for _, account := range []int{from, to} {
			b, err := c.numbers(ctx, c.locked("SELECT balance FROM accounts WHERE id = $1", true), account)
			if err != nil {
				return false, err
			}
			if len(b) != 1 {
				return false, fmt.Errorf("there is no account %d", account)
			}
			balances = append(balances, b[0])
		}
		if done = balances[0] >= amount; !done {
			return false, nil
		}
		const update = "UPDATE accounts SET balance = $1 WHERE id = $2"
		if _, err := c.s.change(ctx, update, balances[0]-amount, from); err != nil {
			return false, err
		}
		_, err = c.s.change(ctx, update, balances[1]+amount, to)
		return true, err
	})
	return done, err
}

// Balances implements bank.Store. Two statements read half of the accounts
// each, so that it shows where a transaction has no snapshot.
func (c *Conn) Balances(ctx context.Context) ([]int, error) {
	halves := make([][]int, 2)
	err := c.transact(ctx, func() (commit bool, err error) {
		for half := range halves {
			halves[half], err = c.numbers(ctx, "SELECT balance FROM accounts WHERE id % 2 = $1 ORDER BY id", half)
			if err != nil {
				return false, err
			}
		}
		return true, nil
	})
	all := []int{}
	for i := range halves[0] {
		all = append(all, halves[0][i])
		if i < len(halves[1]) {
			all = append(all, halves[1][i])
		}
	}
	return all, err
}

// Increment implements monotonic.Store.
func (c *Conn) Increment(ctx context.Context, key int) (v int, err error) {
	err = c.transact(ctx, func() (bool, error) {
		vs, err := c.numbers(ctx, c.locked("SELECT v FROM monotonic WHERE k = $1", true), key)
		if err != nil {
			return false, err
		}
		v = append(vs, 0)[0] + 1
		_, err = c.s.change(ctx, "INSERT INTO monotonic VALUES ($1, $2) ON CONFLICT (k) DO UPDATE SET v = excluded.v", key, v)
		return true, err
	})
	return v, err
}

// ReadMany implements monotonic.Store: a statement for each key.
func (c *Conn) ReadMany(ctx context.Context, keys []int) ([]int, error) {
	values := make([]int, len(keys))
	err := c.transact(ctx, func() (bool, error) {
		for i, k := range keys {
			vs, err := c.numbers(ctx, "SELECT v FROM monotonic WHERE k = $1", k)
			if err != nil {
				return false, err
			}
			values[i] = append(vs, 0)[0]
		}
		return true, nil
	})
	return values, err
}

// InsertUnless implements writeskew.Store.
func (c *Conn) InsertUnless(ctx context.Context, key, table, id int) (done bool, err error) {
	tables := []string{"skew_a", "skew_b"}
	err = c.transact(ctx, func() (bool, error) {
		for _, t := range tables {
			found, err := c.numbers(ctx, c.locked("SELECT id FROM "+t+" WHERE k = $1", true), key)
			if err != nil || len(found) > 0 {
				return false, err
			}
		}
		done = true
		_, err := c.s.change(ctx, "INSERT INTO "+tables[table]+" VALUES ($1, $2)", id, key)
		return true, err
	})
	return done, err
}

// numbers reads a query's column of integers.
func (c *Conn) numbers(ctx context.Context, sql string, args ...any) ([]int, error) {
	r := c.s.do(ctx, sql, args...)
	if r.Err != nil {
		return nil, r.Err
	}
	all := make([]int, 0, len(r.Rows))
	for _, row := range r.Rows {
		n, err := strconv.Atoi(string(row[0]))
		if err != nil {
			return nil, fmt.Errorf("read number: %w", err)
		}
		all = append(all, n)
	}
	return all, nil
}
