// Package recovery measures what comes after a heal, apart: until requests are
// answered again, until they no longer fail, until they are as fast as before,
// and until the replicas agree. It judges nothing.
//
// Definitions. All times count from the heal: the end of the fault's window,
// when its heal was complete. What is measured of a fault lies between its heal
// and the begin of the next fault, or the end of the history: the aftermath. A
// component that cannot be told is absent and says why; it is never zero for
// that. The calls of the aftermath are those that were invoked in it, in order
// of their end; one that did not end before the aftermath did counts as
// unanswered, at its end. A call is answered if it is ok, or if the system said
// that its precondition does not hold (see package avail).
//
//   - First answer: when the first answered call of the aftermath returned. Pooled:
//     of the calls on connections that were opened before the heal; TCP may let
//     those wait for long after it. Fresh: of the calls on connections opened
//     since. A process opens its connection with its first call, and with the
//     next one after a call that failed to open one; reconnections that a driver
//     makes by itself are not seen, and count as pooled.
//   - Last error: when the last unanswered call ended before the first Run of
//     answered calls in a row. Errors counts those before it. Steady: when the
//     first call of that run returned.
//   - Baseline: the median latency of the answered calls in the phase before the
//     fault, from when they were due, as in package avail. Latency back: of the
//     first Window answered calls in a row whose median is at most Slack times the
//     baseline, when the first returned that itself took no longer than that.
//   - Replicas agree: of each key that was updated during the fault, the reads
//     invoked after the heal, and after the last update invoked until then has
//     returned (crashed: was invoked), and returned before its next update or the
//     end of the aftermath. A node has settled when a read returned what it and
//     every read through that node that was invoked later return. The key agrees if all nodes of the history have settled on the same
//     value, differs if the last reads of two nodes do, and was unread otherwise.
//     Agreed is when the last key that agrees was settled: replicas may have
//     agreed before anybody looked. Disagreed is when a read of such a key last
//     returned something else: they certainly did not agree when it was invoked.
//
// The first three are told of all calls, and apart by side, node and operation.
package recovery

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/capstan-dev/capstan/checker/phase"
	"github.com/capstan-dev/capstan/history"
)

// Options are thresholds; 0 is the default.
type Options struct {
	// Run is how many answers in a row end the errors: 10.
	Run int
	// Window is how many calls the rolling median of the latency is of: 20.
	Window int
	// Slack is how many times the baseline the latency may be: 2.
	Slack float64
	// Level is the consistency level at which the clients asked, if it is one
	// for all.
	Level string
}

// Report tells of the recovery from each fault.
type Report struct {
	Level  string  `json:"level,omitempty"`
	Run    int     `json:"run"`
	Window int     `json:"window"`
	Slack  float64 `json:"slack"`
	Faults []Fault `json:"faults"`
	// Timeless: the history has no times, so that the figures mean nothing.
	Timeless bool `json:"timeless,omitempty"`
}

// Fault is one fault's aftermath.
type Fault struct {
	Fault int    `json:"fault"`
	Name  string `json:"name"`
	// Healed and Until bound the aftermath.
	Healed time.Duration `json:"healed_ns"`
	Until  time.Duration `json:"until_ns"`
	// Proven: the heal was verified. Otherwise it is only known that somebody
	// said so.
	Proven bool `json:"proven"`
	// Absent says why nothing is known of this fault; empty if something is.
	Absent string `json:"absent,omitempty"`
	Rows   []Row  `json:"rows"`
	// Replicas are about all nodes together.
	Replicas Replicas `json:"replicas"`
}

// What a row's calls have in common; All rows come first.
const (
	All    = "all"
	BySide = "side" // the side that the node was on under the fault
	ByNode = "node"
	ByF    = "operation"
)

// Moment is a time after the heal, or the reason why there is none.
type Moment struct {
	// After is nil if absent.
	After *time.Duration `json:"after_ns,omitempty"`
	// Event is the index of the event it was read from; nil if absent.
	Event  *int   `json:"event,omitempty"`
	Absent string `json:"absent,omitempty"`
}

// Row is the recovery of calls that have something in common.
type Row struct {
	By   string `json:"by"`
	Name string `json:"name,omitempty"`
	// Calls of the aftermath.
	Calls  int    `json:"calls"`
	First  Moment `json:"first_answer"`
	Pooled Moment `json:"first_answer_pooled"`
	Fresh  Moment `json:"first_answer_fresh"`
	// Errors are the unanswered calls up to LastError.
	Errors    int    `json:"errors"`
	LastError Moment `json:"last_error"`
	Steady    Moment `json:"steady"`
	// Baseline is 0 if too few calls were answered before the fault.
	Baseline time.Duration `json:"baseline_ns,omitempty"`
	Latency  Moment        `json:"latency_back"`
}

// Replicas tell when all nodes returned the same.
type Replicas struct {
	// Keys were updated during the fault; of these Agree, Differ and Unread.
	Keys   int `json:"keys"`
	Agree  int `json:"agree"`
	Differ int `json:"differ"`
	Unread int `json:"unread"`
	// Late are the keys that agree and were seen not to, before.
	Late      int    `json:"late"`
	Agreed    Moment `json:"agreed"`
	Disagreed Moment `json:"disagreed"`
}

func absent(format string, args ...any) Moment { return Moment{Absent: fmt.Sprintf(format, args...)} }

// Measure computes the report in O(n log n). ok is false if the history has no
// faults. Errors are those of history.NewTable and of the context.
func Measure(ctx context.Context, h *history.History, o Options) (r Report, ok bool, err error) {
	line := phase.Of(h)
	if history.CompletionOnly(h) || len(line.Windows) == 0 {
		return r, false, nil
	}
	t, err := history.NewTable(h)
	if err != nil {
		return r, false, fmt.Errorf("measure recovery: %w", err)
	}
	o.Run, o.Window, o.Slack = cmp.Or(o.Run, 10), cmp.Or(o.Window, 20), cmp.Or(o.Slack, 2)
	r = Report{Level: o.Level, Run: o.Run, Window: o.Window, Slack: o.Slack, Timeless: h.Timeless(), Faults: []Fault{}}
	for i, w := range line.Windows {
		after := line.Phases[2*i+2]
		f := Fault{Fault: after.Fault, Name: w.Fault, Healed: after.From, Until: after.To, Proven: w.Healed, Rows: []Row{}}
		switch {
		case !w.Stopped:
			f.Absent = "the fault was never healed"
		case after.To > after.From:
		case i+1 < len(line.Windows):
			f.Absent = "the next fault began before the heal was complete"
		default:
			f.Absent = "nothing was recorded after the heal"
		}
		r.Faults = append(r.Faults, f)
	}
	if err := calls(ctx, h, line, o, r.Faults); err != nil {
		return r, false, err
	}
	return r, true, agreement(ctx, h, t, line, r.Faults)
}

// call is one call as far as it matters here.
type call struct {
	end      time.Duration
	latency  time.Duration
	event    int32 // index of the completion, or of the invocation
	answered bool
	opened   time.Duration // when its connection was
	node     int32
	f        int32
	phase    int32
}

// calls measures the rows of each fault.
func calls(ctx context.Context, h *history.History, line *phase.Timeline, o Options, faults []Fault) error {
	pairs, err := history.Pairs(h)
	if err != nil {
		return fmt.Errorf("measure recovery: %w", err)
	}
	l := load(pairs, line)
	slices.SortStableFunc(l.calls, func(a, b call) int {
		return cmp.Or(cmp.Compare(a.phase, b.phase), cmp.Compare(a.end, b.end))
	})
	of := func(phase int) []call {
		from, _ := slices.BinarySearchFunc(l.calls, int32(phase), func(c call, p int32) int { return cmp.Compare(c.phase, p) })
		to, _ := slices.BinarySearchFunc(l.calls, int32(phase+1), func(c call, p int32) int { return cmp.Compare(c.phase, p) })
		return l.calls[from:to]
	}
	for i := range faults {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if f := &faults[i]; f.Absent == "" {
			f.rows(of(2*i), of(2*i+2), l, func(n int32) string { return line.Side(2*i+1, l.nodes[n]) }, o)
		}
	}
	return nil
}

// log is all calls, with names by number.
type log struct {
	calls []call
	nodes []string
	fs    []string
}

// refused tells the calls that never left: their connection could not be
// opened (see package harness).
const refused = "open connection"

func load(pairs []history.Pair, line *phase.Timeline) *log {
	l := &log{calls: make([]call, 0, len(pairs))}
	nodes, fs := map[string]int32{}, map[string]int32{}
	number := func(m map[string]int32, list *[]string, name string) int32 {
		n, known := m[name]
		if !known {
			n = int32(len(*list))
			m[name] = n
			*list = append(*list, name)
		}
		return n
	}
	opened := map[int]time.Duration{} // by process
	for _, p := range pairs {
		e := p.Invoke
		if e == nil {
			continue
		}
		in := line.At(e.Time)
		at, known := opened[e.Process]
		if !known {
			at = e.Time
			opened[e.Process] = at
		}
		c := call{phase: int32(in), opened: at, node: number(nodes, &l.nodes, e.Node), f: number(fs, &l.fs, e.F)}
		c.end, c.event = line.Phases[in].To, int32(e.Index)
		if p.Complete != nil && p.Complete.Time <= c.end {
			c.end, c.event = p.Complete.Time, int32(p.Complete.Index)
			c.answered = p.Outcome() == history.OK || p.Complete.Unmet()
			from := e.Time
			if e.Due > 0 {
				from = min(from, e.Due)
			}
			c.latency = c.end - from
		}
		if p.Outcome() == history.Fail && strings.HasPrefix(p.Complete.Err, refused) {
			delete(opened, e.Process)
		}
		l.calls = append(l.calls, c)
	}
	return l
}

// rows divides the calls before a fault and after it, in order of their end.
func (f *Fault) rows(before, after []call, l *log, side func(node int32) string, o Options) {
	type scope struct{ by, name string }
	type part struct{ before, after []*call }
	parts := map[scope]*part{}
	in := func(by, name string) *part {
		p := parts[scope{by, name}]
		if p == nil {
			p = &part{}
			parts[scope{by, name}] = p
		}
		return p
	}
	split := func(calls []call, put func(*part, *call)) {
		for i := range calls {
			c := &calls[i]
			put(in(All, ""), c)
			if node := l.nodes[c.node]; node != "" {
				put(in(ByNode, node), c)
				if s := side(c.node); s != "all" {
					put(in(BySide, s), c)
				}
			}
			put(in(ByF, l.fs[c.f]), c)
		}
	}
	in(All, "") // is told even if there are no calls at all
	split(before, func(p *part, c *call) { p.before = append(p.before, c) })
	split(after, func(p *part, c *call) { p.after = append(p.after, c) })
	for s, p := range parts {
		row := Row{By: s.by, Name: s.name, Calls: len(p.after)}
		f.answers(&row, p.after)
		f.errors(&row, p.after, o)
		f.latency(&row, p.before, p.after, o)
		f.Rows = append(f.Rows, row)
	}
	order := map[string]int{All: 0, BySide: 1, ByNode: 2, ByF: 3}
	slices.SortFunc(f.Rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(order[a.By], order[b.By]), cmp.Compare(a.Name, b.Name))
	})
}

// moment is when a call ended.
func (f *Fault) moment(c *call) Moment { return f.at(c.end, c.event) }

func (f *Fault) at(t time.Duration, event int32) Moment {
	after, index := t-f.Healed, int(event)
	return Moment{After: &after, Event: &index}
}

func (f *Fault) answers(r *Row, calls []*call) {
	first := func(of string, has func(*call) bool) Moment {
		asked := 0
		for _, c := range calls {
			if !has(c) {
				continue
			}
			if asked++; c.answered {
				return f.moment(c)
			}
		}
		if asked == 0 {
			return absent("no call was invoked%s until %s", of, f.ending())
		}
		return absent("none of %d calls%s was answered until %s", asked, of, f.ending())
	}
	r.First = first("", func(*call) bool { return true })
	r.Pooled = first(" on a connection from before the heal", func(c *call) bool { return c.opened < f.Healed })
	r.Fresh = first(" on a connection opened after the heal", func(c *call) bool { return c.opened >= f.Healed })
}

func (f *Fault) ending() string { return fmt.Sprintf("%.3f s", f.Until.Seconds()) }

// errors finds the first run of answers and the last error before it.
func (f *Fault) errors(r *Row, calls []*call, o Options) {
	last, run := -1, 0
	for i, c := range calls {
		if !c.answered {
			last, run = i, 0
			r.Errors++
			continue
		}
		if run++; run < o.Run {
			continue
		}
		r.Steady = f.moment(calls[last+1])
		if last < 0 {
			r.LastError = absent("every call up to %d answers in a row was answered", o.Run)
		} else {
			r.LastError = f.moment(calls[last])
		}
		return
	}
	r.Steady = absent("no %d calls in a row were answered until %s", o.Run, f.ending())
	r.LastError = r.Steady
}

// latency finds when the rolling median is back near the baseline.
func (f *Fault) latency(r *Row, before, after []*call, o Options) {
	var base []time.Duration
	for _, c := range before {
		if c.answered {
			base = append(base, c.latency)
		}
	}
	if len(base) < o.Window {
		r.Latency = absent("only %d calls were answered in the phase before the fault, %d are needed", len(base), o.Window)
		return
	}
	slices.Sort(base)
	r.Baseline = base[(len(base)-1)/2]
	limit := time.Duration(o.Slack * float64(r.Baseline))
	// The median of a window is within the limit if at least half of it is.
	within := make([]bool, o.Window)
	n, good := 0, 0
	for i, c := range after {
		if !c.answered {
			n, good = 0, 0
			clear(within)
			continue
		}
		at := n % o.Window
		if within[at] {
			good--
		}
		if within[at] = c.latency <= limit; within[at] {
			good++
		}
		if n++; n >= o.Window && 2*good >= o.Window {
			window := after[i+1-o.Window : i+1]
			r.Latency = f.moment(window[slices.IndexFunc(window, func(c *call) bool { return c.latency <= limit })])
			return
		}
	}
	r.Latency = absent("no %d calls in a row were answered with a median of at most %v until %s", o.Window, limit, f.ending())
}
