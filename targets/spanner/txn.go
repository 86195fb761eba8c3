package spanner

import (
	"context"
	"errors"
	"fmt"
	"slices"

	pb "cloud.google.com/go/spanner/apiv1/spannerpb"

	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/workloads/bank"
	"github.com/capstan-dev/capstan/workloads/monotonic"
	"github.com/capstan-dev/capstan/workloads/txn"
	"github.com/capstan-dev/capstan/workloads/writeskew"
)

var (
	_ txn.Appender    = (*Conn)(nil)
	_ txn.Registers   = (*Conn)(nil)
	_ bank.Store      = (*Conn)(nil)
	_ monotonic.Store = (*Conn)(nil)
	_ writeskew.Store = (*Conn)(nil)
)

// reads is the keys of a transaction that only reads; ok is false of others.
func reads(mops []txn.Mop) (keys []int, ok bool) {
	for _, m := range mops {
		if m.F != "r" {
			return nil, false
		}
		if !slices.Contains(keys, m.Key) {
			keys = append(keys, m.Key)
		}
	}
	return keys, true
}

// AppendTxn implements txn.Appender. Writes are buffered by the client until the
// commit, as Spanner has it, so that what a transaction wrote it finds there.
func (c *Conn) AppendTxn(ctx context.Context, mops []txn.Mop) ([]txn.Mop, error) {
	if keys, ok := reads(mops); ok {
		return c.readLists(ctx, keys, mops)
	}
	err := c.transact(ctx, func(t *transaction) error {
		written := map[int][]int{}
		for i := range mops {
			m := &mops[i]
			list, err := t.list(ctx, m.Key, written)
			if err != nil {
				return err
			}
			if m.F == "r" {
				m.List = list
			} else {
				written[m.Key] = append(slices.Clone(list), m.Value)
			}
		}
		for k, list := range written {
			t.write(put("lists", k, integers(list)))
		}
		return nil
	})
	return mops, err
}

// list is a key's list as the transaction sees it.
func (t *transaction) list(ctx context.Context, key int, written map[int][]int) ([]int, error) {
	if list, ok := written[key]; ok {
		return list, nil
	}
	rs, err := t.rows(ctx, "lists", keySet(key))
	if err != nil || len(rs) == 0 {
		return []int{}, err
	}
	return rs[0].list()
}

func (c *Conn) readLists(ctx context.Context, keys []int, mops []txn.Mop) ([]txn.Mop, error) {
	rs, err := c.read(ctx, "lists", keySet(keys...), 0)
	if err != nil {
		return nil, err
	}
	lists := map[int][]int{}
	for _, r := range rs {
		if lists[r.key], err = r.list(); err != nil {
			return nil, err
		}
	}
	for i := range mops {
		mops[i].List = append([]int{}, lists[mops[i].Key]...)
	}
	return mops, nil
}

// WriteTxn implements txn.Registers.
func (c *Conn) WriteTxn(ctx context.Context, mops []txn.Mop) ([]txn.Mop, error) {
	if keys, ok := reads(mops); ok {
		vs, err := c.readNumbers(ctx, "wr", keys...)
		for i := range mops {
			mops[i].Value, mops[i].Known = lookUp(vs, mops[i].Key)
		}
		return mops, err
	}
	err := c.transact(ctx, func(t *transaction) (err error) {
		written := map[int]int{}
		for i := range mops {
			m := &mops[i]
			if m.F == "w" {
				written[m.Key] = m.Value
			} else if m.Value, m.Known = lookUp(written, m.Key); !m.Known {
				if m.Value, m.Known, err = t.number(ctx, "wr", m.Key); err != nil {
					return err
				}
			}
		}
		for k, v := range written {
			t.write(put("wr", k, integer(v)))
		}
		return nil
	})
	return mops, err
}

func lookUp(m map[int]int, key int) (int, bool) { v, ok := m[key]; return v, ok }

// increase adds to a number by reading and writing it back.
func (c *Conn) increase(ctx context.Context, table string, key, delta int) (sum int, err error) {
	err = c.transact(ctx, func(t *transaction) error {
		v, _, err := t.number(ctx, table, key)
		sum = v + delta
		t.write(put(table, key, integer(sum)))
		return err
	})
	return sum, err
}

// OpenAccounts implements bank.Store.
func (c *Conn) OpenAccounts(ctx context.Context, n, balance int) error {
	return c.transact(ctx, func(t *transaction) error {
		rs, err := t.rows(ctx, "accounts", &pb.KeySet{All: true})
		if err != nil || len(rs) > 0 {
			return err
		}
		for i := range n {
			t.write(put("accounts", i, integer(balance)))
		}
		return nil
	})
}

// Transfer implements bank.Store.
func (c *Conn) Transfer(ctx context.Context, from, to, amount int) (done bool, err error) {
	if from == to {
		return false, targets.NotApplied(errors.New("transfer to the same account"))
	}
	err = c.transact(ctx, func(t *transaction) error {
		a, _, errA := t.number(ctx, "accounts", from)
		if errA != nil {
			return errA
		}
		b, _, errB := t.number(ctx, "accounts", to)
		if errB != nil || a < amount {
			return errB
		}
		t.write(put("accounts", from, integer(a-amount)), put("accounts", to, integer(b+amount)))
		done = true
		return nil
	})
	return done && err == nil, err
}

// Balances implements bank.Store.
func (c *Conn) Balances(ctx context.Context) ([]int, error) { return c.readAll(ctx, "accounts") }

// Increment implements monotonic.Store.
func (c *Conn) Increment(ctx context.Context, key int) (int, error) {
	return c.increase(ctx, "growing", key, 1)
}

// ReadMany implements monotonic.Store.
func (c *Conn) ReadMany(ctx context.Context, keys []int) ([]int, error) {
	vs, err := c.readNumbers(ctx, "growing", keys...)
	if err != nil {
		return nil, err
	}
	values := make([]int, len(keys))
	for i, k := range keys {
		values[i] = vs[k]
	}
	return values, nil
}

// InsertUnless implements writeskew.Store: its predicate is of an indexed
// column.
func (c *Conn) InsertUnless(ctx context.Context, key, table, id int) (done bool, err error) {
	err = c.transact(ctx, func(t *transaction) error {
		for n := range 2 {
			rs, err := t.byValue(ctx, fmt.Sprintf("skew%d", n), key)
			if err != nil || len(rs) > 0 {
				return err
			}
		}
		t.write(put(fmt.Sprintf("skew%d", table), id, integer(key)))
		done = true
		return nil
	})
	return done && err == nil, err
}
