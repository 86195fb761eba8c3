package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/tables"
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
)

// Open implements targets.System.
func (s *system) Open(ctx context.Context, node string, process int) (io.Closer, error) {
	ses, err := s.dial(ctx, node, "capstan-"+strconv.Itoa(process))
	if err != nil {
		return nil, targets.NotApplied(err)
	}
	if err := s.configure(ctx, ses); err != nil {
		return nil, targets.NotApplied(errors.Join(err, ses.Close(ctx)))
	}
	return newConn(ses, node, s.Spec.Levels), nil
}

func newConn(s *session, node string, levels map[string]string) *Conn {
	c := &Conn{s: s, node: node, levels: levels}
	c.Client = tables.New(tables.Session{Transact: c.transact, Query: s.query, Change: s.change}, dialect(), levels)
	return c
}

// configure sets the session's levels. A standby cannot do serializable; its
// sessions read at repeatable read, as PostgreSQL's documentation advises.
func (s *system) configure(ctx context.Context, ses *session) error {
	isolation := strings.ReplaceAll(s.Spec.Levels[levelIsolation], "-", " ")
	if isolation == "" {
		isolation = "read committed"
	}
	commit := s.Spec.Levels[levelCommit]
	if commit == "" {
		commit = "on"
	}
	_, err := ses.row(ctx, `SELECT set_config('synchronous_commit', $1, false),
		set_config('default_transaction_isolation',
			CASE WHEN pg_is_in_recovery() AND $2 = 'serializable' THEN 'repeatable read' ELSE $2 END, false)`,
		commit, isolation)
	if err != nil {
		return fmt.Errorf("set the session's levels: %w", err)
	}
	return nil
}

// Close ends the connection without waiting for calls in flight.
func (c *Conn) Close() error {
	// A stuck server must not hold up the end of a process.
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return c.s.Close(ctx)
}

// Closed is true once the connection is of no use any more.
func (c *Conn) Closed() bool { return c.s.IsClosed() }

// query makes a read. The node tells in the same statement whether it is a
// standby. A read that got no answer is as unknown as a write: it has no effect
// in any case, but a timeout is no refusal, and availability tells them apart.
func (c *Conn) query(ctx context.Context, column string, args ...any) (string, error) {
	row, err := c.s.row(ctx, "SELECT pg_is_in_recovery(), "+column, args...)
	if err != nil {
		return "", classify(err)
	}
	if row[0] == "t" && c.levels[levelRead] == readPrimary {
		return "", targets.NotApplied(fmt.Errorf("%s is a standby; level read=primary", c.node))
	}
	return row[1], nil
}

// change makes a write and returns how many rows it changed.
func (c *Conn) change(ctx context.Context, sql string, args ...any) (int64, error) {
	n, err := c.s.change(ctx, sql, args...)
	return n, classify(err)
}

// Read implements register.Store.
func (c *Conn) Read(ctx context.Context, key int) (v int, ok bool, err error) {
	text, err := c.query(ctx, "coalesce((SELECT v FROM kv WHERE k = $1)::text, '')", key)
	if err != nil || text == "" {
		return 0, false, err
	}
	v, err = strconv.Atoi(text)
	if err != nil {
		return 0, false, targets.NotApplied(fmt.Errorf("read value: %w", err))
	}
	return v, true, nil
}

// Write implements register.Store.
func (c *Conn) Write(ctx context.Context, key, v int) error {
	_, err := c.change(ctx, "INSERT INTO kv VALUES ($1, $2) ON CONFLICT (k) DO UPDATE SET v = excluded.v", key, v)
	return err
}

// CAS implements register.Store. What the statement's snapshot saw is what the
// node held at one moment of the call; if that is the old value, the update had
// waited for another one and found that, and nobody knows which.
func (c *Conn) CAS(ctx context.Context, key, old, new int) (register.Swap, error) {
	row, err := c.s.row(ctx, `WITH swapped AS (UPDATE kv SET v = $3 WHERE k = $1 AND v = $2 RETURNING 1)
		SELECT (SELECT count(*) FROM swapped), coalesce((SELECT v FROM kv WHERE k = $1)::text, '')`, key, old, new)
	if err := errors.Join(err, warned(c.s.warnings)); err != nil {
		return register.Swap{}, classify(err)
	}
	found, err := strconv.Atoi(row[1])
	switch {
	case row[0] != "0":
		return register.Swap{Done: true}, nil
	case row[1] == "":
		return register.Found(0, false), nil
	case err != nil || found == old:
		return register.Swap{}, nil
	}
	return register.Found(found, true), nil
}

// Add implements set.Store.
func (c *Conn) Add(ctx context.Context, element int) error {
	_, err := c.change(ctx, "INSERT INTO elements VALUES ($1)", element)
	return err
}

// ReadAll implements set.Store.
func (c *Conn) ReadAll(ctx context.Context) ([]int, error) {
	text, err := c.query(ctx, "coalesce((SELECT string_agg(v::text, ',') FROM elements), '')")
	if err != nil {
		return nil, err
	}
	elements := []int{}
	for f := range strings.SplitSeq(text, ",") {
		if f == "" {
			continue
		}
		e, err := strconv.Atoi(f)
		if err != nil {
			return nil, targets.NotApplied(fmt.Errorf("read element: %w", err))
		}
		elements = append(elements, e)
	}
	return elements, nil
}
