package mysql

import (
	"context"
	"fmt"
	"strings"

	"github.com/capstan-dev/capstan/workloads/bank"
	"github.com/capstan-dev/capstan/workloads/monotonic"
	"github.com/capstan-dev/capstan/workloads/writeskew"
)

var (
	_ bank.Store      = (*Conn)(nil)
	_ monotonic.Store = (*Conn)(nil)
	_ writeskew.Store = (*Conn)(nil)
)

// OpenAccounts implements bank.Store.
func (c *Conn) OpenAccounts(ctx context.Context, n, balance int) error {
	rows := make([]string, n)
	for i := range rows {
		rows[i] = fmt.Sprintf("(%d, %d)", i, balance)
	}
	return c.change(ctx, "INSERT IGNORE INTO accounts VALUES "+strings.Join(rows, ", "))
}

// Transfer implements bank.Store.
func (c *Conn) Transfer(ctx context.Context, from, to, amount int) (done bool, err error) {
	err = c.transact(ctx, func() (bool, error) {
		var balances []int
		for _, account := range []int{from, to} {
			b, err := c.column(ctx, c.locked("SELECT balance FROM accounts WHERE id = ?", true), account)
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
		const update = "UPDATE accounts SET balance = ? WHERE id = ?"
		if _, _, err := c.s.exec(ctx, update, balances[0]-amount, from); err != nil {
			return false, err
		}
		_, _, err = c.s.exec(ctx, update, balances[1]+amount, to)
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
			halves[half], err = c.column(ctx, "SELECT balance FROM accounts WHERE MOD(id, 2) = ? ORDER BY id", half)
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
		vs, err := c.column(ctx, c.locked("SELECT v FROM monotonic WHERE k = ?", true), key)
		if err != nil {
			return false, err
		}
		v = append(vs, 0)[0] + 1
		_, _, err = c.s.exec(ctx, "INSERT INTO monotonic VALUES (?, ?) ON DUPLICATE KEY UPDATE v = VALUES(v)", key, v)
		return true, err
	})
	return v, err
}

// ReadMany implements monotonic.Store: a statement for each key.
func (c *Conn) ReadMany(ctx context.Context, keys []int) ([]int, error) {
	values := make([]int, len(keys))
	err := c.transact(ctx, func() (bool, error) {
		for i, k := range keys {
			vs, err := c.column(ctx, "SELECT v FROM monotonic WHERE k = ?", k)
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
			found, err := c.column(ctx, c.locked("SELECT id FROM "+t+" WHERE k = ?", true), key)
			if err != nil || len(found) > 0 {
				return false, err
			}
		}
		done = true
		_, _, err = c.s.exec(ctx, "INSERT INTO "+tables[table]+" VALUES (?, ?)", id, key)
		return true, err
	})
	return done, err
}
