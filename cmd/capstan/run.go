package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/harness"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/plan"
	"github.com/capstan-dev/capstan/reports"
	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/workloads"
	"github.com/spf13/cobra"
)

const (
	bootTimeout  = 5 * time.Minute
	closeTimeout = 2 * time.Minute
)

func (a *app) runCommand() *cobra.Command {
	var f planFlags
	var dir string
	var keep, asJSON bool
	cmd := &cobra.Command{
		Use:   "run [TARGET[/TOPOLOGY]]",
		Short: "Run a workload against a cluster while its network breaks, and judge it",
		Long: `Starts the target's cluster, drives the workload, injects the faults, heals,
reads once more, checks the history and writes the report. Without arguments it
runs the embedded sim with asynchronous replication, which loses data.`,
		Example: `  capstan run
  capstan run sim/raft --seed 7
  capstan run postgres/async --level read=replica --fault partition:primary`,
		Args: maxArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := f.plan(cmd, args)
			if err != nil {
				return err
			}
			if len(s.plan.Vary) > 0 {
				return usage("the plan varies %s: it is for `capstan matrix`", s.plan.Vary[0].Field)
			}
			return a.run(s, dir, keep, asJSON)
		},
	}
	f.register(cmd)
	cmd.Flags().StringVarP(&dir, "output", "o", "", "run `DIR` to write (default: runs/TIME-TARGET-WORKLOAD)")
	cmd.Flags().BoolVar(&keep, "keep", false, "leave the cluster running after the run (remove it with `capstan clean`)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print results.json instead of text")
	return cmd
}

// run is one run from directory to verdict.
func (a *app) run(s subject, dir string, keep, asJSON bool) error {
	run, trouble := a.perform(s, dir, manner{keep: keep})
	if run.History == nil {
		return trouble
	}
	return worseError(a.conclude(run, asJSON), trouble)
}

// manner is how a plan is performed.
type manner struct {
	// keep leaves the cluster running, weigh measures what its nodes use.
	keep, weigh bool
}

// perform makes the run directory, records the run and judges it. Without a
// history in the result nothing was judged; the error is trouble on the way.
func (a *app) perform(s subject, dir string, m manner) (reports.Run, error) {
	d, err := makeRunDir(dir, s.plan)
	if err != nil {
		return reports.Run{}, withCode(exitData, err)
	}
	logFile, err := os.Create(d.Log())
	if err != nil {
		return reports.Run{}, withCode(exitData, fmt.Errorf("create run log: %w", err))
	}
	defer logFile.Close()
	p := newProgress(a.err, slog.New(slog.NewTextHandler(logFile, nil)))
	defer p.close()
	failed := a.record(s, d, m, p)
	if _, err := os.Stat(d.History()); err != nil {
		return reports.Run{}, failed // nothing was recorded
	}
	run, err := a.judge(d, p)
	if err != nil {
		run.History = nil
	}
	return run, errors.Join(failed, err)
}

// worseError lets a violation stand above trouble with the environment, which
// is told all the same.
func worseError(verdict, trouble error) error {
	var v *exitError
	if trouble == nil || !errors.As(verdict, &v) || v.code != exitInvalid {
		return cmp.Or(trouble, verdict)
	}
	return &exitError{code: v.code, err: trouble}
}

// makeRunDir creates the run directory and saves the plan in it.
func makeRunDir(dir string, p plan.Plan) (plan.Dir, error) {
	if dir == "" {
		name := fmt.Sprintf("%s-%s-%s", time.Now().UTC().Format("20060102T150405.000"),
			strings.ReplaceAll(p.Target, "/", "-"), p.Workload)
		dir = filepath.Join("runs", name)
	}
	d := plan.Dir(dir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return d, fmt.Errorf("create run directory: %w", err)
	}
	if _, err := os.Stat(d.History()); err == nil {
		return d, fmt.Errorf("run directory %s already holds a history; choose another one", dir)
	}
	if err := os.WriteFile(d.Plan(), p.YAML(), 0o644); err != nil {
		return d, fmt.Errorf("save plan: %w", err)
	}
	return d, nil
}

// record brings the cluster up, runs the plan on it, and takes it down again.
// Whatever happens after the first operation, the history is kept.
func (a *app) record(s subject, d plan.Dir, m manner, p *progress) (err error) {
	began := time.Now()
	info := plan.Info{Capstan: version(), Started: began.UTC()}
	p.phase("starting %s with %d nodes, seed %d", s.plan.Target, s.plan.Nodes, s.plan.Seed)
	boot, cancel := context.WithTimeout(a.stop, bootTimeout)
	defer cancel()
	spec := s.spec(filepath.Base(string(d)), p.log)
	spec.Keep = m.keep
	sys, err := s.target.Start(boot, spec)
	if sys != nil {
		defer func() { err = errors.Join(err, a.takeDown(sys, d, m.keep, p)) }()
	}
	if err == nil {
		err = preflight(boot, s, sys)
	}
	if err == nil {
		err = harness.Prepare(boot, sys, s.workload)
	}
	if err != nil {
		return a.bootError(err)
	}
	info.Boot = time.Since(began)
	cl := sys.Cluster()
	info.Virtual, info.Nodes = cl.Runtime != nil, cl.Nodes
	info.Versions = sys.Versions()

	journal, err := history.Create(d.History())
	if err != nil {
		return withCode(exitData, fmt.Errorf("create journal: %w", err))
	}
	out := harness.Run(a.ctx, a.stop, harness.Config{
		Plan: s.plan, System: sys, Workload: s.workload, Schedule: s.schedule,
		Journal: journal, Watch: p.watch, Phase: func(s string) { p.phase("%s", s) }, Log: p.log,
	})
	// What happened can have been more than was promised for: an operator's
	// failover, say.
	info.Claim = claimFor(sys, s.workload)
	if m.weigh {
		info.Memory = weigh(a.ctx, cl)
	}
	if err := journal.Close(); err != nil {
		out.Problems = append(out.Problems, fmt.Sprintf("close journal: %v", err))
	}
	info.Duration, info.Interrupted, info.Problems = out.Duration, out.Interrupted, out.Problems
	return withCode(exitData, d.WriteInfo(info))
}

// weigh asks how much memory each node uses. Nodes that cannot be asked are left
// out.
func weigh(ctx context.Context, c *cluster.Cluster) map[string]int64 {
	if c.Limits == nil {
		return nil
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	memory := map[string]int64{}
	for _, n := range c.Nodes {
		wg.Go(func() {
			if u, err := c.Limits.Usage(ctx, n); err == nil {
				mu.Lock()
				defer mu.Unlock()
				memory[n] = u.Memory
			}
		})
	}
	wg.Wait()
	return memory
}

// claimFor is what the system's documentation promises to a workload: of
// transactions it is a model of isolation.
func claimFor(sys targets.System, w workloads.Workload) string {
	if _, ok := w.(workloads.Transactional); !ok {
		return sys.Claim()
	}
	if i, ok := sys.(targets.Isolation); ok {
		return i.Isolation()
	}
	return ""
}

// preflight waits until the system is ready, asks every fault whether it can
// be had, and proves by canaries that the network is whole.
func preflight(ctx context.Context, s subject, sys targets.System) error {
	if err := sys.Ready(ctx); err != nil {
		return fmt.Errorf("%s is not ready: %w", s.plan.Target, err)
	}
	cl := sys.Cluster()
	for _, step := range s.schedule {
		if err := step.Fault.Applicable(cl); err != nil {
			return withCode(exitUsage, fmt.Errorf("fault %s is not applicable to %s: %w", step.Fault.Name(), s.plan.Target, err))
		}
		if step.On.Event == plan.LeaderChange && cl.Primaries == nil {
			return withCode(exitUsage, fmt.Errorf("fault %s waits for %s, and %s does not say which node is primary", step.Fault.Name(), step.On, s.plan.Target))
		}
	}
	if cl.Net == nil {
		return nil
	}
	reach, err := cl.Net.Probe(ctx)
	if err != nil {
		return fmt.Errorf("probe the network before the run: %w", err)
	}
	for _, l := range cluster.Links(cl.Nodes) {
		if !reach[l] {
			return fmt.Errorf("network is not whole before the run: no canary came from %s to %s", l.From, l.To)
		}
	}
	return nil
}

// bootError gives an error of the start its exit code.
func (a *app) bootError(err error) error {
	var coded *exitError
	switch {
	case a.stop.Err() != nil:
		return withCode(exitInterrupted, fmt.Errorf("interrupted while the cluster was starting: %w", err))
	case errors.As(err, &coded):
		return err
	}
	return withCode(exitEnvironment, hinted(err))
}

// takeDown collects the logs and removes the cluster, also after a signal.
func (a *app) takeDown(sys targets.System, d plan.Dir, keep bool, p *progress) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(a.ctx), closeTimeout)
	defer cancel()
	if err := sys.Logs(ctx, d.Nodes()); err != nil {
		p.warn("collect node logs: %v", err)
	}
	if keep {
		p.phase("leaving the cluster running (--keep); remove it with `capstan clean`")
	} else {
		p.phase("taking the cluster down")
	}
	if err := sys.Close(ctx); err != nil {
		return withCode(exitEnvironment, fmt.Errorf("take the cluster down: %w; `capstan clean` removes what is left", err))
	}
	return nil
}

// judge checks the history of a run directory and writes all of its reports.
func (a *app) judge(d plan.Dir, p *progress) (reports.Run, error) {
	p.phase("checking")
	run, err := checkRun(a.ctx, string(d), checkOptions{})
	if err != nil {
		return run, withCode(exitData, err)
	}
	p.phase("writing the report")
	if err := reports.WriteAll(run); err != nil {
		return run, withCode(exitData, err)
	}
	return run, nil
}

// conclude prints the result and turns the verdict into the exit code.
func (a *app) conclude(run reports.Run, asJSON bool) error {
	if asJSON {
		b, err := run.Results.JSON()
		if err != nil {
			return withCode(exitBug, err)
		}
		fmt.Fprintf(a.out, "%s", b)
	} else if err := reports.Text(a.out, run); err != nil {
		return withCode(exitBug, err)
	}
	code := verdictCode(run.Results.Verdict)
	if run.Info.Interrupted && code != exitInvalid {
		code = exitInterrupted
	}
	if code == exitValid {
		return nil
	}
	return &exitError{code: code}
}
