package dynamodb

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/workloads/bank"
	"github.com/capstan-dev/capstan/workloads/monotonic"
	"github.com/capstan-dev/capstan/workloads/txn"
)

// Conn is a connection to a system that has transactions as well.
type Conn struct{ Items }

var (
	_ txn.Appender      = (*Conn)(nil)
	_ txn.Registers     = (*Conn)(nil)
	_ bank.Store        = (*Conn)(nil)
	_ monotonic.Store   = (*Conn)(nil)
	_ targets.Isolation = (*system)(nil)
)

// cell is an item that a transaction works on. Its version counts its changes.
type cell struct {
	key      item
	list     []int
	version  int
	there    bool
	modified bool
}

// AppendTxn implements txn.Appender.
func (c *Conn) AppendTxn(ctx context.Context, mops []txn.Mop) ([]txn.Mop, error) {
	return c.txn(ctx, "list", mops, func(m *txn.Mop, e *cell) {
		if m.F == "append" {
			e.list, e.modified = append(slices.Clone(e.list), m.Value), true
			return
		}
		m.List = append([]int{}, e.list...)
	})
}

// WriteTxn implements txn.Registers. A register is a list of one.
func (c *Conn) WriteTxn(ctx context.Context, mops []txn.Mop) ([]txn.Mop, error) {
	return c.txn(ctx, "cell", mops, func(m *txn.Mop, e *cell) {
		if m.F == "w" {
			e.list, e.modified = []int{m.Value}, true
			return
		}
		if m.Known = len(e.list) > 0; m.Known {
			m.Value = e.list[0]
		}
	})
}

// txn reads all items in one transaction, does its work here, and writes in
// another, which takes effect if no item has changed since, or not at all.
func (c *Conn) txn(ctx context.Context, kind string, mops []txn.Mop, do func(*txn.Mop, *cell)) ([]txn.Mop, error) {
	var keys []int
	for _, m := range mops {
		if !slices.Contains(keys, m.Key) {
			keys = append(keys, m.Key)
		}
	}
	cells, err := c.cells(ctx, kind, keys)
	if err != nil {
		return nil, targets.NotApplied(fmt.Errorf("read: %w", err))
	}
	modified := false
	for i := range mops {
		e := &cells[slices.Index(keys, mops[i].Key)]
		do(&mops[i], e)
		modified = modified || e.modified
	}
	if !modified {
		return mops, nil
	}
	return mops, c.store(ctx, cells)
}

// cells reads items.
func (c *Conn) cells(ctx context.Context, kind string, keys []int) ([]cell, error) {
	cells := make([]cell, len(keys))
	for i, k := range keys {
		cells[i].key = key(kind, k)
	}
	found, err := c.together(ctx, cells)
	if err != nil {
		return nil, err
	}
	for i, it := range found {
		if cells[i].list, err = readList(it); err != nil {
			return nil, err
		}
		if cells[i].version, cells[i].there, err = readNumber(it, "version"); err != nil {
			return nil, err
		}
	}
	return cells, nil
}

// together reads items in one transaction; at level read=eventual one after
// another.
func (c *Conn) together(ctx context.Context, cells []cell) ([]item, error) {
	found := make([]item, len(cells))
	if c.levels[levelRead] == eventual {
		for i := range cells {
			it, err := c.get(ctx, cells[i].key)
			if err != nil {
				return nil, err
			}
			found[i] = it
		}
		return found, nil
	}
	req := &dynamodb.TransactGetItemsInput{}
	for i := range cells {
		req.TransactItems = append(req.TransactItems, types.TransactGetItem{Get: &types.Get{TableName: &c.table, Key: cells[i].key}})
	}
	got, err := c.c.TransactGetItems(ctx, req)
	if err != nil {
		return nil, classify(err)
	}
	for i, r := range got.Responses {
		found[i] = r.Item
	}
	return found, nil
}

// store writes what was modified, under the condition that nothing has changed.
func (c *Conn) store(ctx context.Context, cells []cell) error {
	req := &dynamodb.TransactWriteItemsInput{}
	for i := range cells {
		req.TransactItems = append(req.TransactItems, c.stored(&cells[i]))
	}
	_, err := c.c.TransactWriteItems(ctx, req)
	return classify(err)
}

func (c *Conn) stored(e *cell) types.TransactWriteItem {
	unchanged, values := aws.String("attribute_not_exists(version)"), item{}
	if e.there {
		unchanged, values = aws.String("version = :old"), item{":old": number(e.version)}
	}
	if !e.modified {
		check := &types.ConditionCheck{TableName: &c.table, Key: e.key, ConditionExpression: unchanged}
		if len(values) > 0 {
			check.ExpressionAttributeValues = values
		}
		return types.TransactWriteItem{ConditionCheck: check}
	}
	values[":v"], values[":new"] = writeList(e.list), number(e.version+1)
	return types.TransactWriteItem{Update: &types.Update{
		TableName: &c.table, Key: e.key, ConditionExpression: unchanged,
		UpdateExpression: aws.String("SET v = :v, version = :new"), ExpressionAttributeValues: values,
	}}
}

// Increment implements monotonic.Store.
func (c *Conn) Increment(ctx context.Context, k int) (int, error) {
	cells, err := c.cells(ctx, "monotonic", []int{k})
	if err != nil {
		return 0, targets.NotApplied(err)
	}
	n := 1
	if len(cells[0].list) > 0 {
		n = cells[0].list[0] + 1
	}
	cells[0].list, cells[0].modified = []int{n}, true
	return n, c.store(ctx, cells)
}

// ReadMany implements monotonic.Store.
func (c *Conn) ReadMany(ctx context.Context, keys []int) ([]int, error) {
	distinct := slices.Compact(slices.Sorted(slices.Values(keys)))
	cells, err := c.cells(ctx, "monotonic", distinct)
	if err != nil {
		return nil, err
	}
	ns := make([]int, len(keys))
	for i, k := range keys {
		if l := cells[slices.Index(distinct, k)].list; len(l) > 0 {
			ns[i] = l[0]
		}
	}
	return ns, nil
}
