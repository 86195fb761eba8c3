package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/cluster/docker"
	"github.com/capstan-dev/capstan/harness"
	"github.com/capstan-dev/capstan/nemesis"
	"github.com/capstan-dev/capstan/plan"
	"github.com/spf13/cobra"
)

const doctorTimeout = 10 * time.Minute

func (a *app) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Find out by trying which faults this machine can bring into force",
		Long: `Asks the engine what it is, starts two small nodes, brings each kind of fault
into force on them, measures that it is, heals it, and measures that it is gone.
What cannot be had here is told with the reason. Everything is removed again.
Exit code 69 means that clusters or their networks cannot be had at all.`,
		Args: maxArgs(0),
		RunE: func(*cobra.Command, []string) error {
			ctx, cancel := context.WithTimeout(a.stop, doctorTimeout)
			defer cancel()
			fmt.Fprintf(a.out, "capstan   %s, %s/%s, %d CPUs\n", version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
			fmt.Fprintln(a.out, "sim       ok: needs nothing, `capstan run` works")
			return a.examine(ctx)
		},
	}
}

// examine asks the engine, then tries all faults on two nodes.
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
	var errs []error
	for _, disk := range []docker.DiskBacking{docker.DiskLoop, docker.DiskFUSE} {
		errs = append(errs, a.exercise(ctx, eng, disk))
	}
	return withCode(exitEnvironment, hinted(errors.Join(errs...)))
}

// trials are the faults that are tried beyond one of each kind.
var trials = []string{"partition(one, how=reject)", "partition(one, how=hold)", "corrupt(0.3, disguise)"}

// exercise tries the faults on nodes with one kind of disk. Those that have
// nothing to do with disks are tried once.
func (a *app) exercise(ctx context.Context, eng *docker.Engine, disk docker.DiskBacking) (err error) {
	c, err := eng.Patient(ctx, fmt.Sprintf("doctor-%s-%d", disk, time.Now().UnixNano()), disk)
	if c != nil {
		defer func() { err = errors.Join(err, a.closing(c.Close)) }()
	}
	if err != nil {
		if disk == docker.DiskLoop {
			return fmt.Errorf("start two nodes: %w", err)
		}
		fmt.Fprintf(a.out, "\nno disks of kind %s: %v\n", disk, err)
		return nil
	}
	cl := c.Cluster()
	fmt.Fprintf(a.out, "\nfaults on nodes with disks of kind %s (%s)\n", disk, c.Families())
	if disk == docker.DiskLoop {
		for _, line := range c.Net.Means() {
			fmt.Fprintf(a.out, "  %s\n", line)
		}
	}
	tw := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	defer tw.Flush()
	nem := harness.NewNemesis(cl, 1)
	for _, text := range trialsFor(cl, disk) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		verdict, took, words := try(ctx, cl, nem, text)
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", text, verdict, took, shorten(words))
		if text == "partition" && verdict != "ok" {
			err = fmt.Errorf("cut the network of two nodes: %s", words)
		}
	}
	return err
}

// trialsFor are the texts of the faults to try on nodes with one kind of disk:
// each kind as it comes, but for those that need more to be said, or a system
// with members.
func trialsFor(c *cluster.Cluster, disk docker.DiskBacking) []string {
	var all []string
	for _, k := range allFaults() {
		f, err := nemesis.Parse(allFaults(), k.Name)
		onDisk := diskFor([]plan.Fault{{Name: k.Name}}) != "" || k.Name == "disk-damage"
		switch {
		case err != nil || slices.Contains([]string{"remove", "replace", "transfer"}, k.Name):
		case disk == docker.DiskFUSE && !onDisk:
		case disk == docker.DiskLoop && onDisk && f.Applicable(c) != nil: // the other kind's
		default:
			all = append(all, k.Name)
		}
	}
	if disk == docker.DiskLoop {
		all = append(all, trials...)
	}
	return all
}

// try brings a fault into force, heals it, and says what was measured.
func try(ctx context.Context, c *cluster.Cluster, nem *nemesis.Nemesis, text string) (verdict, took, words string) {
	f, err := nemesis.Parse(allFaults(), text)
	if err != nil {
		return "-", "", err.Error()
	}
	if err := f.Applicable(c); err != nil {
		return "no", "", err.Error()
	}
	began := time.Now()
	in, err := nem.Start(ctx, nem.Number(), f)
	took = time.Since(began).Round(time.Millisecond).String()
	out, herr := nem.Heal(ctx, in.ID)
	switch {
	case err != nil:
		return "no", took, err.Error()
	case herr != nil:
		return "no", took, "heal: " + herr.Error()
	case !in.Proven:
		return "no", took, "not in force: " + in.Proof
	case !out.Proven:
		return "no", took, "not healed: " + out.Proof
	}
	return "ok", took, in.Proof
}

const proofShown = 110

// shorten keeps a proof to a line.
func shorten(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > proofShown {
		return string(r[:proofShown]) + "…"
	}
	return s
}

// hinted adds what an error's author advises to do about it.
func hinted(err error) error {
	var h interface{ Hint() string }
	if errors.As(err, &h) && h.Hint() != "" {
		return fmt.Errorf("%w\n  hint: %s", err, h.Hint())
	}
	return err
}
