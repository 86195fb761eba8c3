package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/capstan-dev/capstan/cluster/docker"
	"github.com/spf13/cobra"
)

const doctorTimeout = 5 * time.Minute

func (a *app) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Find out by trying whether this machine can run clusters and cut their network",
		Args:  maxArgs(0),
		RunE: func(*cobra.Command, []string) error {
			ctx, cancel := context.WithTimeout(a.stop, doctorTimeout)
			defer cancel()
			fmt.Fprintf(a.out, "capstan   %s, %s/%s, %d CPUs\n", version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
			fmt.Fprintln(a.out, "sim       ok: needs nothing, `capstan run` works")
			return a.examine(ctx)
		},
	}
}

// examine asks the engine, then brings up two nodes and cuts them apart.
func (a *app) examine(ctx context.Context) error {
	eng, err := docker.Connect(ctx, nil)
	if err != nil {
		return withCode(exitEnvironment, hinted(err))
	}
	defer eng.Close()
	f, err := eng.Facts(ctx)
	if err != nil {
		return withCode(exitEnvironment, hinted(err))
	}
	fmt.Fprintf(a.out, "engine    %s at %s, API %s, %s/%s, kernel %s\n", f.Version, f.Host, f.API, f.OS, f.Arch, f.Kernel)
	fmt.Fprintf(a.out, "limits    %d CPUs, %.1f GiB, cgroup v%s, storage %s\n", f.CPUs, float64(f.Memory)/(1<<30), f.Cgroup, f.StorageDriver)
	if f.Remote {
		fmt.Fprintln(a.out, "warning   the engine is on another machine: clients reach nodes on 127.0.0.1, which will not work")
	}
	swept, err := eng.Sweep(ctx)
	if err != nil {
		return withCode(exitEnvironment, hinted(err))
	}
	if !swept.Empty() {
		fmt.Fprintf(a.out, "leftovers removed what dead runs left:\n%v\n", swept)
	}
	text, err := eng.Exercise(ctx, fmt.Sprintf("doctor-%d", time.Now().UnixNano()))
	if err != nil {
		return withCode(exitEnvironment, hinted(fmt.Errorf("cut a network of two nodes: %w", err)))
	}
	fmt.Fprintf(a.out, "network   ok: %s\n", text)
	return nil
}

// hinted adds what an error's author advises to do about it.
func hinted(err error) error {
	var h interface{ Hint() string }
	if errors.As(err, &h) && h.Hint() != "" {
		return fmt.Errorf("%w\n  hint: %s", err, h.Hint())
	}
	return err
}
