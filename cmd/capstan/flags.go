package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/capstan-dev/capstan/plan"
	"github.com/spf13/cobra"
)

// planFlags are the flags that shape a plan. They stand above the plan file.
type planFlags struct {
	file, workload       string
	level, fault         []string
	nodes, concurrency   int
	opsPerKey            int
	rate, seed, disk     string
	endpoint, memory     string
	cpus                 string
	timeLimit, opTimeout time.Duration
	clientPause          time.Duration
}

const diskDoc = "what nodes' data lies on: plain, loop (ext4 on a loop device: lost writes, a full disk), fuse (all faults of disks), by default what the faults need"

func (f *planFlags) register(cmd *cobra.Command) {
	d := plan.Default()
	fl := cmd.Flags()
	fl.StringVar(&f.file, "plan", "", "plan `FILE` in YAML; flags stand above it")
	fl.StringVar(&f.workload, "workload", "", "workload to drive (see `capstan list workloads`; default: the first one that the target can do)")
	fl.StringSliceVar(&f.level, "level", nil, "consistency level as `KNOB=VALUE`, repeatable (see `capstan list targets`)")
	fl.StringArrayVar(&f.fault, "fault", nil, "fault as NAME, NAME:ARG or NAME(ARG, KEY=VALUE), with when if you like: 'isolate(primary) 5s @12s'; repeatable or with commas between, or none (see `capstan list faults`; default: partition, or clients where there is one node)")
	fl.StringVar(&f.disk, "disk", "", diskDoc)
	fl.IntVar(&f.nodes, "nodes", 0, "number of nodes (default: the topology's)")
	f.registerLimits(cmd)
	fl.IntVar(&f.concurrency, "concurrency", d.Concurrency, "number of clients at a time")
	fl.IntVar(&f.opsPerKey, "ops-per-key", 0, "operations before the clients move on to a fresh key (default: the workload's)")
	fl.StringVar(&f.rate, "rate", fmt.Sprint(d.Rate), "operations a second over all clients, whether or not they answer in time (open loop: latency counts from when an operation was due), 0 for as many as they can (closed loop)")
	fl.DurationVar(&f.timeLimit, "time-limit", d.TimeLimit, "how long operations are asked for")
	fl.StringVar(&f.seed, "seed", fmt.Sprint(d.Seed), "seed of everything random, or `random`")
	fl.DurationVar(&f.clientPause, "client-pause", 0, "how long a client now and then stops while it holds a lock (workload lock), as in a collection of garbage")
	fl.DurationVar(&f.opTimeout, "op-timeout", d.OpTimeout, "time after which an operation's outcome is unknown")
}

// registerLimits adds the flags of what a node is given, and of a system that
// somebody else runs.
func (f *planFlags) registerLimits(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.memory, "node-memory", "", "memory of each node, as `SIZE` like 512MiB (default: the target's)")
	fl.StringVar(&f.cpus, "node-cpus", "", "`CPUS` that each node may use, like 0.5 (default: the target's)")
	fl.StringVar(&f.endpoint, "endpoint", "", "`ADDRESS` of the system, for topologies that somebody else runs")
}

// plan puts defaults, file, argument and flags together and resolves them.
func (f *planFlags) plan(cmd *cobra.Command, args []string) (subject, error) {
	p, err := f.raw(cmd, args)
	if err != nil {
		return subject{}, err
	}
	s, err := resolve(p)
	return s, planCode(err)
}

// raw is the plan before it is resolved.
func (f *planFlags) raw(cmd *cobra.Command, args []string) (plan.Plan, error) {
	p := plan.Default()
	p.Workload, p.Faults = "", nil // what the target can do, unless somebody chooses
	if f.file != "" {
		var err error
		if p, err = plan.ReadFile(f.file, p); err != nil {
			return p, withCode(exitData, err)
		}
	}
	if len(args) > 0 {
		p.Target = args[0]
		p.Override("target")
	}
	return p, withCode(exitUsage, f.override(cmd, &p))
}

// planCode tells a mistake in a file from one on the command line.
func planCode(err error) error {
	var placed *plan.Error
	if errors.As(err, &placed) {
		return withCode(exitData, err)
	}
	return withCode(exitUsage, err)
}

// override applies the flags that were given.
func (f *planFlags) override(cmd *cobra.Command, p *plan.Plan) error {
	var errs []error
	given := func(flag string) bool {
		if !cmd.Flags().Changed(flag) {
			return false
		}
		p.Override(flag)
		return true
	}
	if given("workload") {
		p.Workload = f.workload
	}
	if given("nodes") {
		p.Nodes = f.nodes
	}
	if given("disk") {
		p.Disk = f.disk
		if !slices.Contains(plan.Disks(), f.disk) {
			errs = append(errs, fmt.Errorf("--disk %q: want one of %s", f.disk, strings.Join(plan.Disks(), ", ")))
		}
	}
	if given("concurrency") {
		p.Concurrency = f.concurrency
	}
	if given("ops-per-key") {
		p.OpsPerKey = f.opsPerKey
	}
	if given("time-limit") {
		p.TimeLimit = f.timeLimit
	}
	if given("op-timeout") {
		p.OpTimeout = f.opTimeout
	}
	if given("client-pause") {
		p.ClientPause = f.clientPause
	}
	if given("rate") {
		rate, err := plan.ParseRate(f.rate)
		p.Rate, errs = rate, append(errs, err)
	}
	if given("seed") {
		seed, err := parseSeed(f.seed)
		p.Seed, errs = seed, append(errs, err)
	}
	if given("endpoint") {
		p.Endpoint = f.endpoint
	}
	if given("node-memory") {
		size, err := plan.ParseSize(f.memory)
		p.NodeMemory, errs = size, append(errs, err)
	}
	if given("node-cpus") {
		cpus, err := plan.ParseCPUs(f.cpus)
		p.NodeCPUs, errs = cpus, append(errs, err)
	}
	if given("fault") {
		faults, err := parseFaults(f.fault)
		p.Faults, errs = faults, append(errs, err)
		p.Override("faults")
	}
	for _, l := range f.level {
		k, v, ok := strings.Cut(l, "=")
		if !ok || k == "" || v == "" {
			errs = append(errs, fmt.Errorf("--level %q: want KNOB=VALUE, like read=replica", l))
			continue
		}
		p.Level[k] = v
		p.Override("level." + k)
	}
	switch {
	case p.Concurrency < 1 || p.Concurrency > 100000:
		errs = append(errs, fmt.Errorf("--concurrency %d: want 1 to 100000", p.Concurrency))
	case given("nodes") && p.Nodes < 1:
		errs = append(errs, fmt.Errorf("--nodes %d: want at least 1", p.Nodes))
	case p.OpsPerKey < 0:
		errs = append(errs, fmt.Errorf("--ops-per-key %d: want at least 0", p.OpsPerKey))
	case p.TimeLimit <= 0:
		errs = append(errs, fmt.Errorf("--time-limit %v: want more than 0s", p.TimeLimit))
	case p.ClientPause < 0:
		errs = append(errs, fmt.Errorf("--client-pause %v: want at least 0s", p.ClientPause))
	case p.OpTimeout <= 0:
		errs = append(errs, fmt.Errorf("--op-timeout %v: want more than 0s", p.OpTimeout))
	}
	return errors.Join(errs...)
}

func parseSeed(s string) (uint64, error) {
	if s == "random" {
		return rand.Uint64() >> 16, nil
	}
	seed, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("--seed %q: want a whole number of at least 0, or random", s)
	}
	return seed, nil
}

// parseFaults reads the values of --fault. Commas outside of parentheses part
// faults.
func parseFaults(values []string) ([]plan.Fault, error) {
	var texts []string
	for _, v := range values {
		texts = append(texts, plan.SplitOutside(v)...)
	}
	faults := []plan.Fault{}
	for _, text := range texts {
		if text == "none" {
			if len(texts) > 1 {
				return nil, errors.New("--fault none excludes other faults")
			}
			return faults, nil
		}
		f, err := plan.ParseFault(text)
		if err != nil {
			return nil, fmt.Errorf("--fault %q: %w", text, err)
		}
		faults = append(faults, f)
	}
	return faults, nil
}
