package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/capstan-dev/capstan/checker/txn/adya"
	"github.com/capstan-dev/capstan/checker/txn/simulate"
	"github.com/capstan-dev/capstan/checker/txn/simulate/closed"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/internal/nearest"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// simulateOptions are the flags of simulate that are no options of the
// simulation itself.
type simulateOptions struct {
	simulate.Options
	workload, format, out, answers string
}

func (a *app) simulateCommand() *cobra.Command {
	o := simulateOptions{Options: simulate.Default()}
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Write a history of transactions with a known answer",
		Long: `Runs concurrent clients against an in-memory database that keeps exactly one
isolation level, and writes the history, with anomalies planted where asked. The
same flags give the same bytes.

Isolation levels: ` + strings.Join(simulate.Levels(), ", ") + `.

` + plantable(),
		Example: `  capstan simulate --isolation si --anomaly g-single --seed 7 -o history.edn --answers answers.json
  capstan simulate --isolation rc --workload rw-register --txns 100000 --format jsonl > history.jsonl`,
		Args: maxArgs(0),
		RunE: func(*cobra.Command, []string) error { return a.simulate(o) },
	}
	o.flags(cmd.Flags())
	return cmd
}

// plantable lists the anomalies of each workload.
func plantable() string {
	var all []string
	for _, w := range simulate.Workloads() {
		all = append(all, fmt.Sprintf("Anomalies of %s: %s.", w, strings.Join(simulate.Anomalies(w), ", ")))
	}
	all = append(all, fmt.Sprintf("Anomalies of %s: %s. Its levels: %s.", closed.Name, strings.Join(closed.Anomalies(), ", "), strings.Join(closed.Levels(), ", ")))
	return strings.Join(all, "\n\n")
}

func simulated() []string {
	var names []string
	for _, w := range simulate.Workloads() {
		names = append(names, w.String())
	}
	return append(names, closed.Name)
}

func (o *simulateOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.Isolation, "isolation", o.Isolation, "`LEVEL` that the database keeps")
	f.StringVar(&o.workload, "workload", "list-append", "`WORKLOAD`: "+strings.Join(simulated(), ", "))
	f.StringSliceVar(&o.Anomalies, "anomaly", nil, "`ANOMALIES` to plant, one of each")
	f.IntVar(&o.Transactions, "txns", o.Transactions, "`NUMBER` of transactions, besides planted ones")
	f.IntVar(&o.Processes, "processes", o.Processes, "`NUMBER` of clients at a time")
	f.IntVar(&o.Keys, "keys", o.Keys, "`NUMBER` of keys in use at a time")
	f.IntVar(&o.WritesPerKey, "writes-per-key", o.WritesPerKey, "`NUMBER` of writes after which a fresh key takes a key's place")
	f.Float64Var(&o.Zipf, "zipf", o.Zipf, "`EXPONENT` of the choice of keys; 0: all alike")
	f.IntVar(&o.MinLength, "min-length", o.MinLength, "least `NUMBER` of operations a transaction")
	f.IntVar(&o.MaxLength, "max-length", o.MaxLength, "greatest `NUMBER` of operations a transaction")
	f.Float64Var(&o.Writes, "writes", o.Writes, "`SHARE` of writes among the operations")
	f.Float64Var(&o.ReadOnly, "read-only", o.ReadOnly, "`SHARE` of transactions that only read")
	f.Float64Var(&o.WriteOnly, "write-only", o.WriteOnly, "`SHARE` of transactions that only write")
	f.Float64Var(&o.Fail, "fail", o.Fail, "`SHARE` of transactions that abort")
	f.Float64Var(&o.Info, "info", o.Info, "`SHARE` of transactions whose client crashes")
	f.Uint64Var(&o.Seed, "seed", o.Seed, "`SEED`: another one, another history")
	f.StringVar(&o.format, "format", "", "`FORMAT`: edn, as Jepsen writes it, or jsonl, JSON lines (default: as the output is named, or edn)")
	f.StringVarP(&o.out, "output", "o", "", "`FILE` to write (default: standard output)")
	f.StringVar(&o.answers, "answers", "", "`FILE` for what was planted, as JSON")
}

// answers are what a checker of the history should find.
type answers struct {
	Isolation    string   `json:"isolation"`
	Workload     string   `json:"workload"`
	Transactions int      `json:"transactions"`
	Seed         uint64   `json:"seed"`
	Planted      []answer `json:"planted"`
}

// answer is a planted anomaly, what checkers call it, and the weakest models
// that it refutes.
type answer struct {
	simulate.Planted
	Finding string   `json:"finding"`
	Refutes []string `json:"refutes"`
}

func (a *app) simulate(o simulateOptions) (err error) {
	at := slices.Index(simulated(), o.workload)
	if at < 0 {
		return usage("unknown workload %q%s; there are: %s", o.workload, nearest.Hint(o.workload, simulated()), strings.Join(simulated(), ", "))
	}
	valid := func() error { return closed.Validate(o.Options) }
	if o.workload != closed.Name {
		o.Workload = simulate.Workloads()[at]
		valid = o.Validate
	}
	if err := valid(); err != nil {
		return usage("%w", err)
	}
	if o.format == "" {
		o.format = formatOf(o.out)
	}
	if o.format != "edn" && o.format != "jsonl" {
		return usage("unknown format %q; there are: edn, jsonl", o.format)
	}
	out := a.out
	if o.out != "" {
		f, ferr := os.Create(o.out)
		if ferr != nil {
			return withCode(exitEnvironment, ferr)
		}
		defer func() { err = errors.Join(err, withCode(exitEnvironment, f.Close())) }()
		out = f
	}
	write := a.writeSimulated
	if o.workload == closed.Name {
		write = writeClosed
	}
	planted, err := write(out, o)
	if err != nil {
		return err
	}
	return withCode(exitEnvironment, o.writeAnswers(planted))
}

// formatOf is the format that a file's name asks for.
func formatOf(path string) string {
	switch filepath.Ext(path) {
	case ".json", ".jsonl":
		return "jsonl"
	}
	return "edn"
}

// writeClosed writes a history with predicates.
func writeClosed(out io.Writer, o simulateOptions) ([]simulate.Planted, error) {
	h, planted, err := closed.Run(o.Options)
	if err != nil {
		return nil, usage("%w", err)
	}
	if o.format == "edn" {
		return planted, withCode(exitEnvironment, history.WriteEDN(out, h))
	}
	return planted, withCode(exitEnvironment, history.Write(out, h))
}

// writeSimulated writes the events until the end or a signal.
func (a *app) writeSimulated(out io.Writer, o simulateOptions) ([]simulate.Planted, error) {
	w, err := simulate.NewWriter(out, o.format, o.Workload)
	if err != nil {
		return nil, usage("%w", err)
	}
	planted, err := simulate.Run(o.Options, func(e *simulate.Event) error {
		if e.Index&0xfff == 0 && a.stop.Err() != nil {
			return &exitError{exitInterrupted, errors.New("interrupted: the history is not complete")}
		}
		return w.Write(e)
	})
	if err = errors.Join(err, w.Close()); err != nil {
		var e *exitError
		if errors.As(err, &e) {
			return nil, e
		}
		return nil, withCode(exitEnvironment, fmt.Errorf("write the history: %w", err))
	}
	return planted, nil
}

func (o *simulateOptions) writeAnswers(planted []simulate.Planted) error {
	if o.answers == "" {
		return nil
	}
	all := answers{Isolation: o.Isolation, Workload: o.workload, Transactions: o.Transactions, Seed: o.Seed, Planted: []answer{}}
	for _, p := range planted {
		finding := simulate.Finding(p.Anomaly)
		all.Planted = append(all.Planted, answer{p, finding, adya.Judge([]string{finding}).Refuted})
	}
	b, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(o.answers, append(b, '\n'), 0o644)
}
