// Package explain tells anomalies of transactions to people: in prose, step by
// step, as a picture, and cut down to the transactions that are needed.
package explain

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/capstan-dev/capstan/checker/phase"
	"github.com/capstan-dev/capstan/checker/txn/infer"
	"github.com/capstan-dev/capstan/checker/txn/log"
)

// Teller puts the anomalies of one log into words and pictures.
type Teller struct {
	log      *log.Log
	timeline *phase.Timeline // nil if nothing is known of faults
	timeless bool            // the history has no times
}

// New tells of a log. The timeline has the faults of the same history; nil if
// they are not known.
func New(l *log.Log, timeline *phase.Timeline) *Teller {
	timeless := !slices.ContainsFunc(l.Txns, func(t log.Txn) bool { return t.Start > 0 || t.End > 0 })
	return &Teller{log: l, timeline: timeline, timeless: timeless}
}

// Text explains an anomaly: what was seen, why that is a contradiction, and
// under it each transaction with its time, process, node and side, and the
// faults that were in force.
func (t *Teller) Text(a infer.Anomaly) string {
	var s strings.Builder
	switch {
	case a.Cycle != nil:
		s.WriteString(t.cycle(a.Cycle))
		if meaning := t.meaning(a.Kind, a.Cycle); meaning != "" {
			s.WriteString(" " + meaning)
		}
	case a.Found != nil:
		s.WriteString(t.found(a.Found))
	default:
		return exists(a.Kind)
	}
	txns := Txns(a)
	for _, i := range shown(txns) {
		s.WriteString("\n  " + t.Transaction(i))
	}
	if more := len(txns) - maxShown; more > 0 {
		fmt.Fprintf(&s, "\n  and %d more", more)
	}
	s.WriteString(t.faults(txns))
	return s.String()
}

func exists(kind string) string {
	if model, ok := strings.CutSuffix(kind, "-cycle-exists"); ok {
		return "some cycle of dependencies exists that " + model + " forbids; there was no time to find one."
	}
	return "a cycle of this class exists; there was no time to find one."
}

// Txns are the transactions of an anomaly, each once, in its order.
func Txns(a infer.Anomaly) []int32 {
	var all []int32
	switch {
	case a.Cycle != nil:
		all = a.Cycle.Txns()
	case a.Found != nil:
		all = a.Found.Txns
	}
	var out []int32
	for _, i := range all {
		if !slices.Contains(out, i) {
			out = append(out, i)
		}
	}
	return out
}

// Events are the indexes of the events of an anomaly's transactions, ascending.
func (t *Teller) Events(a infer.Anomaly) []int {
	out := []int{}
	for _, i := range Txns(a) {
		x := &t.log.Txns[i]
		for _, e := range []int32{x.InvokeIndex, x.CompleteIndex} {
			if e != log.Never {
				out = append(out, int(e))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// maxShown bounds the transactions of one anomaly that are listed.
const maxShown = 24

func shown(txns []int32) []int32 { return txns[:min(len(txns), maxShown)] }

func (t *Teller) name(i int32) string { return t.log.Name(i) }

// Transaction is "T7 (process 3 on n1, minority side, ok, 1.204 s to 1.310 s): r 17 [1 2], append 17 3".
func (t *Teller) Transaction(i int32) string {
	x := &t.log.Txns[i]
	facts := []string{fmt.Sprintf("process %d%s", x.Process, t.node(x))}
	if side := t.side(x); side != "" {
		facts = append(facts, side+" side")
	}
	facts = append(facts, x.Outcome.String())
	if span := t.span(x); span != "" {
		facts = append(facts, span)
	}
	return fmt.Sprintf("%s (%s): %s", t.name(i), strings.Join(facts, ", "), strings.Join(t.mops(i), ", "))
}

func (t *Teller) node(x *log.Txn) string {
	if n := t.log.Nodes; int(x.Node) < len(n) && n[x.Node] != "" {
		return " on " + n[x.Node]
	}
	return ""
}

// side of a transaction's node when it began; empty outside of faults.
func (t *Teller) side(x *log.Txn) string {
	if t.timeline == nil || t.timeless || len(t.timeline.Windows) == 0 || int(x.Node) >= len(t.log.Nodes) {
		return ""
	}
	if s := t.timeline.Side(t.timeline.At(x.Start), t.log.Nodes[x.Node]); s != "all" {
		return s
	}
	return ""
}

// span is when a transaction ran.
func (t *Teller) span(x *log.Txn) string {
	switch {
	case t.timeless && x.InvokeIndex != log.Never && x.CompleteIndex != log.Never:
		return fmt.Sprintf("events %d to %d", x.InvokeIndex, x.CompleteIndex)
	case t.timeless || x.Invoke == log.Never:
		return ""
	case x.Complete == log.Never || x.Outcome == log.Info:
		return seconds(x.Start) + ", end unknown"
	}
	return seconds(x.Start) + " to " + seconds(x.End)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.6f s", d.Seconds()) }

// faults are those that were in force while one of the transactions ran.
func (t *Teller) faults(txns []int32) string {
	if t.timeline == nil || t.timeless {
		return ""
	}
	var s strings.Builder
	for _, w := range t.timeline.Windows {
		hit := slices.ContainsFunc(txns, func(i int32) bool {
			x := &t.log.Txns[i]
			return x.Start < w.End && max(x.End, x.Start) >= w.Begin
		})
		if !hit || w.StartErr != "" {
			continue
		}
		fmt.Fprintf(&s, "\n  Fault %s was in force from %s", w.Fault, seconds(w.Start))
		if w.Stopped {
			fmt.Fprintf(&s, " to %s", seconds(w.Stop))
		}
		s.WriteString(".")
	}
	return s.String()
}

// mops are a transaction's micro-operations.
func (t *Teller) mops(i int32) []string {
	const most = 16
	all := t.log.Of(i)
	var out []string
	for _, m := range all[:min(len(all), most)] {
		out = append(out, t.mop(m))
	}
	if more := len(all) - most; more > 0 {
		out = append(out, fmt.Sprintf("%d more", more))
	}
	return out
}

func (t *Teller) mop(m log.Mop) string {
	if m.Fun == log.Predicate {
		return t.log.Text(m.Value)
	}
	key := t.log.Keys[m.Key]
	switch m.Fun {
	case log.Insert:
		return "insert " + key + " " + t.value(m.Value)
	case log.Delete:
		return "delete " + key
	case log.Append:
		return "append " + key + " " + t.value(m.Value)
	case log.Add:
		return "add " + key + " " + t.value(m.Value)
	case log.Write:
		return "w " + key + " " + t.value(m.Value)
	case log.Read:
		return "r " + key + " " + t.value(m.Value)
	case log.List, log.Odd, log.Set:
		return "r " + key + " " + t.collection(m)
	}
	return "r " + key + " ?"
}

func (t *Teller) value(v log.Value) string {
	if v == log.Nil {
		return "nil"
	}
	return t.log.Text(v)
}

// collection is what was read of a list or a set.
func (t *Teller) collection(m log.Mop) string {
	if m.Fun == log.Set {
		return "#{" + t.newest(slices.Sorted(slices.Values(t.log.Elements(m)))) + "}"
	}
	return "[" + t.newest(t.log.Elements(m)) + "]"
}

// newest shows the end of a list: its newest elements.
func (t *Teller) newest(elements []log.Value) string {
	const most = 12
	var out []string
	if skip := len(elements) - most; skip > 0 {
		out, elements = append(out, "…"), elements[skip:]
	}
	for _, v := range elements {
		out = append(out, t.value(v))
	}
	return strings.Join(out, " ")
}
