package set

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/sets"
	"github.com/capstan-dev/capstan/workloads"
	"github.com/capstan-dev/capstan/workloads/gen"
)

// readEvery is the number of adds for each read. A read returns the whole set,
// so that their sizes add up to the square of the number of elements.
const readEvery = 49

// New makes the workload of one run.
func New(opts sets.Options) workloads.Workload { return workload{opts} }

type workload struct{ opts sets.Options }

func (workload) Name() string { return "set" }

func (workload) Doc() string {
	return "add unique elements to a set and read it whole; no acknowledged element may be lost"
}

// Source adds 0, 1, 2, ... and reads now and then.
func (workload) Source(p workloads.Params) gen.Source {
	rng := rand.New(rand.NewPCG(p.Seed, 0))
	next := 0
	return gen.Func(func() gen.Op {
		if rng.IntN(readEvery+1) == 0 {
			return gen.Op{F: "read", Value: json.RawMessage("null")}
		}
		next++
		return gen.Op{F: "add", Value: strconv.AppendInt(nil, int64(next-1), 10)}
	})
}

// Final reads the set through every worker, twice: the second read shows
// whether the nodes still change.
func (workload) Final(workloads.Params) gen.Source {
	read := func(int) gen.Op { return gen.Op{F: "read", Value: json.RawMessage("null")} }
	return gen.Phases(gen.EachWorker(read), gen.EachWorker(read))
}

// Bind wants a Store.
func (workload) Bind(conn io.Closer) (workloads.Client, error) {
	s, ok := conn.(Store)
	if !ok {
		return nil, fmt.Errorf("the connection has no add and read of a set")
	}
	return client{s}, nil
}

func (w workload) Checks() ([]checker.Checker, error) {
	return []checker.Checker{sets.New(w.opts)}, nil
}

type client struct{ store Store }

func (c client) Invoke(ctx context.Context, op gen.Op) (json.RawMessage, error) {
	switch op.F {
	case "add":
		v, err := workloads.Arg[int](op.F, op.Value)
		if err != nil {
			return nil, err
		}
		return nil, c.store.Add(ctx, v)
	case "read":
		all, err := c.store.ReadAll(ctx)
		if err != nil {
			return nil, err
		}
		all = slices.Clone(all)
		slices.Sort(all)
		return workloads.AppendInts(nil, all), nil
	}
	return nil, workloads.NoSuch("set", op)
}
