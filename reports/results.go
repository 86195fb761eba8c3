// Package reports renders a run directory: results.json, text, JUnit and the
// self-contained HTML report. Rendering is pure: the same directory and
// results give the same bytes.
package reports

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/avail"
	"github.com/capstan-dev/capstan/checker/converge"
	"github.com/capstan-dev/capstan/checker/durable"
	"github.com/capstan-dev/capstan/checker/recovery"
	"github.com/capstan-dev/capstan/checker/stale"
	"github.com/capstan-dev/capstan/checker/weak"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/plan"
)

// ResultsVersion is the version of the schema of results.json.
const ResultsVersion = 1

// Results is results.json: what the checks said about one history.
type Results struct {
	Version int `json:"version"`
	// File is the history or run directory that was checked.
	File    string          `json:"file,omitempty"`
	Verdict checker.Verdict `json:"verdict"`
	// Reason is the reason of the worst check, in one sentence.
	Reason       string           `json:"reason"`
	Checks       []checker.Result `json:"checks"`
	Operations   Counts           `json:"operations"`
	Availability *avail.Report    `json:"availability,omitempty"`
	// Staleness and Convergence are there for histories with reads of
	// registers, and with reads through several nodes.
	Staleness *stale.Report `json:"staleness,omitempty"`
	// Models says which models below linearizability a history of registers
	// refutes, where linearizability fell or one of them was asked for.
	Models      *weak.Report     `json:"models,omitempty"`
	Convergence *converge.Report `json:"convergence,omitempty"`
	// Durability is there for histories of registers and sets, Recovery for
	// those with faults.
	Durability *durable.Report  `json:"durability,omitempty"`
	Recovery   *recovery.Report `json:"recovery,omitempty"`
	// Checked is how long all checks took.
	Checked time.Duration `json:"checked_ns"`
}

// Counts are numbers of client operations by outcome.
type Counts struct {
	Total int `json:"total"`
	OK    int `json:"ok"`
	Fail  int `json:"fail"`
	Info  int `json:"info"`
}

// Summarize merges the results of checks: the worst verdict wins and gives
// the reason.
func Summarize(checks []checker.Result, h *history.History) Results {
	r := Results{Version: ResultsVersion, Verdict: checker.Worst(checks), Checks: checks}
	if len(checks) == 0 {
		r.Checks, r.Reason = []checker.Result{}, "nothing was checked"
	}
	for _, c := range checks {
		if c.Verdict == r.Verdict {
			r.Reason = c.Name + ": " + c.Reason
			break
		}
	}
	r.count(h)
	return r
}

// count counts operations by their outcome; one without completion is info.
func (r *Results) count(h *history.History) {
	if h == nil {
		return
	}
	for _, e := range h.Events {
		if e.Process < 0 {
			continue
		}
		switch e.Kind {
		case history.Invoke:
			r.Operations.Total++
		case history.OK:
			r.Operations.OK++
		case history.Fail:
			r.Operations.Fail++
		}
	}
	// Completion-only histories have no invocations.
	r.Operations.Total = max(r.Operations.Total, r.Operations.OK+r.Operations.Fail)
	r.Operations.Info = r.Operations.Total - r.Operations.OK - r.Operations.Fail
}

// Run is a run directory in memory.
type Run struct {
	Dir     plan.Dir
	Plan    plan.Plan
	Info    plan.Info
	History *history.History
	Results Results
}

// Load reads a run directory whose history has been checked.
func Load(dir string) (Run, error) {
	r := Run{Dir: plan.Dir(dir)}
	var err error
	if r.Plan, err = plan.ReadFile(r.Dir.Plan(), plan.Plan{}); err != nil {
		return r, err
	}
	if r.Info, err = r.Dir.ReadInfo(); err != nil {
		return r, err
	}
	if r.History, err = history.ReadFile(r.Dir.History()); err != nil {
		return r, err
	}
	b, err := os.ReadFile(r.Dir.Results())
	if err != nil {
		return r, fmt.Errorf("read results: %w", err)
	}
	if err := json.Unmarshal(b, &r.Results); err != nil {
		return r, fmt.Errorf("decode %s: %w", r.Dir.Results(), err)
	}
	if r.Results.Version != ResultsVersion {
		return r, fmt.Errorf("decode %s: version %d, want %d; check the run again", r.Dir.Results(), r.Results.Version, ResultsVersion)
	}
	return r, nil
}

// JSON is the text of results.json.
func (r Results) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode results: %w", err)
	}
	return append(b, '\n'), nil
}
