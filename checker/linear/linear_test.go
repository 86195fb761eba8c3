package linear_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/linear"
	"github.com/capstan-dev/capstan/checker/linear/spec/spectest"
	"github.com/capstan-dev/capstan/history"
)

func raw(s string) json.RawMessage { return json.RawMessage(s) }

func check(t testing.TB, model string, o linear.Options, h *history.History) checker.Result {
	t.Helper()
	c, err := linear.New(model, o)
	if err != nil {
		t.Fatal(err)
	}
	return checker.Run(context.Background(), c, h)
}

// random draws a small history of a register that may be wrong: overlapping
// calls, crashes, failures, processes that retire, few values or unique ones.
func random(rng *rand.Rand, model string, unique bool) *history.History {
	h := &history.History{}
	procs := 1 + rng.IntN(4)
	total := 1 + rng.IntN(8)
	next := procs
	id := make([]int, procs) // process of each worker
	for i := range id {
		id[i] = i
	}
	inflight := make([]*history.Event, procs)
	state, fresh := "null", 0
	value := func() string {
		if unique {
			fresh++
			return fmt.Sprint(fresh)
		}
		return fmt.Sprint(rng.IntN(3))
	}
	recent := func() string {
		if unique && fresh > 0 {
			return fmt.Sprint(1 + rng.IntN(fresh))
		}
		return fmt.Sprint(rng.IntN(3))
	}
	add := func(e history.Event) {
		e.Index = len(h.Events)
		e.Time = time.Duration(e.Index/2) * time.Millisecond // ties
		h.Events = append(h.Events, e)
	}
	started := 0
	for started < total || func() bool {
		for _, e := range inflight {
			if e != nil {
				return rng.IntN(20) > 0
			}
		}
		return false
	}() {
		w := rng.IntN(procs)
		if inflight[w] == nil {
			if started == total {
				continue
			}
			started++
			e := history.Event{Process: id[w], Kind: history.Invoke, F: "read", Value: raw("null")}
			switch {
			case model == "mutex":
				e.F = []string{"acquire", "release"}[rng.IntN(2)]
			case rng.IntN(3) == 0:
				e.F, e.Value = "write", raw(value())
			case model == "cas-register" && rng.IntN(2) == 0:
				old := recent()
				if rng.IntN(2) == 0 {
					old = state
				}
				e.F, e.Value = "cas", raw("["+old+","+value()+"]")
			}
			inflight[w] = &e
			add(e)
			continue
		}
		e := *inflight[w]
		inflight[w] = nil
		switch r := rng.IntN(10); {
		case r < 2:
			e.Kind = history.Info
			id[w] = next
			next++
		case r < 3:
			e.Kind = history.Fail
		default:
			e.Kind = history.OK
		}
		effect := e.Kind == history.OK || e.Kind == history.Info && rng.IntN(2) == 0
		switch e.F {
		case "write":
			if effect {
				state = string(e.Value)
			}
		case "cas":
			var both []json.RawMessage
			_ = json.Unmarshal(e.Value, &both)
			if string(both[0]) == state && effect {
				state = string(both[1])
			} else if e.Kind == history.OK && rng.IntN(4) > 0 {
				e.Kind = history.Fail
			}
		case "read":
			if e.Kind == history.OK {
				e.Value = raw(state)
				if rng.IntN(8) == 0 {
					e.Value = raw(recent())
				}
			}
		}
		add(e)
	}
	return h
}

// brute is the dumb twin: it tries all orders of the completed operations with
// every subset of the crashed ones.
func brute(t testing.TB, model, init string, h *history.History) bool {
	t.Helper()
	pairs, err := history.Pairs(h)
	if err != nil {
		t.Fatal(err)
	}
	var ops []history.Pair
	for _, p := range pairs {
		if p.Outcome() != history.Fail && (p.Outcome() == history.OK || p.F() != "read") {
			ops = append(ops, p)
		}
	}
	done := make([]bool, len(ops))
	state := "null"
	if init != "" { // then a read of null says nothing
		state = init
		ops = slices.DeleteFunc(ops, func(p history.Pair) bool { return p.F() == "read" && string(p.Complete.Value) == "null" })
		done = done[:len(ops)]
	}
	if model == "mutex" {
		state = "free"
	}
	return try(ops, done, state)
}

func try(ops []history.Pair, done []bool, state string) bool {
	finished := true
	for i, p := range ops {
		finished = finished && (done[i] || p.Outcome() == history.Info)
	}
	if finished {
		return true
	}
next:
	for i, p := range ops {
		if done[i] {
			continue
		}
		for j, q := range ops { // q must come first
			if !done[j] && j != i && q.Outcome() == history.OK && q.Complete.Index < p.Invoke.Index {
				continue next
			}
		}
		after, ok := apply(p, state)
		if !ok {
			continue
		}
		done[i] = true
		if try(ops, done, after) {
			return true
		}
		done[i] = false
	}
	return false
}

func apply(p history.Pair, state string) (string, bool) {
	switch p.F() {
	case "write":
		return string(p.Invoke.Value), true
	case "read":
		return state, string(p.Complete.Value) == state
	case "acquire":
		return "held", state == "free"
	case "release":
		return "free", state == "held"
	}
	var both []json.RawMessage
	_ = json.Unmarshal(p.Invoke.Value, &both)
	return string(both[1]), string(both[0]) == state
}

// pipelines are the steps that are left out: whatever is, the verdict stays.
var pipelines = [][]string{nil, {linear.StepSpecial}, {linear.StepSpecial, linear.StepDrop, linear.StepTruncate, linear.StepSecond}}

func TestAgainstBruteForce(t *testing.T) {
	rounds := spectest.Histories(t) / 12
	for _, model := range []string{"register", "cas-register", "mutex"} {
		for n := range 2 * len(pipelines) {
			unique, without := n%2 == 0, pipelines[n/2]
			init := ""
			if !unique && model != "mutex" {
				init = "1"
			}
			bad, unknown := 0, 0
			for seed := range rounds {
				h := random(rand.New(rand.NewPCG(uint64(seed), 1)), model, unique)
				res := check(t, model, linear.Options{Init: raw(init), Without: without}, h)
				if res.Verdict == checker.Unknown {
					unknown++
					if !strings.Contains(res.Reason, "no acknowledged") {
						t.Errorf("%s: seed %d: %s\n%s", model, seed, res.Reason, show(h))
					}
					continue
				}
				want := checker.Invalid
				if brute(t, model, init, h) {
					want = checker.Valid
				}
				if res.Verdict != want {
					t.Fatalf("%s unique=%v seed %d: got %s, want %s\n%s\n%s", model, unique, seed, res.Verdict, want, res.Reason, show(h))
				}
				if res.Verdict == checker.Invalid {
					bad++
					testWitness(t, model, init, h, res)
				}
			}
			t.Logf("%s unique=%v without %v: %d of %d invalid, %d unknown", model, unique, without, bad, rounds, unknown)
			if unknown > rounds/8 || bad < rounds/20 {
				t.Errorf("%s unique=%v: too little decided", model, unique)
			}
		}
	}
}

// testWitness wants the witness' events, as a history of their own, to have no
// legal order.
func testWitness(t *testing.T, model, init string, h *history.History, res checker.Result) {
	t.Helper()
	var d struct {
		Witnesses []struct {
			Confirmed bool
			Ops       []struct{ Invoke, Complete int }
		}
	}
	if err := json.Unmarshal(res.Data, &d); err != nil {
		t.Fatal(err)
	}
	if len(d.Witnesses) == 0 || len(d.Witnesses) != len(res.Anomalies) {
		t.Fatalf("no witness: %s", res.Data)
	}
	for n, a := range res.Anomalies {
		sub := &history.History{}
		for _, i := range a.Events {
			sub.Events = append(sub.Events, h.Events[i])
		}
		if a.Text == "" || !d.Witnesses[n].Confirmed || brute(t, model, init, sub) {
			t.Fatalf("the witness is legal or not confirmed: %s\n%s\nof\n%s", a.Text, show(sub), show(h))
		}
	}
}

func show(h *history.History) string {
	var b strings.Builder
	for _, e := range h.Events {
		fmt.Fprintf(&b, "%3d %2d %-6s %s %s\n", e.Index, e.Process, e.Kind, e.F, e.Value)
	}
	return b.String()
}
