package predicate_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/capstan-dev/capstan/history"
)

// state has the value of each key, 0 if it has none.
type state [3]int

// step is a micro-operation: "insert", "w" or "delete" (value 0) of a key, "r"
// which returned value, or "rp" which found some keys.
type step struct {
	f          string
	key, value int
	test       test
	found      state
}

func (s step) writes() bool { return s.f == "insert" || s.f == "w" || s.f == "delete" }

// test is a predicate: all values (0, 0), those that are arg (0, arg), or those
// that are arg modulo mod.
type test struct{ mod, arg int }

func (p test) matches(value int) bool {
	switch {
	case value == 0:
		return false
	case p.mod > 0:
		return value%p.mod == p.arg
	}
	return p.arg == 0 || p.arg == value
}

// trial is a transaction: what it did, and the positions of its events.
type trial struct {
	outcome          history.Kind
	process          int
	invoke, complete int
	steps            []step
}

// tale is a small history. Init has the first values of keys, if there are any.
type tale struct {
	init state
	txns []trial
}

// history writes it down.
func (s tale) history() *history.History {
	events := make([]history.Event, 0, 2*len(s.txns)+2)
	if s.init != (state{}) {
		for _, k := range []history.Kind{history.Invoke, history.OK} {
			events = append(events, history.Event{Time: -1, Process: 99, Kind: k, F: "init", Value: object(s.init)})
		}
	}
	begun := len(events)
	for _, x := range s.txns {
		events = append(events,
			history.Event{Time: 1, Index: x.invoke, Process: x.process, Kind: history.Invoke, F: "txn", Value: array(x.steps, false)},
			history.Event{Time: 1, Index: x.complete, Process: x.process, Kind: x.outcome, F: "txn", Value: array(x.steps, x.outcome == history.OK)})
	}
	slices.SortStableFunc(events[begun:], func(a, b history.Event) int { return a.Index - b.Index })
	for i := range events {
		events[i].Index, events[i].Time = i, 0
	}
	return &history.History{Events: events}
}

func object(s state) json.RawMessage {
	found := map[string]int{}
	for k, v := range s {
		if v != 0 {
			found[string("xyz"[k])] = v
		}
	}
	b, _ := json.Marshal(found)
	return b
}

func array(steps []step, done bool) json.RawMessage {
	var out []string
	for _, s := range steps {
		key := string("xyz"[s.key])
		switch {
		case s.f == "delete":
			out = append(out, fmt.Sprintf(`["delete",%q]`, key))
		case s.f == "rp" && done:
			out = append(out, fmt.Sprintf(`["rp",%s,%s]`, s.test, object(s.found)))
		case s.f == "rp":
			out = append(out, fmt.Sprintf(`["rp",%s,null]`, s.test))
		case s.f == "r" && (s.value == 0 || !done):
			out = append(out, fmt.Sprintf(`["r",%q,null]`, key))
		default:
			out = append(out, fmt.Sprintf(`[%q,%q,%d]`, s.f, key, s.value))
		}
	}
	return json.RawMessage("[" + strings.Join(out, ",") + "]")
}

func (p test) String() string {
	switch {
	case p.mod > 0:
		return fmt.Sprintf(`["mod",%d,%d]`, p.mod, p.arg)
	case p.arg > 0:
		return fmt.Sprintf(`["=",%d]`, p.arg)
	}
	return `"true"`
}

func (s tale) String() string {
	var b strings.Builder
	for _, e := range s.history().Events {
		fmt.Fprintf(&b, "%d %d %s %s %s\n", e.Index, e.Process, e.Kind, e.F, e.Value)
	}
	return b.String()
}

// told reads a tale of transactions, apart by semicolons, like
// "init x1; ok rx1 wy2; info dx; ok t{y2} =2{} %2,1{x1}". All are concurrent, or
// they come in turn, of so many processes.
func told(text string, turns int) tale {
	var s tale
	for i, line := range strings.Split(text, ";") {
		words := strings.Fields(line)
		if words[0] == "init" {
			s.init = pairs(strings.Join(words[1:], ""))
			continue
		}
		x := trial{outcome: map[string]history.Kind{"ok": history.OK, "info": history.Info, "fail": history.Fail}[words[0]], process: i, invoke: i, complete: 100 + i}
		if turns > 0 {
			x.process, x.invoke, x.complete = i%turns, 2*i, 2*i+1
		}
		for _, w := range words[1:] {
			x.steps = append(x.steps, parse(w))
		}
		s.txns = append(s.txns, x)
	}
	return s
}

func parse(w string) step {
	if at := strings.Index(w, "{"); at >= 0 {
		s := step{f: "rp", found: pairs(w[at+1 : len(w)-1])}
		switch w[0] {
		case '=':
			s.test.arg = number(w[1:at])
		case '%':
			m, r, _ := strings.Cut(w[1:at], ",")
			s.test = test{number(m), number(r)}
		}
		return s
	}
	s := step{f: map[byte]string{'i': "insert", 'w': "w", 'd': "delete", 'r': "r"}[w[0]], key: int(w[1] - 'x')}
	if len(w) > 2 && w[2] != '_' {
		s.value = number(w[2:])
	}
	return s
}

// pairs are keys and values of one digit.
func pairs(text string) (s state) {
	for ; len(text) > 1; text = text[2:] {
		s[text[0]-'x'] = number(text[1:2])
	}
	return s
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}

// random is a tale of at most 5 transactions by 3 processes. They take effect
// when they end, unless they fail, each read at a state that may be older; then
// some reads are spoilt.
func random(rng *rand.Rand) tale {
	var s tale
	keys := 1 + rng.IntN(3)
	next := state{}
	if rng.IntN(3) > 0 {
		for k := range keys {
			if rng.IntN(3) > 0 {
				next[k]++
				s.init[k] = next[k]
			}
		}
	}
	states := []state{s.init}
	lag := rng.IntN(3)
	open := map[int]*trial{}
	todo := 2 + rng.IntN(4)
	position := 0
	dead := map[int]bool{}
	for todo > 0 || len(open) > 0 {
		position++
		p := rng.IntN(3)
		x := open[p]
		switch {
		case x == nil && todo > 0 && !dead[p]:
			open[p] = &trial{process: p, invoke: position, steps: plan(rng, keys, &next)}
			todo--
		case x == nil && len(dead) == 3:
			todo = 0
		case x == nil:
		default:
			x.complete = position
			x.outcome = []history.Kind{history.OK, history.OK, history.OK, history.OK, history.Info, history.Fail}[rng.IntN(6)]
			dead[p] = x.outcome == history.Info || dead[p]
			x.run(rng, lag, &states)
			s.txns = append(s.txns, *x)
			delete(open, p)
		}
	}
	for range rng.IntN(3) {
		s.spoil(rng, keys)
	}
	return s
}

// plan draws the steps of a transaction. The values of a key are unique, but a
// transaction may write one of its own again.
func plan(rng *rand.Rand, keys int, next *state) []step {
	var steps []step
	for range 1 + rng.IntN(3) {
		s := step{f: []string{"insert", "w", "delete", "r", "rp", "rp"}[rng.IntN(6)], key: rng.IntN(keys)}
		switch s.f {
		case "insert", "w":
			next[s.key]++
			s.value = next[s.key]
			at := slices.IndexFunc(steps, func(o step) bool { return o.writes() && o.key == s.key && o.value > 0 })
			if at >= 0 && rng.IntN(3) == 0 {
				s.value = steps[at].value
			}
		case "rp":
			s.test = []test{{}, {0, 1}, {0, 2}, {2, 0}, {2, 1}}[rng.IntN(5)]
		}
		steps = append(steps, s)
	}
	return steps
}

// run fills in what a transaction reads, and applies it.
func (x *trial) run(rng *rand.Rand, lag int, states *[]state) {
	all := *states
	old := func() state { return all[max(0, len(all)-1-rng.IntN(lag+1))] }
	view := old()
	own := map[int]int{}
	each := rng.IntN(4) == 0 // read has a view of its own
	for i := range x.steps {
		s := &x.steps[i]
		if each {
			view = old()
		}
		now := view
		for k, v := range own {
			now[k] = v
		}
		s.see(now)
		if s.writes() {
			own[s.key] = s.value
		}
	}
	if x.outcome == history.Fail || x.outcome == history.Info && rng.IntN(2) == 0 {
		return
	}
	last := all[len(all)-1]
	for k, v := range own {
		last[k] = v
	}
	*states = append(all, last)
}

func (s *step) see(now state) {
	switch s.f {
	case "r":
		s.value = now[s.key]
	case "rp":
		for k, v := range now {
			if s.found[k] = 0; s.test.matches(v) {
				s.found[k] = v
			}
		}
	}
}

// spoil changes what one read saw of a key, to another value that it may have
// had, or none.
func (s *tale) spoil(rng *rand.Rand, keys int) {
	x := &s.txns[rng.IntN(len(s.txns))]
	at := &x.steps[rng.IntN(len(x.steps))]
	k := rng.IntN(keys)
	values := []int{0, s.init[k]}
	if rng.IntN(30) == 0 {
		values = append(values, 9)
	}
	for _, t := range s.txns {
		for _, o := range t.steps {
			if o.writes() && o.key == k {
				values = append(values, o.value)
			}
		}
	}
	v := values[rng.IntN(len(values))]
	switch {
	case at.f == "r":
		at.key, at.value = k, v
	case at.f == "rp" && (v == 0 || at.test.matches(v)):
		at.found[k] = v
	}
}
