package simulate

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// recipe is the least history that has an anomaly.
//
// Rounds are separated by ";", and a round is over before the next begins. Its
// transactions, separated by "|", are concurrent. A transaction is a letter,
// its process, then operations: "w x 1", "r x 1", where "-" is the initial
// value and "1.2" the list [1 2]. A letter with "!" aborts, one with "~" goes on
// to the end of all.
type recipe struct {
	anomaly string
	all     string // for all workloads
	lists   string // if they differ
	regs    string
	sets    string
}

// recipes use each key once, so that what is around them has no part in them.
func recipes() []recipe {
	const (
		longFork  = "A r x 1, r y - | B r x -, r y 1 | C w x 1 | D w y 1"
		single    = "A r x -, r y 1 | B w x 1, w y 1"
		lost      = "A r x -, w x 1 | B r x -, w x 2"
		twice     = "A w x 1 | B r x 1.1"
		future    = "A r x 1, w x 1"
		writeSkew = "A r x -, w y 1 | B r y -, w x 1"
	)
	return []recipe{
		{anomaly: "G0", lists: "A w x 1, w y 1 | B w x 2, w y 2 | C r x 1.2, r y 2.1"},
		{anomaly: "G1a", all: "A! w x 1 | B r x 1"},
		{anomaly: "G1b", all: "A w x 1, w x 2 | B r x 1"},
		{anomaly: "G1c", all: "A w x 1, r y 1 | B w y 1, r x 1"},
		{anomaly: "G-single-item", all: single},
		{anomaly: "G-nonadjacent-item", all: "A r x -, r v 1 | B w x 1, w z 1 | C r z 1, r y - | D w y 1, w v 1"},
		{anomaly: "G2-item", all: "A r x -, w y 1 | B r y -, w z 1 | C r z -, w x 1"},
		{anomaly: "lost-update", lists: lost, regs: lost},
		{anomaly: "dirty-update", lists: "A! w x 1 | B w x 2 | C r x 1.2"},
		{anomaly: "internal", all: "A w x 1, r x -"},
		{anomaly: "duplicate-elements", lists: twice, sets: twice},
		{anomaly: "incompatible-order", lists: "A w x 1 | B w x 2 | C r x 1 | D r x 2"},
		{anomaly: "future-read", lists: future, sets: future},
		{anomaly: "garbage-read", all: "A r x 1"},
		{anomaly: "cyclic-versions", regs: "A r x 1, w x 2 | B r x 2, w x 1"},

		{anomaly: "G0-process", lists: "A w x 2 ; A w x 1 ; B r x 1.2"},
		{anomaly: "G1c-process", all: "A r x 1 ; A w x 1"},
		{anomaly: "G-single-item-process", all: "A w x 1 ; A r x -"},
		{anomaly: "G-nonadjacent-item-process", all: "A~ r x -, r y 1 | C~ w y 1 | B w x 1 ; B r y -"},
		{anomaly: "G2-item-process", all: "B~ w x 1, r y - | A w y 1 ; A r x -"},
		{anomaly: "G0-realtime", lists: "A w x 2 ; B w x 1 ; C r x 1.2"},
		{anomaly: "G1c-realtime", all: "A r x 1 ; B w x 1"},
		{anomaly: "G-single-item-realtime", all: "A w x 1 ; B r x -"},
		{anomaly: "G-nonadjacent-item-realtime", all: "A~ r x -, r y 1 | C~ w y 1 | B w x 1 ; D r y -"},
		{anomaly: "G2-item-realtime", all: "B~ w x 1, r y - | A w y 1 ; C r x -"},

		{anomaly: "read-skew", all: single},
		{anomaly: "fractured-read", all: "A w x 1, w y 1 | B r x 1, r y -"},
		{anomaly: "write-skew", all: writeSkew},
		{anomaly: "long-fork", all: longFork},
	}
}

// Finding is what checkers call a planted anomaly.
func Finding(anomaly string) string {
	switch anomaly {
	case "read-skew", "fractured-read":
		return "G-single-item"
	case "write-skew":
		return "G2-item"
	case "long-fork":
		return "G-nonadjacent-item"
	}
	return anomaly
}

func (r recipe) text(w Workload) string {
	if r.all != "" {
		return r.all
	}
	return [...]string{ListAppend: r.lists, RWRegister: r.regs, SetAdd: r.sets}[w]
}

// Anomalies are the names of what can be planted in a workload. Cycles are
// also known without "-item".
func Anomalies(w Workload) []string {
	var names []string
	for _, r := range recipes() {
		if r.text(w) != "" {
			names = append(names, r.anomaly)
		}
	}
	return names
}

// plant is a recipe at its place.
type plant struct {
	anomaly string
	rounds  [][]planted
	after   int // so many transactions have begun
}

// planted is a transaction of a recipe.
type planted struct {
	process     int
	fails, long bool
	mops        []plantedMop
}

type plantedMop struct {
	write bool
	key   string
	value []int32
}

func (p plant) processes() int {
	n := 0
	for _, r := range p.rounds {
		for _, t := range r {
			n = max(n, t.process+1)
		}
	}
	return n
}

// plants finds the recipes of the names.
func plants(w Workload, names []string) ([]plant, error) {
	var out []plant
	all := recipes()
	for _, name := range names {
		at := slices.IndexFunc(all, func(r recipe) bool {
			return strings.EqualFold(r.anomaly, name) || strings.EqualFold(strings.Replace(r.anomaly, "-item", "", 1), name)
		})
		if at < 0 || all[at].text(w) == "" {
			return nil, fmt.Errorf("cannot plant %q in %s; there are: %s", name, w, strings.Join(Anomalies(w), ", "))
		}
		out = append(out, plant{anomaly: all[at].anomaly, rounds: parse(all[at].text(w))})
	}
	return out, nil
}

// parse reads a recipe.
func parse(text string) [][]planted {
	var rounds [][]planted
	for _, round := range strings.Split(text, ";") {
		var txns []planted
		for _, txn := range strings.Split(round, "|") {
			head, rest, _ := strings.Cut(strings.TrimSpace(txn), " ")
			t := planted{process: int(head[0] - 'A'), fails: strings.Contains(head, "!"), long: strings.Contains(head, "~")}
			for _, mop := range strings.Split(rest, ",") {
				f := strings.Fields(mop)
				t.mops = append(t.mops, plantedMop{f[0] == "w", f[1], numbers(f[2])})
			}
			txns = append(txns, t)
		}
		rounds = append(rounds, txns)
	}
	return rounds
}

func numbers(s string) []int32 {
	var out []int32
	for _, digits := range strings.Split(s, ".") {
		if n, err := strconv.Atoi(digits); err == nil { // "-" is none
			out = append(out, int32(n))
		}
	}
	return out
}

// plant puts a recipe here, with keys and processes of its own.
func (s *simulation) plant(p plant) error {
	keys := map[string]int32{}
	ends, err := s.play(p, keys)
	if err != nil {
		return err
	}
	out := Planted{Anomaly: p.anomaly, Transactions: ends, Keys: slices.Sorted(maps.Values(keys))}
	for i := range p.processes() {
		out.Processes = append(out.Processes, s.Processes+i)
	}
	s.planted = append(s.planted, out)
	return nil
}

// play writes the events of a recipe, a millisecond apart, and gives the
// indexes of its completions.
func (s *simulation) play(p plant, keys map[string]int32) (ends []int, err error) {
	event := func(t planted, is Type) {
		if is != Invoke {
			ends = append(ends, s.events)
		}
		if err == nil {
			s.shift += time.Millisecond
			err = s.event(s.now, s.Processes+t.process, is, s.bind(t, keys))
		}
	}
	end := func(txns []planted) {
		for _, t := range txns {
			if t.fails {
				event(t, Fail)
			} else {
				event(t, OK)
			}
		}
	}
	var long []planted
	for _, round := range p.rounds {
		for _, t := range round {
			event(t, Invoke)
		}
		end(slices.DeleteFunc(slices.Clone(round), func(t planted) bool { return t.long }))
		long = append(long, slices.DeleteFunc(slices.Clone(round), func(t planted) bool { return !t.long })...)
	}
	end(long)
	return ends, err
}

// bind gives a transaction real keys.
func (s *simulation) bind(t planted, keys map[string]int32) []Mop {
	var mops []Mop
	for _, m := range t.mops {
		if _, ok := keys[m.key]; !ok {
			keys[m.key] = s.mix.freshKey()
		}
		b := Mop{Write: m.write, Key: keys[m.key]}
		if len(m.value) > 0 {
			b.Value = m.value[len(m.value)-1]
		}
		if !m.write {
			b.List = m.value
		}
		mops = append(mops, b)
	}
	return mops
}
