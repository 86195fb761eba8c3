package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/nemesis"
	"github.com/capstan-dev/capstan/plan"
)

// How long the last measurement of a fault may take, and the heal of everything
// at the end of a run.
const (
	verifyTimeout = 30 * time.Second
	healTimeout   = 2 * time.Minute
)

// NewNemesis makes a nemesis for a cluster on which no fault is in force, on
// the cluster's own runtime or in real time.
func NewNemesis(c *cluster.Cluster, seed uint64) *nemesis.Nemesis {
	rt := c.Runtime
	if rt == nil {
		rt = RealTime()
	}
	return nemesis.New(c, rt, seed)
}

// nemesisTask lets the faults of a schedule begin and end at their times, each
// in a task of its own.
type nemesisTask struct {
	loop     *Loop
	cluster  *cluster.Cluster
	nemesis  *nemesis.Nemesis
	schedule nemesis.Schedule

	mu      sync.Mutex // never held while a task waits
	running int
	missed  []string // steps whose moment did not come
}

// run starts a task for each step when its time has come, and one that waits
// for its trigger at once. It returns when ctx ends or all are started; over
// tells when they are done.
func (n *nemesisTask) run(ctx context.Context) {
	for _, step := range n.schedule {
		if step.On != (plan.Trigger{}) {
			n.task(func() { n.triggered(ctx, step) })
		}
	}
	for _, step := range n.schedule {
		if step.On != (plan.Trigger{}) {
			continue
		}
		if n.loop.Runtime.Sleep(ctx, step.At-n.loop.Now()) != nil {
			return
		}
		n.task(func() { n.window(ctx, step, step.At) })
	}
}

// task runs f, and counts it until it is done.
func (n *nemesisTask) task(f func()) {
	n.count(1)
	n.loop.Runtime.Go(func() {
		defer n.loop.Runtime.Wake()
		defer n.count(-1)
		f()
	})
}

func (n *nemesisTask) count(d int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.running += d
}

func (n *nemesisTask) over() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.running == 0
}

// window injects one fault, lets it be in force, and heals it.
func (n *nemesisTask) window(ctx context.Context, step nemesis.Step, at time.Duration) {
	id := n.nemesis.Number()
	plain := history.FaultDetail{ID: id, Fault: step.Fault.Name()}
	n.record(history.Invoke, "start", plain, nil)
	detail, err := n.nemesis.Start(ctx, id, step.Fault)
	n.record(history.Info, "start", detail, err)

	last := plain
	if err == nil {
		_ = n.loop.Runtime.Sleep(ctx, at+step.For-n.loop.Now()) // a stop heals early
		last = n.verify(ctx, id, detail)
	}
	n.record(history.Invoke, "stop", last, nil)
	healed, herr := n.nemesis.Heal(context.WithoutCancel(ctx), id)
	if err == nil && detail.Proven && !last.Proven {
		herr = errors.Join(fmt.Errorf("the fault was not in force to its end: %s", last.Proof), herr)
	}
	n.record(history.Info, "stop", healed, herr)
	_ = n.loop.Journal.Flush() // the loop sees the same error at its next event
}

// verify measures once more before the heal. What cannot be measured is not
// proven.
func (n *nemesisTask) verify(ctx context.Context, id int, start history.FaultDetail) history.FaultDetail {
	limit, cancel := n.loop.Runtime.WithTimeout(context.WithoutCancel(ctx), verifyTimeout)
	defer cancel()
	d, err := n.nemesis.Verify(limit, id)
	if err != nil {
		d = start
		d.Proven, d.Proof, d.State, d.Links = false, err.Error(), history.Invalid, nil
	}
	// The start has told what does not change.
	d.Cut, d.Sides, d.Before = nil, nil, ""
	return d
}

// record writes an event. An invocation of start has nothing to tell yet.
func (n *nemesisTask) record(kind history.Kind, verb string, d history.FaultDetail, err error) {
	value, merr := json.Marshal(d)
	if merr != nil {
		err = errors.Join(err, merr)
	}
	e := history.Event{Time: n.loop.Now(), Process: history.Nemesis, Kind: kind, F: verb + "-" + d.Kind(), Value: value}
	if err != nil {
		e.Err = err.Error()
	}
	n.loop.record(e)
}

// How often a trigger is looked at. Who leads is asked of the system itself.
const (
	pollCount  = time.Millisecond
	pollLeader = 100 * time.Millisecond
)

// triggered waits for the moment of a step.
func (n *nemesisTask) triggered(ctx context.Context, step nemesis.Step) {
	if err := n.moment(ctx, step.On); err != nil {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.missed = append(n.missed, fmt.Sprintf("fault %v never began: %v", step, err))
		return
	}
	n.window(ctx, step, n.loop.Now())
}

func (n *nemesisTask) moment(ctx context.Context, t plan.Trigger) error {
	switch t.Event {
	case plan.LeaderChange:
		return n.leaderChange(ctx)
	case plan.NthInfo:
		return n.counted(ctx, func() int64 { return n.loop.infos.Load() }, t)
	}
	return n.counted(ctx, func() int64 { return n.loop.invoked.Load() }, t)
}

func (n *nemesisTask) counted(ctx context.Context, count func() int64, t plan.Trigger) error {
	for count() < int64(t.N) {
		if n.loop.Runtime.Sleep(ctx, pollCount) != nil {
			return fmt.Errorf("there were %d of %d", count(), t.N)
		}
	}
	return nil
}

// leaderChange waits until the system names other primaries than at first. A
// system that names none, as during an election, has not changed yet.
func (n *nemesisTask) leaderChange(ctx context.Context) error {
	if n.cluster.Primaries == nil {
		return errors.New("the target does not say which node is primary")
	}
	var first []string
	for {
		now, err := n.cluster.Primaries(ctx)
		slices.Sort(now)
		switch {
		case err != nil || len(now) == 0:
		case first == nil:
			first = now
		case !slices.Equal(first, now):
			return nil
		}
		if n.loop.Runtime.Sleep(ctx, pollLeader) != nil {
			return errors.New("the leader did not change")
		}
	}
}
