// Package durable measures what became of the writes that a system
// acknowledged: which were lost, which came back after they had been replaced,
// which took effect twice, and from which two others went on; by the side, the node and the phase in which
// they were acknowledged. It judges nothing.
//
// What is called certain and what is called possible both never happen in a
// linearizable history. Certain is what lag does not explain if each node
// answers from one replica; possible is what is either lag or worse. Where a
// node asks other replicas, now this one and now that, lag can look like a
// value that is resurrected or duplicated; what is forked is so even then, and
// what is lost is so as far as the last reads through all nodes can tell.
//
// Common definitions. a precedes b if a returned before b was invoked, by the
// history's times; equal times are concurrent. A key is quiet when its last
// acknowledged update has returned, its last crashed one was invoked, and the
// last fault is healed. A node's final read is the last answered one that was
// invoked through it after that. The final state of a key is known if every
// node of the history has a final read of it; in a history without nodes, if
// there is one, and then each read after the quiet counts as a node's.
//
// Registers (read, write, cas). Only values that were written once count; the
// initial value counts as written. A value was there by the moment f that the
// first operation that wrote or saw it returned. u is older than v if f(u) lies
// before the invocation of v's write: in every order v replaced u, or something
// that had replaced u.
//
//   - Lost: v was acknowledged, the key's final state is known, and each final
//     read returned a value that is older. Or: all final reads returned the same
//     value, and among the compare-and-sets that led to it is one that was
//     invoked after v was acknowledged and replaced a value older than v.
//   - Possibly lost: some final read, not each, returned a value older than v.
//     Or: nobody saw v any more after some read was invoked that had to return
//     v, and it returned something older: it was invoked after v was
//     acknowledged, and every other update was there before v's write was
//     invoked, or was invoked after that read had returned. Or the same of a
//     compare-and-set that was invoked after v was acknowledged, and replaced a
//     value older than v.
//   - Resurrected: through one node w was seen and, by an operation invoked
//     after that had returned, v, which is older than w.
//   - Duplicated: through one node v, then w, then v were seen, each by an
//     operation invoked after the one before had returned, where nothing tells
//     that w is newer.
//   - Forked: two compare-and-sets that took effect replaced v, so that one of
//     them went on from what was there no more.
//   - Possibly resurrected, possibly duplicated: the same through several nodes,
//     or nobody knows through which.
//
// Sets (add, read of the whole).
//
//   - Lost: acknowledged, the final state is known, and no final read has it.
//   - Possibly lost: acknowledged, and some final read, not each, lacks it, or
//     no final read has it, but not every node has one.
//   - Resurrected: through one node a read had it, one invoked after that did
//     not, and one invoked after that one had returned did again. Possibly: the
//     same through several nodes.
//   - Duplicated: some read has it more than once.
//
// The definition of lost counts every acknowledged write that the final state
// goes back behind, also those that a later lost write had replaced. What the
// final reads say is said of the end of the history: data that comes back
// later is not known to.
package durable

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/capstan-dev/capstan/checker/phase"
	"github.com/capstan-dev/capstan/history"
)

// Options say what a history means.
type Options struct {
	// Init is the initial value of registers as JSON; empty: absent, read as
	// null.
	Init json.RawMessage
	// NilSaysNothing: a read of null is not counted.
	NilSaysNothing bool
	// Level is the consistency level at which the clients asked, if it is one
	// for all.
	Level string
}

// What a history is a history of.
const (
	Register = "register"
	Set      = "set"
)

// What a finding is.
const (
	Lost        = "lost"
	Resurrected = "resurrected"
	Duplicated  = "duplicated"
	Forked      = "forked"
)

// Report is the measured durability of a history.
type Report struct {
	// Level is that of the options.
	Level string `json:"level,omitempty"`
	// Object is Register or Set.
	Object string `json:"object"`
	// All counts all acknowledged writes, Groups those of each phase, fault
	// and side, and node.
	All    Group   `json:"all"`
	Groups []Group `json:"groups"`
	// Ambiguous values were written more than once; their writes are not
	// counted.
	Ambiguous int `json:"ambiguous"`
	// Keys have acknowledged writes. Of Unsettled ones the final state is not
	// known: not every node was read after the key was quiet, or a final read
	// returned an ambiguous value. Nothing of them is certainly lost.
	Keys      int `json:"keys"`
	Unsettled int `json:"unsettled_keys"`
	// Timeless: the history has no times.
	Timeless bool `json:"timeless,omitempty"`
	// Found are the first certain findings of each kind.
	Found []Finding `json:"found"`
}

// What a group's writes have in common: where they were acknowledged. Writes
// that were not are counted where they were invoked, if they were resurrected,
// duplicated or forked.
const (
	ByPhase = "phase" // the stage: before, during faults, after heals, run
	BySide  = "side"
	ByFault = "fault" // one fault, and the side under it
	ByNode  = "node"
)

// Group counts the writes that have something in common.
type Group struct {
	By   string `json:"by,omitempty"`
	Name string `json:"name,omitempty"`
	Counts
	// Possible are not among the certain ones.
	Possible Possible `json:"possible"`
}

// Counts are numbers of writes. Seen ones are acknowledged and were read by
// somebody; of the rest only final reads can tell.
type Counts struct {
	Acknowledged int `json:"acknowledged"`
	Seen         int `json:"seen"`
	Lost         int `json:"lost"`
	Resurrected  int `json:"resurrected"`
	Duplicated   int `json:"duplicated"`
	Forked       int `json:"forked"`
}

// Possible are numbers of writes that were lost, resurrected or duplicated, or
// only read through a replica that lags behind.
type Possible struct {
	Lost        int `json:"lost"`
	Resurrected int `json:"resurrected"`
	Duplicated  int `json:"duplicated"`
}

func (c *Group) add(x *Group) {
	c.Acknowledged += x.Acknowledged
	c.Seen += x.Seen
	c.Lost += x.Lost
	c.Resurrected += x.Resurrected
	c.Duplicated += x.Duplicated
	c.Forked += x.Forked
	c.Possible.Lost += x.Possible.Lost
	c.Possible.Resurrected += x.Possible.Resurrected
	c.Possible.Duplicated += x.Possible.Duplicated
}

// Finding is one write that was certainly lost, resurrected, duplicated or forked.
type Finding struct {
	Kind  string `json:"kind"`
	Key   string `json:"key,omitempty"`
	Value string `json:"value"`
	// Node, Side and Phase are where it was acknowledged.
	Node  string `json:"node,omitempty"`
	Side  string `json:"side,omitempty"`
	Phase string `json:"phase,omitempty"`
	// At is when.
	At time.Duration `json:"at_ns"`
	// Events are the indexes of the events of the witness, ascending.
	Events []int  `json:"events"`
	Text   string `json:"text"`
}

const maxFound = 10 // of each kind

// Measure computes the report in O(n log n), and in O(total length of the
// reads) for sets. ok is false if the operations are those of neither
// registers nor sets. Errors are those of history.NewTable and of the context.
func Measure(ctx context.Context, h *history.History, o Options) (r Report, ok bool, err error) {
	if history.CompletionOnly(h) || len(h.Events) == 0 {
		return r, false, nil
	}
	object := objectOf(h)
	if object == "" {
		return r, false, nil
	}
	t, err := history.NewTable(h)
	if err != nil {
		return r, false, fmt.Errorf("measure durability: %w", err)
	}
	m := newMeter(ctx, t, h, o)
	for key := range t.Keys {
		if object == Register {
			m.register(key)
		} else if !m.set(key) {
			return r, false, ctx.Err()
		}
		if ctx.Err() != nil {
			return r, false, ctx.Err()
		}
	}
	m.r.Level, m.r.Object, m.r.Timeless = o.Level, object, h.Timeless()
	return m.report(), true, nil
}

// objectOf is Register or Set, or empty.
func objectOf(h *history.History) string {
	seen := map[string]bool{}
	last := ""
	for i := range h.Events {
		if e := &h.Events[i]; e.Process >= 0 && e.F != last {
			last = e.F
			seen[last] = true
		}
	}
	kinds := len(seen)
	count := func(names ...string) (n int) {
		for _, f := range names {
			if seen[f] {
				n++
			}
		}
		return n
	}
	switch {
	case kinds == 2 && count("add", "read") == 2:
		return Set
	case seen["read"] && kinds > 1 && count("read", "write", "cas") == kinds:
		return Register
	}
	return ""
}

// meter collects the figures over all keys.
type meter struct {
	*history.Table
	ctx    context.Context
	o      Options
	line   *phase.Timeline
	nodes  []string // sorted; one empty one if the history has none
	number map[string]int32
	healed time.Duration // the last fault
	places []Group       // by phase and node
	r      Report
}

const (
	never   = history.Forever
	nowhere = int32(-1) // the place of what was not written in the history
)

func newMeter(ctx context.Context, t *history.Table, h *history.History, o Options) *meter {
	m := &meter{Table: t, ctx: ctx, o: o, line: phase.Of(h), number: map[string]int32{}}
	m.r.Found = []Finding{}
	for i := range h.Events {
		e := &h.Events[i]
		if e.Process < 0 {
			continue
		}
		if _, known := m.number[e.Node]; !known && e.Node != "" {
			m.number[e.Node] = 0
			m.nodes = append(m.nodes, e.Node)
		}
	}
	if len(m.nodes) == 0 {
		m.nodes = []string{""}
	}
	slices.Sort(m.nodes)
	for i, n := range m.nodes {
		m.number[n] = int32(i)
	}
	m.healed = -1
	for _, w := range m.line.Windows {
		m.healed = max(m.healed, w.End)
	}
	m.places = make([]Group, len(m.line.Phases)*(len(m.nodes)+1))
	return m
}

// nameless is true if the history does not tell nodes.
func (m *meter) nameless() bool { return m.nodes[0] == "" }

// node of an event; calls without one in a history with nodes get a number
// that no final read is waited for from.
func (m *meter) node(e *history.Event) int32 {
	if n, ok := m.number[e.Node]; ok {
		return n
	}
	return int32(len(m.nodes))
}

// place is where a write counts: the phase and the node of its
// acknowledgement, or of its invocation if there is none.
func (m *meter) place(p history.Pair) int32 {
	at := p.Invoke.Time
	if p.Outcome() == history.OK {
		at = p.Complete.Time
	}
	return int32(m.line.At(at)*(len(m.nodes)+1)) + m.node(p.Invoke)
}

// at is the place's group.
func (m *meter) at(place int32) *Group {
	if place == nowhere {
		return &m.r.All
	}
	return &m.places[place]
}

// where tells a place in the report's words.
func (m *meter) where(place int32) (phaseOf *phase.Phase, node, side string) {
	in := int(place) / (len(m.nodes) + 1)
	if n := int(place) % (len(m.nodes) + 1); n < len(m.nodes) {
		node = m.nodes[n]
	}
	return &m.line.Phases[in], node, m.line.Side(in, node)
}

// admits is true if a finding of this kind and time would be kept.
func (m *meter) admits(kind string, at time.Duration) bool {
	n, last := 0, time.Duration(0)
	for i := range m.r.Found {
		if f := &m.r.Found[i]; f.Kind == kind {
			n, last = n+1, f.At
		}
	}
	return n < maxFound || at < last
}

// keep adds a finding, the earliest of each kind first.
func (m *meter) keep(f Finding, place int32) {
	if place != nowhere {
		in, node, side := m.where(place)
		f.Phase, f.Node, f.Side = in.Name, node, side
	}
	slices.Sort(f.Events)
	f.Events = slices.Compact(f.Events)
	rank := map[string]int{Lost: 0, Resurrected: 1, Duplicated: 2, Forked: 3}
	m.r.Found = append(m.r.Found, f)
	slices.SortStableFunc(m.r.Found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(rank[a.Kind], rank[b.Kind]), cmp.Compare(a.At, b.At))
	})
	n, last := 0, 0
	for i := range m.r.Found {
		if m.r.Found[i].Kind == f.Kind {
			n, last = n+1, i
		}
	}
	if n > maxFound {
		m.r.Found = slices.Delete(m.r.Found, last, last+1)
	}
}

type scope struct{ by, name string }

func (m *meter) report() Report {
	groups := map[scope]*Group{}
	into := func(by, name string, g *Group) {
		if groups[scope{by, name}] == nil {
			groups[scope{by, name}] = &Group{By: by, Name: name}
		}
		groups[scope{by, name}].add(g)
	}
	faults := map[string]int{}
	for i := range m.places {
		g := &m.places[i]
		if *g == (Group{}) {
			continue
		}
		in, node, side := m.where(int32(i))
		m.r.All.add(g)
		into(ByPhase, in.Stage, g)
		if in.Stage == phase.During {
			name := in.Name + ", " + side
			faults[name] = i
			into(BySide, side, g)
			into(ByFault, name, g)
		}
		if node != "" {
			into(ByNode, node, g)
		}
	}
	m.r.Groups = []Group{}
	for _, g := range groups {
		m.r.Groups = append(m.r.Groups, *g)
	}
	by := map[string]int{ByPhase: 0, BySide: 1, ByFault: 2, ByNode: 3}
	stages := map[string]int{phase.Before: 1, phase.During: 2, phase.After: 3}
	slices.SortFunc(m.r.Groups, func(a, b Group) int {
		return cmp.Or(cmp.Compare(by[a.By], by[b.By]), cmp.Compare(stages[a.Name], stages[b.Name]),
			cmp.Compare(faults[a.Name], faults[b.Name]), cmp.Compare(a.Name, b.Name))
	})
	return m.r
}

func who(e *history.Event) string {
	if e.Node == "" {
		return fmt.Sprintf("process %d", e.Process)
	}
	return fmt.Sprintf("process %d on %s", e.Process, e.Node)
}

func at(d time.Duration) string { return fmt.Sprintf("%.3f s", d.Seconds()) }
