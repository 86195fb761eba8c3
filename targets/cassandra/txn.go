package cassandra

import (
	"context"
	"fmt"
	"slices"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/workloads/txn"
)

var (
	_ txn.Appender      = (*Conn)(nil)
	_ txn.Registers     = (*Conn)(nil)
	_ targets.Isolation = (*system)(nil)
)

// Isolation implements targets.Isolation. A batch of conditions and writes in
// one partition is one lightweight transaction, and those of a partition are
// linearizable; so transactions that read serially and then write under the
// condition that nothing has changed are strictly serializable (Cassandra
// documentation, "Guarantees" and CQL "BATCH"). Plain ones are promised
// nothing.
func (s *system) Isolation() string {
	if s.linearizable() {
		return "strict-serializable"
	}
	return ""
}

// cell is a row of the partition that transactions live in. Its version counts
// its changes.
type cell struct {
	version *int
	v       []int
	changed bool // by the transaction
}

// AppendTxn implements txn.Appender.
func (c *Conn) AppendTxn(ctx context.Context, mops []txn.Mop) ([]txn.Mop, error) {
	return c.txn(ctx, mops, func(m *txn.Mop, row *cell) {
		if m.F == "append" {
			row.v = append(slices.Clone(row.v), m.Value)
			row.changed = true
			return
		}
		m.List = append([]int{}, row.v...)
	})
}

// WriteTxn implements txn.Registers. A register is a list of one.
func (c *Conn) WriteTxn(ctx context.Context, mops []txn.Mop) ([]txn.Mop, error) {
	return c.txn(ctx, mops, func(m *txn.Mop, row *cell) {
		if m.F == "w" {
			row.v = []int{m.Value}
			row.changed = true
			return
		}
		if m.Known = len(row.v) > 0; m.Known {
			m.Value = row.v[0]
		}
	})
}

// txn reads all rows at once, does its work here, and writes them in one batch,
// which takes effect as a whole if no row has changed since, or not at all.
// Where write is not serial the batch has no conditions.
func (c *Conn) txn(ctx context.Context, mops []txn.Mop, do func(*txn.Mop, *cell)) ([]txn.Mop, error) {
	var keys []int
	for _, m := range mops {
		if !slices.Contains(keys, m.Key) {
			keys = append(keys, m.Key)
		}
	}
	// Lists and registers of the same key do not meet: a run has either.
	rows, err := c.cells(ctx, keys)
	if err != nil {
		return nil, targets.NotApplied(fmt.Errorf("read: %w", err))
	}
	writes := false
	for i := range mops {
		row := rows[mops[i].Key]
		do(&mops[i], row)
		writes = writes || row.changed
	}
	if !writes {
		return mops, nil
	}
	return mops, c.store(ctx, keys, rows)
}

// cells reads rows of the partition in one request.
func (c *Conn) cells(ctx context.Context, keys []int) (map[int]*cell, error) {
	if c.Closed() {
		return nil, targets.ErrClosed
	}
	rows := map[int]*cell{}
	for _, k := range keys {
		rows[k] = &cell{}
	}
	it := c.readRegister("SELECT k, version, v FROM "+keyspace+".cells WHERE p = ? AND k IN ?", only, keys).IterContext(ctx)
	var k int
	for row := (cell{}); it.Scan(&k, &row.version, &row.v); row = (cell{}) {
		if rows[k] != nil {
			*rows[k] = row
		}
	}
	return rows, classify(it.Close())
}

// store writes back what changed. What was only read is in the batch for the
// sake of its condition.
func (c *Conn) store(ctx context.Context, keys []int, rows map[int]*cell) error {
	if c.Closed() {
		return targets.ErrClosed
	}
	serially := isSerial(c.levels[levelWrite])
	paxos, commit := c.scope()
	if !serially {
		commit = plain(c.levels[levelWrite])
	}
	b := c.s.Batch(gocql.UnloggedBatch).Consistency(commit).SerialConsistency(paxos)
	for _, k := range keys {
		addRow(b, k, rows[k], serially)
	}
	if !serially {
		return classify(b.ExecContext(ctx))
	}
	applied, it, err := b.ExecCASContext(ctx)
	if it != nil {
		_ = it.Close() // what it found is of no interest
	}
	if err != nil {
		return classifyCAS(err)
	}
	if !applied {
		return targets.NotApplied(fmt.Errorf("a row has changed"))
	}
	return nil
}

// addRow adds a row's write, and its condition if there are any.
func addRow(b *gocql.Batch, key int, row *cell, serially bool) {
	const update = "UPDATE " + keyspace + ".cells SET version = ?, v = ? WHERE p = ? AND k = ?"
	switch {
	case !serially && row.changed:
		b.Query(update, next(row.version), row.v, only, key)
	case !serially:
	case row.changed:
		b.Query(update+" IF version = ?", next(row.version), row.v, only, key, row.version)
	default:
		b.Query(update+" IF version = ?", row.version, row.v, only, key, row.version)
	}
}

func next(version *int) int {
	if version == nil {
		return 1
	}
	return *version + 1
}
