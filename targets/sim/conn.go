package sim

import (
	"context"
	"fmt"

	world "github.com/capstan-dev/capstan/cluster/sim"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/workloads/register"
)

// conn speaks the verbs of all workloads; each topology has a type that shows
// those that it serves.
type conn struct {
	node   string
	client *world.Client
}

// ask makes one call. A rejection proves that it had no effect.
func (c *conn) ask(ctx context.Context, o op) (result, error) {
	v, err := c.client.Call(ctx, o)
	if err != nil {
		return result{}, err
	}
	res := v.(result)
	switch res.outcome {
	case rejected:
		return res, fmt.Errorf("%s: %s: %w", c.node, res.why, history.ErrNotApplied)
	case unknown:
		return res, fmt.Errorf("%s: %s: nobody knows whether it was applied", c.node, res.why)
	}
	return res, nil
}

// Close does nothing: a simulated connection holds nothing.
func (c *conn) Close() error { return nil }

// add serves sets and counters, whose verb is the same: a node adds the element
// to its set and as much to its counter, and a run looks at one of the two.
func (c *conn) add(ctx context.Context, x int) error {
	_, err := c.ask(ctx, op{kind: opAdd, key: x})
	return err
}

func (c *conn) readAll(ctx context.Context) ([]int, error) {
	res, err := c.ask(ctx, op{kind: opAll})
	return res.all, err
}

func (c *conn) get(ctx context.Context) (int, error) {
	res, err := c.ask(ctx, op{kind: opGet})
	return res.value, err
}

func (c *conn) read(ctx context.Context, key int) (int, bool, error) {
	res, err := c.ask(ctx, op{kind: opRead, key: key})
	return res.value, res.ok, err
}

func (c *conn) write(ctx context.Context, key, v int) error {
	_, err := c.ask(ctx, op{kind: opWrite, key: key, a: v})
	return err
}

func (c *conn) cas(ctx context.Context, key, old, new int) (register.Swap, error) {
	res, err := c.ask(ctx, op{kind: opCAS, key: key, a: old, b: new})
	if err != nil || res.ok {
		return register.Swap{Done: err == nil}, err
	}
	return register.Found(res.value, res.found), nil
}

// logConn is a connection to a replicated log, which has every data type.
type logConn struct{ *conn }

// Read implements register.Store.
func (c *logConn) Read(ctx context.Context, key int) (int, bool, error) { return c.read(ctx, key) }

// Write implements register.Store.
func (c *logConn) Write(ctx context.Context, key, v int) error { return c.write(ctx, key, v) }

// CAS implements register.Store.
func (c *logConn) CAS(ctx context.Context, key, old, new int) (register.Swap, error) {
	return c.cas(ctx, key, old, new)
}

// Add implements set.Store.
func (c *logConn) Add(ctx context.Context, x int) error { return c.add(ctx, x) }

// ReadAll implements set.Store.
func (c *logConn) ReadAll(ctx context.Context) ([]int, error) { return c.readAll(ctx) }

// AddTo implements counter.Store.
func (c *logConn) AddTo(ctx context.Context, delta int) error { return c.add(ctx, delta) }

// Get implements counter.Store.
func (c *logConn) Get(ctx context.Context) (int, error) { return c.get(ctx) }

// cellConn is a connection to a store of cells with timestamps, which has no
// counter.
type cellConn struct{ *conn }

// Read implements register.Store.
func (c *cellConn) Read(ctx context.Context, key int) (int, bool, error) { return c.read(ctx, key) }

// Write implements register.Store.
func (c *cellConn) Write(ctx context.Context, key, v int) error { return c.write(ctx, key, v) }

// CAS implements register.Store.
func (c *cellConn) CAS(ctx context.Context, key, old, new int) (register.Swap, error) {
	return c.cas(ctx, key, old, new)
}

// Add implements set.Store.
func (c *cellConn) Add(ctx context.Context, x int) error { return c.add(ctx, x) }

// ReadAll implements set.Store.
func (c *cellConn) ReadAll(ctx context.Context) ([]int, error) { return c.readAll(ctx) }

// crdtConn is a connection to conflict-free counters and sets.
type crdtConn struct{ *conn }

// Add implements set.Store.
func (c *crdtConn) Add(ctx context.Context, x int) error { return c.add(ctx, x) }

// ReadAll implements set.Store.
func (c *crdtConn) ReadAll(ctx context.Context) ([]int, error) { return c.readAll(ctx) }

// AddTo implements counter.Store.
func (c *crdtConn) AddTo(ctx context.Context, delta int) error { return c.add(ctx, delta) }

// Get implements counter.Store.
func (c *crdtConn) Get(ctx context.Context) (int, error) { return c.get(ctx) }
