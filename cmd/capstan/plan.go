package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// ganttWidth is what fits beside a comment sign on 80 columns.
const ganttWidth = 76

func (a *app) planCommand() *cobra.Command {
	var f planFlags
	cmd := &cobra.Command{
		Use:   "plan [TARGET[/TOPOLOGY]]",
		Short: "Print the resolved plan and its fault schedule; run nothing",
		Args:  maxArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := f.plan(cmd, args)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.out, "%s", s.plan.YAML())
			fmt.Fprintf(a.out, "\n# fault schedule of seed %d (fault, duration, start):\n", s.plan.Seed)
			for line := range strings.Lines(s.schedule.Gantt(s.plan.TimeLimit, ganttWidth)) {
				fmt.Fprintf(a.out, "#   %s", line)
			}
			if len(s.schedule) > 0 {
				fmt.Fprintln(a.out, "#")
			}
			for _, step := range s.schedule {
				fmt.Fprintf(a.out, "#   %v\n", step)
			}
			if len(s.schedule) == 0 {
				fmt.Fprintln(a.out, "#   none")
			}
			return nil
		},
	}
	f.register(cmd)
	return cmd
}

// maxArgs is cobra.MaximumNArgs with a usage error's exit code.
func maxArgs(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return usage("%s takes at most %d argument, got %q", cmd.CommandPath(), n, args)
		}
		return nil
	}
}
