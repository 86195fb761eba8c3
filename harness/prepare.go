package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/workloads"
)

const (
	// prepareTimeout bounds all attempts, prepareCall one of them.
	prepareTimeout, prepareCall = 20 * time.Second, 5 * time.Second
	prepareEvery                = 250 * time.Millisecond
	// prepareQuiet is for replicas that copy what was made later.
	prepareQuiet = time.Second
	// preparer numbers the connections of Prepare, far above the clients'.
	preparer = 1 << 30
)

// Prepare makes what a workload needs before its first operation, if it is a
// workloads.Preparer, through the first node that lets it, the primaries before
// the others; then it waits until the system is ready again. Nothing of it is
// in the history.
func Prepare(ctx context.Context, sys targets.System, w workloads.Workload) error {
	p, ok := w.(workloads.Preparer)
	if !ok {
		return nil
	}
	rt := sys.Cluster().Runtime
	if rt == nil {
		rt = RealTime()
	}
	a := attempts{rt: rt, sys: sys, prepare: p.Prepare}
	limit, cancel := rt.WithTimeout(ctx, prepareTimeout)
	defer cancel()
	// Calls belong into a task; the owner lets time pass.
	var err error
	var done atomic.Bool
	rt.Go(func() {
		err = a.run(limit)
		done.Store(true)
		rt.Wake()
	})
	for !done.Load() {
		rt.Wait(context.WithoutCancel(ctx), history.Forever)
	}
	if err != nil {
		return fmt.Errorf("prepare workload %s: %w", w.Name(), err)
	}
	if err := sys.Ready(ctx); err != nil {
		return fmt.Errorf("wait for the system after preparing workload %s: %w", w.Name(), err)
	}
	return rt.Sleep(ctx, prepareQuiet)
}

type attempts struct {
	rt      cluster.Runtime
	sys     targets.System
	prepare func(context.Context, io.Closer) error
}

// run tries node after node, and all of them again, until the context ends.
func (a attempts) run(ctx context.Context) error {
	for {
		var errs []error
		for i, node := range a.nodes(ctx) {
			err := a.through(ctx, node, preparer+i)
			if err == nil {
				return nil
			}
			errs = append(errs, fmt.Errorf("%s: %w", node, err))
		}
		if err := a.rt.Sleep(ctx, prepareEvery); err != nil {
			return errors.Join(errs...)
		}
	}
}

// nodes are those that clients connect to, primaries first.
func (a attempts) nodes(ctx context.Context) []string {
	cl := a.sys.Cluster()
	served := cl.Served()
	if cl.Primaries == nil {
		return served
	}
	ask, cancel := a.rt.WithTimeout(ctx, prepareCall)
	defer cancel()
	primaries, err := cl.Primaries(ask)
	if err != nil {
		return served // in their order, then
	}
	isPrimary := func(n string) bool { return slices.Contains(primaries, n) }
	first := slices.DeleteFunc(slices.Clone(served), func(n string) bool { return !isPrimary(n) })
	return append(first, slices.DeleteFunc(slices.Clone(served), isPrimary)...)
}

func (a attempts) through(ctx context.Context, node string, process int) error {
	ctx, cancel := a.rt.WithTimeout(ctx, prepareCall)
	defer cancel()
	conn, err := a.sys.Open(ctx, node, process)
	if err != nil {
		return fmt.Errorf("open connection: %w", err)
	}
	return errors.Join(a.prepare(ctx, conn), conn.Close())
}
