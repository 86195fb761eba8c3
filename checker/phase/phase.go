// Package phase divides a history by its faults: the phases before, during and
// after each, and the sides that nodes were on.
package phase

import (
	"fmt"
	"slices"
	"time"

	"github.com/capstan-dev/capstan/history"
)

// The stages that phases belong to.
const (
	Before = "before"
	During = "during faults"
	After  = "after heals"
	Whole  = "run"
)

// Phase is a stretch of the history.
type Phase struct {
	// Name is before, "fault K NAME", "after fault K", or run.
	Name  string        `json:"name"`
	Stage string        `json:"stage"`
	From  time.Duration `json:"from_ns"`
	To    time.Duration `json:"to_ns"`
	// Fault is the number of the fault that the phase belongs to or follows;
	// 0 if none.
	Fault int `json:"fault,omitempty"`
}

// Timeline are the phases of a history, in order, without gaps.
type Timeline struct {
	Phases  []Phase
	Windows []history.Window
}

// Of divides a history.
func Of(h *history.History) *Timeline {
	var last time.Duration
	for i := range h.Events {
		last = max(last, h.Events[i].Time)
	}
	windows := history.Windows(h)
	return &Timeline{phases(windows, last), windows}
}

// phases lays the windows out over the history. Windows of other tools may
// overlap; then a phase begins where the one before ends.
func phases(windows []history.Window, last time.Duration) []Phase {
	if len(windows) == 0 {
		return []Phase{{Name: Whole, Stage: Whole, To: last}}
	}
	out := []Phase{{Name: Before, Stage: Before, To: windows[0].Begin}}
	for i, w := range windows {
		n := w.ID
		if n == 0 {
			n = i + 1
		}
		from := max(w.Begin, out[len(out)-1].To)
		end, next := max(w.End, from), last
		if i+1 < len(windows) {
			next = windows[i+1].Begin
		}
		out[len(out)-1].To = from
		out = append(out,
			Phase{Name: fmt.Sprintf("fault %d %s", n, w.Fault), Stage: During, From: from, To: end, Fault: n},
			Phase{Name: fmt.Sprintf("after fault %d", n), Stage: After, From: end, To: max(next, end), Fault: n})
	}
	return out
}

// At is the index of the phase that a time lies in.
func (l *Timeline) At(t time.Duration) int {
	i, _ := slices.BinarySearchFunc(l.Phases, t, func(p Phase, t time.Duration) int {
		if p.To <= t {
			return -1
		}
		return 1
	})
	return min(i, len(l.Phases)-1)
}

// Side of a node in a phase. Phase 2k+1 belongs to window k.
func (l *Timeline) Side(phase int, node string) string {
	if l.Phases[phase].Stage != During || node == "" {
		return "all"
	}
	w := l.Windows[(phase-1)/2]
	switch {
	case w.Sides[node] != "":
		return w.Sides[node]
	case len(w.Nodes) == 0:
		return "all"
	case slices.Contains(w.Nodes, node):
		return "hit"
	}
	return "others"
}
