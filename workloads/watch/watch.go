package watch

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/capstan-dev/capstan/checker"
	check "github.com/capstan-dev/capstan/checker/watch"
	"github.com/capstan-dev/capstan/workloads"
	"github.com/capstan-dev/capstan/workloads/gen"
)

// New makes the workload of one run.
func New() workloads.Workload { return &workload{} }

type workload struct{ watchers *watchers }

func (*workload) Name() string { return "watch" }

func (*workload) Doc() string {
	return "some write a value, others watch it; all must be told of the same writes in the same order, none left out"
}

// Source lets half of the workers of each node write and the others watch.
func (w *workload) Source(p workloads.Params) gen.Source {
	w.watchers = &watchers{nodes: max(1, p.Nodes), next: map[int]int64{}}
	return w.watchers
}

// Final writes a last value, and lets every worker watch until it was told of
// that.
func (w *workload) Final(workloads.Params) gen.Source {
	return gen.Phases(&lastWrite{watchers: w.watchers}, &lastWatches{watchers: w.watchers, asked: map[int]int{}, told: map[int]bool{}})
}

// Bind wants a Store.
func (*workload) Bind(conn io.Closer) (workloads.Client, error) {
	s, ok := conn.(Store)
	if !ok {
		return nil, fmt.Errorf("the connection has no watches")
	}
	return client{s}, nil
}

func (*workload) Checks() ([]checker.Checker, error) { return []checker.Checker{check.New()}, nil }

type client struct{ store Store }

func (c client) Invoke(ctx context.Context, op gen.Op) (json.RawMessage, error) {
	switch op.F {
	case "write":
		v, err := workloads.Arg[int](op.F, op.Value)
		if err != nil {
			return nil, err
		}
		return nil, c.store.WriteWatched(ctx, v)
	case "watch":
		after, err := workloads.Arg[int64](op.F, op.Value)
		if err != nil {
			return nil, err
		}
		values, revision, err := c.store.Watch(ctx, after)
		if err != nil {
			return nil, err
		}
		b := workloads.AppendInts([]byte(`{"values":`), values)
		return fmt.Appendf(b, `,"revision":%d}`, revision), nil
	}
	return nil, workloads.NoSuch("watch", op)
}
