package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/linear"
	"github.com/capstan-dev/capstan/checker/stale"
	"github.com/capstan-dev/capstan/checker/strength"
	"github.com/capstan-dev/capstan/checker/txn"
	"github.com/capstan-dev/capstan/checker/txn/adya"
	"github.com/capstan-dev/capstan/checker/weak"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/plan"
	"github.com/capstan-dev/capstan/reports"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// checkOptions are the flags of check; the zero value means: as the run's plan
// says.
type checkOptions struct {
	model, init     string
	null, failedCAS string
	consistency     string
	without         []string
	total           *int64 // of a bank
	debt            bool
	registers       registerOptions
	timeout         time.Duration
	memory          int64
	certificates    io.Writer
}

func (a *app) checkCommand() *cobra.Command {
	var o checkOptions
	var memory, certificate, total string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check FILE|DIR...",
		Short: "Judge recorded histories: run directories, history.jsonl, or Jepsen's EDN",
		Long: `Checks each history and prints FILE, the verdict, and the reason, separated by
tabs; the witness follows if there is only one file. Independent keys are split
by themselves. Without --model a run directory gets the checks of its workload,
and any other history the model that its operations suggest.`,
		Example: `  capstan check runs/20261122T140311-sim-async-register
  capstan check history.edn --model cas-register --init 0
  capstan check --model set *.edn`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("check needs at least one file or run directory")
			}
			if total != "" {
				n, err := strconv.ParseInt(total, 10, 64)
				if err != nil {
					return usage("--total %q: want a whole number", total)
				}
				o.total = &n
			}
			if err := o.validate(memory); err != nil {
				return err
			}
			return a.certifying(certificate, args, o, func(o checkOptions) error { return a.check(args, o, asJSON) })
		},
	}
	cmd.Flags().StringVar(&o.model, "model", "", "`MODEL` to check against: "+strings.Join(models(), ", "))
	o.meaning(cmd.Flags())
	cmd.Flags().StringVar(&o.consistency, "consistency", "", "`MODEL` that the history must keep: registers linearizable (the default), or "+strings.Join(weak.Models(), ", ")+"; transactions strict-serializable (the default), or any other of "+strings.Join(adya.Checkable(), ", "))
	o.registers.flags(cmd.Flags())
	cmd.Flags().StringSliceVar(&o.without, "without", nil, "`STEPS` of the check to leave out: "+strings.Join(linear.Steps(), ", "))
	cmd.Flags().StringVar(&total, "total", "", "`SUM` of all accounts of a bank (default: what most reads have)")
	cmd.Flags().BoolVar(&o.debt, "negative-balances", false, "accounts of a bank may have debts")
	cmd.Flags().StringVar(&certificate, "certificate", "", "write the linearization of each key to `FILE`, for `capstan verify`")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 2*time.Minute, "time to judge each file, apart from reading it, after which the verdict is unknown")
	cmd.Flags().StringVar(&memory, "memory", "4GiB", "memory bound of the check, apart from the history itself, above which the verdict is unknown")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one results object a line")
	return cmd
}

// meaning are the flags that say what a history means.
func (o *checkOptions) meaning(f *pflag.FlagSet) {
	f.StringVar(&o.init, "init", "", "initial `VALUE` of registers, as JSON or EDN (default: absent)")
	f.StringVar(&o.null, "nil", "", "what a read of nil means: `wildcard`, nothing, as in Knossos, or absent, the register had no value (default: absent; with --init wildcard)")
	f.StringVar(&o.failedCAS, "failed-cas", "", "what a failed cas means: `drop`, it did not happen and says nothing, or mismatch, it saw another value at some instant (default: mismatch where the history proves it)")
}

func (o *checkOptions) validate(memory string) error {
	var err error
	if o.memory, err = plan.ParseSize(memory); err != nil {
		return usage("--memory: %w", err)
	}
	if o.timeout <= 0 {
		return usage("--timeout %v: want more than 0s", o.timeout)
	}
	if o.init != "" && !json.Valid([]byte(o.init)) {
		v, err := history.ValueOfEDN(o.init)
		if err != nil {
			return usage("--init %q: want a value in JSON or EDN, like 0, nil or \"a\"", o.init)
		}
		o.init = string(v)
	}
	model := o.model
	if model == "" {
		model = "register" // to look at the other options
	}
	if _, err := o.checker(model); err != nil {
		return usage("%w", err)
	}
	return nil
}

func (a *app) check(files []string, o checkOptions, asJSON bool) error {
	worst := exitValid
	for _, f := range files {
		res, err := a.checkFile(f, o)
		code := verdictCode(res.Verdict)
		if err != nil {
			fmt.Fprintf(a.err, "error: %v\n", err)
			if code != exitInvalid {
				code = exitData
			}
		}
		if asJSON {
			all, err := withIsolation(res)
			if err != nil {
				return withCode(exitBug, err)
			}
			b, err := json.Marshal(all)
			if err != nil {
				return withCode(exitBug, fmt.Errorf("encode results: %w", err))
			}
			fmt.Fprintf(a.out, "%s\n", b)
		} else {
			fmt.Fprintf(a.out, "%s\t%s\t%s\n", oneLine(f), res.Verdict, oneLine(res.Reason))
		}
		if len(files) == 1 && !asJSON {
			if err := reports.Witnesses(a.out, res); err != nil {
				return withCode(exitBug, err)
			}
		}
		worst = worseCode(worst, code)
		if a.stop.Err() != nil { // the rest would be undecided
			if worst != exitInvalid {
				worst = exitInterrupted
			}
			break
		}
	}
	if worst == exitValid {
		return nil
	}
	return &exitError{code: worst}
}

// oneLine keeps a text within its column.
func oneLine(s string) string {
	s = strings.NewReplacer("\r\n", "; ", "\n", "; ", "\r", "; ", "\t", " ").Replace(strings.TrimSpace(s))
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// worseCode ranks a violation over data that cannot be read over unknown.
func worseCode(a, b int) int {
	rank := map[int]int{exitValid: 0, exitUnknown: 1, exitData: 2, exitInvalid: 3}
	if rank[b] > rank[a] {
		return b
	}
	return a
}

func verdictCode(v checker.Verdict) int {
	switch v {
	case checker.Valid:
		return exitValid
	case checker.Invalid:
		return exitInvalid
	}
	return exitUnknown
}

// checkFile judges one history. If it cannot be read to its end, what could
// be read is checked: a violation in it stands, anything else is unknown.
func (a *app) checkFile(path string, o checkOptions) (reports.Results, error) {
	if dir, ok := runDirOf(path); ok && o.model == "" {
		run, err := checkRun(a.stop, dir, o)
		run.Results.File = path
		return run.Results, err
	}
	if isIsolation(o.model) && o.model != txn.ClosedPredicate {
		return a.checkIsolation(path, o)
	}
	h, _, readErr := history.Open(path)
	res := reports.Results{Version: reports.ResultsVersion, File: path, Verdict: checker.Unknown, Checks: []checker.Result{}}
	if readErr != nil && (h == nil || len(h.Events) == 0) {
		res.Reason = readErr.Error()
		return res, readErr
	}
	model := o.model
	if !slices.ContainsFunc(h.Events, func(e history.Event) bool { return e.Process >= 0 }) {
		res.Reason = "the history has no operation of a client"
		return res, readErr
	}
	if model == "" {
		var err error
		if model, err = suggestModel(h); err != nil {
			res.Reason = err.Error()
			return res, errors.Join(readErr, err)
		}
	}
	c, err := o.checker(model)
	if err != nil {
		res.Reason = err.Error()
		return res, err
	}
	if _, err := history.NewTable(h); err != nil && !history.CompletionOnly(h) {
		res.Reason = err.Error()
		return res, errors.Join(readErr, fmt.Errorf("%s: %w", path, err))
	}
	if model == txn.ClosedPredicate {
		if c, err = closedPredicate(path, h, o); err != nil {
			res.Reason = err.Error()
			return res, errors.Join(readErr, err)
		}
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(a.stop, o.timeout)
	defer cancel()
	results := []checker.Result{checker.Run(ctx, c, h)}
	if readErr != nil {
		results = append(results, checker.Result{Name: "complete", Verdict: checker.Unknown, Anomalies: []checker.Anomaly{},
			Reason: fmt.Sprintf("only the first %d events could be read: %v", len(h.Events), readErr)})
	}
	res = reports.Summarize(results, h)
	// A check that took all its time leaves time to measure.
	ctx, cancel = context.WithTimeout(a.stop, o.timeout)
	defer cancel()
	measure(ctx, &res, h, stale.Options{Init: json.RawMessage(o.init), NilSaysNothing: o.nilSaysNothing()})
	classify(ctx, &res, h, o.weak())
	res.File, res.Checked = path, time.Since(began)
	return res, readErr
}

// runDirOf says whether a path is, or lies in, a run directory.
func runDirOf(path string) (string, bool) {
	dir := path
	if filepath.Base(path) == "history.jsonl" {
		dir = filepath.Dir(path)
	}
	_, err := os.Stat(plan.Dir(dir).Plan())
	return dir, err == nil
}

// minOK is the least number of ok operations of a run that can be valid.
const minOK = 100

// checkRun judges a run directory: the checks of its workload, whether its
// faults were proven, and whether it is strong enough to say anything.
func checkRun(ctx context.Context, dir string, o checkOptions) (reports.Run, error) {
	r := reports.Run{Dir: plan.Dir(dir)}
	r.Results = reports.Results{Version: reports.ResultsVersion, Verdict: checker.Unknown, Checks: []checker.Result{}}
	var err error
	if r.Plan, err = plan.ReadFile(r.Dir.Plan(), plan.Plan{Level: map[string]string{}}); err != nil {
		r.Results.Reason = err.Error()
		return r, err
	}
	if o.timeout > 0 {
		r.Plan.CheckTimeout = o.timeout
	}
	if o.memory > 0 {
		r.Plan.CheckMemory = o.memory
	}
	var notes []string
	if r.Info, err = r.Dir.ReadInfo(); err != nil {
		notes = append(notes, "the run did not end by itself: "+err.Error())
	}
	notes = append(notes, r.Info.Problems...)
	h, readErr := history.ReadFile(r.Dir.History())
	if h == nil || len(h.Events) == 0 && readErr != nil {
		r.Results.Reason = readErr.Error()
		return r, readErr
	}
	if readErr != nil {
		notes = append(notes, readErr.Error())
	}
	r.History = h
	w, err := named("workload", r.Plan.Workload, allWorkloads(r.Plan, r.Info.Claim))
	if err != nil {
		return r, err
	}
	checks, err := w.Checks()
	if err != nil {
		return r, err
	}
	checks = append(checks,
		strength.NewFaults(strength.FaultsOptions{Expect: len(r.Plan.Faults) > 0}),
		strength.New(strength.Options{MinOK: minOK, FinalReads: len(r.Plan.Faults) > 0}))
	r.Results = runChecks(ctx, r.Plan, h, checks, notes)
	return r, nil
}

// runChecks runs each check within the plan's time, and measures availability
// if the calls pair up.
func runChecks(ctx context.Context, p plan.Plan, h *history.History, checks []checker.Checker, notes []string) reports.Results {
	began := time.Now()
	var results []checker.Result
	for _, c := range checks {
		limited, cancel := context.WithTimeout(ctx, p.CheckTimeout)
		results = append(results, checker.Run(limited, c, h))
		cancel()
	}
	if len(notes) > 0 {
		results = append(results, checker.Result{Name: "run", Verdict: checker.Unknown,
			Reason: strings.Join(notes, "; "), Anomalies: []checker.Anomaly{}})
	}
	res := reports.Summarize(results, h)
	measure(ctx, &res, h, stale.Options{Level: level(p)})
	limited, cancel := context.WithTimeout(ctx, p.CheckTimeout)
	defer cancel()
	classify(limited, &res, h, weak.Options{Memory: p.CheckMemory})
	res.Checked = time.Since(began)
	return res
}
