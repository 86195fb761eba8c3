// Package plan holds everything that a run needs, as plain values: what a plan
// file or the command line decodes into, what is printed, and what is saved in
// the run directory.
package plan

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Plan is one run. After resolution no field is left open.
type Plan struct {
	// Title is what the plan is to show, in a sentence; Expect is what it
	// should find, one of Expectations. Both may be empty.
	Title, Expect string
	// Target is TARGET/TOPOLOGY.
	Target string
	// Nodes is the number of nodes; 0 means the topology's default.
	Nodes int
	// Level maps the target's consistency knobs to their values.
	Level map[string]string
	// Workload is the name of the workload.
	Workload string
	// OpsPerKey is how many operations a key gets before the clients move on
	// to a fresh one; 0 leaves it to the workload.
	OpsPerKey int
	// Concurrency is the number of client processes at a time.
	Concurrency int
	// Rate is the number of operations a second over all clients; 0 means as
	// fast as they go.
	Rate float64
	// TimeLimit is how long the main phase lasts.
	TimeLimit time.Duration
	// OpTimeout ends a call as unknown.
	OpTimeout time.Duration
	// ClientPause is how long a client now and then stops while it holds a
	// lock, as in a collection of garbage; 0 means never.
	ClientPause time.Duration
	// Quiesce is the quiet time between the last heal and the final reads.
	Quiesce time.Duration
	// CheckTimeout bounds each check.
	CheckTimeout time.Duration
	// CheckMemory bounds the memory of the checks, in bytes.
	CheckMemory int64
	Seed        uint64
	// Disk is what the nodes' data lies on: plain, loop or fuse; empty leaves
	// it to the faults.
	Disk string
	// NodeMemory in bytes and NodeCPUs limit each node; 0 leaves it to the
	// target.
	NodeMemory int64
	NodeCPUs   float64
	// Endpoint is the address of a system that somebody else runs.
	Endpoint string
	// Faults are the disturbances; empty means none.
	Faults []Fault
	// Vary makes the plan a matrix of runs, one for each combination.
	Vary []Axis

	places map[string]place
}

// Expectations are the values of Plan.Expect.
func Expectations() []string { return []string{"violation", "no violation"} }

// Disks are the values of Plan.Disk.
func Disks() []string { return []string{"plain", "loop", "fuse"} }

// Default is the plan of `capstan run` without any argument.
func Default() Plan {
	return Plan{
		Target:       "sim/async",
		Workload:     "register",
		Level:        map[string]string{},
		Concurrency:  10,
		Rate:         200,
		TimeLimit:    60 * time.Second,
		OpTimeout:    time.Second,
		Quiesce:      2 * time.Second,
		CheckTimeout: 2 * time.Minute,
		CheckMemory:  4 << 30,
		Seed:         1,
		Faults:       []Fault{{Name: "partition"}},
	}
}

// Fill gives every fault without times the usual ones: five of every ten
// seconds, or less in a run that is too short for that.
func (p *Plan) Fill() {
	for i := range p.Faults {
		f := &p.Faults[i]
		once := f.Once || f.On != Trigger{}
		if f.Every == 0 && !once {
			f.Every = max(min(10*time.Second, p.TimeLimit/2), 2*f.For)
		}
		if f.For == 0 && once {
			f.For = min(5*time.Second, p.TimeLimit/4)
		}
		if f.For == 0 {
			f.For = f.Every / 2
		}
	}
}

// YAML writes the plan as a file that Parse reads back to the same plan.
func (p Plan) YAML() []byte {
	var b strings.Builder
	line := func(key, format string, args ...any) {
		fmt.Fprintf(&b, "%s: %s\n", key, fmt.Sprintf(format, args...))
	}
	if p.Title != "" {
		line("title", "%s", scalar(p.Title))
	}
	if p.Expect != "" {
		line("expect", "%s", scalar(p.Expect))
	}
	line("target", "%s", scalar(p.Target))
	if p.Nodes > 0 {
		line("nodes", "%d", p.Nodes)
	}
	line("workload", "%s", scalar(p.Workload))
	if len(p.Level) > 0 {
		fmt.Fprintf(&b, "level:\n")
		for _, k := range sortedKeys(p.Level) {
			fmt.Fprintf(&b, "  %s: %s\n", scalar(k), scalar(p.Level[k]))
		}
	}
	if p.OpsPerKey > 0 {
		line("ops-per-key", "%d", p.OpsPerKey)
	}
	line("concurrency", "%d", p.Concurrency)
	line("rate", "%g", p.Rate)
	line("time-limit", "%v", p.TimeLimit)
	line("op-timeout", "%v", p.OpTimeout)
	if p.ClientPause > 0 {
		line("client-pause", "%v", p.ClientPause)
	}
	line("quiesce", "%v", p.Quiesce)
	line("check-timeout", "%v", p.CheckTimeout)
	line("check-memory", "%s", FormatSize(p.CheckMemory))
	line("seed", "%d", p.Seed)
	if p.Disk != "" {
		line("disk", "%s", p.Disk)
	}
	if p.NodeMemory > 0 {
		line("node-memory", "%s", FormatSize(p.NodeMemory))
	}
	if p.NodeCPUs > 0 {
		line("node-cpus", "%g", p.NodeCPUs)
	}
	if p.Endpoint != "" {
		line("endpoint", "%s", scalar(p.Endpoint))
	}
	if len(p.Vary) > 0 {
		fmt.Fprintf(&b, "vary:\n")
	}
	for _, a := range p.Vary {
		fmt.Fprintf(&b, "  %s: [", scalar(a.Field))
		for i, v := range a.Values {
			if i > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "%q", v)
		}
		b.WriteString("]\n")
	}
	if len(p.Faults) == 0 {
		line("faults", "[]")
		return []byte(b.String())
	}
	fmt.Fprintf(&b, "faults:\n")
	for _, f := range p.Faults {
		fmt.Fprintf(&b, "  - {%s}\n", strings.Join(f.fields(), ", "))
	}
	return []byte(b.String())
}

// scalar quotes a string where YAML would read it as something else.
func scalar(s string) string {
	out, err := yaml.Marshal(s)
	if err != nil {
		return fmt.Sprintf("%q", s)
	}
	return strings.TrimSpace(string(out))
}

// inFlow quotes a string for a place between braces, where more is special.
func inFlow(s string) string {
	if strings.ContainsAny(s, ",[]{}") {
		return strconv.Quote(s)
	}
	return scalar(s)
}
