package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/nemesis"
)

const (
	injectTimeout = 30 * time.Second
	healTimeout   = 30 * time.Second
)

// nemesisTask injects the faults of a schedule, one after another.
type nemesisTask struct {
	loop     *Loop
	cluster  *cluster.Cluster
	schedule nemesis.Schedule
	rng      *rand.Rand
	done     atomic.Bool
}

// run goes through the schedule until it ends or ctx does; a fault that is in
// force then is healed first.
func (n *nemesisTask) run(ctx context.Context) {
	defer n.loop.Runtime.Wake()
	defer n.done.Store(true)
	for i, step := range n.schedule {
		if n.loop.Runtime.Sleep(ctx, step.At-n.loop.Now()) != nil {
			return
		}
		n.window(ctx, i+1, step)
		if err := n.loop.Journal.Flush(); err != nil {
			return // the loop sees the same error at its next event
		}
	}
}

// window injects one fault, lets it be in force, and heals it.
func (n *nemesisTask) window(ctx context.Context, id int, step nemesis.Step) {
	detail := history.FaultDetail{ID: id, Fault: step.Fault.Name()}
	n.record(history.Invoke, "start", detail, nil)
	inject, cancel := n.loop.Runtime.WithTimeout(context.WithoutCancel(ctx), injectTimeout)
	detail, undo, err := n.inject(inject, step.Fault)
	cancel()
	detail.ID = id
	n.record(history.Info, "start", detail, err)

	if err == nil {
		end := step.At + step.For
		_ = n.loop.Runtime.Sleep(ctx, end-n.loop.Now()) // a stop heals early
	}
	n.record(history.Invoke, "stop", detail, nil)
	healed, err := n.heal(ctx, undo)
	healed.ID = id
	n.record(history.Info, "stop", healed, err)
}

// inject calls the fault; a panic in it must not leave the fault unhealed.
func (n *nemesisTask) inject(ctx context.Context, f nemesis.Fault) (d history.FaultDetail, undo nemesis.Undo, err error) {
	defer func() {
		if p := recover(); p != nil {
			d = history.FaultDetail{Fault: f.Name()}
			undo = func(ctx context.Context) (history.FaultDetail, error) {
				return d, HealAll(ctx, n.cluster)
			}
			err = fmt.Errorf("inject %s: panic: %v", f.Name(), p)
		}
	}()
	return f.Inject(ctx, n.cluster, n.rng)
}

// heal undoes a fault until the heal is proven or the time is up. A fault that
// had ended by itself before is healed all the same, and told.
func (n *nemesisTask) heal(ctx context.Context, undo nemesis.Undo) (history.FaultDetail, error) {
	ctx, cancel := n.loop.Runtime.WithTimeout(context.WithoutCancel(ctx), healTimeout)
	defer cancel()
	var lapsed error
	for {
		detail, err := undo(ctx)
		if err == nil && detail.Proven {
			return detail, lapsed
		}
		if errors.Is(err, cluster.ErrLapsed) {
			lapsed = fmt.Errorf("the fault was not in force to its end: %w", err)
		}
		if n.loop.Runtime.Sleep(ctx, 200*time.Millisecond) != nil {
			return detail, err
		}
	}
}

func (n *nemesisTask) record(kind history.Kind, verb string, d history.FaultDetail, err error) {
	if kind == history.Invoke {
		d.Proven, d.Proof = false, ""
	}
	name, _, _ := strings.Cut(d.Fault, ":")
	value, merr := json.Marshal(d)
	if merr != nil {
		err = errors.Join(err, merr)
	}
	e := history.Event{Time: n.loop.Now(), Process: history.Nemesis, Kind: kind, F: verb + "-" + name, Value: value}
	if err != nil {
		e.Err = err.Error()
	}
	n.loop.record(e)
}

// HealAll brings the cluster back whatever was done to it: network whole,
// processes running, clocks true. It goes on after errors and joins them.
func HealAll(ctx context.Context, c *cluster.Cluster) error {
	var errs []error
	if c.Procs != nil {
		for _, n := range c.Nodes {
			errs = append(errs, revive(ctx, c.Procs, n))
		}
	}
	if c.Net != nil {
		if err := c.Net.Apply(ctx, cluster.LinkState{}); err != nil {
			errs = append(errs, fmt.Errorf("heal network: %w", err))
		}
	}
	if c.Clocks != nil {
		for _, n := range c.Nodes {
			if err := c.Clocks.Skew(ctx, n, 0); err != nil {
				errs = append(errs, fmt.Errorf("set clock of %s back: %w", n, err))
			}
		}
	}
	return errors.Join(errs...)
}

func revive(ctx context.Context, p cluster.Processes, node string) error {
	state, err := p.State(ctx, node)
	if err != nil {
		return fmt.Errorf("look at the process of %s: %w", node, err)
	}
	switch state {
	case cluster.Paused:
		err = p.Resume(ctx, node)
	case cluster.Dead:
		err = p.Start(ctx, node)
	}
	if err != nil {
		return fmt.Errorf("revive %s: %w", node, err)
	}
	return nil
}
