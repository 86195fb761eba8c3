package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/capstan-dev/capstan/internal/nearest"
	"github.com/capstan-dev/capstan/plan"
	"github.com/capstan-dev/capstan/targets"
	"github.com/spf13/cobra"
)

func (a *app) listCommand() *cobra.Command {
	sections := []struct {
		name string
		list func(io.Writer)
	}{
		{"targets", listTargets},
		{"workloads", listWorkloads},
		{"faults", listFaults},
		{"checks", listChecks},
	}
	return &cobra.Command{
		Use:       "list [targets|workloads|faults|checks]",
		Short:     "List what there is, and who supports what",
		ValidArgs: []string{"targets", "workloads", "faults", "checks"},
		Args:      maxArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && !slices.Contains(cmd.ValidArgs, args[0]) {
				return usage("cannot list %q%s; there are: %s", args[0],
					nearest.Hint(args[0], cmd.ValidArgs), strings.Join(cmd.ValidArgs, ", "))
			}
			for i, s := range sections {
				if len(args) == 1 && args[0] != s.name {
					continue
				}
				if len(args) == 0 {
					if i > 0 {
						fmt.Fprintln(a.out)
					}
					fmt.Fprintf(a.out, "%s\n", strings.ToUpper(s.name))
				}
				s.list(a.out)
			}
			return nil
		},
	}
}

// eachTopology calls f for everything that can be run.
func eachTopology(f func(targets.Target, targets.Topology)) {
	for _, t := range allTargets() {
		for _, top := range t.Topologies() {
			f(t, top)
		}
	}
}

// listTargets prints the topologies with the matrix of workloads and faults.
func listTargets(w io.Writer) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	loads := allWorkloads(plan.Default(), "")
	header := "TARGET\tNODES"
	for _, l := range loads {
		header += "\t" + l.Name()
	}
	fmt.Fprintln(tw, header)
	eachTopology(func(t targets.Target, top targets.Topology) {
		fmt.Fprintf(tw, "%s/%s\t%d (%d-%d)", t.Name(), top.Name, top.Nodes, top.Min, top.Max)
		for _, l := range loads {
			_, err := l.Bind(top.Conn)
			fmt.Fprint(tw, "\t", mark(err == nil))
		}
		fmt.Fprintln(tw)
	})
	tw.Flush()
	eachTopology(func(t targets.Target, top targets.Topology) {
		fmt.Fprintf(w, "\n%s/%s: %s\n", t.Name(), top.Name, top.Doc)
		fmt.Fprintf(w, "  faults: %s\n", strings.Join(top.Faults, ", "))
		for _, l := range top.Levels {
			values := strings.Join(l.Values, "|")
			if values == "" {
				values = fmt.Sprintf("(default %q)", l.Default)
			}
			fmt.Fprintf(w, "  --level %s=%s\n      %s\n", l.Name, values, l.Doc)
		}
	})
}

func mark(ok bool) string {
	if ok {
		return "yes"
	}
	return "-"
}

func listWorkloads(w io.Writer) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, l := range allWorkloads(plan.Default(), "") {
		fmt.Fprintf(tw, "%s\t%s\n", l.Name(), l.Doc())
	}
	tw.Flush()
}

func listFaults(w io.Writer) {
	for _, f := range allFaults() {
		fmt.Fprintf(w, "%s\n    %s\n", f.Usage(), f.Doc)
	}
	fmt.Fprintln(w, "\nNODES is one, minority, minority-third, majority, all, primary, primaries, non-primary, same (as in the step before), names of nodes, or roles.")
	fmt.Fprintln(w, "FAULT + 2s FAULT lets the second fault join the first, 2 s after that was in force. FAULT 5s @12s happens once; instead of a time, @leader-change,")
	fmt.Fprintln(w, "@op:1000 and @info:5 wait for that moment. FAULT 5s every 10s recurs; jitter 0, from 20s and until 40s may follow.")
}

func listChecks(w io.Writer) {
	fmt.Fprintln(w, "linearizable\n    per key, with a linearization or a minimal witness")
	fmt.Fprintln(w, "set\n    lost, stale, duplicated, phantom and never-read elements")
	fmt.Fprintln(w, "counter\n    lost and duplicated increments, non-monotonic reads")
	fmt.Fprintln(w, "faults\n    every fault was proven in force and proven healed, or the run is unknown")
	fmt.Fprintln(w, "strength\n    enough operations, concurrency, and reads after the heal, or the run is unknown")
	fmt.Fprintln(w, "\nmodels for `capstan check --model`:")
	for _, m := range allModels() {
		fmt.Fprintf(w, "%s\n    %s\n", m.name, m.doc)
	}
}
