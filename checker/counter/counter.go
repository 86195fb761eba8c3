// Package counter checks histories of a counter: add with a positive delta,
// read of the sum. Every acknowledged increment must be counted, once.
package counter

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/history"
)

// Options choose what else is demanded.
type Options struct {
	// Linearizable demands of every read, not only of the final ones, that it
	// counts all increments that were acknowledged before it began.
	Linearizable bool
}

// New returns the checker named "counter". It takes O(n log n) time.
//
// A final read is the last ok one through its node (of its process, where the
// history has no nodes) if it was invoked after the last add completed and
// after the last fault was healed: a system that converges may take a while
// after the last add, and only the last read says where it ended. It must lie between the sum of the ok adds
// and that sum plus the info ones (kinds "lost" and "phantom"). No read may
// exceed the sum of the adds that were invoked before it returned and did not
// fail ("phantom"). The reads of one process must not decrease
// ("nonmonotonic"). With Options.Linearizable a read that lacks an
// acknowledged increment is "stale". Without a final read the verdict is
// unknown at best: nothing was shown about what is lost.
func New(o Options) checker.Checker { return counter{o} }

type counter struct{ o Options }

// Name is "counter".
func (counter) Name() string { return "counter" }

type call = history.Call[int64, int64]

// maxAnomalies of one kind are told in full.
const maxAnomalies = 5

type figures struct {
	Adds       int   `json:"adds"`
	Reads      int   `json:"reads"`
	FinalReads int   `json:"final_reads"`
	SumOK      int64 `json:"sum_ok"`
	SumInfo    int64 `json:"sum_info"`
	// Final is the last final read.
	Final *int64         `json:"final"`
	Found map[string]int `json:"found"`
}

type check struct {
	o     Options
	reads []call
	adds  []call // those that did not fail
	acked sums
	begun sums
	from  time.Duration  // final reads are invoked after it
	last  map[string]int // by place: the invocation of its last read
	res   checker.Result
	d     figures
}

// sums answers how much was added up to a moment.
type sums struct {
	at    []time.Duration
	index []int // of the event
	total []int64
}

func (s *sums) push(at time.Duration, index int, delta int64) {
	last := int64(0)
	if n := len(s.total); n > 0 {
		last = s.total[n-1]
	}
	s.at, s.index, s.total = append(s.at, at), append(s.index, index), append(s.total, last+delta)
}

// until is the sum of what came at a time up to t; what came at t counts only
// if equal is true.
func (s *sums) until(t time.Duration, equal bool) int64 {
	n, _ := slices.BinarySearchFunc(s.at, t, func(at, t time.Duration) int {
		if at == t && equal {
			return -1
		}
		return cmp.Compare(at, t)
	})
	if n == 0 {
		return 0
	}
	return s.total[n-1]
}

// Check judges the history.
func (c counter) Check(ctx context.Context, h *history.History) (checker.Result, error) {
	if history.CompletionOnly(h) && len(h.Events) > 0 {
		return checker.Result{Verdict: checker.Unknown, Reason: "the history has completions only: without invocations nothing tells what a read must have counted"}, nil
	}
	k := check{o: c.o}
	if err := k.load(h); err != nil {
		return checker.Result{}, err
	}
	k.d.Found = map[string]int{}
	k.last = map[string]int{}
	for i := range k.reads {
		k.last[place(&k.reads[i])] = k.reads[i].Invoke
	}
	sessions := map[int]*call{}
	for i := range k.reads {
		if i%4096 == 0 && ctx.Err() != nil {
			return k.res, ctx.Err()
		}
		r := &k.reads[i]
		k.bounds(r)
		if last := sessions[r.Process]; last != nil && r.Out < last.Out {
			k.found("nonmonotonic", fmt.Sprintf("process %d%s read %d at %s, after it had read %d at %s: a counter that is only added to went back",
				r.Process, on(r.Node), r.Out, at(r.End), last.Out, at(last.End)), last, r)
		}
		sessions[r.Process] = r
	}
	k.judge()
	b, err := json.Marshal(k.d)
	if err != nil {
		return k.res, fmt.Errorf("encode figures: %w", err)
	}
	k.res.Data = b
	return k.res, nil
}

func (k *check) load(h *history.History) error {
	calls, err := history.Calls[json.RawMessage, json.RawMessage](h)
	if err != nil {
		return err
	}
	for _, c := range calls {
		if c.Key != "" {
			return fmt.Errorf("event %d is on key %s, but this checker knows one counter only", c.Invoke, c.Key)
		}
		x := call{Process: c.Process, F: c.F, Node: c.Node, Start: c.Start, End: c.End, Outcome: c.Outcome, Invoke: c.Invoke, Complete: c.Complete}
		switch c.F {
		case "add":
			if err := json.Unmarshal(c.In, &x.In); err != nil || x.In <= 0 {
				return fmt.Errorf("event %d adds %.40s, want a whole number above 0", c.Invoke, c.In)
			}
			k.d.Adds++
			if c.Outcome != history.Fail {
				k.adds = append(k.adds, x)
			}
		case "read":
			if c.Outcome != history.OK {
				continue
			}
			if len(c.Out) == 0 {
				return fmt.Errorf("event %d read null, want a whole number", c.Complete)
			}
			if err := json.Unmarshal(c.Out, &x.Out); err != nil {
				return fmt.Errorf("event %d read %.40s, want a whole number", c.Complete, c.Out)
			}
			k.reads = append(k.reads, x)
		default:
			return fmt.Errorf("event %d is a %s, but a counter knows add and read only", c.Invoke, c.F)
		}
	}
	k.d.Reads = len(k.reads)
	k.sum()
	for _, w := range history.Windows(h) {
		if w.Stopped {
			k.from = max(k.from, w.End)
		}
	}
	return nil
}

func (k *check) sum() {
	for _, a := range k.adds { // in order of invocation
		k.begun.push(a.Start, a.Invoke, a.In)
		if a.Outcome == history.Info {
			k.d.SumInfo += a.In
			continue
		}
		k.d.SumOK += a.In
		k.from = max(k.from, a.End)
	}
	byEnd := slices.Clone(k.adds)
	slices.SortStableFunc(byEnd, func(a, b call) int { return cmp.Compare(a.End, b.End) })
	for _, a := range byEnd {
		if a.Outcome == history.OK {
			k.acked.push(a.End, a.Complete, a.In)
		}
	}
}

// place is where a read looked: its node, else its process.
func place(r *call) string {
	if r.Node != "" {
		return r.Node
	}
	return strconv.Itoa(r.Process)
}

// final is true for the last read of its place if it was invoked when all was
// over. At equal times the order of the events decides.
func (k *check) final(r *call) bool {
	if k.last[place(r)] != r.Invoke {
		return false
	}
	if r.Start > k.from {
		return true
	}
	n := len(k.acked.index)
	return r.Start == k.from && (n == 0 || k.acked.at[n-1] < k.from || k.acked.index[n-1] < r.Invoke)
}

func (k *check) bounds(r *call) {
	low, high := int64(math.MinInt64), k.begun.until(r.End, true)
	final := k.final(r)
	switch {
	case final:
		k.d.FinalReads++
		k.d.Final = &r.Out
		low = k.d.SumOK
	case k.o.Linearizable:
		low = k.acked.until(r.Start, false)
	}
	switch {
	case r.Out > high:
		k.found("phantom", fmt.Sprintf("read of process %d%s returned %d at %s, but only %d could have been added by then",
			r.Process, on(r.Node), r.Out, at(r.End), high), r)
	case r.Out < low && final:
		k.found("lost", fmt.Sprintf("final read of process %d%s returned %d at %s, but %d was acknowledged: %d lost",
			r.Process, on(r.Node), r.Out, at(r.End), low, low-r.Out), r)
	case r.Out < low:
		k.found("stale", fmt.Sprintf("read of process %d%s returned %d at %s, but %d had been acknowledged when it began at %s",
			r.Process, on(r.Node), r.Out, at(r.End), low, at(r.Start)), r)
	}
}

func (k *check) found(kind, text string, calls ...*call) {
	if k.d.Found[kind]++; k.d.Found[kind] > maxAnomalies {
		return
	}
	a := checker.Anomaly{Kind: kind, Text: text}
	for _, c := range calls {
		a.Events = append(a.Events, c.Invoke, c.Complete)
	}
	slices.Sort(a.Events)
	k.res.Anomalies = append(k.res.Anomalies, a)
}

func (k *check) judge() {
	switch {
	case len(k.res.Anomalies) > 0:
		k.res.Verdict, k.res.Reason = checker.Invalid, k.res.Anomalies[0].Text
	case len(k.adds) == 0:
		k.res.Verdict, k.res.Reason = checker.Unknown, "nothing was added"
	case k.d.FinalReads == 0:
		k.res.Verdict, k.res.Reason = checker.Unknown, "no read was invoked after the last add had completed and the last fault was healed: nothing tells what was lost"
	default:
		k.res.Reason = fmt.Sprintf("no violation found in %d adds and %d reads: the final value %d lies in [%d, %d]", k.d.Adds, k.d.Reads, *k.d.Final, k.d.SumOK, k.d.SumOK+k.d.SumInfo)
	}
}

func at(d time.Duration) string { return fmt.Sprintf("%.3f s", d.Seconds()) }

func on(node string) string {
	if node == "" {
		return ""
	}
	return " on " + node
}
