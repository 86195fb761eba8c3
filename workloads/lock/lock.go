package lock

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/capstan-dev/capstan/checker"
	check "github.com/capstan-dev/capstan/checker/lock"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/workloads"
	"github.com/capstan-dev/capstan/workloads/gen"
)

// Options shape the workload.
type Options struct {
	// Lease of each grant; 0 means 2 s.
	Lease time.Duration
	// Pause, if not 0, is how long a holder now and then stops between its
	// load and its save, as a process does in a collection of garbage. It
	// knows nothing of it.
	Pause time.Duration
	// Fenced: the level asks for fencing tokens.
	Fenced bool
}

const lease = 2 * time.Second

// New makes the workload of one run.
func New(o Options) workloads.Workload {
	if o.Lease == 0 {
		o.Lease = lease
	}
	return &workload{o: o}
}

type workload struct {
	o    Options
	keys int // used by the source so far
}

func (*workload) Name() string { return "lock" }

func (*workload) Doc() string {
	return "acquire a lock with a lease, load what it protects, save it with an element more, release: never two at a time, no element lost"
}

func (w *workload) Source(p workloads.Params) gen.Source {
	return newHolders(p, w.o.Pause, &w.keys)
}

// Final looks at every list through every node.
func (w *workload) Final(p workloads.Params) gen.Source {
	var looks []gen.Source
	for key := range w.keys {
		look := gen.Op{F: "look", Value: gen.Keyed(key, nil)}
		looks = append(looks, gen.FirstWorkers(min(p.Nodes, p.Concurrency), look))
	}
	return gen.Chain(looks...)
}

// Bind wants a Store.
func (w *workload) Bind(conn io.Closer) (workloads.Client, error) {
	s, ok := conn.(Store)
	if !ok {
		return nil, fmt.Errorf("the connection has no locks with a lease")
	}
	return client{s, w.o.Lease}, nil
}

func (w *workload) Checks() ([]checker.Checker, error) {
	return []checker.Checker{
		check.NewExclusion(check.Options{Lease: w.o.Lease, Fenced: w.o.Fenced}),
		check.NewProtected(),
	}, nil
}

type client struct {
	store Store
	lease time.Duration
}

func (c client) Invoke(ctx context.Context, op gen.Op) (json.RawMessage, error) {
	key, arg, err := gen.SplitKeyed(op.Value)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", history.ErrNotApplied, err)
	}
	switch op.F {
	case "acquire":
		return c.acquire(ctx, key, arg)
	case "load", "look":
		list, err := c.store.Load(ctx, key)
		if err != nil {
			return nil, err
		}
		return gen.Keyed(key, workloads.AppendInts(nil, list)), nil
	case "save":
		return nil, c.save(ctx, key, arg)
	case "release":
		owner, err := workloads.Arg[string](op.F, arg)
		if err != nil {
			return nil, err
		}
		return nil, c.store.Release(ctx, key, owner)
	}
	return nil, workloads.NoSuch("lock", op)
}

// acquire answers with the token, 0 if there is none.
func (c client) acquire(ctx context.Context, key int, arg json.RawMessage) (json.RawMessage, error) {
	owner, err := workloads.Arg[string]("acquire", arg)
	if err != nil {
		return nil, err
	}
	token, ok, err := c.store.Acquire(ctx, key, owner, c.lease)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, fmt.Errorf("%w: another has the lock", history.ErrUnmet)
	}
	return gen.Keyed(key, fmt.Append(nil, token)), nil
}

func (c client) save(ctx context.Context, key int, arg json.RawMessage) error {
	s, err := workloads.Arg[check.Saved]("save", arg)
	if err != nil {
		return err
	}
	ok, err := c.store.Save(ctx, key, s.List, s.Token)
	if err == nil && !ok {
		return fmt.Errorf("%w: the store saw a greater token than %d", history.ErrUnmet, s.Token)
	}
	return err
}
