// Package stale measures how old what was read was: for each read of a register
// a lower bound in time and in versions that holds whatever the order of
// concurrent operations was. It judges nothing.
//
// Definitions, for values that are written once (the initial value counts as
// written). A value was there by the moment f that the first operation that
// wrote or saw it returned. It was surely replaced by the moment T that such an
// f passed for some value whose write was invoked after the value's own f. A
// read is stale if it was invoked after the T of what it returned; its age is
// the time between. It is k versions behind if k values were written entirely
// between the value's f and the read's invocation: their writes were invoked
// after f, and they were there before the read began. The greatest age is the
// smallest Delta for which the history may be Delta-atomic (Golab, Li, Shah,
// PODC 2011), and the greatest number of versions a bound from below for
// k-atomicity (Aiyer, Alvisi, Bazzi, DISC 2005): no k up to it.
package stale

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/capstan-dev/capstan/checker/phase"
	"github.com/capstan-dev/capstan/checker/value"
	"github.com/capstan-dev/capstan/history"
)

// Options say what a history means.
type Options struct {
	// Init is the initial value as JSON; empty: absent, read as null.
	Init json.RawMessage
	// NilSaysNothing: a read of null is not counted.
	NilSaysNothing bool
	// Level is the consistency level at which the clients asked, if it is one
	// for all.
	Level string
}

// Report is the measured staleness of a history.
type Report struct {
	// Level is that of the options.
	Level string `json:"level,omitempty"`
	// All counts all reads, Groups those of each node, side and phase.
	All    Group   `json:"all"`
	Groups []Group `json:"groups"`
	// Ambiguous reads returned a value that was written more than once,
	// Orphans one that nobody wrote. Neither is counted.
	Ambiguous int `json:"ambiguous"`
	Orphans   int `json:"orphans"`
	// Delta is the greatest age: the history is not Delta-atomic for less.
	Delta time.Duration `json:"delta_ns"`
	// NotAtomic is the greatest k for which it is certainly not k-atomic.
	NotAtomic int `json:"not_k_atomic"`
	// Timeless: the history has no times, so that ages mean nothing.
	Timeless bool `json:"timeless,omitempty"`
	// Worst are the oldest reads.
	Worst []Read `json:"worst"`
}

// What a group's reads have in common.
const (
	ByNode  = "node"
	BySide  = "side"
	ByPhase = "phase"
)

// Group counts the reads that have something in common.
type Group struct {
	By    string `json:"by,omitempty"`
	Name  string `json:"name,omitempty"`
	Reads int    `json:"reads"`
	Stale int    `json:"stale"`
	// Age and Versions are of the stale reads.
	Age      Ages   `json:"age"`
	Versions Counts `json:"versions"`
}

// Ages are order statistics by the nearest rank.
type Ages struct {
	P50 time.Duration `json:"p50_ns"`
	P90 time.Duration `json:"p90_ns"`
	P99 time.Duration `json:"p99_ns"`
	Max time.Duration `json:"max_ns"`
}

// Counts are order statistics by the nearest rank.
type Counts struct {
	P50 int `json:"p50"`
	P99 int `json:"p99"`
	Max int `json:"max"`
}

// Read is a stale read.
type Read struct {
	Key      string        `json:"key,omitempty"`
	Node     string        `json:"node,omitempty"`
	Value    string        `json:"value"`
	Event    int           `json:"event"` // index of the invocation
	At       time.Duration `json:"at_ns"`
	Age      time.Duration `json:"age_ns"`
	Versions int           `json:"versions"`
}

const maxWorst = 10

// Measure computes the report in O(n log n). ok is false if the operations are
// not those of registers. Errors are those of history.NewTable.
func Measure(ctx context.Context, h *history.History, o Options) (r Report, ok bool, err error) {
	if history.CompletionOnly(h) || len(h.Events) == 0 || !Registers(h) {
		return r, false, nil
	}
	t, err := history.NewTable(h)
	if err != nil {
		return r, false, fmt.Errorf("measure staleness: %w", err)
	}
	m := meter{Table: t, o: o, line: phase.Of(h), groups: map[scope]*samples{}}
	for key := range t.Keys {
		m.key(key)
		if ctx.Err() != nil {
			return r, false, ctx.Err()
		}
	}
	m.r.Level = o.Level
	m.r.Timeless = h.Timeless()
	return m.report(), true, nil
}

// Registers says whether the operations are those of registers: read, write, cas.
func Registers(h *history.History) bool {
	reads, sets := false, false
	for i := range h.Events {
		e := &h.Events[i]
		if e.Process < 0 {
			continue
		}
		switch e.F {
		case "read":
			reads = true
		case "write", "cas":
			sets = true
		default:
			return false
		}
	}
	return reads && sets
}

type scope struct{ by, name string }

type samples struct {
	reads    int
	ages     []time.Duration
	versions []int32
}

type meter struct {
	*history.Table
	o      Options
	line   *phase.Timeline
	r      Report
	all    samples
	groups map[scope]*samples
	worst  []Read
}

// look is one observation of a value.
type look struct {
	value int32
	begin time.Duration
	event *history.Event // the invocation of a read; nil for a cas
}

// version is what is known of one value.
type version struct {
	call  time.Duration // of its write
	there time.Duration // f
	sets  int           // how many operations wrote it
	gone  time.Duration // T
}

const never = history.Forever

// keyed is what happened to one key.
type keyed struct {
	names    *value.Names
	versions []version
	looks    []look
}

func (k *keyed) at(v json.RawMessage) (int32, *version) {
	n := k.names.Of(v)
	for int(n) >= len(k.versions) {
		k.versions = append(k.versions, version{call: never, there: never, gone: never})
	}
	return n, &k.versions[n]
}

func (m *meter) key(key int) {
	k := &keyed{names: value.NewNames()}
	k.at(nil)
	init, v := k.at(m.o.Init)
	v.sets, v.call, v.there = 1, -1, -1
	for i := range m.Len(key) {
		m.call(k, key, m.Pair(key, i), init)
	}
	k.replace()
	behind := k.behind()
	for i, l := range k.looks {
		m.judge(key, k, l, behind[i])
	}
}

// call notes what one call wrote and saw.
func (m *meter) call(k *keyed, key int, p history.Pair, init int32) {
	end := never
	if p.Outcome() == history.OK || p.Complete != nil && p.Complete.Unmet() {
		end = p.Complete.Time
	}
	switch {
	case p.Outcome() == history.Fail && end == never:
	case p.F() == "read":
		if end < never {
			m.look(k, m.Value(key, p.Complete), p, end)
		}
	case p.F() == "write":
		k.write(m.Value(key, p.Invoke), p, end)
	case p.F() == "cas":
		old, new, ok := history.SplitPair(m.Value(key, p.Invoke))
		switch {
		case !ok || p.Outcome() == history.Fail:
		default:
			k.write(new, p, end)
			if end < never { // what it found had to be there
				_, v := k.at(old)
				v.there = min(v.there, end)
			}
		}
	}
}

func (k *keyed) write(v json.RawMessage, p history.Pair, end time.Duration) {
	_, x := k.at(v)
	x.sets++
	x.call, x.there = min(x.call, p.Invoke.Time), min(x.there, end)
}

func (m *meter) look(k *keyed, v json.RawMessage, p history.Pair, end time.Duration) {
	n, x := k.at(v)
	if n == 0 && m.o.NilSaysNothing {
		return
	}
	x.there = min(x.there, end)
	k.looks = append(k.looks, look{n, p.Invoke.Time, p.Invoke})
}

// single is true for a value that was written once, and seen or acknowledged.
func (v *version) single() bool { return v.sets == 1 && v.there < never }

// replace finds the T of every value: the least f among those written after
// its own f.
func (k *keyed) replace() {
	type mark struct{ call, there time.Duration }
	var later []mark
	for i := range k.versions {
		if v := &k.versions[i]; v.single() {
			later = append(later, mark{v.call, v.there})
		}
	}
	slices.SortFunc(later, func(a, b mark) int { return cmp.Compare(a.call, b.call) })
	for i := len(later) - 2; i >= 0; i-- {
		later[i].there = min(later[i].there, later[i+1].there)
	}
	for i := range k.versions {
		v := &k.versions[i]
		at, _ := slices.BinarySearchFunc(later, v.there, func(m mark, f time.Duration) int {
			if m.call <= f {
				return -1
			}
			return 1
		})
		if at < len(later) {
			v.gone = later[at].there
		}
	}
}

// behind counts for each look the values u with call(u) > f of what it saw and
// f(u) < its begin, offline with a Fenwick tree.
func (k *keyed) behind() []int32 {
	out := make([]int32, len(k.looks))
	var stale []int32
	for i, l := range k.looks {
		if v := &k.versions[l.value]; v.single() && v.gone < l.begin {
			stale = append(stale, int32(i))
		}
	}
	if len(stale) == 0 {
		return out
	}
	var calls []time.Duration // sorted: ranks of calls
	var byThere []int32
	for i := range k.versions {
		if v := &k.versions[i]; v.single() {
			calls = append(calls, v.call)
			byThere = append(byThere, int32(i))
		}
	}
	slices.Sort(calls)
	slices.SortFunc(byThere, func(a, b int32) int { return cmp.Compare(k.versions[a].there, k.versions[b].there) })
	slices.SortFunc(stale, func(a, b int32) int { return cmp.Compare(k.looks[a].begin, k.looks[b].begin) })
	tree := make(fenwick, len(calls)+1)
	next := 0
	for _, i := range stale {
		l := k.looks[i]
		for ; next < len(byThere) && k.versions[byThere[next]].there < l.begin; next++ {
			at, _ := slices.BinarySearch(calls, k.versions[byThere[next]].call)
			tree.add(at)
		}
		before, _ := slices.BinarySearch(calls, k.versions[l.value].there+1)
		out[i] = int32(next) - tree.below(before)
	}
	return out
}

// fenwick counts at positions.
type fenwick []int32

func (f fenwick) add(at int) {
	for at++; at < len(f); at += at & -at {
		f[at]++
	}
}

// below is the count at positions less than at.
func (f fenwick) below(at int) (n int32) {
	for ; at > 0; at -= at & -at {
		n += f[at]
	}
	return n
}

// judge counts one read.
func (m *meter) judge(key int, k *keyed, l look, versions int32) {
	v := &k.versions[l.value]
	switch {
	case v.sets == 0:
		m.r.Orphans++
		return
	case v.sets > 1:
		m.r.Ambiguous++
		return
	}
	age := max(0, l.begin-v.gone)
	in := m.line.At(l.begin)
	node := l.event.Node
	m.all.note(age, versions)
	m.group(ByPhase, m.line.Phases[in].Stage).note(age, versions)
	if node != "" {
		m.group(ByNode, node).note(age, versions)
	}
	if side := m.line.Side(in, node); side != "all" {
		m.group(BySide, side).note(age, versions)
	}
	if age == 0 || len(m.worst) == maxWorst && age <= m.worst[maxWorst-1].Age {
		return
	}
	m.worst = append(m.worst, Read{Key: m.Keys[key], Node: node, Value: k.names.Text(l.value), Event: l.event.Index, At: l.begin, Age: age, Versions: int(versions)})
	slices.SortStableFunc(m.worst, func(a, b Read) int { return cmp.Compare(b.Age, a.Age) })
	m.worst = m.worst[:min(len(m.worst), maxWorst)]
}

func (m *meter) group(by, name string) *samples {
	s := m.groups[scope{by, name}]
	if s == nil {
		s = &samples{}
		m.groups[scope{by, name}] = s
	}
	return s
}

func (s *samples) note(age time.Duration, versions int32) {
	s.reads++
	if age > 0 {
		s.ages, s.versions = append(s.ages, age), append(s.versions, versions)
	}
}

func (m *meter) report() Report {
	m.r.All = m.all.group(scope{})
	m.r.Groups, m.r.Worst = []Group{}, m.worst
	if m.worst == nil {
		m.r.Worst = []Read{}
	}
	for s, g := range m.groups {
		m.r.Groups = append(m.r.Groups, g.group(s))
	}
	order := map[string]int{ByPhase: 0, BySide: 1, ByNode: 2, phase.Before: -3, phase.During: -2, phase.After: -1}
	slices.SortFunc(m.r.Groups, func(a, b Group) int {
		return cmp.Or(cmp.Compare(order[a.By], order[b.By]), cmp.Compare(order[a.Name], order[b.Name]), cmp.Compare(a.Name, b.Name))
	})
	m.r.Delta, m.r.NotAtomic = m.r.All.Age.Max, m.r.All.Versions.Max
	return m.r
}

func (s *samples) group(at scope) Group {
	g := Group{By: at.by, Name: at.name, Reads: s.reads, Stale: len(s.ages)}
	if g.Stale == 0 {
		return g
	}
	slices.Sort(s.ages)
	slices.Sort(s.versions)
	rank := func(per100 int) int { return (g.Stale*per100+99)/100 - 1 }
	g.Age = Ages{s.ages[rank(50)], s.ages[rank(90)], s.ages[rank(99)], s.ages[g.Stale-1]}
	g.Versions = Counts{int(s.versions[rank(50)]), int(s.versions[rank(99)]), int(s.versions[g.Stale-1])}
	return g
}
