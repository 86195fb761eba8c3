package reports

import (
	"fmt"
	"slices"
	"time"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/history"
)

const (
	laneLeft, laneWidth = 130.0, 800.0
	laneTop, laneHeight = 26.0, 30.0
	// maxDrawn bounds the operations of a witness that are drawn and listed;
	// the text and results.json name all of them.
	maxDrawn = 40
	// maxAnomalies bounds the anomalies of a check that are drawn.
	maxAnomalies = 10
)

// witness is an anomaly with its operations as intervals.
type witness struct {
	Check string
	Kind  string
	Key   string
	Text  string
	// Cascade: it may follow from an earlier one.
	Cascade bool
	Ops     []operation
	Hidden  int
	Height  float64
	Lanes   []lane
	Boxes   []box
	Ticks   []tick
	Bands   []band
	// Cycle is its dependencies, if it is a cycle of transactions.
	Cycle *cycle
}

type lane struct {
	Y     float64
	Label string
}

type box struct {
	X, Y, W, TextX float64
	Class          string
	Label, Title   string
	Anchor         string
	Open           bool
}

// witnesses collects what the checks found, with the operations of each.
func witnesses(checks []checker.Result, windows []history.Window, ops []operation) []witness {
	byIndex := map[int]int{}
	for i, o := range ops {
		for _, e := range []int{o.Invoke, o.Complete} {
			if e >= 0 {
				byIndex[e] = i
			}
		}
	}
	var all []witness
	for _, c := range checks {
		cycles := pictures(c)
		for n, a := range c.Anomalies {
			if n == maxAnomalies {
				break
			}
			w := witness{Check: c.Name, Kind: clean(a.Kind), Key: clean(a.Key), Text: clean(a.Text), Cascade: a.Cascade, Cycle: cycles[n]}
			seen := map[int]bool{}
			for _, e := range a.Events {
				if i, ok := byIndex[e]; ok && !seen[i] {
					seen[i] = true
					w.Ops = append(w.Ops, ops[i])
				}
			}
			slices.SortStableFunc(w.Ops, func(a, b operation) int { return int(a.Start - b.Start) })
			if w.Hidden = len(w.Ops) - maxDrawn; w.Hidden > 0 {
				w.Ops = w.Ops[:maxDrawn]
			}
			w.draw(windows)
			all = append(all, w)
		}
	}
	return all
}

// draw lays the operations out: a lane for each process, in order of time,
// clipped to the witness. An open call is torn at the right edge.
func (w *witness) draw(windows []history.Window) {
	if len(w.Ops) == 0 {
		return
	}
	from, to := w.span()
	x := func(t time.Duration) float64 {
		return round(laneLeft + laneWidth*float64(min(max(t, from), to)-from)/float64(to-from))
	}
	rows := map[int]int{}
	for _, o := range w.Ops {
		if _, ok := rows[o.Process]; !ok {
			rows[o.Process] = len(rows)
			w.Lanes = append(w.Lanes, lane{laneTop + laneHeight*float64(len(rows)-1), o.Who()})
		}
		w.Boxes = append(w.Boxes, makeBox(o, x, laneTop+laneHeight*float64(rows[o.Process])))
	}
	w.Height = laneTop + laneHeight*float64(len(rows)) + 24
	for _, win := range windows {
		if win.Begin < to && win.End > from {
			b := bands([]history.Window{win}, x)[0]
			w.Bands = append(w.Bands, b)
		}
	}
	for i := range 6 {
		t := from + (to-from)*time.Duration(i)/5
		w.Ticks = append(w.Ticks, tick{x(t), seconds(t)})
	}
}

// span is the time that the witness covers, with a margin.
func (w *witness) span() (from, to time.Duration) {
	from, to = history.Forever, 0
	for _, o := range w.Ops {
		from, to = min(from, o.Start), max(to, o.Start)
		if !o.Open {
			to = max(to, o.End)
		}
	}
	margin := max((to-from)/20, time.Microsecond)
	return max(0, from-margin), to + 2*margin
}

func makeBox(o operation, x func(time.Duration) float64, y float64) box {
	left, right := x(o.Start), x(o.End)
	width := max(right-left, 3)
	b := box{X: left, Y: y, W: width, TextX: left + 4, Class: o.Outcome.String(), Label: o.Label(), Open: o.Open}
	end := seconds(o.End)
	if o.Open {
		end = "never known"
	}
	b.Title = fmt.Sprintf("%s by %s, %s, from %s to %s", o.Label(), o.Who(), o.Outcome, seconds(o.Start), end)
	// A label goes into its box, or else behind it, or else before it.
	const glyphWidth = 7.3
	text := glyphWidth*float64(len([]rune(b.Label))) + 8
	switch {
	case width >= text:
	case laneLeft+laneWidth-left-width >= text:
		b.TextX = left + width + 4
	case left-laneLeft >= text:
		b.TextX, b.Anchor = left-4, "end"
	}
	return b
}
