// Package strength holds the checks that keep a run honest: that its faults
// were proven in force and proven healed, and that its history is strong
// enough to say anything. They are valid or unknown, never invalid.
package strength

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/history"
)

// FaultsOptions say what the plan asked for.
type FaultsOptions struct {
	// Expect is true if the plan has faults: a run without any is then
	// unknown.
	Expect bool
}

// NewFaults makes the check that every fault was measured to be in force, and
// measured to be gone after its heal.
func NewFaults(o FaultsOptions) checker.Checker { return faults{o} }

type faults struct{ o FaultsOptions }

func (faults) Name() string { return "faults" }

func (c faults) Check(_ context.Context, h *history.History) (checker.Result, error) {
	windows := history.Windows(h)
	var doubts []string
	for _, w := range windows {
		if d := doubt(w); d != "" {
			doubts = append(doubts, fmt.Sprintf("fault %d %s %s", w.ID, w.Fault, d))
		}
	}
	switch {
	case len(doubts) > 0:
		return unknown(strings.Join(doubts, "; ")), nil
	case len(windows) == 0 && c.o.Expect:
		return unknown("the plan has faults, but none was injected"), nil
	case len(windows) == 0:
		return checker.Result{Reason: "no faults were planned, and none injected"}, nil
	}
	return checker.Result{Reason: fmt.Sprintf("all %d faults were proven in force and proven healed", len(windows))}, nil
}

// doubt says what is not proven about a fault; empty if nothing.
func doubt(w history.Window) string {
	switch {
	case w.StartErr != "":
		return "could not be injected: " + w.StartErr
	case !w.Started:
		return "was never seen to be in force"
	case !w.Proven:
		return "was not proven in force: " + cmp.Or(w.Proof, "nothing was measured")
	case w.StopErr != "":
		return "did not end as it should: " + w.StopErr
	case w.Last.State != "" && !w.Last.Proven:
		return "was proven in force at first, but not any more before its heal: " + cmp.Or(w.Last.Proof, "nothing was measured")
	case !w.Healed:
		return "was not proven healed"
	}
	return ""
}

// Options are the least that a history needs.
type Options struct {
	// MinOK is the least number of ok operations.
	MinOK int
	// FinalReads asks for an ok operation that was invoked after the last
	// heal.
	FinalReads bool
}

// New makes the check that a history has enough operations, that some of them
// were concurrent, and that something was read after the last heal.
func New(o Options) checker.Checker { return strength{o} }

type strength struct{ o Options }

func (strength) Name() string { return "strength" }

func (c strength) Check(_ context.Context, h *history.History) (checker.Result, error) {
	pairs, err := history.Pairs(h)
	if err != nil {
		return checker.Result{}, err
	}
	s := survey(h, pairs)
	var weak []string
	say := func(cond bool, format string, args ...any) {
		if cond {
			weak = append(weak, fmt.Sprintf(format, args...))
		}
	}
	say(s.ok < c.o.MinOK, "only %d operations are ok, %d are the least", s.ok, c.o.MinOK)
	missing := ""
	for _, f := range slices.Sorted(maps.Keys(s.asked)) {
		if s.refused[f] == s.asked[f] { // nobody expects an answer
			missing += ", " + f + " is not offered at these levels"
			continue
		}
		say(s.okByF[f] == 0, "not one of %d operations %s is ok", s.asked[f], f)
	}
	say(s.most < 2, "no two operations were in flight at a time%s", onKey(h))
	say(c.o.FinalReads && s.healed > 0 && s.afterHeal == 0, "no operation is ok that was asked after the last heal")
	say(c.o.FinalReads && s.healed == 0 && s.windows > 0, "the last fault was not healed before the end")
	if len(weak) > 0 {
		return unknown("too weak to say more: " + strings.Join(weak, "; ")), nil
	}
	reason := fmt.Sprintf("%d operations ok, up to %d at a time%s", s.ok, s.most, onKey(h))
	if s.windows > 0 {
		reason += fmt.Sprintf(", %d of them asked after the last heal", s.afterHeal)
	}
	return checker.Result{Reason: reason + missing}, nil
}

func onKey(h *history.History) string {
	if history.Keyed(h) {
		return " on one key"
	}
	return ""
}

func unknown(reason string) checker.Result {
	return checker.Result{Verdict: checker.Unknown, Reason: reason}
}

// found is what a history is made of.
type found struct {
	ok, afterHeal   int
	windows, healed int
	most            int // calls in flight at a time, on one key
	asked, okByF    map[string]int
	refused         map[string]int // those of asked that are not offered
}

func survey(h *history.History, pairs []history.Pair) found {
	s := found{asked: map[string]int{}, okByF: map[string]int{}, refused: map[string]int{}}
	var lastHeal time.Duration
	for _, w := range history.Windows(h) {
		s.windows++
		if w.Healed {
			s.healed++
		}
		lastHeal = max(lastHeal, w.End)
	}
	for _, p := range pairs {
		s.asked[p.F()]++
		if p.Complete != nil && p.Complete.NotOffered() {
			s.refused[p.F()]++
		}
		if p.Outcome() != history.OK {
			continue
		}
		s.ok++
		s.okByF[p.F()]++
		if p.Invoke != nil && p.Invoke.Time >= lastHeal {
			s.afterHeal++
		}
	}
	histories := []*history.History{h}
	if history.Keyed(h) {
		histories = histories[:0]
		for _, k := range history.SplitKeys(h) {
			histories = append(histories, k.History)
		}
	}
	for _, k := range histories {
		s.most = max(s.most, concurrency(k))
	}
	return s
}

// concurrency is the largest number of calls in flight at a time. A call of
// unknown end counts only until its completion was recorded.
func concurrency(h *history.History) int {
	now, most := 0, 0
	for _, e := range h.Events {
		switch {
		case e.Process == history.Nemesis:
		case e.Kind == history.Invoke:
			now++
			most = max(most, now)
		default:
			now--
		}
	}
	return most
}
