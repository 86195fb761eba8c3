package spanner

import (
	"context"
	"fmt"

	pb "cloud.google.com/go/spanner/apiv1/spannerpb"

	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/workloads/counter"
	"github.com/capstan-dev/capstan/workloads/ids"
	"github.com/capstan-dev/capstan/workloads/register"
	"github.com/capstan-dev/capstan/workloads/set"
)

// Conn is one process' connection to one node, with a session of its own. It is
// not dialled anew when it breaks; Closed tells, and whoever opened it opens
// another.
type Conn struct {
	ch      *channel
	session string
	bound   *pb.TransactionOptions_ReadOnly
}

var (
	_ register.Store = (*Conn)(nil)
	_ set.Store      = (*Conn)(nil)
	_ counter.Store  = (*Conn)(nil)
	_ ids.Store      = (*Conn)(nil)
)

// Close ends the connection without waiting for calls in flight. What is left of
// a session ends by itself.
func (c *Conn) Close() error { return c.ch.Close() }

// Closed is true once the connection is of no use any more.
func (c *Conn) Closed() bool { return c.ch.Closed() }

// read is a transaction that only reads, in one request and so in one snapshot,
// at the timestamp of the level. No limit is 0.
func (c *Conn) read(ctx context.Context, table string, keys *pb.KeySet, limit int64) ([]row, error) {
	if c.Closed() {
		return nil, targets.ErrClosed
	}
	got, err := c.ch.Read(ctx, &pb.ReadRequest{
		Session: c.session, Table: table, Columns: columns(), KeySet: keys, Limit: limit,
		Transaction: &pb.TransactionSelector{Selector: &pb.TransactionSelector_SingleUse{
			SingleUse: &pb.TransactionOptions{Mode: &pb.TransactionOptions_ReadOnly_{ReadOnly: c.bound}},
		}},
	})
	if err != nil {
		return nil, classify(err)
	}
	return rows(got)
}

// readNumbers reads the values of keys in one snapshot.
func (c *Conn) readNumbers(ctx context.Context, table string, keys ...int) (map[int]int, error) {
	rs, err := c.read(ctx, table, keySet(keys...), 0)
	if err != nil {
		return nil, err
	}
	values := make(map[int]int, len(rs))
	for _, r := range rs {
		if values[r.key], err = r.number(); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// readAll reads all values of a table, by its key's order, in one snapshot.
func (c *Conn) readAll(ctx context.Context, table string) ([]int, error) {
	rs, err := c.read(ctx, table, &pb.KeySet{All: true}, 0)
	if err != nil {
		return nil, err
	}
	all := make([]int, len(rs))
	for i, r := range rs {
		if all[i], err = r.number(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// write is a transaction that writes without reading, in one request.
func (c *Conn) write(ctx context.Context, ms ...*pb.Mutation) error {
	t := transaction{c: c, writes: ms}
	return t.commit(ctx)
}

// Read implements register.Store.
func (c *Conn) Read(ctx context.Context, key int) (v int, ok bool, err error) {
	vs, err := c.readNumbers(ctx, "registers", key)
	v, ok = vs[key]
	return v, ok, err
}

// Write implements register.Store.
func (c *Conn) Write(ctx context.Context, key, v int) error {
	return c.write(ctx, put("registers", key, integer(v)))
}

// CAS implements register.Store. A transaction that found another value is
// committed too: it is then that what it read is known to be current.
func (c *Conn) CAS(ctx context.Context, key, old, new int) (swap register.Swap, err error) {
	err = c.transact(ctx, func(t *transaction) error {
		v, ok, err := t.number(ctx, "registers", key)
		if err != nil {
			return err
		}
		if !ok || v != old {
			swap = register.Found(v, ok)
			return nil
		}
		swap = register.Swap{Done: true}
		t.write(put("registers", key, integer(new)))
		return nil
	})
	if err != nil {
		return register.Swap{}, err
	}
	return swap, nil
}

// Add implements set.Store. The key is made by the server, so that an element
// that were added twice would be there twice.
func (c *Conn) Add(ctx context.Context, element int) error {
	return c.write(ctx, insert("elements", element))
}

// ReadAll implements set.Store.
func (c *Conn) ReadAll(ctx context.Context) ([]int, error) { return c.readAll(ctx, "elements") }

// AddTo implements counter.Store.
func (c *Conn) AddTo(ctx context.Context, delta int) error {
	_, err := c.increase(ctx, "counters", 0, delta)
	return err
}

// Get implements counter.Store.
func (c *Conn) Get(ctx context.Context) (int, error) {
	vs, err := c.readNumbers(ctx, "counters", 0)
	return vs[0], err
}

// NextID implements ids.Store: a sequence makes the key of a new row.
func (c *Conn) NextID(ctx context.Context) (id string, err error) {
	err = c.transact(ctx, func(t *transaction) error {
		got, err := t.change(ctx, "INSERT INTO ids (v) VALUES (0) THEN RETURN k")
		if err == nil && len(got.Rows) != 1 {
			err = fmt.Errorf("%d rows, want 1", len(got.Rows))
		}
		if err != nil {
			return err
		}
		id = got.Rows[0].Values[0].GetStringValue()
		return nil
	})
	return id, err
}
