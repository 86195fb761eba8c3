package writeskew

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/capstan-dev/capstan/checker"
	check "github.com/capstan-dev/capstan/checker/writeskew"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/workloads"
	"github.com/capstan-dev/capstan/workloads/gen"
)

// New makes the workload of one run.
func New() workloads.Workload { return &workload{} }

type workload struct{ source gen.Source }

func (*workload) Name() string { return "write-skew" }

func (*workload) Doc() string {
	return "two transactions insert a row for a fresh key, each into a table of its own and only if neither has one; only one may succeed"
}

// Transactional implements workloads.Transactional.
func (*workload) Transactional() {}

// Source gives each fresh key to two workers, one right after the other.
func (w *workload) Source(workloads.Params) gen.Source {
	n := -1
	w.source = gen.Func(func() gen.Op {
		n++
		return gen.Op{F: "insert", Value: gen.Keyed(n/2, fmt.Appendf(nil, "[%d,%d]", n%2, n))}
	})
	return w.source
}

// Final goes on a while: there is nothing to read in the end.
func (w *workload) Final(p workloads.Params) gen.Source {
	return gen.Synchronize(gen.Limit(2*p.Concurrency, w.source))
}

// Bind wants a Store.
func (*workload) Bind(conn io.Closer) (workloads.Client, error) {
	s, ok := conn.(Store)
	if !ok {
		return nil, fmt.Errorf("the connection has no inserts that depend on a predicate")
	}
	return client{s}, nil
}

func (*workload) Checks() ([]checker.Checker, error) { return []checker.Checker{check.New()}, nil }

type client struct{ store Store }

func (c client) Invoke(ctx context.Context, op gen.Op) (json.RawMessage, error) {
	if op.F != "insert" {
		return nil, workloads.NoSuch("write-skew", op)
	}
	key, arg, err := gen.SplitKeyed(op.Value)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", history.ErrNotApplied, err)
	}
	row, err := workloads.Arg[[2]int](op.F, arg)
	if err != nil {
		return nil, err
	}
	done, err := c.store.InsertUnless(ctx, key, row[0], row[1])
	if err == nil && !done {
		return nil, fmt.Errorf("%w: there is a row for key %d", history.ErrUnmet, key)
	}
	return nil, err
}
