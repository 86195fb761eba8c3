// Package harness runs a plan: the only place where calls and faults are in
// flight. One goroutine owns the generator; workers have one call in flight
// each; the nemesis follows its schedule. Real time and the simulation's
// virtual time differ only in the cluster's Runtime.
package harness

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/nemesis"
	"github.com/capstan-dev/capstan/plan"
	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/workloads"
	"github.com/capstan-dev/capstan/workloads/gen"
)

// Streams of the plan's seed, so that each draw is independent of the others.
const (
	streamSchedule = 1 + iota
	streamOperations
	streamPace
	streamNemesis
	streamSystem
)

// Rand is the random stream of a seed for one purpose.
func Rand(seed uint64, stream uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, stream))
}

// SystemSeed is the seed that a target gets, split from the plan's.
func SystemSeed(seed uint64) uint64 { return Rand(seed, streamSystem).Uint64() }

// maxFaults bounds a schedule.
const maxFaults = 1_000_000

// Schedule draws the fault schedule of a plan: a pure function of it. Faults
// that recur in the same rhythm take turns; others may overlap.
func Schedule(p plan.Plan, kinds []nemesis.Kind) (nemesis.Schedule, error) {
	rng := Rand(p.Seed, streamSchedule)
	var s nemesis.Schedule
	var lanes []lane
	for _, f := range p.Faults {
		fault, err := nemesis.Parse(kinds, f.Name)
		if err != nil {
			return nil, err
		}
		if err := fits(f, p.TimeLimit); err != nil {
			return nil, err
		}
		if f.Once || f.On != (plan.Trigger{}) {
			s = append(s, nemesis.Step{At: f.At, For: f.For, On: f.On, Fault: nemesis.Resolve(fault, rng)})
			continue
		}
		lanes = take(lanes, rhythm(f, p.TimeLimit), fault)
	}
	for _, l := range lanes {
		s = append(s, nemesis.Periodic(rng, l.faults, l.rhythm)...)
	}
	s.Sort()
	return s, nil
}

// fits says whether an entry fits into the run.
func fits(f plan.Fault, limit time.Duration) error {
	switch {
	case f.Once && f.At+f.For > limit:
		return fmt.Errorf("fault %s at %v for %v does not end within the time limit of %v", f.Name, f.At, f.For, limit)
	case f.Every > 0 && (f.Every < 10*time.Millisecond || limit/f.Every > maxFaults):
		return fmt.Errorf("fault %s every %v in a time limit of %v: want at least 10ms, and at most %d faults", f.Name, f.Every, limit, maxFaults)
	case f.From >= limit:
		return fmt.Errorf("fault %s from %v begins after the time limit of %v", f.Name, f.From, limit)
	}
	return nil
}

// lane is faults that take turns.
type lane struct {
	rhythm nemesis.Rhythm
	faults []nemesis.Fault
}

func take(lanes []lane, r nemesis.Rhythm, f nemesis.Fault) []lane {
	for i := range lanes {
		if lanes[i].rhythm == r {
			lanes[i].faults = append(lanes[i].faults, f)
			return lanes
		}
	}
	return append(lanes, lane{r, []nemesis.Fault{f}})
}

// usualJitter is the share by which recurring faults vary if nothing is said.
const usualJitter = 0.2

func rhythm(f plan.Fault, limit time.Duration) nemesis.Rhythm {
	r := nemesis.Rhythm{Every: f.Every, For: f.For, Jitter: f.Jitter, From: f.From, Until: limit}
	if f.Jitter == 0 && !f.Steady {
		r.Jitter = usualJitter
	}
	if f.Until > 0 {
		r.Until = min(limit, f.Until)
	}
	return r
}

// Config is a run on a system that is up and ready.
type Config struct {
	Plan     plan.Plan
	System   targets.System
	Workload workloads.Workload
	Schedule nemesis.Schedule
	Journal  history.Recorder
	// Watch, if set, sees every event, from any task; Phase hears what the
	// run is about to do.
	Watch func(history.Event)
	Phase func(string)
	Log   *slog.Logger
}

// Outcome is what went wrong around the history, if anything.
type Outcome struct {
	// Interrupted is true if the run was stopped before its time.
	Interrupted bool
	// Problems are reasons not to trust a verdict of valid: a heal or the
	// recovery that did not succeed, a journal that could not be written.
	Problems []string
	// Duration of the whole history.
	Duration time.Duration
}

func (o *Outcome) problem(format string, args ...any) {
	o.Problems = append(o.Problems, fmt.Sprintf(format, args...))
}

// Run drives the workload while the nemesis follows its schedule, then heals
// everything, waits until the system is ready and quiet, and does the final
// reads. When stop ends, it asks for no more operations and goes on with the
// heal; when ctx ends, it cuts everything short but the heal.
func Run(ctx, stop context.Context, c Config) Outcome {
	cl := c.System.Cluster()
	rt := cl.Runtime
	if rt == nil {
		rt = RealTime()
	}
	loop := &Loop{
		Runtime: rt, Nodes: cl.Served(), Concurrency: c.Plan.Concurrency, OpTimeout: c.Plan.OpTimeout,
		Open: c.System.Open, Bind: c.Workload.Bind, Journal: c.Journal, Watch: c.Watch,
	}
	loop.Start()
	defer loop.Close()

	var out Outcome
	stop, release := either(ctx, stop)
	defer release()
	nem := &nemesisTask{loop: loop, cluster: cl, nemesis: NewNemesis(cl, Rand(c.Plan.Seed, streamNemesis).Uint64()), schedule: c.Schedule}
	nemCtx, stopNemesis := context.WithCancel(stop)
	nem.task(func() { nem.run(nemCtx) })

	params := workloads.Params{Seed: Rand(c.Plan.Seed, streamOperations).Uint64(),
		Concurrency: c.Plan.Concurrency, Nodes: len(cl.Served()), OpsPerKey: c.Plan.OpsPerKey}
	c.Phase(fmt.Sprintf("running %s for %v, %d faults planned", c.Workload.Name(), c.Plan.TimeLimit, len(c.Schedule)))
	if err := loop.Drive(ctx, stop, mainSource(c, params)); err != nil {
		out.problem("%v", err)
	}
	out.Interrupted = stop.Err() != nil
	stopNemesis()
	for !nem.over() {
		rt.Wait(context.WithoutCancel(ctx), history.Forever)
	}
	if !out.Interrupted {
		out.Problems = append(out.Problems, nem.missed...)
	}
	recoverSystem(ctx, c, rt, nem.nemesis, &out)
	if final := c.Workload.Final(params); final != nil && ctx.Err() == nil {
		c.Phase("final reads")
		loop.Reconnect()
		if err := loop.Drive(ctx, ctx, gen.TimeLimit(finalLimit, final)); err != nil {
			out.problem("%v", err)
		}
	}
	out.Duration = loop.Now()
	return out
}

const (
	readyTimeout = 90 * time.Second
	finalLimit   = 60 * time.Second
)

func mainSource(c Config, params workloads.Params) gen.Source {
	src := c.Workload.Source(params)
	if c.Plan.Rate > 0 {
		src = gen.Rate(c.Plan.Rate, Rand(c.Plan.Seed, streamPace), src)
	}
	return gen.TimeLimit(c.Plan.TimeLimit, src)
}

// recoverSystem heals everything, also what no fault is known to have broken,
// and waits until the system says that it is ready and a quiet while more.
func recoverSystem(ctx context.Context, c Config, rt cluster.Runtime, nem *nemesis.Nemesis, out *Outcome) {
	c.Phase("healing")
	heal, cancel := rt.WithTimeout(context.WithoutCancel(ctx), healTimeout)
	if err := nem.HealAll(heal); err != nil {
		out.problem("heal: %v", err)
	}
	cancel()
	ready, cancel := rt.WithTimeout(ctx, readyTimeout)
	if err := c.System.Ready(ready); err != nil && ctx.Err() == nil {
		out.problem("the system did not become ready after the heal: %v", err)
	}
	cancel()
	_ = rt.Sleep(ctx, c.Plan.Quiesce) // cut short only by an interruption
}

// either ends when one of the two does, or when it is released.
func either(a, b context.Context) (ctx context.Context, release func()) {
	ctx, cancel := context.WithCancel(a)
	forget := context.AfterFunc(b, cancel)
	return ctx, func() { forget(); cancel() }
}
