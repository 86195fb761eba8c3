package main

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/avail"
	"github.com/capstan-dev/capstan/checker/converge"
	"github.com/capstan-dev/capstan/checker/durable"
	"github.com/capstan-dev/capstan/checker/recovery"
	"github.com/capstan-dev/capstan/checker/stale"
	"github.com/capstan-dev/capstan/checker/weak"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/plan"
	"github.com/capstan-dev/capstan/reports"
)

// measure adds what a history tells apart from verdicts, as far as it does: a
// history that cannot be measured has been judged unknown by the checks.
func measure(ctx context.Context, res *reports.Results, h *history.History, o stale.Options) {
	if r, err := avail.MeasureAt(ctx, h, avail.Options{Level: o.Level}); err == nil {
		res.Availability = &r
	}
	if r, ok, err := stale.Measure(ctx, h, o); ok && err == nil {
		res.Staleness = &r
	}
	if r, ok, err := converge.Measure(ctx, h); ok && err == nil {
		res.Convergence = &r
	}
	lasting := durable.Options{Init: o.Init, NilSaysNothing: o.NilSaysNothing, Level: o.Level}
	if r, ok, err := durable.Measure(ctx, h, lasting); ok && err == nil {
		res.Durability = &r
	}
	if r, ok, err := recovery.Measure(ctx, h, recovery.Options{Level: o.Level}); ok && err == nil {
		res.Recovery = &r
	}
}

// classify says which models below linearizability a history of registers
// refutes, unless nothing fell.
func classify(ctx context.Context, res *reports.Results, h *history.History, o weak.Options) {
	if !stale.Registers(h) {
		return
	}
	fell := false
	for _, c := range res.Checks {
		if c.Name == "linearizable" {
			o.Linearizable = c.Verdict.String()
		} else if slices.Contains(weak.Models(), c.Name) {
			fell = true
		}
	}
	if !fell && (o.Linearizable == "" || o.Linearizable == checker.Valid.String()) {
		return
	}
	r, err := weak.Classify(ctx, h, o)
	if err != nil {
		return
	}
	// Linearizability was not asked for, but falls with what it implies.
	if o.Linearizable == "" && len(r.Refuted) > 0 && weak.Implies(weak.Linearizable, r.Refuted[0].Model) {
		r.AlsoRefuted = append(r.AlsoRefuted, weak.Linearizable)
	}
	res.Models = &r
}

// level is the run's consistency level in the target's words.
func level(p plan.Plan) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(p.Level)) {
		parts = append(parts, k+"="+p.Level[k])
	}
	return strings.Join(parts, ",")
}
