package counter

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"

	"github.com/capstan-dev/capstan/checker"
	check "github.com/capstan-dev/capstan/checker/counter"
	"github.com/capstan-dev/capstan/workloads"
	"github.com/capstan-dev/capstan/workloads/gen"
)

// New makes the workload of one run.
func New(opts check.Options) workloads.Workload { return workload{opts} }

type workload struct{ opts check.Options }

func (workload) Name() string { return "counter" }

func (workload) Doc() string {
	return "increment a counter and read it; every acknowledged increment must count once in the end"
}

// Source adds 1 to 5 and reads, half and half.
func (workload) Source(p workloads.Params) gen.Source {
	rng := rand.New(rand.NewPCG(p.Seed, 0))
	return gen.Func(func() gen.Op {
		if rng.IntN(2) == 0 {
			return gen.Op{F: "read", Value: json.RawMessage("null")}
		}
		return gen.Op{F: "add", Value: strconv.AppendInt(nil, int64(1+rng.IntN(5)), 10)}
	})
}

// Final reads the counter through every worker.
func (workload) Final(workloads.Params) gen.Source {
	return gen.Synchronize(gen.EachWorker(func(int) gen.Op {
		return gen.Op{F: "read", Value: json.RawMessage("null")}
	}))
}

// Bind wants a Store.
func (workload) Bind(conn io.Closer) (workloads.Client, error) {
	s, ok := conn.(Store)
	if !ok {
		return nil, fmt.Errorf("the connection has no AddTo and Get of a counter")
	}
	return client{s}, nil
}

func (w workload) Checks() ([]checker.Checker, error) {
	return []checker.Checker{check.New(w.opts)}, nil
}

type client struct{ store Store }

func (c client) Invoke(ctx context.Context, op gen.Op) (json.RawMessage, error) {
	switch op.F {
	case "add":
		v, err := workloads.Arg[int](op.F, op.Value)
		if err != nil {
			return nil, err
		}
		return nil, c.store.AddTo(ctx, v)
	case "read":
		v, err := c.store.Get(ctx)
		return strconv.AppendInt(nil, int64(v), 10), err
	}
	return nil, workloads.NoSuch("counter", op)
}
