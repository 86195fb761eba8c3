package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/capstan-dev/capstan/plan"
	"github.com/capstan-dev/capstan/reports"
	"github.com/spf13/cobra"
)

func (a *app) matrixCommand() *cobra.Command {
	var f planFlags
	var dir string
	var vary []string
	cmd := &cobra.Command{
		Use:   "matrix [TARGET[/TOPOLOGY] | PLAN.yaml]...",
		Short: "Run many plans, and put what they kept and what it cost side by side",
		Long: `Runs every target and every plan file, with every combination of the axes that
--vary and the plans' field vary give, one after the other. The table says of
each run what was found, what was answered on each side, and the latencies. The
exit code is 1 if a run did not end as its plan expects.`,
		Example: `  capstan matrix postgres/async postgres/sync --vary fault=none,partition:primary
  capstan matrix plans/cap/*.yaml`,
		RunE: func(cmd *cobra.Command, args []string) error {
			cells, err := f.cells(cmd, args, vary)
			if err != nil {
				return err
			}
			return a.matrix(cells, dir)
		},
	}
	f.register(cmd)
	cmd.Flags().StringArrayVar(&vary, "vary", nil, "axis as `FIELD=VALUE,VALUE`, repeatable: a field of the plan, level.KNOB, or fault")
	cmd.Flags().StringVarP(&dir, "output", "o", "", "`DIR` for the runs and the table (default: runs/TIME-matrix)")
	return cmd
}

// cell is a run that is to come.
type cell struct {
	name string
	subject
}

// cells resolves all runs, before the first one begins.
func (f *planFlags) cells(cmd *cobra.Command, args, vary []string) ([]cell, error) {
	var axes []plan.Axis
	for _, text := range vary {
		axis, err := plan.ParseAxis(text)
		if err != nil {
			return nil, withCode(exitUsage, err)
		}
		axes = append(axes, axis)
	}
	if len(args) == 0 {
		args = []string{""}
	}
	var cells []cell
	var errs []error
	for _, arg := range args {
		label, p, err := f.row(cmd, arg)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		p.Vary = append(p.Vary, axes...)
		more, err := resolveCells(label, p)
		cells, errs = append(cells, more...), append(errs, err)
	}
	return cells, errors.Join(errs...)
}

// row is the plan of an argument, a target or a plan file, and its name.
func (f *planFlags) row(cmd *cobra.Command, arg string) (string, plan.Plan, error) {
	if ext := filepath.Ext(arg); ext == ".yaml" || ext == ".yml" {
		file := *f
		file.file = arg
		p, err := file.raw(cmd, nil)
		return strings.TrimSuffix(filepath.Base(arg), ext), p, err
	}
	if arg == "" {
		p, err := f.raw(cmd, nil)
		return "", p, err
	}
	p, err := f.raw(cmd, []string{arg})
	return arg, p, err
}

func resolveCells(label string, p plan.Plan) ([]cell, error) {
	varied, err := p.Cells()
	if err != nil {
		return nil, planCode(err)
	}
	var cells []cell
	var errs []error
	for _, c := range varied {
		s, err := resolve(c.Plan)
		if err != nil {
			errs = append(errs, planCode(err))
			continue
		}
		name := label
		if name == "" {
			name = s.plan.Target
		}
		cells = append(cells, cell{strings.TrimSpace(name + " " + c.Name), s})
	}
	return cells, errors.Join(errs...)
}

// matrix performs the runs and writes the table, also of what was done when it
// is interrupted.
func (a *app) matrix(cells []cell, dir string) error {
	if dir == "" {
		dir = filepath.Join("runs", time.Now().UTC().Format("20060102T150405.000")+"-matrix")
	}
	var done []reports.Cell
	var errs []error
	for i, c := range cells {
		if a.stop.Err() != nil {
			errs = append(errs, withCode(exitInterrupted, fmt.Errorf("interrupted: %d of %d runs were made", i, len(cells))))
			break
		}
		fmt.Fprintf(a.err, "run %d of %d: %s\n", i+1, len(cells), c.name)
		run, err := a.perform(c.subject, filepath.Join(dir, runName(i, c.name)), manner{weigh: true})
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c.name, err))
		}
		done = append(done, reports.Cell{Name: c.name, Run: run, Err: err})
	}
	return errors.Join(append(errs, a.tabulate(done, dir))...)
}

// tabulate prints the table and saves it beside the runs.
func (a *app) tabulate(done []reports.Cell, dir string) error {
	rows := reports.Tabulate(done)
	b, err := json.MarshalIndent(rows, "", "  ")
	if err != nil {
		return withCode(exitBug, fmt.Errorf("encode matrix: %w", err))
	}
	var table strings.Builder
	err = errors.Join(
		reports.Matrix(&table, rows),
		os.MkdirAll(dir, 0o755),
		os.WriteFile(filepath.Join(dir, "matrix.json"), append(b, '\n'), 0o644),
		os.WriteFile(filepath.Join(dir, "matrix.md"), []byte(table.String()), 0o644),
	)
	if err != nil {
		return withCode(exitData, fmt.Errorf("write matrix: %w", err))
	}
	fmt.Fprintf(a.out, "%s\nTable and runs  %s\n", table.String(), dir)
	if slices.ContainsFunc(rows, func(r reports.Row) bool { return r.Expected == reports.NotAsExpected }) {
		return &exitError{code: exitInvalid}
	}
	return nil
}

var oddInNames = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// runName is a name for a directory, which names containers as well.
func runName(i int, name string) string {
	name = strings.Trim(oddInNames.ReplaceAllString(name, "-"), "-.")
	return fmt.Sprintf("%02d-%.40s", i+1, name)
}
