// Package predicate infers dependencies between transactions that read by
// predicates, in a closed universe: all versions of all keys are known, so what
// a predicate read did not return tells which version it looked at. After
// Elle's closed-predicate workload (Kingsbury); predicate dependencies as in
// Adya, Weak Consistency (1999), sections 3.1.2 and 4.4.
package predicate

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/capstan-dev/capstan/checker/txn/infer"
	"github.com/capstan-dev/capstan/checker/txn/log"
	"github.com/capstan-dev/capstan/history"
)

// Universe is a history of transactions with predicate reads, and all versions
// of its keys.
type Universe struct {
	Log   *log.Log
	keys  []key
	known map[written]*version
	reads map[int32]answer // of predicates, by micro-operation
	key   map[string]int32
	text  map[string]log.Value
	init  int32 // the transaction that made the universe; None
	// unborn and dead are how those versions are told.
	unborn, dead log.Value
}

// answer is what a predicate read returned.
type answer struct {
	test  test
	found []written
}

// test is a predicate.
type test struct {
	f     string // true, = or mod
	value string // of =
	m, r  int64  // of mod
}

// matches says whether a value, as JSON, fulfils it.
func (t test) matches(value string) bool {
	of, ok := t.of(value)
	return ok && of == t
}

// of is the test of t's family, which differs from it in the value or remainder
// at most, that a value fulfils.
func (t test) of(value string) (test, bool) {
	switch t.f {
	case "=":
		return test{f: t.f, value: value}, true
	case "mod":
		n, err := strconv.ParseInt(value, 10, 64)
		return test{f: t.f, m: t.m, r: (n%t.m + t.m) % t.m}, err == nil
	}
	return t, true
}

func parseTest(b json.RawMessage) (t test, err error) {
	var list []json.RawMessage
	if json.Unmarshal(b, &list) != nil || len(list) == 0 {
		list = []json.RawMessage{b}
	}
	t.f = strings.Trim(string(list[0]), `":`)
	args := list[1:]
	if want, ok := map[string]int{"true": 0, "=": 1, "mod": 2}[t.f]; !ok || want != len(args) {
		return t, fmt.Errorf("predicate %.60s: want true, [= v] or [mod m r]", b)
	}
	switch t.f {
	case "=":
		t.value = string(args[0])
	case "mod":
		var err1, err2 error
		t.m, err1 = strconv.ParseInt(string(args[0]), 10, 64)
		t.r, err2 = strconv.ParseInt(string(args[1]), 10, 64)
		if err1 != nil || err2 != nil || t.m <= 0 || t.m > math.MaxInt64/2 || t.r < 0 || t.r >= t.m {
			return t, fmt.Errorf("predicate %.60s: want a modulus above 0, and a remainder from 0 to below it", b)
		}
	}
	return t, nil
}

// Read takes in a history: an init operation whose value has the initial values
// of keys, and transactions of [insert k v], [delete k], [w k v], [r k v] and
// [rp predicate {k v ...}]. Init is trusted if it is ok and comes before all
// else; otherwise it is a transaction of inserts like any other. A
// *log.ValueError says which operation is none of these.
func Read(h *history.History) (*Universe, error) {
	pairs, err := history.Pairs(h)
	if err != nil {
		return nil, err
	}
	u := &Universe{Log: &log.Log{Nodes: []string{""}, Events: len(h.Events), Nemesis: log.NemesisOf(h)}, reads: map[int32]answer{}, key: map[string]int32{}, text: map[string]log.Value{}, init: infer.None}
	u.unborn, u.dead = u.value("unborn"), u.value("dead")
	at := positions{}
	for i := range h.Events {
		at[&h.Events[i]] = int32(i)
	}
	timeless := h.Timeless()
	first := trusted(pairs, at)
	slices.SortStableFunc(pairs, func(a, b history.Pair) int { return done(a, at) - done(b, at) })
	for _, p := range pairs {
		if first != nil && p.Complete == first {
			u.init = int32(len(u.Log.Txns))
		}
		if err := u.transaction(p, at, timeless); err != nil {
			return nil, err
		}
	}
	return u, nil
}

// trusted is the completion of the init that made the universe: one that was
// acknowledged before anything else began. A crashed one may not have happened,
// and what came before a late one saw nothing of it.
func trusted(pairs []history.Pair, at positions) *history.Event {
	began := func(p history.Pair) int32 {
		if p.Invoke != nil {
			return at[p.Invoke]
		}
		return at[p.Complete]
	}
	byBegin := slices.Clone(pairs)
	slices.SortFunc(byBegin, func(a, b history.Pair) int { return int(began(a) - began(b)) })
	if len(byBegin) == 0 {
		return nil
	}
	p := byBegin[0]
	if p.F() != "init" || p.Outcome() != history.OK || len(byBegin) > 1 && began(byBegin[1]) < at[p.Complete] {
		return nil
	}
	return p.Complete
}

// done is the position of a pair's completion; those without one come last.
func done(p history.Pair, at positions) int {
	if p.Complete == nil {
		return math.MaxInt32 + int(at[p.Invoke])
	}
	return int(at[p.Complete])
}

func (u *Universe) transaction(p history.Pair, at positions, timeless bool) error {
	x := log.Txn{Invoke: log.Never, Complete: log.Never, InvokeIndex: log.Never, CompleteIndex: log.Never, First: int32(len(u.Log.Mops)), Outcome: log.Info}
	e := p.Invoke // whose value counts
	for _, event := range []*history.Event{p.Invoke, p.Complete} {
		if event == nil {
			continue
		}
		if event.Process > math.MaxInt32 || event.Index > math.MaxInt32 {
			return at.wrong(event, errors.New("its index or process is 2^31 or more"))
		}
		if e == nil || event.Kind == history.OK || event.Kind == history.Fail && some(event.Value) {
			e = event
		}
		x.Process, x.Node = int32(event.Process), u.node(event.Node)
	}
	if i := p.Invoke; i != nil {
		x.Invoke, x.InvokeIndex = at[i], int32(i.Index)
	}
	if c := p.Complete; c != nil {
		x.Complete, x.CompleteIndex = at[c], int32(c.Index)
		x.Outcome = map[history.Kind]log.Outcome{history.OK: log.OK, history.Fail: log.Fail, history.Info: log.Info}[c.Kind]
	}
	if !timeless {
		if p.Invoke != nil {
			x.Start = p.Invoke.Time
		}
		if p.Complete != nil {
			x.End = p.Complete.Time
		}
	}
	if some(e.Value) || x.Outcome == log.OK {
		if err := u.mops(e, x.Outcome); err != nil {
			return at.wrong(e, err)
		}
	}
	x.Last = int32(len(u.Log.Mops))
	u.Log.Txns = append(u.Log.Txns, x)
	return nil
}

// some says whether there is a value.
func some(value json.RawMessage) bool { return len(value) > 0 && string(value) != "null" }

// positions are those of events in their history.
type positions map[*history.Event]int32

// wrong says where a value is wrong.
func (at positions) wrong(e *history.Event, err error) error {
	return &log.ValueError{Position: int(at[e]), Msg: fmt.Sprintf("event %d (%s %s): %v", e.Index, e.Kind, e.F, err)}
}

func (u *Universe) node(name string) int32 {
	at := slices.Index(u.Log.Nodes, name)
	if at < 0 {
		at = len(u.Log.Nodes)
		u.Log.Nodes = append(u.Log.Nodes, name)
	}
	return int32(at)
}

// mops takes in the micro-operations of a transaction, or the values of init.
func (u *Universe) mops(e *history.Event, o log.Outcome) error {
	if e.F == "init" {
		var values map[string]json.RawMessage
		if err := json.Unmarshal(e.Value, &values); err != nil || values == nil {
			return fmt.Errorf("init has the value %.60q, want a map of keys to values", e.Value)
		}
		for _, k := range slices.Sorted(maps.Keys(values)) {
			if !some(values[k]) {
				return fmt.Errorf("init gives key %s the value nil, which is what a read of nothing returns", k)
			}
			u.add(log.Insert, u.named(k), u.value(string(values[k])))
		}
		return nil
	}
	var steps [][]json.RawMessage
	if err := json.Unmarshal(e.Value, &steps); err != nil || steps == nil {
		return fmt.Errorf("the value is %.60q, want a list of micro-operations: %s", e.Value, forms)
	}
	for _, s := range steps {
		if err := u.mop(s, o); err != nil {
			return err
		}
	}
	return nil
}

// forms are those of micro-operations.
const forms = "[insert k v], [delete k], [w k v], [r k v] or [rp predicate found]"

func (u *Universe) mop(s []json.RawMessage, o log.Outcome) error {
	f := ""
	if len(s) > 1 {
		f = strings.Trim(string(s[0]), `":`)
	}
	switch {
	case f == "delete":
		u.add(log.Delete, u.named(name(s[1])), u.dead)
	case len(s) != 3:
		return fmt.Errorf("micro-operation %.60s: want %s", s, forms)
	case (f == "insert" || f == "w") && !some(s[2]):
		return fmt.Errorf("micro-operation %.60s: it writes nil, which is what a read of nothing returns", s)
	case f == "insert":
		u.add(log.Insert, u.named(name(s[1])), u.value(string(s[2])))
	case f == "w":
		u.add(log.Write, u.named(name(s[1])), u.value(string(s[2])))
	case f == "r" && o == log.OK:
		u.add(log.Read, u.named(name(s[1])), u.value(string(s[2])))
	case f == "r":
		u.add(log.Blind, u.named(name(s[1])), log.Nil)
	case f == "rp":
		return u.predicate(s, o)
	default:
		return fmt.Errorf("micro-operation %.60s: want %s", s, forms)
	}
	return nil
}

func (u *Universe) predicate(s []json.RawMessage, o log.Outcome) error {
	t, err := parseTest(s[1])
	if err != nil || o != log.OK {
		return err
	}
	found := map[string]json.RawMessage{}
	if err := json.Unmarshal(s[2], &found); err != nil || found == nil {
		return fmt.Errorf("predicate read found %.60s, want a map of keys to values", s[2])
	}
	a := answer{test: t}
	for _, k := range slices.Sorted(maps.Keys(found)) {
		if !some(found[k]) {
			return fmt.Errorf("predicate read found key %s with the value nil, want keys that there are", k)
		}
		a.found = append(a.found, written{u.named(k), u.value(string(found[k]))})
	}
	u.reads[int32(len(u.Log.Mops))] = a
	text := fmt.Sprintf("rp %s %s", s[1], s[2])
	u.add(log.Predicate, infer.None, u.textValue(strings.NewReplacer(`"`, "", ",", " ", ":", " ").Replace(text)))
	return nil
}

func (u *Universe) add(f log.Fun, key int32, v log.Value) {
	u.Log.Mops = append(u.Log.Mops, log.Mop{Fun: f, Key: key, Value: v})
}

// name is a key: 5 and "5" are the same, for the keys of JSON objects are texts.
func name(b json.RawMessage) string {
	var s string
	if json.Unmarshal(b, &s) == nil {
		return s
	}
	return string(b)
}

func (u *Universe) named(name string) int32 {
	k, ok := u.key[name]
	if !ok {
		k = int32(len(u.Log.Keys))
		u.key[name] = k
		u.Log.Keys, u.Log.Longest = append(u.Log.Keys, name), append(u.Log.Longest, nil)
	}
	return k
}

func (u *Universe) value(text string) log.Value {
	if n, err := strconv.ParseInt(text, 10, 32); err == nil && n >= 0 && strconv.FormatInt(n, 10) == text {
		return log.Value(n)
	}
	if text == "null" {
		return log.Nil
	}
	return u.textValue(text)
}

func (u *Universe) textValue(text string) log.Value {
	v, ok := u.text[text]
	if !ok {
		u.Log.Texts = append(u.Log.Texts, text)
		v = log.Value(-1 - len(u.Log.Texts))
		u.text[text] = v
	}
	return v
}
