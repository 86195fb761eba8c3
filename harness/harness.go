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

// Schedule draws the fault schedule of a plan: a pure function of it.
func Schedule(p plan.Plan, kinds []nemesis.Kind) (nemesis.Schedule, error) {
	rng := Rand(p.Seed, streamSchedule)
	var s nemesis.Schedule
	var periodic []plan.Fault
	for _, f := range p.Faults {
		fault, err := nemesis.Parse(kinds, f.Name)
		if err != nil {
			return nil, err
		}
		if f.Once {
			if f.At+f.For > p.TimeLimit {
				return nil, fmt.Errorf("fault %s at %v for %v does not end within the time limit of %v", f.Name, f.At, f.For, p.TimeLimit)
			}
			s = append(s, nemesis.Step{At: f.At, For: f.For, Fault: fault})
			continue
		}
		if f.Every > 0 && (f.Every < 10*time.Millisecond || p.TimeLimit/f.Every > maxFaults) {
			return nil, fmt.Errorf("fault %s every %v in a time limit of %v: want at least 10ms, and at most %d faults", f.Name, f.Every, p.TimeLimit, maxFaults)
		}
		periodic = append(periodic, f)
	}
	steps, err := periodicSteps(rng, kinds, periodic, p.TimeLimit)
	if err != nil {
		return nil, err
	}
	s = append(s, steps...)
	s.Sort()
	return s, s.Check()
}

// periodicSteps lets the faults that recur take turns in one lane.
func periodicSteps(rng *rand.Rand, kinds []nemesis.Kind, entries []plan.Fault, limit time.Duration) (nemesis.Schedule, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	var faults []nemesis.Fault
	first := entries[0]
	for _, e := range entries {
		if e.Every != first.Every || e.For != first.For {
			return nil, fmt.Errorf("faults that recur take turns and need the same times: %s has every %v for %v, %s every %v for %v",
				first.Name, first.Every, first.For, e.Name, e.Every, e.For)
		}
		f, err := nemesis.Parse(kinds, e.Name)
		if err != nil {
			return nil, err
		}
		faults = append(faults, f)
	}
	return nemesis.Periodic(rng, faults, first.Every, first.For, limit), nil
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
		Runtime: rt, Nodes: cl.Nodes, Concurrency: c.Plan.Concurrency, OpTimeout: c.Plan.OpTimeout,
		Open: c.System.Open, Bind: c.Workload.Bind, Journal: c.Journal, Watch: c.Watch,
	}
	loop.Start()
	defer loop.Close()

	var out Outcome
	stop, release := either(ctx, stop)
	defer release()
	nem := &nemesisTask{loop: loop, cluster: cl, schedule: c.Schedule, rng: Rand(c.Plan.Seed, streamNemesis)}
	nemCtx, stopNemesis := context.WithCancel(stop)
	rt.Go(func() { nem.run(nemCtx) })

	params := workloads.Params{Seed: Rand(c.Plan.Seed, streamOperations).Uint64(),
		Concurrency: c.Plan.Concurrency, Nodes: len(cl.Nodes), OpsPerKey: c.Plan.OpsPerKey}
	c.Phase(fmt.Sprintf("running %s for %v, %d faults planned", c.Workload.Name(), c.Plan.TimeLimit, len(c.Schedule)))
	if err := loop.Drive(ctx, stop, mainSource(c, params)); err != nil {
		out.problem("%v", err)
	}
	out.Interrupted = stop.Err() != nil
	stopNemesis()
	for !nem.done.Load() {
		rt.Wait(context.WithoutCancel(ctx), history.Forever)
	}
	recoverSystem(ctx, c, rt, &out)
	if final := c.Workload.Final(params); final != nil && ctx.Err() == nil {
		c.Phase("final reads")
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
func recoverSystem(ctx context.Context, c Config, rt cluster.Runtime, out *Outcome) {
	c.Phase("healing")
	heal, cancel := rt.WithTimeout(context.WithoutCancel(ctx), healTimeout)
	if err := HealAll(heal, c.System.Cluster()); err != nil {
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
