package main

import (
	"fmt"
	"os"

	"github.com/capstan-dev/capstan/plan"
	"github.com/capstan-dev/capstan/reports"
	"github.com/spf13/cobra"
)

func (a *app) reportCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "report DIR...",
		Short: "Write report.html, junit.xml and the text of run directories again",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("report needs at least one run directory")
			}
			for _, dir := range args {
				if err := a.report(dir); err != nil {
					return withCode(exitData, err)
				}
			}
			return nil
		},
	}
}

// report renders a run directory, checking it first if nobody has, or if what
// the checks said cannot be read any more.
func (a *app) report(dir string) error {
	run, err := reports.Load(dir)
	if err != nil {
		if _, statErr := os.Stat(plan.Dir(dir).Results()); statErr == nil {
			fmt.Fprintf(a.err, "warning: %v; checking again\n", err)
		}
		run, err = checkRun(a.stop, dir, checkOptions{})
	}
	if err != nil {
		return fmt.Errorf("report %s: %w", dir, err)
	}
	if err := reports.WriteAll(run); err != nil {
		return fmt.Errorf("report %s: %w", dir, err)
	}
	return reports.Text(a.out, run)
}
