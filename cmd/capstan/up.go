package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/harness/live"
	"github.com/capstan-dev/capstan/plan"
	"github.com/capstan-dev/capstan/targets"
	"github.com/spf13/cobra"
)

func (a *app) upCommand() *cobra.Command {
	var f planFlags
	var name string
	var detach bool
	cmd := &cobra.Command{
		Use:   "up TARGET[/TOPOLOGY]",
		Short: "Start a cluster to be broken by hand",
		Long: `Starts the target's cluster and keeps it until "capstan down" or an interrupt.
In another terminal, "capstan fault add" breaks it, "capstan fault ls" shows what
is broken, "capstan shell NODE" opens a shell in a node. When this process dies,
however it dies, every fault heals, and the next start sweeps the cluster away.`,
		Example: `  capstan up postgres/async --detach
  capstan fault add 'isolate(primary)'
  capstan fault heal
  capstan down`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := f.cluster(cmd, args[0])
			if err != nil {
				return err
			}
			if s.target.Name() == "sim" {
				return usage("sim lives in virtual time, within a run; there is nothing to break by hand: `capstan run` it")
			}
			if name == "" {
				name = strings.ReplaceAll(s.plan.Target, "/", "-")
			}
			if detach {
				return a.detach(name)
			}
			return a.up(s, name)
		},
	}
	f.registerCluster(cmd)
	registerLive(cmd, &name, &detach)
	return cmd
}

// registerCluster adds the flags that shape a cluster, and not what runs on it.
func (f *planFlags) registerCluster(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringSliceVar(&f.level, "level", nil, "consistency level as `KNOB=VALUE`, repeatable (see `capstan list targets`)")
	fl.IntVar(&f.nodes, "nodes", 0, "number of nodes (default: the topology's)")
	fl.StringVar(&f.disk, "disk", "", diskDoc)
	f.registerLimits(cmd)
}

// cluster is the plan of a cluster that nothing runs on.
func (f *planFlags) cluster(cmd *cobra.Command, target string) (subject, error) {
	p := plan.Default()
	p.Workload = ""
	p.Target, p.Faults = target, []plan.Fault{}
	if err := f.override(cmd, &p); err != nil {
		return subject{}, withCode(exitUsage, err)
	}
	s, err := resolve(p)
	return s, withCode(exitUsage, err)
}

// registerLive adds the flags of commands that keep a cluster.
func registerLive(cmd *cobra.Command, name *string, detach *bool) {
	cmd.Flags().StringVar(name, "name", "", "what to call the cluster (default: after what it is)")
	cmd.Flags().BoolVarP(detach, "detach", "d", false, "return when it is up, and keep it in the background")
}

// up starts a target's cluster and keeps it.
func (a *app) up(s subject, name string) error {
	l, err := live.Listen(a.ctx, name)
	if err != nil {
		return withCode(exitUsage, err)
	}
	defer l.Close()
	boot, cancel := context.WithTimeout(a.stop, bootTimeout)
	defer cancel()
	fmt.Fprintf(a.err, "starting %s with %d nodes\n", s.plan.Target, s.plan.Nodes)
	spec := s.spec(name, a.logger())
	sys, err := s.target.Start(boot, spec)
	if err == nil {
		err = sys.Ready(boot)
	}
	if err != nil {
		if sys != nil {
			err = errors.Join(err, a.closing(sys.Close))
		}
		return a.bootError(err)
	}
	endpoints := func(string) []string { return nil }
	if e, ok := sys.(targets.Endpoints); ok {
		endpoints = e.Endpoints
	}
	return a.keep(l, &live.Server{
		Name: name, Target: s.plan.Target, Cluster: sys.Cluster(), Endpoints: endpoints, Down: sys.Close,
	})
}

// keep serves a cluster until it is taken down.
func (a *app) keep(l net.Listener, srv *live.Server) error {
	srv.Parse = parseFault
	srv.Log = func(format string, args ...any) { fmt.Fprintf(a.err, format+"\n", args...) }
	down := srv.Down
	srv.Down = func(context.Context) error { return a.closing(down) }
	fmt.Fprintf(a.err, "cluster %s is up: %s\nbreak it with `capstan fault add`, end it with `capstan down` or Ctrl-C\n",
		srv.Name, strings.Join(nodesInWords(srv.Cluster), ", "))
	if err := srv.Serve(a.stop, l); err != nil {
		return withCode(exitEnvironment, fmt.Errorf("keep cluster %s: %w; `capstan clean --run %s` removes what is left", srv.Name, err, srv.Name))
	}
	fmt.Fprintf(a.err, "cluster %s is down\n", srv.Name)
	return nil
}

// closing calls a function that closes with its own time, also after a signal.
func (a *app) closing(f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(a.ctx), closeTimeout)
	defer cancel()
	return f(ctx)
}

func (a *app) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func nodesInWords(c *cluster.Cluster) []string {
	words := slices.Clone(c.Nodes)
	for i, n := range words {
		if r := c.Roles[n]; r != "" {
			words[i] += " (" + r + ")"
		}
	}
	return words
}

// detach starts the same command in the background and returns when its
// cluster is up.
func (a *app) detach(name string) error {
	if err := live.CheckName(name); err != nil {
		return withCode(exitUsage, err)
	}
	self, err := os.Executable()
	if err != nil {
		return withCode(exitBug, fmt.Errorf("find this program: %w", err))
	}
	log, err := os.CreateTemp("", "capstan-"+name+"-*.log")
	if err != nil {
		return withCode(exitEnvironment, fmt.Errorf("create a log: %w", err))
	}
	defer log.Close()
	cmd := exec.Command(self, append(slices.Clone(os.Args[1:]), "--detach=false")...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = ownSession()
	if err := cmd.Start(); err != nil {
		return withCode(exitEnvironment, fmt.Errorf("start in the background: %w", err))
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	ctx, cancel := context.WithTimeout(a.stop, bootTimeout)
	defer cancel()
	type answer struct {
		client *live.Client
		err    error
	}
	up := make(chan answer, 1)
	go func() {
		c, err := live.Await(ctx, name, cmd.Process.Pid)
		up <- answer{c, err}
	}()
	select {
	case err := <-ended:
		text, _ := os.ReadFile(log.Name()) // the error says enough without
		os.Remove(log.Name())
		code := exitEnvironment
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() > 0 {
			code = exit.ExitCode()
		}
		return &exitError{code, errors.New(strings.TrimPrefix(strings.TrimSpace(string(text)), "error: "))}
	case got := <-up:
		if got.err != nil {
			_ = cmd.Process.Signal(os.Interrupt) // it takes down what it has
			return withCode(exitEnvironment, got.err)
		}
		fmt.Fprintf(a.err, "what happens to it is told in %s\n", filepath.Clean(log.Name()))
		return a.printStatus(got.client)
	}
}

func (a *app) printStatus(c *live.Client) error {
	s, err := c.Status(a.ctx)
	if err != nil {
		return withCode(exitEnvironment, err)
	}
	writeStatus(a.out, s)
	return nil
}

func writeStatus(w io.Writer, s live.Status) {
	fmt.Fprintf(w, "cluster %s: %s, up for %v, process %d\n", s.Name, s.Target, time.Since(s.Since).Round(time.Second), s.PID)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, n := range s.Nodes {
		role := n.Role
		if n.Primary {
			role = strings.TrimSpace(role + " primary")
		}
		fmt.Fprintf(tw, "  %s\t%s\t%s\t%s\n", n.Name, n.State, role, strings.Join(n.Endpoints, " "))
	}
	tw.Flush()
	if len(s.Faults) == 0 {
		fmt.Fprintln(w, "no fault is in force")
		return
	}
	for _, f := range s.Faults {
		writeFault(w, f)
	}
}

// writeFault tells of one fault as far as it has come.
func writeFault(w io.Writer, f live.Fault) {
	fmt.Fprintf(w, "fault %d  %s  %s, since %v", f.ID, f.Fault, f.State, time.Since(f.Since).Round(time.Second))
	if left := time.Until(f.Until); left > 0 {
		fmt.Fprintf(w, ", heals in %v", left.Round(time.Second))
	}
	fmt.Fprintf(w, "\n  %s\n", f.Proof)
	if f.Err != "" {
		fmt.Fprintf(w, "  error: %s\n", f.Err)
	}
}
