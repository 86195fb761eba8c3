package explain

import (
	"fmt"
	"strings"

	"github.com/capstan-dev/capstan/checker/phase"
	"github.com/capstan-dev/capstan/checker/txn/adya"
	"github.com/capstan-dev/capstan/checker/txn/graph"
	"github.com/capstan-dev/capstan/checker/txn/infer"
	"github.com/capstan-dev/capstan/checker/txn/log"
)

// turned begins a cycle so that the step that most people would doubt comes
// last: that of time, else an anti-dependency.
func turned(c *infer.Cycle) []infer.Step {
	last := 0
	for i, s := range c.Steps {
		if s.Class > c.Steps[last].Class {
			last = i
		}
	}
	return append(append([]infer.Step{}, c.Steps[last+1:]...), c.Steps[:last+1]...)
}

// cycle tells the steps: "A, so T1 < T2; but B, so T2 < T1: a contradiction."
func (t *Teller) cycle(c *infer.Cycle) string {
	steps := turned(c)
	var s strings.Builder
	for i, step := range steps {
		switch {
		case i > 0 && i == len(steps)-1:
			s.WriteString("; but ")
		case i > 0:
			s.WriteString("; ")
		}
		fmt.Fprintf(&s, "%s, so %s < %s", t.step(step), t.name(step.From), t.name(step.To))
	}
	s.WriteString(": a contradiction.")
	return s.String()
}

// step says why its first transaction comes before its second.
func (t *Teller) step(s infer.Step) string {
	a, b := t.name(s.From), t.name(s.To)
	switch s.Class {
	case graph.Process:
		return fmt.Sprintf("process %d ran %s and then %s", t.log.Txns[s.From].Process, a, b)
	case graph.Realtime:
		return t.realtime(s)
	}
	if s.Key == infer.None {
		return fmt.Sprintf("%s depends on %s (%s)", b, a, s.Class)
	}
	if text := t.dependency(s, a, b); text != "" {
		return text
	}
	return fmt.Sprintf("%s depends on %s by key %s (%s)", b, a, t.log.Keys[s.Key], s.Class)
}

func (t *Teller) dependency(s infer.Step, a, b string) string {
	key := t.log.Keys[s.Key]
	switch {
	case s.Class == graph.WW && t.appends(s.ToMop):
		return fmt.Sprintf("%s appended %s to key %s after %s had appended %s", b, t.value(s.Next), key, a, t.value(s.Value))
	case s.Class == graph.WW:
		return fmt.Sprintf("%s %s, which came after %s's %s%s", b, t.wrote(s.ToMop, key, s.Next), a, t.version(s.Value), reason(s.Why))
	case s.Class == graph.WR && t.appends(s.FromMop):
		return fmt.Sprintf("%s read key %s as %s, seeing %s's %s of %s", b, key, t.seen(s.ToMop, s.Value), a, t.verb(s.FromMop), t.value(s.Value))
	case s.Class == graph.WR && t.predicate(s.ToMop):
		return fmt.Sprintf("%s ran %s, which must have looked at the version of key %s that %s left, %s%s", b, t.seen(s.ToMop, s.Value), key, a, t.version(s.Value), reason(s.Why))
	case s.Class == graph.WR:
		return fmt.Sprintf("%s read key %s as %s, which %s wrote%s", b, key, t.value(s.Value), a, reason(s.Why))
	case s.Class == graph.RW && t.appends(s.ToMop):
		return fmt.Sprintf("%s read key %s as %s, not seeing %s's %s of %s", a, key, t.seen(s.FromMop, s.Value), b, t.verb(s.ToMop), t.value(s.Next))
	case s.Class == graph.RW:
		return fmt.Sprintf("%s read key %s as %s, and %s overwrote that: it %s%s", a, key, t.version(s.Value), b, t.wrote(s.ToMop, key, s.Next), reason(s.Why))
	case s.Class == graph.RWP:
		return fmt.Sprintf("%s ran %s, which looked at key %s as %s, and %s changed whether it matches: it %s%s", a, t.seen(s.FromMop, s.Value), key, t.version(s.Value), b, t.wrote(s.ToMop, key, s.Next), reason(s.Why))
	}
	return ""
}

// appends says whether a micro-operation adds to a list or a set.
func (t *Teller) appends(mop int32) bool { return t.is(mop, log.Append) || t.adds(mop) }

func (t *Teller) adds(mop int32) bool { return t.is(mop, log.Add) }

func (t *Teller) is(mop int32, f log.Fun) bool { return mop != infer.None && t.log.Mops[mop].Fun == f }

func (t *Teller) verb(mop int32) string {
	if t.adds(mop) {
		return "add"
	}
	return "append"
}

func (t *Teller) predicate(mop int32) bool { return t.is(mop, log.Predicate) }

// seen is what a read returned.
func (t *Teller) seen(mop int32, v log.Value) string {
	if mop == infer.None {
		return t.value(v)
	}
	m := t.log.Mops[mop]
	switch m.Fun {
	case log.List, log.Odd, log.Set:
		return t.collection(m)
	case log.Predicate:
		return t.log.Text(m.Value)
	}
	return t.value(v)
}

// wrote is what a write did.
func (t *Teller) wrote(mop int32, key string, v log.Value) string {
	switch {
	case mop != infer.None && t.log.Mops[mop].Fun == log.Delete:
		return "deleted key " + key
	case mop != infer.None && t.log.Mops[mop].Fun == log.Insert:
		return "inserted key " + key + " with " + t.value(v)
	}
	return "set key " + key + " to " + t.value(v)
}

// version is a value as an object.
func (t *Teller) version(v log.Value) string { return t.value(v) }

func reason(why string) string {
	if why == "" {
		return ""
	}
	return " (" + why + ")"
}

func (t *Teller) realtime(s infer.Step) string {
	a, b := &t.log.Txns[s.From], &t.log.Txns[s.To]
	gap := b.Start - a.End
	if t.timeless || gap < 0 {
		return fmt.Sprintf("%s was completed before %s was invoked", t.name(s.From), t.name(s.To))
	}
	return fmt.Sprintf("%s was completed %s before %s was invoked", t.name(s.From), phase.Span(gap), t.name(s.To))
}

// meaning says in words what people call a cycle of that shape; empty if there
// is no name for it.
func (t *Teller) meaning(kind string, c *infer.Cycle) string {
	classes := map[graph.Class]int{}
	keys := map[int32]bool{}
	for _, s := range c.Steps {
		classes[s.Class]++
		if s.Class <= graph.RWP {
			keys[s.Key] = true
		}
	}
	rw := classes[graph.RW] + classes[graph.RWP]
	timed := classes[graph.Process] + classes[graph.Realtime]
	n := len(c.Steps)
	switch {
	case n == 2 && rw == 1 && classes[graph.Realtime] == 1:
		return "This is a stale read: it missed a write that had been acknowledged."
	case n == 2 && rw == 1 && classes[graph.Process] == 1:
		return "The process did not see its own write."
	case timed > 0:
		return ""
	case n == 2 && rw == 2 && (len(keys) > 1 || t.adds(c.Steps[0].ToMop)):
		return "This is write skew: each read what the other was about to overwrite, and neither saw the other."
	case n == 2 && rw == 2:
		return "Each overwrote what the other had read: one of the two updates is lost."
	case n == 2 && rw == 1 && classes[graph.WR] == 1:
		return "This is a fractured read: one transaction saw a part of the other and missed another part (read skew)."
	case n == 2 && rw == 1 && len(keys) == 1:
		return "This is a lost update: the one overwrote what the other wrote without having seen it."
	case n == 4 && rw == 2 && classes[graph.WR] == 2 && strings.HasPrefix(kind, adya.GNonadjacent):
		return "This is a long fork: two readers see two writes in opposite orders."
	case rw == 1:
		return "This is read skew: not all of its reads are of one moment."
	case classes[graph.WW] == n:
		return "This is a dirty write: the writes of the transactions are interleaved."
	case rw == 0:
		return "The transactions saw each other in a circle."
	}
	return ""
}
