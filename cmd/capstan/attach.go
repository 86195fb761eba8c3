package main

import (
	"context"
	"errors"
	"strings"

	"github.com/capstan-dev/capstan/cluster/docker"
	"github.com/capstan-dev/capstan/harness/live"
	"github.com/spf13/cobra"
)

func (a *app) attachCommand() *cobra.Command {
	var labels []string
	var project, name string
	var detach bool
	cmd := &cobra.Command{
		Use:   "attach --label KEY=VALUE | --compose PROJECT",
		Short: "Break containers by hand that capstan did not start",
		Long: `Makes nodes of running containers, chosen by their labels or their Compose
project, by putting an agent into the network namespace of each. The containers
are not changed. "capstan fault add" breaks them with the same proof and heal as
any cluster; "capstan down", an interrupt, or the death of this process heals
them and takes the agents away.`,
		Example: `  capstan attach --compose shop --detach
  capstan fault add 'isolate(db)'
  capstan down`,
		Args: maxArgs(0),
		RunE: func(*cobra.Command, []string) error {
			if project != "" {
				labels = append(labels, docker.ComposeLabel(project))
			}
			if len(labels) == 0 {
				return usage("say which containers: --label KEY=VALUE or --compose PROJECT")
			}
			if name == "" {
				name = "attached"
				if project != "" {
					name = project
				}
			}
			if detach {
				return a.detach(name)
			}
			return a.attach(name, labels)
		},
	}
	cmd.Flags().StringArrayVar(&labels, "label", nil, "containers with this `KEY[=VALUE]`, repeatable; all must match")
	cmd.Flags().StringVar(&project, "compose", "", "containers of this Compose `PROJECT`")
	registerLive(cmd, &name, &detach)
	return cmd
}

func (a *app) attach(name string, labels []string) error {
	l, err := live.Listen(a.ctx, name)
	if err != nil {
		return withCode(exitUsage, err)
	}
	defer l.Close()
	boot, cancel := context.WithTimeout(a.stop, bootTimeout)
	defer cancel()
	eng, err := docker.Connect(boot, a.logger())
	if err != nil {
		return withCode(exitEnvironment, hinted(err))
	}
	defer eng.Close()
	c, err := eng.Attach(boot, docker.AttachSpec{RunID: name, Labels: labels})
	if err != nil {
		if c != nil {
			err = errors.Join(err, a.closing(c.Close))
		}
		return a.bootError(err)
	}
	return a.keep(l, &live.Server{
		Name: name, Target: "containers with " + strings.Join(labels, ", "), Cluster: c.Cluster(),
		Endpoints: c.Endpoints, Down: c.Close,
	})
}
