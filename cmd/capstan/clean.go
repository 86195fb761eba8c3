package main

import (
	"context"
	"fmt"

	"github.com/capstan-dev/capstan/cluster/docker"
	"github.com/spf13/cobra"
)

func (a *app) cleanCommand() *cobra.Command {
	var run string
	cmd := &cobra.Command{
		Use:   "clean",
		Short: "Remove every container, network and volume that capstan made",
		Long: `Removes everything in the Docker engine that carries capstan's label, whichever
run made it and whether it is running, paused or dead. It needs no state file.`,
		Args: maxArgs(0),
		RunE: func(*cobra.Command, []string) error {
			ctx, cancel := context.WithTimeout(a.stop, closeTimeout)
			defer cancel()
			eng, err := docker.Connect(ctx, nil)
			if err != nil {
				return withCode(exitEnvironment, hinted(err))
			}
			defer eng.Close()
			removed, err := eng.Clean(ctx, run)
			if !removed.Empty() {
				fmt.Fprintf(a.out, "%v\n", removed)
			} else if err == nil {
				fmt.Fprintln(a.out, "nothing to remove")
			}
			return withCode(exitEnvironment, hinted(err))
		},
	}
	cmd.Flags().StringVar(&run, "run", "", "only what the run of this `NAME` made, the last part of its directory (default: all runs)")
	return cmd
}
