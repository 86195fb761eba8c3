package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/capstan-dev/capstan/harness/live"
	"github.com/capstan-dev/capstan/nemesis"
	"github.com/capstan-dev/capstan/plan"
	"github.com/spf13/cobra"
)

func (a *app) faultCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "fault",
		Short: "Break and heal a cluster by hand, see `capstan up` and `capstan attach`",
	}
	cmd.PersistentFlags().StringVar(&name, "cluster", "", "`NAME` of the cluster (default: the only one that is up)")
	cmd.AddCommand(
		&cobra.Command{
			Use:   "add FAULT",
			Short: "Bring a fault into force and measure that it is",
			Long: `Brings a fault into force, measures that it is, and prints what was measured.
With a duration behind it the fault heals by itself. Faults add up, and heal one
by one. Exit code 3 means that it could not be measured to be in force.`,
			Example: `  capstan fault add partition:halves
  capstan fault add 'isolate(primary) 5s'
  capstan fault add 'delay(50ms, jitter=10ms)'`,
			Args: cobra.MinimumNArgs(1),
			RunE: func(_ *cobra.Command, args []string) error { return a.faultAdd(name, strings.Join(args, " ")) },
		},
		&cobra.Command{
			Use: "ls", Aliases: []string{"list"}, Short: "Show the nodes and what is broken", Args: maxArgs(0),
			RunE: func(*cobra.Command, []string) error { return a.faultList(name) },
		},
		&cobra.Command{
			Use:   "heal [NUMBER|all]",
			Short: "Heal one fault, or everything, and measure that it is gone",
			Args:  maxArgs(1),
			RunE:  func(_ *cobra.Command, args []string) error { return a.faultHeal(name, args) },
		})
	return cmd
}

// findLive finds the cluster that a command is for.
func (a *app) findLive(name string) (*live.Client, error) {
	c, err := live.Find(a.ctx, name)
	if err != nil {
		return nil, withCode(exitUsage, err)
	}
	return c, nil
}

func (a *app) faultAdd(name, text string) error {
	if _, _, err := parseFault(text); err != nil {
		return withCode(exitUsage, err)
	}
	c, err := a.findLive(name)
	if err != nil {
		return err
	}
	f, err := c.Add(a.ctx, text)
	if err != nil {
		return withCode(exitEnvironment, err)
	}
	writeFault(a.out, f)
	return unproven(f, "in force")
}

// unproven is an error for a fault that was not measured to be as it should.
func unproven(f live.Fault, state string) error {
	switch {
	case f.Err != "":
		return withCode(exitEnvironment, errors.New(f.Err))
	case !f.Proven:
		return withCode(exitUnknown, fmt.Errorf("fault %d was not proven %s", f.ID, state))
	}
	return nil
}

func (a *app) faultList(name string) error {
	if name != "" {
		c, err := a.findLive(name)
		if err != nil {
			return err
		}
		return a.printStatus(c)
	}
	up, err := live.All(a.ctx)
	if err != nil {
		return withCode(exitEnvironment, err)
	}
	if len(up) == 0 {
		fmt.Fprintln(a.out, live.ErrNone)
	}
	for _, c := range up {
		if err := a.printStatus(c); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) faultHeal(name string, args []string) error {
	id := 0
	if len(args) == 1 && args[0] != "all" {
		var err error
		if id, err = strconv.Atoi(args[0]); err != nil || id < 1 {
			return usage("fault %q: want a number as `capstan fault ls` shows it, or all", args[0])
		}
	}
	c, err := a.findLive(name)
	if err != nil {
		return err
	}
	if id == 0 {
		if err := c.HealAll(a.ctx); err != nil {
			return withCode(exitEnvironment, err)
		}
		fmt.Fprintln(a.out, "all is healed")
		return nil
	}
	f, err := c.Heal(a.ctx, id)
	if err != nil {
		return withCode(exitUsage, err)
	}
	writeFault(a.out, f)
	return unproven(f, "healed")
}

func (a *app) downCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "down [NAME]",
		Short: "Heal and take down what `capstan up` or `capstan attach` holds",
		Args:  maxArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := a.findLive(strings.Join(args, ""))
			if err != nil {
				return err
			}
			if err := c.Down(a.ctx); err != nil {
				return withCode(exitEnvironment, err)
			}
			fmt.Fprintf(a.out, "cluster %s is down\n", c.Name)
			return nil
		},
	}
}

// parseFault reads a fault, and how long it is to be in force; 0 is until it is
// healed.
func parseFault(text string) (nemesis.Fault, time.Duration, error) {
	entry, err := plan.ParseFault(text)
	if err != nil {
		return nil, 0, err
	}
	if entry.Once || entry.On != (plan.Trigger{}) || entry.Every > 0 {
		return nil, 0, fmt.Errorf("fault %q: by hand it begins now; leave out when", text)
	}
	f, err := nemesis.Parse(allFaults(), entry.Name)
	return f, entry.For, err
}

func isTerminal(f *os.File) bool { return terminalSize(f) != [2]uint{} }
