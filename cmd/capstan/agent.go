package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/capstan-dev/capstan/cluster/agent"
	"github.com/capstan-dev/capstan/cluster/agent/host"
	"github.com/capstan-dev/capstan/cluster/agent/links"
)

// agentLinger is how long an agent lives on after the harness' death: a node
// loses its network with it.
const agentLinger = 30 * time.Second

// serveAgent is what capstan is inside containers: `capstan agent links`
// beside a node, `capstan agent host` once for a cluster. It is no command for
// people.
func serveAgent(kind string, in io.Reader, out, errOut io.Writer) int {
	stop, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	c := agent.Config{Stop: stop, Linger: agentLinger, Log: errOut}
	switch kind {
	case "links":
		c.Parts = []agent.Part{links.New()}
	case "host":
		h := host.New()
		defer h.Close()
		c.Parts = []agent.Part{h}
	default:
		fmt.Fprintf(errOut, "error: unknown kind of agent %q\n", kind)
		return exitUsage
	}
	if err := agent.Serve(in, out, c); err != nil {
		fmt.Fprintf(errOut, "error: serve as agent: %v\n", err)
		return exitEnvironment
	}
	return exitValid
}
