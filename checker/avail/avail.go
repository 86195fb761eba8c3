// Package avail measures availability: which share of the calls was answered,
// on each side of a cut, for each operation and phase; how long nobody got an
// answer; and how soon after a heal each node gave one again. It is a pure
// function of the history and judges nothing.
//
// Definitions. A call belongs to the phase that it was invoked in. The phases
// of a history are "before" the first fault, each fault from the begin of its
// injection to the end of its heal, the time "after" each, and one phase "run"
// for a history without faults. A call's side is that of its node under the
// fault: majority, minority or bridge for a partition, "hit" or "others" for
// faults aimed at nodes, "all" otherwise. A call is answered if it is ok, or if
// the system said that its precondition does not hold (a compare-and-set that
// found another value); any other fail is a refusal that the client could rely
// on; an info left it in doubt. The three are counted apart. A run asks at one
// consistency level, which the report repeats, so that reports of several runs
// can be put side by side.
package avail

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/capstan-dev/capstan/checker/phase"
	"github.com/capstan-dev/capstan/history"
)

// Options say what a history means.
type Options struct {
	// Level is the consistency level at which the clients asked, if it is one
	// for all.
	Level string
}

// Report is the measured availability of a history.
type Report struct {
	// Level is that of the options.
	Level  string  `json:"level,omitempty"`
	Phases []Phase `json:"phases"`
	// Totals merges the phases to before, during and after faults.
	Totals []Rate `json:"totals"`
	// Rates has a row for each phase, side and operation that was asked.
	Rates    []Rate     `json:"rates"`
	Nodes    []NodeRate `json:"nodes"`
	Silences []Silence  `json:"silences"`
	Recovery []Recovery `json:"recovery"`
	Latency  []Latency  `json:"latency"`
	// LatencyTotals merges the phases as Totals does, by side and operation.
	LatencyTotals []Latency `json:"latency_totals"`
}

// The stages that Totals merges phases to.
const (
	Before = phase.Before
	During = phase.During
	After  = phase.After
	Whole  = phase.Whole
)

// Phase is a stretch of the history.
type Phase = phase.Phase

// Counts are calls by outcome.
type Counts struct {
	OK   int `json:"ok"`
	Fail int `json:"fail"`
	Info int `json:"info"`
	// Unmet are the fails that are answers: the system said that the call's
	// precondition does not hold.
	Unmet int `json:"unmet"`
}

// Total is the number of calls.
func (c Counts) Total() int { return c.OK + c.Fail + c.Info }

// Answered is the number of calls that got an answer: ok, or precondition not
// met. Refused is the number of the other fails.
func (c Counts) Answered() int { return c.OK + c.Unmet }
func (c Counts) Refused() int  { return c.Fail - c.Unmet }

func (c *Counts) add(p history.Pair) {
	switch p.Outcome() {
	case history.OK:
		c.OK++
	case history.Fail:
		c.Fail++
		if p.Complete.Unmet() {
			c.Unmet++
		}
	default:
		c.Info++
	}
}

// Rate counts the calls of one phase, side and operation.
type Rate struct {
	Phase string `json:"phase"`
	Side  string `json:"side"`
	F     string `json:"f"`
	Counts
}

// NodeRate counts the calls of one phase and node.
type NodeRate struct {
	Phase string `json:"phase"`
	Side  string `json:"side"`
	Node  string `json:"node"`
	Counts
}

// Silence is the longest stretch in which calls were asked and none was
// answered: from the first invocation after an answer to the next answer, or
// to the end of the phase.
type Silence struct {
	Phase  string        `json:"phase"`
	Side   string        `json:"side"`
	From   time.Duration `json:"from_ns"`
	Length time.Duration `json:"length_ns"`
}

// Recovery is the time from a complete heal to the first answer of a call
// that was invoked after it, by node; negative if there was none until the
// next fault or the end.
type Recovery struct {
	Fault int                      `json:"fault"`
	Name  string                   `json:"name"`
	Nodes map[string]time.Duration `json:"nodes_ns"`
}

// Latency of the ok calls of a phase and operation, from HdrHistograms with
// three significant digits.
type Latency struct {
	Phase string `json:"phase"`
	// Side is empty if all sides are counted together.
	Side string `json:"side,omitempty"`
	F    string `json:"f"`
	N    int    `json:"n"`
	// Quantiles of the time to the answer: from when the call was due, if the
	// run asked for a rate of operations, so that the wait for a free client
	// counts (no coordinated omission); otherwise from its invocation.
	Quantiles
	// Service is from the invocation in any case.
	Service Quantiles `json:"service"`
}

// Quantiles of a latency.
type Quantiles struct {
	P50  time.Duration `json:"p50_ns"`
	P90  time.Duration `json:"p90_ns"`
	P99  time.Duration `json:"p99_ns"`
	P999 time.Duration `json:"p999_ns"`
	Max  time.Duration `json:"max_ns"`
}

// Measure is MeasureAt without a level.
func Measure(h *history.History) (Report, error) {
	return MeasureAt(context.Background(), h, Options{})
}

// MeasureAt computes the report in O(n log n). The error is that of
// history.Pairs for a malformed history, or the context's; one with completions
// only has no times of invocation and is an error as well.
func MeasureAt(ctx context.Context, h *history.History, o Options) (Report, error) {
	if history.CompletionOnly(h) {
		return Report{}, fmt.Errorf("measure availability: the history has no invocations")
	}
	pairs, err := history.Pairs(h)
	if err != nil {
		return Report{}, fmt.Errorf("measure availability: %w", err)
	}
	m := newMeter(h)
	for i, p := range pairs {
		if i%4096 == 0 && ctx.Err() != nil {
			return Report{}, ctx.Err()
		}
		m.count(p)
	}
	r := m.report(pairs)
	r.Level = o.Level
	return r, nil
}

type meter struct {
	*phase.Timeline
	rates   map[Rate]*Counts
	totals  map[Rate]*Counts
	nodes   map[NodeRate]*Counts
	latency map[timed]*clocks
	overall map[timed]*clocks // by stage and side
}

func newMeter(h *history.History) *meter {
	return &meter{Timeline: phase.Of(h), rates: map[Rate]*Counts{}, totals: map[Rate]*Counts{},
		nodes: map[NodeRate]*Counts{}, latency: map[timed]*clocks{}, overall: map[timed]*clocks{}}
}

func bump[K comparable](m map[K]*Counts, k K, p history.Pair) {
	c := m[k]
	if c == nil {
		c = &Counts{}
		m[k] = c
	}
	c.add(p)
}

func (m *meter) count(p history.Pair) {
	i := m.At(p.Invoke.Time)
	in, node, f := m.Phases[i], p.Invoke.Node, p.F()
	side := m.Side(i, node)
	bump(m.rates, Rate{Phase: in.Name, Side: side, F: f}, p)
	bump(m.totals, Rate{Phase: in.Stage, Side: side, F: f}, p)
	if node != "" {
		bump(m.nodes, NodeRate{Phase: in.Name, Side: side, Node: node}, p)
	}
	if p.Outcome() == history.OK {
		clock(m.latency, timed{in.Name, "", f}).record(p)
		clock(m.overall, timed{in.Stage, side, f}).record(p)
	}
}

func clock(m map[timed]*clocks, k timed) *clocks {
	c := m[k]
	if c == nil {
		c = &clocks{}
		m[k] = c
	}
	return c
}

func (m *meter) report(pairs []history.Pair) Report {
	order := map[string]int{Before: -3, During: -2, After: -1, Whole: -4}
	for i, p := range m.Phases {
		if _, ok := order[p.Name]; !ok {
			order[p.Name] = i
		}
	}
	byPhase := func(a, b string) int { return cmp.Compare(order[a], order[b]) }
	r := Report{Phases: m.Phases, Rates: []Rate{}, Totals: []Rate{}, Nodes: []NodeRate{}}
	for _, list := range []struct {
		from map[Rate]*Counts
		to   *[]Rate
	}{{m.rates, &r.Rates}, {m.totals, &r.Totals}} {
		for k, c := range list.from {
			k.Counts = *c
			*list.to = append(*list.to, k)
		}
		slices.SortFunc(*list.to, func(a, b Rate) int {
			return cmp.Or(byPhase(a.Phase, b.Phase), cmp.Compare(a.Side, b.Side), cmp.Compare(a.F, b.F))
		})
	}
	for k, c := range m.nodes {
		k.Counts = *c
		r.Nodes = append(r.Nodes, k)
	}
	slices.SortFunc(r.Nodes, func(a, b NodeRate) int {
		return cmp.Or(byPhase(a.Phase, b.Phase), cmp.Compare(a.Node, b.Node))
	})
	r.Latency, r.LatencyTotals = latencies(m.latency, byPhase), latencies(m.overall, byPhase)
	r.Silences = m.silences(pairs)
	r.Recovery = m.recovery(pairs)
	return r
}

func latencies(of map[timed]*clocks, byPhase func(a, b string) int) []Latency {
	out, h := []Latency{}, scale()
	for k, c := range of {
		out = append(out, c.latency(k, h))
	}
	slices.SortFunc(out, func(a, b Latency) int {
		return cmp.Or(byPhase(a.Phase, b.Phase), cmp.Compare(a.Side, b.Side), cmp.Compare(a.F, b.F))
	})
	return out
}

// answered is true for ok, and for fails that are answers.
func answered(p history.Pair) bool {
	return p.Outcome() == history.OK || p.Complete != nil && p.Complete.Unmet()
}

// silences finds the longest silence of each phase and side.
func (m *meter) silences(pairs []history.Pair) []Silence {
	type moment struct {
		at time.Duration
		ok bool
	}
	type scope struct {
		phase int
		side  string
	}
	moments := map[scope][]moment{}
	for _, p := range pairs {
		i := m.At(p.Invoke.Time)
		s := scope{i, m.Side(i, p.Invoke.Node)}
		moments[s] = append(moments[s], moment{at: p.Invoke.Time})
		if answered(p) && p.Complete.Time <= m.Phases[i].To {
			moments[s] = append(moments[s], moment{p.Complete.Time, true})
		}
	}
	out := []Silence{}
	scopes := slices.SortedFunc(maps.Keys(moments), func(a, b scope) int {
		return cmp.Or(cmp.Compare(a.phase, b.phase), cmp.Compare(a.side, b.side))
	})
	for _, s := range scopes {
		list := moments[s]
		slices.SortStableFunc(list, func(a, b moment) int { return cmp.Compare(a.at, b.at) })
		longest := Silence{Phase: m.Phases[s.phase].Name, Side: s.side}
		from := time.Duration(-1)
		note := func(to time.Duration) {
			if d := to - from; from >= 0 && d > longest.Length {
				longest.From, longest.Length = from, d
			}
		}
		for _, x := range list {
			switch {
			case x.ok:
				note(x.at)
				from = -1
			case from < 0:
				from = x.at
			}
		}
		note(m.Phases[s.phase].To)
		out = append(out, longest)
	}
	return out
}

// recovery finds the first ok of each node after each heal.
func (m *meter) recovery(pairs []history.Pair) []Recovery {
	nodes := map[string]bool{}
	for _, p := range pairs {
		if p.Invoke.Node != "" {
			nodes[p.Invoke.Node] = true
		}
	}
	out := []Recovery{}
	for i := range m.Windows {
		after := m.Phases[2*i+2]
		r := Recovery{Fault: after.Fault, Name: m.Windows[i].Fault, Nodes: map[string]time.Duration{}}
		for n := range nodes {
			r.Nodes[n] = -1
		}
		out = append(out, r)
	}
	for _, p := range pairs {
		i := m.At(p.Invoke.Time)
		if m.Phases[i].Stage != After || !answered(p) || p.Invoke.Node == "" {
			continue
		}
		r, d := out[(i-1)/2], p.Complete.Time-m.Phases[i].From
		if old := r.Nodes[p.Invoke.Node]; old < 0 || d < old {
			r.Nodes[p.Invoke.Node] = d
		}
	}
	return out
}
