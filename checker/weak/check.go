package weak

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/internal/nearest"
)

// Describe says what a model promises, in one line.
func Describe(model string) string {
	switch model {
	case Linearizable:
		return "one order of all operations, in real time"
	case Sequential:
		return "one order of all operations that keeps the order of each process"
	case CausalMemory:
		return "each process sees all writes in one order of its own, causes before effects"
	case CausalConvergence:
		return "causes before effects, and all agree which of two concurrent writes is the last"
	case Causal:
		return "each read sees the causes of what it sees"
	case PRAM:
		return "each process sees the writes of every other one in the order in which they were made"
	case ReadYourWrites:
		return "a process's reads see its own earlier writes"
	case MonotonicReads:
		return "a process's reads do not go back"
	case MonotonicWrites:
		return "who sees a write sees the earlier ones of the same process"
	case WritesFollowReads:
		return "who sees a write sees what its process had read before"
	}
	return ""
}

// New returns a checker that is named like one of Models and judges by it
// alone. Classify is cheaper than several of them.
func New(model string, o Options) (checker.Checker, error) {
	if !slices.Contains(Models(), model) {
		return nil, fmt.Errorf("unknown model %q%s; there are: %s", model, nearest.Hint(model, Models()), strings.Join(Models(), ", "))
	}
	if len(o.Init) > 0 && !json.Valid(o.Init) {
		return nil, fmt.Errorf("initial value %.40q is not JSON", o.Init)
	}
	return check{model, o}, nil
}

type check struct {
	model string
	o     Options
}

// Name is the model's.
func (c check) Name() string { return c.model }

// Check is Invalid with the witnesses of the model itself and of those that it
// implies, Valid if it is not refuted, and Unknown if it could not be decided.
// Data is the whole Report.
func (c check) Check(ctx context.Context, h *history.History) (checker.Result, error) {
	if len(h.Events) == 0 {
		return checker.Result{Verdict: checker.Unknown, Reason: "the history is empty"}, nil
	}
	r, err := Classify(ctx, h, c.o)
	if err != nil {
		return checker.Result{}, err
	}
	res := checker.Result{Verdict: checker.Valid}
	if res.Data, err = json.Marshal(r); err != nil {
		return checker.Result{}, fmt.Errorf("encode report: %w", err)
	}
	for _, f := range slices.Backward(r.Refuted) { // its own comes first
		if Implies(c.model, f.Model) {
			res.Verdict = checker.Invalid
			res.Anomalies = append(res.Anomalies, checker.Anomaly{Kind: "not-" + f.Model, Key: f.Key, Events: f.Events, Text: f.Text, Cascade: len(res.Anomalies) > 0})
		}
	}
	for _, u := range r.Undecided {
		if res.Verdict == checker.Valid && u.Model == c.model {
			res.Verdict, res.Reason = checker.Unknown, fmt.Sprintf("%s is not decided: %s", c.model, u.Reason)
		}
	}
	switch res.Verdict {
	case checker.Valid:
		res.Reason = fmt.Sprintf("no violation of %s found in %d operations of %d processes on %d keys", c.model, r.Operations, r.Processes, r.Keys)
	case checker.Invalid:
		res.Reason = "not " + c.model + ": " + res.Anomalies[0].Text
	}
	return res, nil
}
