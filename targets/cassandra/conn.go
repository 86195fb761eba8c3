package cassandra

import (
	"context"
	"fmt"
	"io"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/workloads/counter"
	"github.com/capstan-dev/capstan/workloads/ids"
	"github.com/capstan-dev/capstan/workloads/register"
	"github.com/capstan-dev/capstan/workloads/set"
)

// Conn is one process' session with one node, which coordinates its requests.
// It is not dialled anew when it breaks; Closed tells, and whoever opened it
// opens another.
type Conn struct {
	s      *session
	levels map[string]string
}

var (
	_ register.Store = (*Conn)(nil)
	_ set.Store      = (*Conn)(nil)
	_ counter.Store  = (*Conn)(nil)
	_ ids.Store      = (*Conn)(nil)
)

// Open implements targets.System.
func (s *system) Open(ctx context.Context, node string, _ int) (io.Closer, error) {
	ses, err := s.dial(ctx, node)
	if err != nil {
		return nil, targets.NotApplied(err)
	}
	return &Conn{s: ses, levels: s.Spec.Levels}, nil
}

// Close ends the connection without waiting for calls in flight.
func (c *Conn) Close() error { c.s.Close(); return nil }

// Closed is true once the connection is of no use any more.
func (c *Conn) Closed() bool { return c.s.Closed() }

func isSerial(level string) bool { return level == serial || level == localSerial }

// plain is a level for what is not read and written by Paxos.
func plain(level string) gocql.Consistency {
	switch level {
	case serial:
		return gocql.Quorum
	case localSerial:
		return gocql.LocalQuorum
	}
	return gocql.ParseConsistency(level)
}

// read is a request at the read level.
func (c *Conn) read(cql string, args ...any) *gocql.Query {
	return c.s.Query(cql, args...).Consistency(plain(c.levels[levelRead]))
}

// readRegister is the same for what may be written by lightweight transactions.
func (c *Conn) readRegister(cql string, args ...any) *gocql.Query {
	if level := c.levels[levelRead]; isSerial(level) {
		return c.s.Query(cql, args...).Consistency(gocql.ParseConsistency(level))
	}
	return c.read(cql, args...)
}

// write makes a plain write.
func (c *Conn) write(ctx context.Context, cql string, args ...any) error {
	if c.Closed() {
		return targets.ErrClosed
	}
	q := c.s.Query(cql, args...).Consistency(plain(c.levels[levelWrite]))
	return classify(q.ExecContext(ctx))
}

// scope is where a lightweight transaction is agreed on, and at which level its
// commit is acknowledged. Where only compare-and-sets are serial that is all
// datacenters.
func (c *Conn) scope() (paxos, commit gocql.Consistency) {
	if c.levels[levelWrite] == localSerial {
		return gocql.LocalSerial, gocql.LocalQuorum
	}
	return gocql.Serial, gocql.Quorum
}

// transact makes a lightweight transaction. If its condition did not hold, it
// returns what was found; nothing if there was no row.
func (c *Conn) transact(ctx context.Context, cql string, args ...any) (applied bool, found map[string]any, err error) {
	if c.Closed() {
		return false, nil, targets.ErrClosed
	}
	paxos, commit := c.scope()
	found = map[string]any{}
	q := c.s.Query(cql, args...).Consistency(commit).SerialConsistency(paxos)
	applied, err = q.MapScanCASContext(ctx, found)
	return applied, found, classifyCAS(err)
}

// scan reads one row; there is false if there is none.
func (c *Conn) scan(ctx context.Context, q *gocql.Query, dest ...any) (there bool, err error) {
	if c.Closed() {
		return false, targets.ErrClosed
	}
	it := q.IterContext(ctx)
	there = it.Scan(dest...)
	return there, classify(it.Close())
}

// Read implements register.Store.
func (c *Conn) Read(ctx context.Context, key int) (int, bool, error) {
	var v *int
	_, err := c.scan(ctx, c.readRegister("SELECT v FROM "+keyspace+".registers WHERE k = ?", key), &v)
	if err != nil || v == nil {
		return 0, false, err
	}
	return *v, true, nil
}

// Write implements register.Store. A lightweight transaction must have a
// condition; that the register has another value is none that matters.
func (c *Conn) Write(ctx context.Context, key, v int) error {
	if !isSerial(c.levels[levelWrite]) {
		return c.write(ctx, "UPDATE "+keyspace+".registers SET v = ? WHERE k = ?", v, key)
	}
	_, _, err := c.transact(ctx, "UPDATE "+keyspace+".registers SET v = ? WHERE k = ? IF v != ?", v, key, v)
	return err
}

// CAS implements register.Store.
func (c *Conn) CAS(ctx context.Context, key, old, new int) (register.Swap, error) {
	if !isSerial(c.levels[levelWrite]) {
		switch c.levels[levelCAS] {
		case casRefused:
			return register.Swap{}, fmt.Errorf("%w: a plain write has no condition", history.ErrNotOffered)
		case casClient:
			return c.readModifyWrite(ctx, key, old, new)
		}
	}
	applied, found, err := c.transact(ctx, "UPDATE "+keyspace+".registers SET v = ? WHERE k = ? IF v = ?", new, key, old)
	if err != nil || applied {
		return register.Swap{Done: applied}, err
	}
	v, there := found["v"].(int)
	return register.Found(v, there), nil
}

// readModifyWrite is no compare-and-set: what others write in between is lost.
func (c *Conn) readModifyWrite(ctx context.Context, key, old, new int) (register.Swap, error) {
	v, there, err := c.Read(ctx, key)
	if err != nil {
		return register.Swap{}, targets.NotApplied(err)
	}
	if !there || v != old {
		return register.Found(v, there), nil
	}
	return register.Swap{Done: true}, c.Write(ctx, key, new)
}

// The set and the counter of a run are in one partition, with this key.
const only = 0

// Add implements set.Store.
func (c *Conn) Add(ctx context.Context, element int) error {
	if c.levels[levelSet] == "collection" {
		return c.write(ctx, "UPDATE "+keyspace+".sets SET v = v + ? WHERE k = ?", []int{element}, only)
	}
	return c.write(ctx, "INSERT INTO "+keyspace+".elements (k, v) VALUES (?, ?)", only, element)
}

// ReadAll implements set.Store.
func (c *Conn) ReadAll(ctx context.Context) ([]int, error) {
	if c.levels[levelSet] == "collection" {
		var all []int
		_, err := c.scan(ctx, c.read("SELECT v FROM "+keyspace+".sets WHERE k = ?", only), &all)
		return all, err
	}
	if c.Closed() {
		return nil, targets.ErrClosed
	}
	all := []int{}
	it := c.read("SELECT v FROM "+keyspace+".elements WHERE k = ?", only).IterContext(ctx)
	for v := 0; it.Scan(&v); {
		all = append(all, v)
	}
	return all, classify(it.Close())
}

// AddTo implements counter.Store.
func (c *Conn) AddTo(ctx context.Context, delta int) error {
	return c.write(ctx, "UPDATE "+keyspace+".counters SET n = n + ? WHERE k = ?", int64(delta), only)
}

// Get implements counter.Store.
func (c *Conn) Get(ctx context.Context) (int, error) {
	n := 0
	_, err := c.scan(ctx, c.read("SELECT n FROM "+keyspace+".counters WHERE k = ?", only), &n)
	return n, err
}

// NextID implements ids.Store: a UUID of the node's address and clock.
func (c *Conn) NextID(ctx context.Context) (string, error) {
	var id gocql.UUID
	q := c.s.Query("SELECT now() FROM system.local").Consistency(gocql.One)
	if there, err := c.scan(ctx, q, &id); err != nil || !there {
		return "", err
	}
	return id.String(), nil
}
