package register

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/linear"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/workloads"
	"github.com/capstan-dev/capstan/workloads/gen"
)

const (
	// opsPerKey bounds a key's history unless the plan says how: the search
	// for a linearization grows with the square of it, at best.
	opsPerKey = 200
	// processesPerWorker bounds how many processes may crash on a key before
	// the group moves on; each open call doubles the search, at worst.
	processesPerWorker = 3
)

// New makes the workload of one run.
func New(opts linear.Options) workloads.Workload { return &workload{opts: opts} }

type workload struct {
	opts linear.Options
	// keys is the number of keys that the source has used so far.
	keys int
	// plain: the system has no compare-and-set at these levels, it said.
	plain bool
}

func (*workload) Name() string { return "register" }

func (*workload) Doc() string {
	return "read, write and compare-and-set of independent registers with unique values; linearizability per key"
}

// Source lets groups of workers share a key, two workers for each node where
// there are enough, so that both sides of every cut meet on it.
func (w *workload) Source(p workloads.Params) gen.Source {
	group := min(p.Concurrency, 2*p.Nodes)
	limit := cmp.Or(p.OpsPerKey, opsPerKey)
	return gen.ConcurrentKeys(group, 0, func(key int) gen.Source {
		w.keys = max(w.keys, key+1)
		rng := rand.New(rand.NewPCG(p.Seed, uint64(key)))
		return gen.ProcessLimit(processesPerWorker*group, gen.Limit(limit, newKey(w, rng)))
	})
}

// Final reads every key once through every node.
func (w *workload) Final(p workloads.Params) gen.Source {
	var reads []gen.Source
	for key := range w.keys {
		reads = append(reads, gen.FirstWorkers(min(p.Nodes, p.Concurrency), gen.Op{F: "read", Value: gen.Keyed(key, nil)}))
	}
	return gen.Chain(reads...)
}

// key generates the operations of one register: half reads, the rest writes
// and compare-and-sets. Every value is written at most once; the old value of
// a compare-and-set is the last one that somebody saw.
type key struct {
	w          *workload
	rng        *rand.Rand
	next, seen int
	gen.Source
}

func newKey(w *workload, rng *rand.Rand) gen.Source {
	k := &key{w: w, rng: rng}
	k.Source = gen.Func(k.op)
	return k
}

func (k *key) op() gen.Op {
	switch x := k.rng.IntN(4); {
	case x < 2:
		return gen.Op{F: "read", Value: json.RawMessage("null")}
	case x == 2 || k.seen == 0 || k.w.plain:
		k.next++
		return gen.Op{F: "write", Value: strconv.AppendInt(nil, int64(k.next), 10)}
	}
	k.next++
	return gen.Op{F: "cas", Value: fmt.Appendf(nil, "[%d,%d]", k.seen, k.next)}
}

func (k *key) Observe(_ int, e history.Event) {
	if e.NotOffered() {
		k.w.plain = true
	}
	if e.Kind != history.OK {
		return
	}
	if e.F == "cas" {
		var pair [2]int
		if json.Unmarshal(e.Value, &pair) == nil {
			k.seen = pair[1]
		}
		return
	}
	var v *int
	if json.Unmarshal(e.Value, &v) == nil && v != nil {
		k.seen = *v
	}
}

// Bind wants a Store.
func (*workload) Bind(conn io.Closer) (workloads.Client, error) {
	s, ok := conn.(Store)
	if !ok {
		return nil, fmt.Errorf("the connection has no read, write and cas of registers")
	}
	return client{s}, nil
}

func (w *workload) Checks() ([]checker.Checker, error) {
	c, err := linear.New("cas-register", w.opts)
	if err != nil {
		return nil, fmt.Errorf("make checker: %w", err)
	}
	return []checker.Checker{c}, nil
}

type client struct{ store Store }

// unmet records a compare-and-set that found another value, as
// [key, [old, new, found]] where the system told what it found.
func unmet(key int, v [2]int, s Swap) (json.RawMessage, error) {
	err := fmt.Errorf("%w: the value is not %d", history.ErrUnmet, v[0])
	switch {
	case !s.Known:
		return nil, err
	case s.Absent:
		return gen.Keyed(key, fmt.Appendf(nil, "[%d,%d,null]", v[0], v[1])), err
	}
	return gen.Keyed(key, fmt.Appendf(nil, "[%d,%d,%d]", v[0], v[1], s.Value)), err
}

func (c client) Invoke(ctx context.Context, op gen.Op) (json.RawMessage, error) {
	key, arg, err := gen.SplitKeyed(op.Value)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", history.ErrNotApplied, err)
	}
	switch op.F {
	case "read":
		v, ok, err := c.store.Read(ctx, key)
		if err != nil || !ok {
			return gen.Keyed(key, nil), err
		}
		return gen.Keyed(key, strconv.AppendInt(nil, int64(v), 10)), nil
	case "write":
		v, err := workloads.Arg[int](op.F, arg)
		if err != nil {
			return nil, err
		}
		return nil, c.store.Write(ctx, key, v)
	case "cas":
		v, err := workloads.Arg[[2]int](op.F, arg)
		if err != nil {
			return nil, err
		}
		swap, err := c.store.CAS(ctx, key, v[0], v[1])
		if err != nil || swap.Done {
			return nil, err
		}
		return unmet(key, v, swap)
	}
	return nil, workloads.NoSuch("register", op)
}
