package main

import (
	"fmt"
	"os"

	"github.com/capstan-dev/capstan/cluster/docker"
	"github.com/capstan-dev/capstan/harness/live"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func (a *app) shellCommand() *cobra.Command {
	var name string
	var net bool
	cmd := &cobra.Command{
		Use:   "shell NODE [--] [COMMAND...]",
		Short: "Open a shell in a node, or run a command there",
		Long: `Opens a shell in the container of a node's server, or with --net in the one that
owns its network, where iptables, ss and ip are. It works for every cluster of
capstan that runs in the engine, kept ones included. The exit code is the
command's.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			role := docker.RoleServer
			if net {
				role = docker.RoleHolder
			}
			command := args[1:]
			if len(command) > 0 && command[0] == "--" {
				command = command[1:]
			}
			return a.shell(name, args[0], role, command)
		},
	}
	cmd.Flags().SetInterspersed(false)
	cmd.Flags().StringVar(&name, "cluster", "", "`NAME` of the cluster or run (default: the one that `capstan up` holds, or the only one with such a node)")
	cmd.Flags().BoolVar(&net, "net", false, "in the container that owns the node's network")
	return cmd
}

func (a *app) shell(run, node, role string, command []string) error {
	if run == "" {
		// The cluster that is broken by hand goes before those of runs.
		if up, err := live.All(a.ctx); err == nil && len(up) == 1 {
			run = up[0].Name
		}
	}
	eng, err := docker.Connect(a.ctx, nil)
	if err != nil {
		return withCode(exitEnvironment, hinted(err))
	}
	defer eng.Close()
	t := docker.Terminal{In: os.Stdin, Out: a.out, Err: a.err}
	if isTerminal(os.Stdin) && isTerminal(os.Stdout) {
		old, err := term.MakeRaw(int(os.Stdin.Fd()))
		if err != nil {
			return withCode(exitEnvironment, fmt.Errorf("take over the terminal: %w", err))
		}
		defer func() { _ = term.Restore(int(os.Stdin.Fd()), old) }() // the shell is over either way
		t.TTY, t.Sizes = true, terminalSizes(os.Stdout)
	}
	code, err := eng.Shell(a.ctx, run, node, role, command, t)
	if err != nil {
		return withCode(exitEnvironment, err)
	}
	if code != 0 {
		return &exitError{code: code}
	}
	return nil
}

// terminalSize is rows and columns; zero if f is no terminal.
func terminalSize(f *os.File) [2]uint {
	w, h, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return [2]uint{}
	}
	return [2]uint{uint(h), uint(w)}
}

// terminalSizes delivers the size now and whenever it changes.
func terminalSizes(f *os.File) <-chan [2]uint {
	sizes := make(chan [2]uint, 1)
	sizes <- terminalSize(f)
	changed := resized()
	go func() {
		for range changed {
			sizes <- terminalSize(f)
		}
	}()
	return sizes
}
