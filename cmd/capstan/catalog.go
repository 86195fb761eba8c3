package main

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/counter"
	"github.com/capstan-dev/capstan/checker/linear"
	"github.com/capstan-dev/capstan/checker/monotonic"
	"github.com/capstan-dev/capstan/checker/sets"
	"github.com/capstan-dev/capstan/checker/txn"
	"github.com/capstan-dev/capstan/checker/txn/infer/wr"
	"github.com/capstan-dev/capstan/harness"
	"github.com/capstan-dev/capstan/internal/nearest"
	"github.com/capstan-dev/capstan/nemesis"
	"github.com/capstan-dev/capstan/plan"
	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/cassandra"
	"github.com/capstan-dev/capstan/targets/dynamodb"
	"github.com/capstan-dev/capstan/targets/etcd"
	"github.com/capstan-dev/capstan/targets/mysql"
	"github.com/capstan-dev/capstan/targets/postgres"
	"github.com/capstan-dev/capstan/targets/redis"
	"github.com/capstan-dev/capstan/targets/riak"
	"github.com/capstan-dev/capstan/targets/sim"
	"github.com/capstan-dev/capstan/targets/spanner"
	"github.com/capstan-dev/capstan/workloads"
	bankload "github.com/capstan-dev/capstan/workloads/bank"
	counterload "github.com/capstan-dev/capstan/workloads/counter"
	idsload "github.com/capstan-dev/capstan/workloads/ids"
	lockload "github.com/capstan-dev/capstan/workloads/lock"
	longforkload "github.com/capstan-dev/capstan/workloads/longfork"
	monotonicload "github.com/capstan-dev/capstan/workloads/monotonic"
	predicateload "github.com/capstan-dev/capstan/workloads/predicate"
	registerload "github.com/capstan-dev/capstan/workloads/register"
	sequentialload "github.com/capstan-dev/capstan/workloads/sequential"
	setload "github.com/capstan-dev/capstan/workloads/set"
	txnload "github.com/capstan-dev/capstan/workloads/txn"
	watchload "github.com/capstan-dev/capstan/workloads/watch"
	writeskewload "github.com/capstan-dev/capstan/workloads/writeskew"
)

// This file is the list of all that ships. A new target, workload or fault is
// a folder or file of its own, and one line here.

func allTargets() []targets.Target {
	return []targets.Target{
		sim.Target{},
		postgres.Target{},
		etcd.Target{},
		redis.Target{},
		mysql.Target{},
		cassandra.Target{},
		dynamodb.Target{},
		spanner.Target{},
		riak.Target{},
	}
}

// allWorkloads makes fresh workloads, with checks inside the plan's budgets.
// What a system claims decides whether it may serve what is old: from one that
// claims no more than to converge, a read without the last element of a set is
// expected, from one that claims to be linearizable it is a violation.
func allWorkloads(p plan.Plan, claim string) []workloads.Workload {
	fresh := claim == "linearizable" || claim == "regular"
	return []workloads.Workload{
		registerload.New(linear.Options{Timeout: p.CheckTimeout, Memory: p.CheckMemory}),
		setload.New(sets.Options{Linearizable: fresh}),
		counterload.New(counter.Options{Linearizable: fresh}),
		lockload.New(lockload.Options{Pause: p.ClientPause, Fenced: p.Level["fencing"] == "token"}),
		bankload.New(),
		txnload.Append(func() (checker.Checker, error) { return txn.NewListAppend(claim) }),
		txnload.WR(func() (checker.Checker, error) { return txn.NewRWRegister(claim, wr.Options{}) }),
		predicateload.New(func() (checker.Checker, error) { return txn.NewClosedPredicate(claim) }),
		monotonicload.New(func() (checker.Checker, error) { return monotonic.New(claim) }),
		writeskewload.New(),
		longforkload.New(),
		sequentialload.New(),
		idsload.New(),
		watchload.New(),
	}
}

func allFaults() []nemesis.Kind {
	return []nemesis.Kind{
		nemesis.Partition(),
		nemesis.Isolate(),
		nemesis.Clients(),
		nemesis.Delay(),
		nemesis.Loss(),
		nemesis.Duplicate(),
		nemesis.Reorder(),
		nemesis.Corrupt(),
		nemesis.Rate(),
		nemesis.Kill(),
		nemesis.Stop(),
		nemesis.Pause(),
		nemesis.Suspend(),
		nemesis.Crash(),
		nemesis.Storm(),
		nemesis.Rolling(),
		nemesis.Rekill(),
		nemesis.Clock(),
		nemesis.Jump(),
		nemesis.Strobe(),
		nemesis.Drift(),
		nemesis.DiskFull(),
		nemesis.DiskReadOnly(),
		nemesis.DiskSlow(),
		nemesis.DiskError(),
		nemesis.DiskDamage(),
		nemesis.CPU(),
		nemesis.Memory(),
		nemesis.Remove(),
		nemesis.Replace(),
		nemesis.Transfer(),
		nemesis.Upgrade(),
		nemesis.Mix(),
	}
}

// subject is a plan matched with what the catalog has.
type subject struct {
	plan     plan.Plan
	target   targets.Target
	topology targets.Topology
	workload workloads.Workload
	schedule nemesis.Schedule
}

// spec is the request for the cluster.
func (s subject) spec(run string, log *slog.Logger) targets.Spec {
	return targets.Spec{
		Topology: s.topology.Name, Nodes: s.plan.Nodes, Levels: s.plan.Level, Seed: harness.SystemSeed(s.plan.Seed),
		Disk: s.plan.Disk, Memory: s.plan.NodeMemory, CPUs: s.plan.NodeCPUs, Endpoint: s.plan.Endpoint,
		RunID: run, Log: log,
	}
}

func named[T interface{ Name() string }](what, name string, all []T) (T, error) {
	var names []string
	for _, x := range all {
		if x.Name() == name {
			return x, nil
		}
		names = append(names, x.Name())
	}
	var none T
	return none, fmt.Errorf("unknown %s %q%s; there are: %s", what, name, nearest.Hint(name, names), strings.Join(names, ", "))
}

// findTopology resolves TARGET[/TOPOLOGY].
func findTopology(name string) (targets.Target, targets.Topology, error) {
	first, rest, given := strings.Cut(name, "/")
	t, err := named("target", first, allTargets())
	if err != nil {
		return nil, targets.Topology{}, err
	}
	var names []string
	for _, top := range t.Topologies() {
		if !given || top.Name == rest {
			return t, top, nil
		}
		names = append(names, top.Name)
	}
	return nil, targets.Topology{}, fmt.Errorf("target %s has no topology %q%s; there are: %s",
		first, rest, nearest.Hint(rest, names), strings.Join(names, ", "))
}

// resolve fills in what the plan leaves open and matches it with the catalog.
// It reports everything that is wrong, not only the first.
func resolve(p plan.Plan) (subject, error) {
	s := subject{}
	var errs []error
	var err error
	if s.target, s.topology, err = findTopology(p.Target); err != nil {
		errs = append(errs, p.Blame("target", err))
	} else {
		p.Target = s.target.Name() + "/" + s.topology.Name
		p, err = fillTopology(p, s.topology)
		errs = append(errs, err)
	}
	if p.Workload == "" {
		p.Workload = usualWorkload(s.topology)
	}
	if s.workload, err = named("workload", p.Workload, allWorkloads(p, "")); err != nil {
		errs = append(errs, p.Blame("workload", err))
	} else if s.target != nil {
		if _, err := s.workload.Bind(s.topology.Conn); err != nil {
			errs = append(errs, p.Blame("workload", fmt.Errorf("target %s cannot do workload %s: %w", p.Target, p.Workload, err)))
		}
	}
	if _, ok := s.target.(targets.Images); s.target != nil && !ok && (p.NodeMemory > 0 || p.NodeCPUs > 0) {
		errs = append(errs, fmt.Errorf("target %s has no nodes in containers, whose memory and CPUs could be limited", p.Target))
	}
	if p.Faults == nil {
		p.Faults = usualFaults(s.topology)
	}
	p.Fill()
	if p.Disk == "" {
		p.Disk = diskFor(p.Faults)
	}
	errs = append(errs, checkFaults(&p, s.topology)...)
	if err := errors.Join(errs...); err != nil {
		return s, err
	}
	s.plan = p
	s.schedule, err = harness.Schedule(p, allFaults())
	return s, p.Blame("faults", err)
}

// usualWorkload is the first one that the topology can do.
func usualWorkload(t targets.Topology) string {
	all := allWorkloads(plan.Default(), "")
	i := slices.IndexFunc(all, func(w workloads.Workload) bool {
		_, err := w.Bind(t.Conn)
		return err == nil
	})
	return all[max(i, 0)].Name()
}

// usualFaults are a partition, or where there is none the cut of the clients.
func usualFaults(t targets.Topology) []plan.Fault {
	for _, name := range []string{"partition", "clients"} {
		if slices.Contains(t.Faults, name) {
			return []plan.Fault{{Name: name}}
		}
	}
	return []plan.Fault{}
}

// fillTopology sets nodes and levels to their defaults and checks the others.
func fillTopology(p plan.Plan, t targets.Topology) (plan.Plan, error) {
	var errs []error
	if p.Nodes == 0 {
		p.Nodes = t.Nodes
	}
	if p.Nodes < t.Min || p.Nodes > t.Max {
		errs = append(errs, p.Blame("nodes", fmt.Errorf("target %s takes %d to %d nodes, not %d", p.Target, t.Min, t.Max, p.Nodes)))
	}
	switch {
	case t.External && p.Endpoint == "":
		errs = append(errs, p.Blame("target", fmt.Errorf("target %s is run by somebody else; say where with --endpoint ADDRESS", p.Target)))
	case !t.External && p.Endpoint != "":
		errs = append(errs, p.Blame("endpoint", fmt.Errorf("target %s starts a cluster of its own and takes no endpoint", p.Target)))
	}
	given := p.Level
	p.Level = map[string]string{}
	var names []string
	for _, l := range t.Levels {
		names = append(names, l.Name)
		v, ok := given[l.Name]
		switch {
		case !ok && len(l.Values) > 0:
			v = l.Values[0]
		case !ok:
			v = l.Default
		case len(l.Values) > 0 && !slices.Contains(l.Values, v):
			errs = append(errs, p.Blame("level."+l.Name, fmt.Errorf("level %s of %s cannot be %q%s; it can be: %s",
				l.Name, p.Target, v, nearest.Hint(v, l.Values), strings.Join(l.Values, ", "))))
		}
		p.Level[l.Name] = v
	}
	for name := range given {
		if !slices.Contains(names, name) {
			errs = append(errs, p.Blame("level."+name, fmt.Errorf("target %s has no level %q%s; there are: %s",
				p.Target, name, nearest.Hint(name, names), strings.Join(names, ", "))))
		}
	}
	return p, errors.Join(errs...)
}

// diskFor is the simplest kind of disk that can have all the faults; empty if
// none of them is of disks.
func diskFor(faults []plan.Fault) string {
	disk := ""
	for _, entry := range faults {
		f, err := nemesis.Parse(allFaults(), entry.Name)
		if err != nil {
			continue // told by checkFaults
		}
		for _, kind := range nemesis.Uses(f) {
			switch kind {
			case "disk-slow", "disk-error", "disk-readonly":
				return "fuse"
			case "crash", "disk-full":
				disk = "loop"
			}
		}
	}
	return disk
}

// checkFaults says which faults there are not, or not on this target, and
// brings the names of the others into their canonical form.
func checkFaults(p *plan.Plan, t targets.Topology) []error {
	var errs []error
	for i, entry := range p.Faults {
		f, err := nemesis.Parse(allFaults(), entry.Name)
		if err == nil {
			p.Faults[i].Name = f.Name()
			err = lackingFaults(p.Target, f, t)
		}
		errs = append(errs, p.Blame(fmt.Sprintf("faults[%d]", i), err))
	}
	return errs
}

func lackingFaults(target string, f nemesis.Fault, t targets.Topology) error {
	if t.Name == "" {
		return nil
	}
	for _, kind := range nemesis.Uses(f) {
		if !slices.Contains(t.Faults, kind) {
			return fmt.Errorf("target %s cannot have fault %s; it can have: %s",
				target, kind, strings.Join(append(slices.Clone(t.Faults), "none"), ", "))
		}
	}
	return nil
}
