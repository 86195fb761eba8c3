// Package phase divides a history by its faults: the phases before, during and
// after each, and the sides that nodes were on.
package phase

import (
	"fmt"
	"maps"
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
	Phases []Phase
	// Windows are the faults in order. Those that overlap are one here: what
	// clients saw cannot be told apart by them.
	Windows []history.Window
}

// Of divides a history.
func Of(h *history.History) *Timeline {
	var last time.Duration
	for i := range h.Events {
		last = max(last, h.Events[i].Time)
	}
	windows := join(history.Windows(h))
	return &Timeline{phases(windows, last), windows}
}

// join makes one window of those that overlap.
func join(windows []history.Window) []history.Window {
	var out []history.Window
	for i, w := range windows {
		if w.ID == 0 {
			w.ID = i + 1
		}
		if n := len(out); n > 0 && w.Begin < out[n-1].End {
			out[n-1] = both(out[n-1], w)
			continue
		}
		out = append(out, w)
	}
	return out
}

// both is the window of two faults that overlap: from the first start to the
// last heal. A node is on the worse of its sides.
func both(a, b history.Window) history.Window {
	a.Fault += " + " + b.Fault
	a.Nodes = slices.Compact(slices.Sorted(slices.Values(slices.Concat(a.Nodes, b.Nodes))))
	a.Cut = slices.Concat(a.Cut, b.Cut)
	a.Events = slices.Concat(a.Events, b.Events)
	if len(b.Sides) > 0 {
		sides := maps.Clone(b.Sides)
		for n, s := range a.Sides {
			sides[n] = worse(s, sides[n])
		}
		a.Sides = sides
	}
	a.Begin, a.Start = min(a.Begin, b.Begin), min(a.Start, b.Start)
	a.Stop, a.End = max(a.Stop, b.Stop), max(a.End, b.End)
	a.Started, a.Stopped = a.Started && b.Started, a.Stopped && b.Stopped
	a.Proven, a.Healed = a.Proven && b.Proven, a.Healed && b.Healed
	return a
}

// worse of two sides is the one that sees less.
func worse(a, b string) string {
	rank := []string{"", "majority", "bridge", "minority"}
	if slices.Index(rank, a) > slices.Index(rank, b) {
		return a
	}
	return b
}

// phases lays the windows out over the history.
func phases(windows []history.Window, last time.Duration) []Phase {
	if len(windows) == 0 {
		return []Phase{{Name: Whole, Stage: Whole, To: last}}
	}
	out := []Phase{{Name: Before, Stage: Before, To: windows[0].Begin}}
	for i, w := range windows {
		next := last
		if i+1 < len(windows) {
			next = windows[i+1].Begin
		}
		end := max(w.End, w.Begin)
		out = append(out,
			Phase{Name: fmt.Sprintf("fault %d %s", w.ID, w.Fault), Stage: During, From: w.Begin, To: end, Fault: w.ID},
			Phase{Name: fmt.Sprintf("after fault %d", w.ID), Stage: After, From: end, To: max(next, end), Fault: w.ID})
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

// Span is how witnesses tell the time between two events.
func Span(d time.Duration) string {
	switch {
	case d >= time.Second:
		return fmt.Sprintf("%.3f s", d.Seconds())
	case d >= time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/1e6)
	case d >= time.Microsecond:
		return fmt.Sprintf("%.1f µs", float64(d)/1e3)
	}
	return fmt.Sprintf("%d ns", d)
}
