// Package sets checks histories of a grow-only set: add of one element, read
// of all of them. No acknowledged element may be lost.
package sets

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/value"
	"github.com/capstan-dev/capstan/history"
)

// Options choose what else is demanded.
type Options struct {
	// Linearizable demands that a read has every element that was
	// acknowledged before it began; otherwise stale reads are only counted.
	Linearizable bool
}

// New returns the checker named "set", after Jepsen's set-full. An element is
// known when its add was acknowledged or a read has returned it.
//
//   - lost: known, missing from a final read (one that was invoked after the
//     last add had completed and the last fault was healed), and in no read
//     that ended after that one began;
//   - stale: known before a read began that misses it, but there later on;
//   - phantom: read but never added, or only added later, or its add failed;
//   - duplicated: twice in one read;
//   - never-read: acknowledged, and no read began after that.
//
// Lost, phantom and duplicated elements make the history invalid, stale ones
// only with Options.Linearizable. Without any final read the verdict is
// unknown at best. It takes time in proportion to the reads' total length and
// the number of adds, and memory in proportion to the number of elements.
func New(o Options) checker.Checker { return set{o} }

type set struct{ o Options }

// Name is "set".
func (set) Name() string { return "set" }

// maxAnomalies of one kind are told in full.
const maxAnomalies = 5

type call = history.Call[json.RawMessage, json.RawMessage]

// moment orders events by time, at equal times by index.
type moment struct {
	at    time.Duration
	index int
}

func (m moment) before(n moment) bool { return m.at < n.at || m.at == n.at && m.index < n.index }

// element is what is known of one element.
type element struct {
	text string
	add  *call // the first that was acknowledged, else any that may have happened, else a failed one
	// begun is the first invocation of an add that did not fail.
	begun   moment
	known   moment
	unknown bool // not known yet
	by      *call
	seen    moment // the latest end of a read that has it
	ever    bool   // it was read at least once
	stamp   int32  // the last read that had it
}

type figures struct {
	Adds         int            `json:"adds"`
	Acknowledged int            `json:"acknowledged"`
	Reads        int            `json:"reads"`
	FinalReads   int            `json:"final_reads"`
	Found        map[string]int `json:"found"`
	// Stale tells how long after an element was known a read still missed it.
	Stale *latency `json:"stale_ns,omitempty"`
}

type latency struct {
	P50 time.Duration `json:"p50"`
	P99 time.Duration `json:"p99"`
	Max time.Duration `json:"max"`
}

type check struct {
	o        Options
	ctx      context.Context
	reads    []call
	elements []element
	names    *value.Names
	settled  moment // final reads are invoked after it
	stale    []time.Duration
	res      checker.Result
	d        figures
}

// Check judges the history.
func (s set) Check(ctx context.Context, h *history.History) (checker.Result, error) {
	if history.CompletionOnly(h) && len(h.Events) > 0 {
		return checker.Result{Verdict: checker.Unknown, Reason: "the history has completions only: without invocations nothing tells what a read must have seen"}, nil
	}
	c := check{o: s.o, ctx: ctx, names: value.NewNames()}
	c.d.Found = map[string]int{}
	if err := c.load(h); err != nil {
		return checker.Result{}, err
	}
	if err := c.forward(); err != nil {
		return c.res, err
	}
	if err := c.backward(); err != nil {
		return c.res, err
	}
	c.judge()
	b, err := json.Marshal(c.d)
	if err != nil {
		return c.res, fmt.Errorf("encode figures: %w", err)
	}
	c.res.Data = b
	return c.res, nil
}

func (c *check) load(h *history.History) error {
	calls, err := history.Calls[json.RawMessage, json.RawMessage](h)
	if err != nil {
		return err
	}
	for i := range calls {
		x := &calls[i]
		if x.Key != "" {
			return fmt.Errorf("event %d is on key %s, but this checker knows one set only", x.Invoke, x.Key)
		}
		switch x.F {
		case "add":
			c.add(x)
		case "read":
			if x.Outcome == history.OK && len(x.Out) > 0 { // a read of null says nothing
				c.reads = append(c.reads, *x)
			}
		default:
			return fmt.Errorf("event %d is a %s, but a set knows add and read only", x.Invoke, x.F)
		}
	}
	for _, w := range history.Windows(h) {
		if w.Stopped && c.settled.at < w.End {
			c.settled = moment{w.End, -1}
		}
	}
	c.d.Reads = len(c.reads)
	slices.SortStableFunc(c.reads, func(a, b call) int { return cmp.Compare(a.Start, b.Start) })
	return nil
}

func (c *check) add(x *call) {
	c.d.Adds++
	id := c.id(x.In)
	e := &c.elements[id]
	begun := moment{x.Start, x.Invoke}
	switch {
	case x.Outcome == history.Fail:
		if e.add == nil {
			e.add = x
		}
		return
	case e.add == nil || e.add.Outcome == history.Fail || begun.before(e.begun):
		e.begun = begun
	}
	if x.Outcome == history.Info {
		if e.add == nil || e.add.Outcome == history.Fail {
			e.add = x
		}
		return
	}
	done := moment{x.End, x.Complete}
	c.d.Acknowledged++
	if c.settled.before(done) {
		c.settled = done
	}
	if e.unknown || done.before(e.known) {
		e.add, e.known, e.unknown = x, done, false
	}
}

// id finds or makes the element.
func (c *check) id(v json.RawMessage) int32 {
	n := c.names.Of(v)
	for int(n) >= len(c.elements) {
		c.elements = append(c.elements, element{text: c.names.Text(int32(len(c.elements))), unknown: true, stamp: -1})
	}
	return n
}

// members calls f for every element of a read's array.
func (c *check) members(r *call, f func(id int32)) error {
	v := r.Out
	if value.IsNull(v) {
		return nil
	}
	if !value.Elements(v, func(e json.RawMessage) { f(c.id(e)) }) {
		return fmt.Errorf("event %d read %.40s, want an array of elements", r.Complete, v)
	}
	return nil
}

// forward goes through the reads in order of their begin, and finds phantoms,
// duplicates, and when each element was first and last seen.
func (c *check) forward() error {
	for i := range c.reads {
		if c.ctx.Err() != nil {
			return c.ctx.Err()
		}
		r := &c.reads[i]
		end := moment{r.End, r.Complete}
		if c.final(r) {
			c.d.FinalReads++
		}
		err := c.members(r, func(id int32) {
			e := &c.elements[id]
			if e.stamp == int32(i) {
				c.found("duplicated", fmt.Sprintf("element %s is more than once in the read of %s at %s", e.text, who(r), at(r.End)), r)
				return
			}
			e.stamp = int32(i)
			if why := e.phantom(end); why != "" && !e.ever {
				c.found("phantom", fmt.Sprintf("element %s is in the read of %s at %s, but %s", e.text, who(r), at(r.End), why), e.add, r)
			}
			e.ever = true
			if e.seen.before(end) {
				e.seen = end
			}
			if e.unknown || end.before(e.known) {
				e.known, e.unknown, e.by = end, false, r
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (e *element) phantom(read moment) string {
	switch {
	case e.add == nil:
		return "nobody ever added it"
	case e.add.Outcome == history.Fail:
		return fmt.Sprintf("its add by %s failed at %s, so it certainly did not happen", who(e.add), at(e.add.End))
	case read.before(e.begun):
		return fmt.Sprintf("its add by %s began only at %s", who(e.add), at(e.begun.at))
	}
	return ""
}

func (c *check) final(r *call) bool { return c.settled.before(moment{r.Start, r.Invoke}) }

// backward goes through the reads from the last to the first and finds for
// each element the last read that misses it. An element stays in the list
// until that is known, so a step costs what the read has, plus what leaves the
// list for good.
func (c *check) backward() error {
	var open []int32
	for i := range c.elements {
		c.elements[i].stamp = -1
		if !c.elements[i].unknown {
			open = append(open, int32(i))
		}
	}
	for i := len(c.reads) - 1; i >= 0 && len(open) > 0; i-- {
		if c.ctx.Err() != nil {
			return c.ctx.Err()
		}
		r := &c.reads[i]
		if err := c.members(r, func(id int32) { c.elements[id].stamp = int32(i) }); err != nil {
			return err
		}
		begin := moment{r.Start, r.Invoke}
		open = slices.DeleteFunc(open, func(id int32) bool {
			e := &c.elements[id]
			if e.stamp == int32(i) {
				return false
			}
			if e.known.before(begin) {
				c.missing(e, r, begin)
			}
			return true
		})
	}
	return nil
}

// missing judges an element that was known before a read began and is neither
// in it nor in any read that began later, or else in all of those.
func (c *check) missing(e *element, r *call, begin moment) {
	if e.add == nil || e.add.Outcome == history.Fail {
		return // a phantom, which is reported as such
	}
	again := e.ever && begin.before(e.seen)
	switch {
	case again:
		c.stale = append(c.stale, r.Start-e.known.at)
		text := fmt.Sprintf("element %s, %s, is missing from the read of %s that began at %s, and was there again later", e.text, e.since(), who(r), at(r.Start))
		if c.o.Linearizable {
			c.found("stale", text, e.add, r)
		} else {
			c.d.Found["stale"]++
		}
	case c.final(r):
		c.found("lost", fmt.Sprintf("element %s, %s, is missing from the read of %s that began at %s, and from all later ones", e.text, e.since(), who(r), at(r.Start)), e.add, r)
	case c.o.Linearizable:
		c.found("stale", fmt.Sprintf("element %s, %s, is missing from the read of %s that began at %s", e.text, e.since(), who(r), at(r.Start)), e.add, r)
	}
}

// since says why the element must be there.
func (e *element) since() string {
	if e.by != nil {
		return fmt.Sprintf("which %s had read at %s", who(e.by), at(e.known.at))
	}
	return fmt.Sprintf("acknowledged to %s at %s", who(e.add), at(e.known.at))
}

func (c *check) found(kind, text string, calls ...*call) {
	if c.d.Found[kind]++; c.d.Found[kind] > maxAnomalies {
		return
	}
	a := checker.Anomaly{Kind: kind, Text: text, Events: []int{}}
	for _, x := range calls {
		if x == nil {
			continue
		}
		a.Events = append(a.Events, x.Invoke)
		if x.Complete >= 0 {
			a.Events = append(a.Events, x.Complete)
		}
	}
	slices.Sort(a.Events)
	c.res.Anomalies = append(c.res.Anomalies, a)
}

func (c *check) judge() {
	last := moment{-1, -1}
	for i := range c.reads {
		if m := (moment{c.reads[i].Start, c.reads[i].Invoke}); last.before(m) {
			last = m
		}
	}
	for i := range c.elements {
		if e := &c.elements[i]; e.add != nil && e.add.Outcome == history.OK && !e.ever && last.before(moment{e.add.End, e.add.Complete}) {
			c.d.Found["never-read"]++
		}
	}
	if n := len(c.stale); n > 0 {
		slices.Sort(c.stale)
		c.d.Stale = &latency{c.stale[n/2], c.stale[min(n-1, n*99/100)], c.stale[n-1]}
	}
	rank := map[string]int{"lost": 0, "phantom": 1, "duplicated": 2, "stale": 3}
	slices.SortStableFunc(c.res.Anomalies, func(a, b checker.Anomaly) int { return cmp.Compare(rank[a.Kind], rank[b.Kind]) })
	switch {
	case len(c.res.Anomalies) > 0:
		c.res.Verdict, c.res.Reason = checker.Invalid, c.counts()+": "+c.res.Anomalies[0].Text
	case c.d.Acknowledged == 0:
		c.res.Verdict, c.res.Reason = checker.Unknown, "no add was acknowledged"
	case c.d.FinalReads == 0:
		c.res.Verdict, c.res.Reason = checker.Unknown, fmt.Sprintf("no read was invoked after the last add had completed and the last fault was healed: %d acknowledged elements were never read", c.d.Found["never-read"])
	default:
		c.res.Reason = fmt.Sprintf("no element lost of %d acknowledged, in %d reads, %d of them final", c.d.Acknowledged, c.d.Reads, c.d.FinalReads)
		if n := c.d.Found["stale"]; n > 0 {
			c.res.Reason += fmt.Sprintf("; %d were missing from some read for up to %v after they were known", n, c.d.Stale.Max.Round(time.Microsecond))
		}
	}
}

// counts is "3 lost, 1 phantom".
func (c *check) counts() string {
	var parts []string
	for _, kind := range []string{"lost", "phantom", "duplicated", "stale"} {
		if n := c.d.Found[kind]; n > 0 && (kind != "stale" || c.o.Linearizable) {
			parts = append(parts, fmt.Sprintf("%d %s", n, kind))
		}
	}
	return strings.Join(parts, ", ")
}

func who(x *call) string {
	if x.Node == "" {
		return fmt.Sprintf("process %d", x.Process)
	}
	return fmt.Sprintf("process %d on %s", x.Process, x.Node)
}

func at(d time.Duration) string { return fmt.Sprintf("%.3f s", d.Seconds()) }
