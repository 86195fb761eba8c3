package recovery

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/capstan-dev/capstan/checker/phase"
	"github.com/capstan-dev/capstan/checker/value"
	"github.com/capstan-dev/capstan/history"
)

// agreement measures when the replicas agreed after each fault.
func agreement(ctx context.Context, h *history.History, t *history.Table, line *phase.Timeline, faults []Fault) error {
	a := &agreements{t: t, line: line, faults: faults, nodes: nodesOf(h)}
	if len(a.nodes) >= 2 && slices.ContainsFunc(h.Events, func(e history.Event) bool { return e.F == "read" }) {
		for key := range t.Keys {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			a.key(key)
		}
	}
	for i := range faults {
		a.conclude(&faults[i])
	}
	return nil
}

type agreements struct {
	t      *history.Table
	line   *phase.Timeline
	faults []Fault
	nodes  []string
}

func nodesOf(h *history.History) []string {
	var nodes []string
	seen := map[string]bool{}
	for i := range h.Events {
		if e := &h.Events[i]; e.Process >= 0 && e.Node != "" && !seen[e.Node] {
			seen[e.Node] = true
			nodes = append(nodes, e.Node)
		}
	}
	return nodes
}

// span is one operation of a key: an update, or an answered read.
type span struct {
	begin, end time.Duration // a crashed update ends when it begins
	at         int32         // the call's position
}

// key finds the faults that a key was updated in, and the reads after each.
func (a *agreements) key(key int) {
	var updates, reads []span
	bag := true
	for i := range a.t.Len(key) {
		p := a.t.Pair(key, i)
		bag = bag && (p.F() == "read" || p.F() == "add")
		s := span{p.Invoke.Time, p.Invoke.Time, int32(i)}
		if p.Outcome() == history.OK {
			s.end = p.Complete.Time
		}
		switch {
		case p.Outcome() == history.Fail:
		case p.F() != "read":
			updates = append(updates, s)
		case p.Outcome() == history.OK && p.Invoke.Node != "":
			reads = append(reads, s)
		}
	}
	var busy time.Duration // until when the updates of earlier phases took
	for len(updates) > 0 {
		// Updates are in order of their begin: those of one phase at a time.
		in := a.line.At(updates[0].begin)
		n := 0
		for n < len(updates) && a.line.At(updates[n].begin) == in {
			busy = max(busy, updates[n].end)
			n++
		}
		if a.line.Phases[in].Stage == phase.During {
			next := history.Forever
			if n < len(updates) {
				next = updates[n].begin
			}
			a.after(key, (in-1)/2, busy, next, reads, bag)
		}
		updates = updates[n:]
	}
}

// after looks at the reads of a key that was updated during a fault.
func (a *agreements) after(key, fault int, busy, next time.Duration, reads []span, bag bool) {
	f := &a.faults[fault]
	if f.Absent != "" {
		return
	}
	f.Replicas.Keys++
	quiet := max(f.Healed, busy)
	from, _ := slices.BinarySearchFunc(reads, quiet, func(s span, t time.Duration) int { return cmp.Compare(s.begin, t+1) })
	at := map[string]*settled{}
	names := value.NewNames()
	var seen []settled
	for _, s := range reads[from:] {
		if s.begin >= min(f.Until, next) {
			break
		}
		if s.end > f.Until || s.end >= next {
			continue
		}
		p := a.t.Pair(key, int(s.at))
		x := settled{names.Of(content(a.t.Value(key, p.Complete), bag)), s.end, int32(p.Complete.Index)}
		seen = append(seen, x)
		if old := at[p.Invoke.Node]; old == nil || old.value != x.value {
			at[p.Invoke.Node] = &x
		} else if x.since < old.since {
			*old = x // it ended before one that was invoked earlier
		}
	}
	f.Replicas.settle(f, a.nodes, at, seen)
}

// settled is since when a node returned a value.
type settled struct {
	value int32
	since time.Duration
	event int32
}

// settle counts one key.
func (r *Replicas) settle(f *Fault, nodes []string, at map[string]*settled, seen []settled) {
	var last *settled
	all := len(at) == len(nodes)
	for _, n := range nodes {
		s := at[n]
		switch {
		case s == nil:
		case last != nil && s.value != last.value:
			r.Differ++
			return
		case last == nil || s.since > last.since:
			last = s
		}
	}
	if !all {
		r.Unread++
		return
	}
	r.Agree++
	r.Agreed = later(r.Agreed, f.at(last.since, last.event))
	late := false
	for _, s := range seen {
		if s.value != last.value {
			late = true
			r.Disagreed = later(r.Disagreed, f.at(s.since, s.event))
		}
	}
	if late {
		r.Late++
	}
}

func later(a, b Moment) Moment {
	if a.After == nil || *b.After > *a.After {
		return b
	}
	return a
}

// conclude says why what is absent is.
func (a *agreements) conclude(f *Fault) {
	r := &f.Replicas
	switch {
	case f.Absent != "":
		r.Agreed = absent("%s", f.Absent)
	case len(a.nodes) < 2:
		r.Agreed = absent("the history does not tell several nodes apart")
	case r.Keys == 0:
		r.Agreed = absent("nothing that can be read was updated during the fault")
	case r.Differ > 0:
		r.Agreed = absent("on %d keys the nodes' last reads until %s differ", r.Differ, f.ending())
	case r.Agree == 0:
		r.Agreed = absent("no key was read through every node before its next update, or until %s", f.ending())
	}
	switch {
	case r.Disagreed.After != nil:
	case r.Agreed.After == nil:
		r.Disagreed = absent("%s", r.Agreed.Absent)
	default:
		r.Disagreed = absent("every read returned what all nodes agree on")
	}
}

// content is a value to compare: the elements of a bag are read in any order.
func content(v json.RawMessage, bag bool) json.RawMessage {
	var elements []json.RawMessage
	if !bag || !value.Elements(v, func(e json.RawMessage) { elements = append(elements, e) }) {
		return v
	}
	slices.SortFunc(elements, func(a, b json.RawMessage) int { return slices.Compare(a, b) })
	b, err := json.Marshal(elements)
	if err != nil {
		return v
	}
	return b
}
