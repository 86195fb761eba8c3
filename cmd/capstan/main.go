// Command capstan finds out what a distributed system really does when its
// network breaks.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/capstan-dev/capstan/internal/nearest"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The exit codes. 2 is never used: a panic of Go exits with it.
const (
	exitValid       = 0
	exitInvalid     = 1
	exitUnknown     = 3
	exitUsage       = 64
	exitData        = 65
	exitEnvironment = 69
	exitBug         = 70
	exitInterrupted = 130
)

// exitError carries an exit code. With a nil error there is nothing left to
// print: the verdict has been.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func usage(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

func withCode(code int, err error) error {
	if err == nil {
		return nil
	}
	return &exitError{code, err}
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "agent" {
		os.Exit(serveAgent(os.Args[2], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr))
}

// app is what commands share: where to write, and the two kinds of stop.
type app struct {
	out, err io.Writer
	// stop ends at the first signal: ask for no more. ctx ends at the second.
	stop, ctx context.Context
}

func execute(args []string, out, errOut io.Writer) (code int) {
	sink := &sink{w: out}
	out = sink
	a := &app{out: out, err: errOut}
	var release func()
	a.stop, a.ctx, release = signals(errOut)
	defer release()
	root := a.root()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(a.ctx)
	if err == nil {
		if sink.err != nil {
			fmt.Fprintf(errOut, "error: write the result: %v\n", sink.err)
			return exitEnvironment
		}
		return exitValid
	}
	var e *exitError
	if !errors.As(err, &e) {
		e = &exitError{exitUsage, err}
	}
	if e.err != nil {
		fmt.Fprintf(errOut, "error: %v\n", e.err)
	}
	if sink.err != nil && e.code != exitInvalid {
		if e.err == nil {
			fmt.Fprintf(errOut, "error: write the result: %v\n", sink.err)
		}
		return exitEnvironment
	}
	return e.code
}

// sink remembers the first error of writing, so that a result that nobody got
// is not taken for one.
type sink struct {
	w   io.Writer
	err error
}

func (s *sink) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	if s.err == nil {
		s.err = err
	}
	return n, err
}

// signals splits interrupts in two: the first ends stop, the second ctx. A
// third kills the process by the default action.
func signals(w io.Writer) (stop, ctx context.Context, release func()) {
	ctx, cancel := context.WithCancel(context.Background())
	stop, cancelStop := context.WithCancel(ctx)
	ch := make(chan os.Signal, 2)
	signal.Notify(ch, os.Interrupt, syscall.SIGTERM)
	quit := make(chan struct{})
	go func() {
		for i := range 2 {
			select {
			case <-quit:
				return
			case <-ch:
			}
			if i == 0 {
				fmt.Fprintln(w, "interrupted: no more operations; healing, then checking what there is (again to give up the checks)")
				cancelStop()
			} else {
				fmt.Fprintln(w, "interrupted again: healing and removing the cluster, nothing else (again to die)")
				cancel()
				signal.Stop(ch)
			}
		}
	}()
	return stop, ctx, func() { signal.Stop(ch); close(quit); cancelStop(); cancel() }
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "capstan",
		Short: "Find out what a distributed system really does when the network breaks",
		Long: `capstan starts a cluster, drives concurrent clients at it, cuts and heals its
network, records every operation, and says - with a witness - which consistency
it kept, which availability it gave on each side of the cut, and at what cost.

Exit codes: 0 no violation found, 1 violation, 3 unknown, 64 usage, 65 bad plan
or history, 69 environment (engine, image, cluster), 70 bug, 130 interrupted.`,
		Example: `  capstan run                          the embedded sim, no Docker needed
  capstan run postgres/async --level read=replica
  capstan check history.edn --model cas-register
  capstan list`,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			var names []string
			for _, c := range cmd.Commands() {
				names = append(names, c.Name())
			}
			return usage("unknown command %q%s; see `capstan help`", args[0], nearest.Hint(args[0], names))
		},
	}
	root.AddCommand(a.runCommand(), a.planCommand(), a.checkCommand(), a.verifyCommand(), a.reportCommand(), a.exportCommand(),
		a.simulateCommand(), a.listCommand(), a.doctorCommand(), a.cleanCommand(), a.imagesCommand(), a.matrixCommand(), a.versionCommand(),
		a.upCommand(), a.attachCommand(), a.faultCommand(), a.shellCommand(), a.downCommand())
	root.SetFlagErrorFunc(flagError)
	return root
}

// flagError adds the nearest right name to an unknown flag.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return usage("%w", err)
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	hint := ""
	if n := nearest.Name(strings.TrimLeft(unknown.GetSpecifiedName(), "-"), names); n != "" {
		hint = fmt.Sprintf(" (did you mean --%s?)", n)
	}
	return usage("%w%s; see `%s --help`", err, hint, cmd.CommandPath())
}
