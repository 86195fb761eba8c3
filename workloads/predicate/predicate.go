package predicate

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/workloads"
	"github.com/capstan-dev/capstan/workloads/gen"
)

// New makes the workload. check makes the check of its histories.
func New(check func() (checker.Checker, error)) workloads.Workload { return &workload{check} }

type workload struct {
	check func() (checker.Checker, error)
}

func (*workload) Name() string { return "predicate" }

func (*workload) Doc() string {
	return "transactions insert, change and delete a few keys and read them, one by one or by a predicate, whose answers tell what they missed, too"
}

// Transactional implements workloads.Transactional.
func (*workload) Transactional() {}

// Source makes some keys before all else, and goes on with transactions.
func (*workload) Source(p workloads.Params) gen.Source {
	init, err := json.Marshal(initial())
	if err != nil {
		panic("predicate: encode the initial values: " + err.Error())
	}
	pool := newPool(p.Seed, p.OpsPerKey)
	return gen.Phases(
		gen.Once(gen.Op{F: "init", Value: init}),
		gen.Func(func() gen.Op { return op(pool.txn()) }),
	)
}

// Final reads all keys by one predicate through every worker.
func (*workload) Final(workloads.Params) gen.Source {
	return gen.EachWorker(func(int) gen.Op { return op([]Mop{{F: "rp", Test: Test{F: "true"}}}) })
}

func op(mops []Mop) gen.Op { return gen.Op{F: "txn", Value: encode(mops, false)} }

// Bind wants a Store.
func (*workload) Bind(conn io.Closer) (workloads.Client, error) {
	s, ok := conn.(Store)
	if !ok {
		return nil, fmt.Errorf("the connection has no transactions that read by predicates")
	}
	return client{s}, nil
}

func (w *workload) Checks() ([]checker.Checker, error) {
	c, err := w.check()
	return []checker.Checker{c}, err
}

type client struct{ store Store }

func (c client) Invoke(ctx context.Context, op gen.Op) (json.RawMessage, error) {
	switch op.F {
	case "init":
		values, err := workloads.Arg[map[int]int](op.F, op.Value)
		if err != nil {
			return nil, err
		}
		var mops []Mop
		for _, k := range slices.Sorted(maps.Keys(values)) {
			mops = append(mops, Mop{F: "insert", Key: k, Value: values[k]})
		}
		_, err = c.store.PredicateTxn(ctx, mops)
		return nil, err
	case "txn":
		mops, err := decode(op.Value)
		if err != nil {
			return nil, err
		}
		done, err := c.store.PredicateTxn(ctx, mops)
		if err != nil {
			return nil, err
		}
		return encode(done, true), nil
	}
	return nil, workloads.NoSuch("predicate", op)
}
