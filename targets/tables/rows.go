package tables

import (
	"context"
	"fmt"
)

// Transfer implements bank.Store.
func (c *Client) Transfer(ctx context.Context, from, to, amount int) (done bool, err error) {
	err = c.session.Transact(ctx, func() (bool, error) {
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
		if err := c.change(ctx, update, balances[0]-amount, from); err != nil {
			return false, err
		}
		return true, c.change(ctx, update, balances[1]+amount, to)
	})
	return done, err
}

// Balances implements bank.Store. Two statements read half of the accounts
// each, so that it shows where a transaction has no snapshot.
func (c *Client) Balances(ctx context.Context) ([]int, error) {
	halves := make([][]int, 2)
	err := c.session.Transact(ctx, func() (commit bool, err error) {
		for half := range halves {
			if halves[half], err = c.numbers(ctx, c.dialect.Half, half); err != nil {
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
func (c *Client) Increment(ctx context.Context, key int) (v int, err error) {
	err = c.session.Transact(ctx, func() (bool, error) {
		vs, err := c.numbers(ctx, c.locked("SELECT v FROM monotonic WHERE k = $1", true), key)
		if err != nil {
			return false, err
		}
		v = append(vs, 0)[0] + 1
		return true, c.change(ctx, c.dialect.Count, key, v)
	})
	return v, err
}

// ReadMany implements monotonic.Store: a statement for each key.
func (c *Client) ReadMany(ctx context.Context, keys []int) ([]int, error) {
	values := make([]int, len(keys))
	err := c.session.Transact(ctx, func() (bool, error) {
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
func (c *Client) InsertUnless(ctx context.Context, key, table, id int) (done bool, err error) {
	tables := []string{"skew_a", "skew_b"}
	err = c.session.Transact(ctx, func() (bool, error) {
		for _, t := range tables {
			found, err := c.numbers(ctx, c.locked("SELECT id FROM "+t+" WHERE k = $1", true), key)
			if err != nil || len(found) > 0 {
				return false, err
			}
		}
		done = true
		return true, c.change(ctx, "INSERT INTO "+tables[table]+" VALUES ($1, $2)", id, key)
	})
	return done, err
}
