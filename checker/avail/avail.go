// Package avail measures availability: what share of the calls was answered,
// on each side of a cut and in each phase of a run, for how long nothing was,
// how soon it came back, and how long the answers took. It measures, it does
// not judge.
package avail

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/capstan-dev/capstan/history"
)

// Everywhere is the side of the nodes while nothing divides them.
const Everywhere = "all"

// Report is the availability of one run. Durations are nanoseconds.
type Report struct {
	Phases []Phase `json:"phases"`
	// Rates are ordered by phase, operation and side; rows without calls are
	// left out.
	Rates []Rate `json:"rates"`
	// Nodes are the same by node instead of side and operation.
	Nodes      []NodeRate `json:"nodes"`
	Silences   []Silence  `json:"silences"`
	Recoveries []Recovery `json:"recoveries"`
	Latencies  []Latency  `json:"latencies"`
}

// Phase is a part of the run. A call belongs to the phase in which it was
// invoked. "before" is until the first fault begins, "fault K NAME" from a
// fault's begin until its heal is complete, "between" what lies between
// faults, "after" what follows the last heal. Where faults overlap, a call
// belongs to the one that began last.
type Phase struct {
	Name  string        `json:"name"`
	Start time.Duration `json:"start_ns"`
	End   time.Duration `json:"end_ns"`
}

// Count counts calls by their outcome.
type Count struct {
	OK   int `json:"ok"`
	Fail int `json:"fail"`
	Info int `json:"info"`
}

// Total is the number of calls.
func (c Count) Total() int { return c.OK + c.Fail + c.Info }

// Share is the share of the calls that ended ok; 0 if there were none.
func (c Count) Share() float64 {
	if c.Total() == 0 {
		return 0
	}
	return float64(c.OK) / float64(c.Total())
}

func (c *Count) add(k history.Kind) {
	switch k {
	case history.OK:
		c.OK++
	case history.Fail:
		c.Fail++
	default:
		c.Info++
	}
}

// Rate counts the calls of one operation on one side in one phase.
type Rate struct {
	Phase string `json:"phase"`
	F     string `json:"f"`
	Side  string `json:"side"`
	Count
}

// NodeRate counts the calls to one node in one phase.
type NodeRate struct {
	Phase string `json:"phase"`
	Node  string `json:"node"`
	Count
}

// Silence is the longest time in which calls were waiting or failing and not
// one ended ok. It begins with the previous ok, or when the first call after
// it was invoked if none was in flight, so that a pause of the clients is not
// taken for one of the system.
type Silence struct {
	// Phase is a fault's, for its sides; empty for the whole run.
	Phase string        `json:"phase,omitempty"`
	Side  string        `json:"side"`
	Start time.Duration `json:"start_ns"`
	End   time.Duration `json:"end_ns"`
}

// Recovery is how soon a node answered again after a heal was complete, if it
// did before the next fault began.
type Recovery struct {
	Fault string `json:"fault"` // the phase
	Node  string `json:"node"`
	// FirstOK is from the end of the heal to the first ok of any call to the
	// node; FirstNewOK to that of a call which was invoked after the heal.
	// nil: none came.
	FirstOK    *time.Duration `json:"first_ok_ns"`
	FirstNewOK *time.Duration `json:"first_new_ok_ns"`
}

// Latency has the quantiles of the ok calls' times.
type Latency struct {
	Phase string        `json:"phase"`
	F     string        `json:"f"`
	N     int           `json:"n"`
	P50   time.Duration `json:"p50_ns"`
	P90   time.Duration `json:"p90_ns"`
	P99   time.Duration `json:"p99_ns"`
	Max   time.Duration `json:"max_ns"`
}

// Measure measures a history. It fails for a malformed one, and for one of
// completions only. It takes O(n log n) time.
func Measure(h *history.History) (Report, error) {
	r := Report{
		Phases: []Phase{}, Rates: []Rate{}, Nodes: []NodeRate{}, Silences: []Silence{}, Recoveries: []Recovery{}, Latencies: []Latency{},
	}
	if len(h.Events) == 0 {
		return r, nil
	}
	if history.CompletionOnly(h) {
		return r, fmt.Errorf("measure availability: the history has completions only")
	}
	pairs, err := history.Pairs(h)
	if err != nil {
		return r, fmt.Errorf("measure availability: %w", err)
	}
	m := measurer{windows: history.Windows(h), end: h.Events[len(h.Events)-1].Time}
	m.cut()
	r.Phases = m.phases
	m.rates(&r, pairs)
	m.silences(&r, pairs)
	m.recoveries(&r, pairs)
	return r, nil
}

type measurer struct {
	windows []history.Window
	end     time.Duration
	phases  []Phase
	// edges are the moments from which on calls belong to a phase.
	edges []edge
}

type edge struct {
	at     time.Duration
	phase  int
	window int // -1: none
}

func (m *measurer) name(w int) string {
	return fmt.Sprintf("fault %d %s", w+1, m.windows[w].Fault)
}

// cut divides the run into phases.
func (m *measurer) cut() {
	if len(m.windows) == 0 {
		m.phases = []Phase{{"before", 0, m.end}}
		m.edges = []edge{{0, 0, -1}}
		return
	}
	m.phases = append(m.phases, Phase{"before", 0, m.windows[0].Begin})
	m.edges = append(m.edges, edge{0, 0, -1})
	var last time.Duration
	for i, w := range m.windows {
		m.phases = append(m.phases, Phase{m.name(i), w.Begin, w.End})
		last = max(last, w.End)
	}
	between, after := len(m.phases), len(m.phases)
	gap := Phase{Name: "between", Start: -1}
	moments := []time.Duration{}
	for _, w := range m.windows {
		moments = append(moments, w.Begin, w.End)
	}
	slices.Sort(moments)
	for _, t := range slices.Compact(moments) {
		w := m.latest(t)
		switch {
		case w >= 0:
			m.edges = append(m.edges, edge{t, w + 1, w})
			if gap.Start >= 0 && t > gap.Start && gap.End == 0 {
				gap.End = t
			}
		case t < last:
			m.edges = append(m.edges, edge{t, between, -1})
			if gap.Start < 0 {
				gap.Start = t
				after++
			}
		default:
			m.edges = append(m.edges, edge{t, after, -1})
		}
	}
	if gap.Start >= 0 {
		m.phases = append(m.phases, gap)
	}
	m.phases = append(m.phases, Phase{"after", last, m.end})
}

// latest is the window in force at t that began last, or -1.
func (m *measurer) latest(t time.Duration) int {
	for i := len(m.windows) - 1; i >= 0; i-- {
		if m.windows[i].Begin <= t && t < m.windows[i].End {
			return i
		}
	}
	return -1
}

// place is the phase and the window of a moment.
func (m *measurer) place(t time.Duration) edge {
	n, found := slices.BinarySearchFunc(m.edges, t, func(e edge, t time.Duration) int { return cmp.Compare(e.at, t) })
	if !found {
		n--
	}
	// Of several edges at one moment the last one counts.
	for n+1 < len(m.edges) && m.edges[n+1].at <= t {
		n++
	}
	return m.edges[max(n, 0)]
}

func (m *measurer) side(window int, node string) string {
	if window >= 0 {
		if s := m.windows[window].Sides[node]; s != "" {
			return s
		}
	}
	return Everywhere
}

func (m *measurer) rates(r *Report, pairs []history.Pair) {
	type rateKey struct {
		phase   int
		f, side string
	}
	type nodeKey struct {
		phase int
		node  string
	}
	type latencyKey struct {
		phase int
		f     string
	}
	rates, nodes := map[rateKey]*Count{}, map[nodeKey]*Count{}
	latencies := map[latencyKey][]time.Duration{}
	for _, p := range pairs {
		e := m.place(p.Invoke.Time)
		count(rates, rateKey{e.phase, p.Invoke.F, m.side(e.window, p.Invoke.Node)}, p.Outcome())
		count(nodes, nodeKey{e.phase, p.Invoke.Node}, p.Outcome())
		if p.Outcome() == history.OK {
			k := latencyKey{e.phase, p.Invoke.F}
			latencies[k] = append(latencies[k], p.Complete.Time-p.Invoke.Time)
		}
	}
	for _, k := range sorted(rates, func(a, b rateKey) int {
		return cmp.Or(cmp.Compare(a.phase, b.phase), cmp.Compare(a.f, b.f), cmp.Compare(a.side, b.side))
	}) {
		r.Rates = append(r.Rates, Rate{m.phases[k.phase].Name, k.f, k.side, *rates[k]})
	}
	for _, k := range sorted(nodes, func(a, b nodeKey) int {
		return cmp.Or(cmp.Compare(a.phase, b.phase), cmp.Compare(a.node, b.node))
	}) {
		r.Nodes = append(r.Nodes, NodeRate{m.phases[k.phase].Name, k.node, *nodes[k]})
	}
	for _, k := range sorted(latencies, func(a, b latencyKey) int {
		return cmp.Or(cmp.Compare(a.phase, b.phase), cmp.Compare(a.f, b.f))
	}) {
		l := latencies[k]
		slices.Sort(l)
		q := func(percent int) time.Duration { return l[min(len(l)*percent/100, len(l)-1)] }
		r.Latencies = append(r.Latencies, Latency{m.phases[k.phase].Name, k.f, len(l), q(50), q(90), q(99), l[len(l)-1]})
	}
}

func count[K comparable](m map[K]*Count, k K, outcome history.Kind) {
	c := m[k]
	if c == nil {
		c = &Count{}
		m[k] = c
	}
	c.add(outcome)
}

func sorted[K comparable, V any](m map[K]V, order func(a, b K) int) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, order)
	return keys
}

func (m *measurer) silences(r *Report, pairs []history.Pair) {
	if len(pairs) == 0 {
		return
	}
	all := Silence{Side: Everywhere}
	all.Start, all.End = silence(pairs, 0, m.end, func(string) bool { return true })
	r.Silences = append(r.Silences, all)
	for i, w := range m.windows {
		sides := map[string]bool{}
		for _, s := range w.Sides {
			sides[s] = true
		}
		for _, side := range sorted(sides, cmp.Compare[string]) {
			s := Silence{Phase: m.name(i), Side: side}
			s.Start, s.End = silence(pairs, w.Begin, w.End, func(node string) bool { return w.Sides[node] == side })
			r.Silences = append(r.Silences, s)
		}
	}
}

// silence is the longest one from a moment until another, of the calls to the
// nodes that belong.
func silence(pairs []history.Pair, from, until time.Duration, belongs func(node string) bool) (start, end time.Duration) {
	type change struct {
		at   time.Duration
		call int // +1: begins, -1: ends
		ok   bool
	}
	var changes []change
	for _, p := range pairs {
		if !belongs(p.Invoke.Node) || p.Invoke.Time >= until || p.Complete != nil && p.Complete.Time < from {
			continue
		}
		changes = append(changes, change{at: max(p.Invoke.Time, from), call: 1})
		if p.Complete != nil && p.Complete.Time <= until {
			changes = append(changes, change{p.Complete.Time, -1, p.Complete.Kind == history.OK})
		}
	}
	slices.SortStableFunc(changes, func(a, b change) int { return cmp.Compare(a.at, b.at) })
	inflight := 0
	since, waiting := time.Duration(0), false
	last := from
	longest := func(t time.Duration) {
		if waiting && t-since > end-start {
			start, end = since, t
		}
	}
	for _, c := range changes {
		if c.call > 0 && !waiting {
			since, waiting = c.at, true
		}
		inflight += c.call
		last = c.at
		if c.ok {
			longest(c.at)
			since, waiting = c.at, inflight > 0
		}
	}
	if inflight > 0 {
		last = until
	}
	longest(last)
	return start, end
}

func (m *measurer) recoveries(r *Report, pairs []history.Pair) {
	nodes := map[string]bool{}
	for _, p := range pairs {
		nodes[p.Invoke.Node] = true
	}
	for i, w := range m.windows {
		if !w.Stopped {
			continue
		}
		until := history.Forever
		for _, next := range m.windows {
			if next.Begin >= w.End {
				until = min(until, next.Begin)
			}
		}
		first := map[string]*Recovery{}
		for _, node := range sorted(nodes, cmp.Compare[string]) {
			r.Recoveries = append(r.Recoveries, Recovery{Fault: m.name(i), Node: node})
		}
		rows := r.Recoveries[len(r.Recoveries)-len(nodes):]
		for j := range rows {
			first[rows[j].Node] = &rows[j]
		}
		for _, p := range pairs {
			if p.Outcome() != history.OK || p.Complete.Time < w.End || p.Complete.Time >= until {
				continue
			}
			x, after := first[p.Invoke.Node], p.Complete.Time-w.End
			earliest(&x.FirstOK, after)
			if p.Invoke.Time >= w.End {
				earliest(&x.FirstNewOK, after)
			}
		}
	}
}

func earliest(d **time.Duration, t time.Duration) {
	if *d == nil || t < **d {
		*d = &t
	}
}
