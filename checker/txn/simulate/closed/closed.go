// Package closed makes histories of transactions with predicate reads whose
// verdict is known: a closed universe of keys, as package predicate reads it, in
// an in-memory database that keeps one isolation level.
//
//	strict-serializable  reads see the start, and nothing that was read, by key or
//	                     by predicate, may have changed at the commit (Kung and
//	                     Robinson, TODS 6, 1981)
//	repeatable-read      reads see what is committed; only what was read by key or
//	                     returned may not have changed: phantoms (Adya's PL-2.99)
//	snapshot-isolation   reads see the start; the first committer wins
//	read-committed       reads see what is committed
//	read-uncommitted     reads see what others have not committed, too
package closed

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/capstan-dev/capstan/checker/txn/simulate"
	"github.com/capstan-dev/capstan/history"
)

// Name is the workload's.
const Name = "closed-predicate"

// level is how reads come by what they see, and what keeps a commit.
type level struct {
	name                        string
	snapshot, dirty             bool
	items, predicates, conflict bool // what must not have changed
}

func levels() []level {
	return []level{
		{name: "strict-serializable", snapshot: true, items: true, predicates: true, conflict: true},
		{name: "snapshot-isolation", snapshot: true, conflict: true},
		{name: "repeatable-read", items: true},
		{name: "read-committed"},
		{name: "read-uncommitted", dirty: true},
	}
}

// Levels are the names of the isolation levels.
func Levels() []string {
	var names []string
	for _, l := range levels() {
		names = append(names, l.name)
	}
	return names
}

// Validate says what is wrong with the options. Zipf, WritesPerKey and the
// shares of reads and writes are not used.
func Validate(o simulate.Options) error {
	if !slices.Contains(Levels(), simulate.LevelName(o.Isolation)) {
		return fmt.Errorf("unknown isolation level %q for %s; there are: %s", o.Isolation, Name, strings.Join(Levels(), ", "))
	}
	for _, a := range o.Anomalies {
		if _, ok := named(a); !ok {
			return fmt.Errorf("cannot plant %q in %s; there are: %s", a, Name, strings.Join(Anomalies(), ", "))
		}
	}
	plain := o
	plain.Anomalies = nil
	return plain.Validate()
}

// Run makes a history, and says where the anomalies are.
func Run(o simulate.Options) (*history.History, []simulate.Planted, error) {
	if err := Validate(o); err != nil {
		return nil, nil, err
	}
	at := slices.Index(Levels(), simulate.LevelName(o.Isolation))
	s := &simulation{Options: o, rng: rand.New(rand.NewPCG(o.Seed, 3)), level: levels()[at], h: &history.History{}, missed: -1}
	s.begin()
	for s.began < o.Transactions || len(s.active) > 0 {
		s.step()
	}
	planted := s.plant()
	return s.h, planted, nil
}

// version is one that a key had from a commit on; 0 is none.
type version struct{ at, value int }

type simulation struct {
	simulate.Options
	level
	rng     *rand.Rand
	h       *history.History
	keys    [][]version // in order of commits
	values  []int       // by key: the last one that was given out
	commits int
	active  []*txn
	began   int
	free    []int // processes
	next    int   // process
	missed  int   // the key that a planted read misses
}

// txn is a transaction that runs.
type txn struct {
	process, start, at int
	ops                []op
	writes             map[int]int // by key
	items              map[int]int // what was read by key: its version's commit
	predicates         bool        // it read by predicate, at its start
}

// op is a micro-operation.
type op struct {
	f       string // insert, delete, w, r or rp
	key     int
	value   int
	modulus int // of rp: 0: all; else those whose value leaves no rest
	found   map[string]int
}

// begin writes init: about half of the keys are there.
func (s *simulation) begin() {
	there := map[string]int{}
	for k := range s.Keys {
		s.fresh()
		if s.rng.IntN(2) == 0 {
			s.values[k]++
			s.keys[k] = append(s.keys[k], version{0, s.values[k]})
			there[strconv.Itoa(k)] = s.values[k]
		}
	}
	if slices.ContainsFunc(s.Anomalies, func(a string) bool { return strings.EqualFold(a, miss) }) {
		s.missed = s.fresh()
		there[strconv.Itoa(s.missed)] = unique
		s.keys[s.missed] = append(s.keys[s.missed], version{0, unique})
	}
	s.event(0, history.Invoke, "init", there)
	s.event(0, history.OK, "init", there)
	for p := range s.Processes {
		s.free = append(s.free, p)
	}
	s.next = s.Processes
}

func (s *simulation) fresh() int {
	s.keys, s.values = append(s.keys, nil), append(s.values, 0)
	return len(s.keys) - 1
}

func (s *simulation) event(process int, k history.Kind, f string, value any) int {
	b, err := json.Marshal(value)
	if err != nil {
		panic(err) // of ours only
	}
	n := len(s.h.Events)
	s.h.Events = append(s.h.Events, history.Event{Index: n, Time: time.Duration(n+1) * time.Millisecond, Process: process, Kind: k, F: f, Value: b})
	return n
}

// step begins a transaction, or goes on with one.
func (s *simulation) step() {
	if s.began < s.Transactions && len(s.free) > 0 && (len(s.active) == 0 || s.rng.IntN(4) == 0) {
		s.invoke()
		return
	}
	i := s.rng.IntN(len(s.active))
	t := s.active[i]
	if t.at < len(t.ops) {
		s.execute(t, &t.ops[t.at])
		t.at++
		return
	}
	s.active = slices.Delete(s.active, i, i+1)
	s.complete(t)
}

func (s *simulation) invoke() {
	at := s.rng.IntN(len(s.free))
	t := &txn{process: s.free[at], start: s.commits, writes: map[int]int{}, items: map[int]int{}}
	s.free = slices.Delete(s.free, at, at+1)
	s.began++
	for range s.MinLength + s.rng.IntN(s.MaxLength-s.MinLength+1) {
		t.ops = append(t.ops, s.draw())
	}
	s.active = append(s.active, t)
	s.event(t.process, history.Invoke, "txn", mops(t.ops))
}

// draw makes a micro-operation.
func (s *simulation) draw() op {
	o := op{key: s.rng.IntN(s.Keys)}
	switch n := s.rng.IntN(8); {
	case n < 2:
		return op{f: "rp", modulus: s.rng.IntN(4)}
	case n < 4:
		o.f = "r"
		return o
	case n == 4:
		o.f = "delete"
		return o
	case n == 5:
		o.f = "insert"
	default:
		o.f = "w"
	}
	s.values[o.key]++
	o.value = s.values[o.key]
	return o
}

// see is what a transaction sees of a key: its value and the commit of its
// version.
func (s *simulation) see(t *txn, k int) version {
	if v, own := t.writes[k]; own {
		return version{-1, v}
	}
	if s.dirty {
		for _, other := range s.active {
			if v, ok := other.writes[k]; ok {
				return version{-1, v}
			}
		}
	}
	all := s.keys[k]
	for i := len(all) - 1; i >= 0; i-- {
		if !s.snapshot || all[i].at <= t.start {
			return all[i]
		}
	}
	return version{}
}

func (s *simulation) execute(t *txn, o *op) {
	switch o.f {
	case "r":
		v := s.see(t, o.key)
		o.value = v.value
		t.read(o.key, v)
	case "rp":
		t.predicates = true
		o.found = map[string]int{}
		for k := range s.keys {
			if v := s.see(t, k); v.value != 0 && (o.modulus == 0 || v.value%o.modulus == 0) {
				o.found[strconv.Itoa(k)] = v.value
				t.read(k, v)
			}
		}
	default:
		t.writes[o.key] = o.value // 0: deleted
	}
}

// read remembers which version of a key was read first, unless it is its own.
// What a predicate read returned was read by key, too.
func (t *txn) read(k int, v version) {
	if _, read := t.items[k]; !read && v.at >= 0 {
		t.items[k] = v.at
	}
}

// changed is the commit of the last version of a key; 0 if it is the first.
func (s *simulation) changed(k int) int {
	if n := len(s.keys[k]); n > 0 {
		return s.keys[k][n-1].at
	}
	return 0
}

// fits says whether a transaction may commit.
func (s *simulation) fits(t *txn) bool {
	for k, at := range t.items {
		if s.items && s.changed(k) != at {
			return false
		}
	}
	for k := range t.writes {
		if s.conflict && s.changed(k) > t.start {
			return false
		}
	}
	return !s.predicates || !t.predicates || s.commits == t.start
}

func (s *simulation) complete(t *txn) {
	kind, u := history.OK, s.rng.Float64()
	commit := s.fits(t)
	switch {
	case !commit || u < s.Fail:
		kind, commit = history.Fail, false
	case u < s.Fail+s.Info:
		kind, commit = history.Info, s.rng.IntN(2) == 0
	}
	if commit && len(t.writes) > 0 {
		s.commits++
		for k, v := range t.writes {
			s.keys[k] = append(s.keys[k], version{s.commits, v})
		}
	}
	s.event(t.process, kind, "txn", mops(t.ops))
	if kind == history.Info {
		t.process, s.next = s.next, s.next+1
	}
	s.free = append(s.free, t.process)
}

// mops are micro-operations as histories have them.
func mops(ops []op) [][]any {
	out := make([][]any, 0, len(ops))
	for _, o := range ops {
		switch o.f {
		case "rp":
			out = append(out, []any{"rp", o.predicate(), o.found})
		case "delete":
			out = append(out, []any{"delete", o.key})
		case "r":
			var v any
			if o.value != 0 {
				v = o.value
			}
			out = append(out, []any{"r", o.key, v})
		default:
			out = append(out, []any{o.f, o.key, o.value})
		}
	}
	return out
}

func (o *op) predicate() any {
	if o.modulus == 0 {
		return "true"
	}
	return []any{"mod", o.modulus, 0}
}
