package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/capstan-dev/capstan/cluster/docker"
	"github.com/capstan-dev/capstan/targets"
	"github.com/spf13/cobra"
)

func (a *app) imagesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "images",
		Short: "List, make, export and import the images that clusters run",
		Long: `The images of all targets, or of those that are named. Each is pulled where
there is a registry and built from this program's own Dockerfile where there is
none; CAPSTAN_IMAGES=auto|official|local says which. For a machine without a
network, export them on another one and import them there.`,
		Example: `  capstan images list
  capstan images build postgres redis
  capstan images export --output images.tar postgres
  capstan images import images.tar`,
	}
	var file string
	export := a.imagesVerb("export", "Write images as one tar archive, getting first what is missing", func(ctx context.Context, e *docker.Engine, all []needed) error {
		return a.exportImages(ctx, e, all, file)
	})
	export.Flags().StringVarP(&file, "output", "o", "", "`FILE` to write (default: standard output)")
	cmd.AddCommand(
		a.imagesVerb("list", "List images, and which are present", a.listImages),
		a.imagesVerb("build", "Pull or build what is missing", a.buildImages),
		export,
		a.importImages(),
	)
	return cmd
}

// needed is an image and the targets that need it; none for every cluster's.
type needed struct {
	docker.Image
	by string
}

// imagesVerb is a command on the images of some targets.
func (a *app) imagesVerb(verb, short string, do func(context.Context, *docker.Engine, []needed) error) *cobra.Command {
	return &cobra.Command{
		Use: verb + " [TARGET...]", Short: short,
		RunE: func(_ *cobra.Command, args []string) error {
			all, err := neededImages(args)
			if err != nil {
				return withCode(exitUsage, err)
			}
			return a.withEngine(func(e *docker.Engine) error { return do(a.stop, e, all) })
		},
	}
}

func (a *app) withEngine(do func(*docker.Engine) error) error {
	e, err := docker.Connect(a.stop, a.logger())
	if err != nil {
		return withCode(exitEnvironment, hinted(err))
	}
	defer e.Close()
	return withCode(exitEnvironment, hinted(do(e)))
}

// neededImages are those of the named targets, or of all.
func neededImages(names []string) ([]needed, error) {
	chosen := allTargets()
	if len(names) > 0 {
		chosen = nil
	}
	for _, n := range names {
		t, err := named("target", n, allTargets())
		if err != nil {
			return nil, err
		}
		chosen = append(chosen, t)
	}
	all := []needed{{docker.HolderImage(), "all"}}
	for _, t := range chosen {
		if i, ok := t.(targets.Images); ok {
			for _, img := range i.Images() {
				all = append(all, needed{img, t.Name()})
			}
		}
	}
	return all, nil
}

func (a *app) listImages(ctx context.Context, e *docker.Engine, all []needed) error {
	tw := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "TARGET\tOFFICIAL\tBUILT HERE\tPRESENT\tSIZE")
	for _, n := range all {
		s, err := e.Stock(ctx, n.Image)
		if err != nil {
			return err
		}
		size := "-"
		if s.Present != "" {
			size = megabytes(s.Size)
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", n.by, cmp.Or(s.Official, "-"), cmp.Or(s.Local, "-"), cmp.Or(s.Present, "-"), size)
	}
	return tw.Flush()
}

func megabytes(n int64) string { return fmt.Sprintf("%.0f MB", float64(n)/1e6) }

// buildImages gets every image that it can, and says at the end which it could
// not.
func (a *app) buildImages(ctx context.Context, e *docker.Engine, all []needed) error {
	var errs []error
	for _, n := range all {
		if ctx.Err() != nil {
			return withCode(exitInterrupted, ctx.Err())
		}
		f, err := e.EnsureImage(ctx, n.Image)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		fmt.Fprintf(a.out, "%s\t%s\t%s\n", n.by, f.Ref, f.Origin)
	}
	return errors.Join(errs...)
}

func (a *app) exportImages(ctx context.Context, e *docker.Engine, all []needed, file string) error {
	var refs []string
	for _, n := range all {
		f, err := e.EnsureImage(ctx, n.Image)
		if err != nil {
			return err
		}
		refs = append(refs, f.Ref)
	}
	slices.Sort(refs)
	refs = slices.Compact(refs)
	if file == "" {
		return e.ExportImages(ctx, refs, a.out)
	}
	out, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("create archive: %w", err)
	}
	if err := errors.Join(e.ExportImages(ctx, refs, out), out.Close()); err != nil {
		return errors.Join(err, os.Remove(file))
	}
	info, err := os.Stat(file)
	if err != nil {
		return fmt.Errorf("look at archive: %w", err)
	}
	fmt.Fprintf(a.err, "%s: %s in %s\n", file, strings.Join(refs, ", "), megabytes(info.Size()))
	return nil
}

func (a *app) importImages() *cobra.Command {
	return &cobra.Command{
		Use: "import [FILE]", Short: "Read images from an archive, or from standard input", Args: maxArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := cmd.InOrStdin()
			if len(args) == 1 {
				f, err := os.Open(args[0])
				if err != nil {
					return withCode(exitData, fmt.Errorf("open archive: %w", err))
				}
				defer f.Close()
				in = f
			}
			return a.withEngine(func(e *docker.Engine) error { return e.ImportImages(a.stop, in) })
		},
	}
}
