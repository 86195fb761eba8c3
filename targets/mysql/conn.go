package mysql

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/tables"
	"github.com/capstan-dev/capstan/workloads/counter"
	"github.com/capstan-dev/capstan/workloads/ids"
	"github.com/capstan-dev/capstan/workloads/register"
	"github.com/capstan-dev/capstan/workloads/set"
)

// Conn is one process' connection to one node. It is not dialled anew when it
// breaks; Closed tells, and whoever opened it opens another.
type Conn struct {
	*tables.Client
	s      *session
	node   string
	levels map[string]string
}

var (
	_ register.Store = (*Conn)(nil)
	_ set.Store      = (*Conn)(nil)
	_ counter.Store  = (*Conn)(nil)
	_ ids.Store      = (*Conn)(nil)
)

// Open implements targets.System.
func (s *system) Open(ctx context.Context, node string, process int) (io.Closer, error) {
	ses, err := s.dial(ctx, node, app, database)
	if err != nil {
		return nil, targets.NotApplied(err)
	}
	set := "SET SESSION TRANSACTION ISOLATION LEVEL " + strings.ReplaceAll(s.Spec.Levels[levelIsolation], "-", " ")
	if _, _, err := ses.exec(ctx, set); err != nil {
		return nil, targets.NotApplied(errors.Join(fmt.Errorf("set the isolation level: %w", err), ses.close()))
	}
	c := &Conn{s: ses, node: node, levels: s.Spec.Levels}
	c.Client = tables.New(tables.Session{Transact: c.transact, Query: ses.rows, Change: ses.change}, statements(), c.levels)
	return c, nil
}

// Close ends the connection without waiting for calls in flight.
func (c *Conn) Close() error { return c.s.close() }

// Closed is true once the connection is of no use any more.
func (c *Conn) Closed() bool { return c.s.closed.Load() }

// read makes a read of one row. The node tells in the same statement whether it
// is a replica. A read that got no answer is as unknown as a write.
func (c *Conn) read(ctx context.Context, column string, args ...any) (string, error) {
	row, err := c.s.row(ctx, "SELECT @@global.read_only, "+column, args...)
	if err != nil {
		return "", classify(err)
	}
	return row[1], c.readable(row[0])
}

// readable refuses what a replica says, unless replicas may be read.
func (c *Conn) readable(readOnly string) error {
	if readOnly != "0" && c.levels[levelRead] == readPrimary {
		return targets.NotApplied(fmt.Errorf("%s is a replica; level read=primary", c.node))
	}
	return nil
}

// change makes a write that commits by itself.
func (c *Conn) change(ctx context.Context, sql string, args ...any) error {
	_, _, err := c.s.exec(ctx, sql, args...)
	return classify(err)
}

// Read implements register.Store.
func (c *Conn) Read(ctx context.Context, key int) (v int, ok bool, err error) {
	text, err := c.read(ctx, "(SELECT v FROM kv WHERE k = ?)", key)
	if err != nil || text == "" {
		return 0, false, err
	}
	v, err = strconv.Atoi(text)
	return v, true, err
}

// Write implements register.Store.
func (c *Conn) Write(ctx context.Context, key, v int) error {
	return c.change(ctx, "INSERT INTO kv VALUES (?, ?) ON DUPLICATE KEY UPDATE v = VALUES(v)", key, v)
}

// CAS implements register.Store: it reads with a lock, which sees what was
// committed last at any isolation level, and writes if it found the old value.
func (c *Conn) CAS(ctx context.Context, key, old, new int) (swap register.Swap, err error) {
	err = c.transact(ctx, func() (commits bool, err error) {
		_, rows, err := c.s.query(ctx, "SELECT v FROM kv WHERE k = ? FOR UPDATE", key)
		if err != nil {
			return false, err
		}
		vs, err := numbers(rows, 0)
		if err != nil {
			return false, err
		}
		if len(vs) == 0 || vs[0] != old {
			swap = register.Found(append(vs, 0)[0], len(vs) > 0)
			return false, nil
		}
		swap = register.Swap{Done: true}
		_, _, err = c.s.exec(ctx, "UPDATE kv SET v = ? WHERE k = ?", new, key)
		return true, err
	})
	return swap, err
}

// Add implements set.Store.
func (c *Conn) Add(ctx context.Context, element int) error {
	return c.change(ctx, "INSERT INTO elements (v) VALUES (?)", element)
}

// ReadAll implements set.Store.
func (c *Conn) ReadAll(ctx context.Context) ([]int, error) {
	// The outer join gives a row of the node's role where there is no element.
	_, rows, err := c.s.query(ctx, "SELECT @@global.read_only, v FROM (SELECT 1) AS one LEFT JOIN elements ON TRUE")
	if err != nil {
		return nil, classify(err)
	}
	if err := c.readable(rows[0][0]); err != nil || rows[0][1] == "" {
		return []int{}, err
	}
	return numbers(rows, 1)
}

// AddTo implements counter.Store.
func (c *Conn) AddTo(ctx context.Context, delta int) error {
	return c.change(ctx, "INSERT INTO counters VALUES (0, ?) ON DUPLICATE KEY UPDATE v = v + VALUES(v)", delta)
}

// Get implements counter.Store.
func (c *Conn) Get(ctx context.Context) (int, error) {
	text, err := c.read(ctx, "COALESCE((SELECT v FROM counters WHERE id = 0), 0)")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(text)
}

// NextID implements ids.Store: an AUTO_INCREMENT column.
func (c *Conn) NextID(ctx context.Context) (string, error) {
	_, id, err := c.s.exec(ctx, "INSERT INTO ids () VALUES ()")
	return strconv.FormatInt(id, 10), classify(err)
}
