package main

import (
	"fmt"
	"os"
	"time"

	"github.com/capstan-dev/capstan/cluster/agent"
	"github.com/capstan-dev/capstan/cluster/agent/host"
	"github.com/capstan-dev/capstan/cluster/agent/links"
	"github.com/spf13/cobra"
)

// agentLinger is how long a holder's agent lives on after the harness' death.
const agentLinger = 30 * time.Second

// agentCommand is what capstan runs of itself inside containers.
func (a *app) agentCommand() *cobra.Command {
	return &cobra.Command{
		Use: "agent links|host", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			c := agent.Config{Log: os.Stderr}
			switch args[0] {
			case "links":
				c.Linger, c.Parts = agentLinger, []agent.Part{links.New()}
			case "host":
				h := host.New()
				defer h.Close()
				c.Linger, c.Parts = agentLinger, []agent.Part{h}
			default:
				return usage("unknown kind of agent %q", args[0])
			}
			if err := agent.Serve(os.Stdin, os.Stdout, c); err != nil {
				return withCode(exitEnvironment, fmt.Errorf("serve as agent: %w", err))
			}
			return nil
		},
	}
}
