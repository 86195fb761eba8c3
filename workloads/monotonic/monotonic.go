package monotonic

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/workloads"
	"github.com/capstan-dev/capstan/workloads/gen"
)

const (
	// poolSize is how many keys are in use at a time, and incsPerKey how many
	// increments a key gets before a fresh one takes its place.
	poolSize, incsPerKey = 4, 100
)

// Check makes the check of a history.
type Check func() (checker.Checker, error)

// New makes the workload of one run. check judges its histories.
func New(check Check) workloads.Workload { return &workload{check: check} }

type workload struct {
	check Check
	keys  int // used by the source so far
}

func (*workload) Name() string { return "monotonic" }

func (*workload) Doc() string {
	return "increment registers and read several, in transactions; the numbers tell the order of the transactions"
}

// Transactional implements workloads.Transactional.
func (*workload) Transactional() {}

// Source increments and reads, half and half.
func (w *workload) Source(p workloads.Params) gen.Source {
	rng := rand.New(rand.NewPCG(p.Seed, 0))
	perKey := cmp.Or(p.OpsPerKey, incsPerKey)
	var pool, incs [poolSize]int
	for i := range pool {
		pool[i] = i
	}
	w.keys = poolSize
	return gen.Func(func() gen.Op {
		if rng.IntN(2) == 0 {
			some := rng.Perm(poolSize)[:1+rng.IntN(poolSize)]
			keys := make([]int, len(some))
			for i, at := range some {
				keys[i] = pool[at]
			}
			return read(keys)
		}
		at := rng.IntN(poolSize)
		op := gen.Op{F: "inc", Value: gen.Keyed(pool[at], nil)}
		if incs[at]++; incs[at] >= perKey {
			pool[at], incs[at] = w.keys, 0
			w.keys++
		}
		return op
	})
}

// Final reads all keys in one transaction, through every worker.
func (w *workload) Final(workloads.Params) gen.Source {
	keys := make([]int, w.keys)
	for i := range keys {
		keys[i] = i
	}
	return gen.Synchronize(gen.EachWorker(func(int) gen.Op { return read(keys) }))
}

func read(keys []int) gen.Op {
	slices.Sort(keys)
	return gen.Op{F: "read", Value: encode(keys, nil)}
}

// encode writes {"key": value, ...}, null where there are no values.
func encode(keys, values []int) json.RawMessage {
	b := []byte{'{'}
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `"%d":`, k)
		if values == nil {
			b = append(b, "null"...)
		} else {
			b = strconv.AppendInt(b, int64(values[i]), 10)
		}
	}
	return append(b, '}')
}

// Bind wants a Store.
func (*workload) Bind(conn io.Closer) (workloads.Client, error) {
	s, ok := conn.(Store)
	if !ok {
		return nil, fmt.Errorf("the connection has no transactions that increment registers and read them")
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
	case "inc":
		key, _, err := gen.SplitKeyed(op.Value)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", history.ErrNotApplied, err)
		}
		v, err := c.store.Increment(ctx, key)
		if err != nil {
			return nil, err
		}
		return gen.Keyed(key, strconv.AppendInt(nil, int64(v), 10)), nil
	case "read":
		return c.read(ctx, op)
	}
	return nil, workloads.NoSuch("monotonic", op)
}

func (c client) read(ctx context.Context, op gen.Op) (json.RawMessage, error) {
	asked, err := workloads.Arg[map[int]*int](op.F, op.Value)
	if err != nil {
		return nil, err
	}
	var keys []int
	for k := range asked {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	values, err := c.store.ReadMany(ctx, keys)
	if err != nil {
		return nil, err
	}
	if len(values) != len(keys) {
		return nil, fmt.Errorf("a read of %d keys returned %d values", len(keys), len(values))
	}
	return encode(keys, values), nil
}
