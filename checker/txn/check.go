package txn

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/capstan-dev/capstan/checker/txn/adya"
	"github.com/capstan-dev/capstan/checker/txn/graph"
	"github.com/capstan-dev/capstan/checker/txn/infer"
	"github.com/capstan-dev/capstan/checker/txn/log"
)

// Infer finds the dependencies of one kind of objects.
type Infer func(*log.Log) (*infer.Inference, error)

// searchShare is the part of the time that is left which the search for cycles
// may take before it leaves it at what exists.
const searchShare = 0.8

// Check judges a log. An error means that nothing can be said.
func Check(ctx context.Context, l *log.Log, inf Infer) (*Outcome, error) {
	out := &Outcome{Counts: map[string]int{}}
	out.count(l)
	if out.OK == 0 {
		return nil, fmt.Errorf("no transaction of %d was acknowledged (ok): nothing was shown", len(l.Txns))
	}
	found, g, err := dependencies(l, inf)
	if err != nil {
		return nil, err
	}
	out.Open = append(out.Open, found.Open...)
	for kind, n := range found.Found.Counts {
		out.Counts[kind] += n
	}
	for i := range found.Found.All {
		f := &found.Found.All[i]
		out.Anomalies = append(out.Anomalies, infer.Anomaly{Kind: f.Kind, Found: f})
	}
	cycles := graph.Search(g, graph.Options{Implied: adya.Implied, Stop: deadline(ctx)})
	out.cycles(cycles, found, l)
	if out.Counts[adya.GSingleItem] > 0 {
		out.singles(g, found, l)
	}
	out.judge()
	if l.CompletionOnly() {
		out.Notes = append(out.Notes, "the history has no invocations: nothing is known of real time")
	}
	return out, nil
}

func (o *Outcome) count(l *log.Log) {
	for i := range l.Txns {
		switch l.Txns[i].Outcome {
		case log.OK:
			o.OK++
		case log.Info:
			o.Info++
		case log.Fail:
			o.Fail++
		}
	}
}

// dependencies makes the whole graph, the orders of time beside those of data.
func dependencies(l *log.Log, inf Infer) (*infer.Inference, *graph.Graph, error) {
	var process, realtime []graph.Edge
	var barriers int
	var wg sync.WaitGroup
	wg.Go(func() {
		process = processEdges(l)
		realtime, barriers = realtimeEdges(l)
	})
	found, err := inf(l)
	wg.Wait()
	if err != nil {
		return nil, nil, err
	}
	if found.Barriers > 0 {
		shift(realtime, int32(len(l.Txns)), int32(found.Barriers))
	}
	return found, graph.New(len(l.Txns), found.Barriers+barriers, found.Edges, process, realtime), nil
}

// shift moves the barriers of edges, which are numbered from n, further back.
func shift(edges []graph.Edge, n, by int32) {
	for i, e := range edges {
		if e.From >= n {
			edges[i].From += by
		}
		if to := e.Head.To(); to >= n {
			edges[i].Head = graph.NewHead(to+by, e.Head.Class())
		}
	}
}

// deadline says when the search is to stop.
func deadline(ctx context.Context) func() bool {
	var end time.Time
	if d, ok := ctx.Deadline(); ok {
		end = time.Now().Add(time.Duration(searchShare * float64(time.Until(d))))
	}
	return func() bool { return ctx.Err() != nil || !end.IsZero() && time.Now().After(end) }
}

// kept cycles of each kind are told in full.
const kept = 16

// cycles takes in what the search found.
func (o *Outcome) cycles(c graph.Cycles, found *infer.Inference, l *log.Log) {
	for _, cycle := range c.Found {
		cycle.Kind = certain(cycle, l)
		if o.Counts[cycle.Kind]++; o.Counts[cycle.Kind] > kept {
			continue
		}
		o.Anomalies = append(o.Anomalies, infer.Anomaly{Kind: cycle.Kind, Cycle: proven(cycle.Steps, found, l)})
	}
	for _, kind := range c.Longer {
		o.Notes = append(o.Notes, kind+": there may be a shorter cycle than the one told")
	}
	refuted := map[string]bool{}
	v := o.verdict()
	for _, m := range slices.Concat(v.Refuted, v.Also) {
		refuted[m] = true
	}
	for _, m := range c.Exists {
		if !refuted[m] {
			kind := adya.CycleExists(m)
			o.Counts[kind]++
			o.Anomalies = append(o.Anomalies, infer.Anomaly{Kind: kind})
		}
	}
	for _, kind := range c.Open {
		o.Open = append(o.Open, fmt.Sprintf("%s: the time was over before a shortest cycle of each component was found", kind))
	}
}

// proven is a cycle with its evidence, and what its form refutes.
func proven(cycle []graph.Step, found *infer.Inference, l *log.Log) *infer.Cycle {
	steps := make([]infer.Step, len(cycle))
	for i, s := range cycle {
		steps[i] = infer.Step{Step: s, Evidence: infer.NoEvidence()}
		if s.Class != graph.Process && s.Class != graph.Realtime {
			steps[i].Evidence = found.Evidence(s.From, s.To, s.Class)
		}
	}
	return &infer.Cycle{Steps: steps, Refutes: form{l, steps}.refutes()}
}

// singles takes in cycles of two transactions that refute, by their form, what
// nothing else did. The search tells one of each component, of whatever form.
func (o *Outcome) singles(g *graph.Graph, found *infer.Inference, l *log.Log) {
	v := o.verdict()
	known := slices.Concat(v.Refuted, v.Besides)
	var open []string
	for _, r := range rules() {
		if !adya.Follows(r.model, known) {
			open = append(open, r.model)
		}
	}
	for pair := range g.Singles() {
		if len(open) == 0 {
			return
		}
		cycle := proven(pair[:], found, l)
		if !slices.ContainsFunc(open, func(m string) bool { return slices.Contains(cycle.Refutes, m) }) {
			continue
		}
		open = slices.DeleteFunc(open, func(m string) bool { return adya.Follows(m, cycle.Refutes) })
		o.Counts[adya.GSingleItem]++
		o.Anomalies = append(o.Anomalies, infer.Anomaly{Kind: adya.GSingleItem, Cycle: cycle})
	}
}

// certain is the kind of a cycle, but a dirty write (G0) of an unknown
// transaction is only a G1c: it may have been aborted, and who saw it has read
// what read uncommitted allows to read.
func certain(c graph.Cycle, l *log.Log) string {
	rest, dirty := strings.CutPrefix(c.Kind, adya.G0)
	if dirty && slices.ContainsFunc(c.Steps, func(s graph.Step) bool { return l.Txns[s.From].Outcome == log.Info }) {
		return adya.G1c + rest
	}
	return c.Kind
}

// kinds are the anomalies that were found, sorted by severity.
func (o *Outcome) kinds() []string {
	var out []string
	for kind := range o.Counts {
		out = append(out, kind)
	}
	slices.SortFunc(out, bySeverity)
	return out
}

func bySeverity(a, b string) int {
	return cmp.Or(adya.Rank(a)-adya.Rank(b), cmp.Compare(a, b))
}

// judge sorts the anomalies, and says what they refute.
func (o *Outcome) judge() {
	slices.SortStableFunc(o.Anomalies, func(a, b infer.Anomaly) int {
		return cmp.Or(bySeverity(a.Kind, b.Kind), steps(a)-steps(b))
	})
	v := o.verdict()
	o.Besides = v.Besides
	o.Refuted, o.AlsoRefuted, o.NotRefuted, o.Strongest = v.Refuted, v.Also, v.Not, v.Strongest
}

func steps(a infer.Anomaly) int {
	if a.Cycle == nil {
		return 0
	}
	return len(a.Cycle.Steps)
}

func (o *Outcome) verdict() adya.Verdict {
	var besides []string
	for _, a := range o.Anomalies {
		if a.Cycle != nil {
			besides = append(besides, a.Cycle.Refutes...)
		}
	}
	return adya.JudgeBesides(o.kinds(), besides)
}
