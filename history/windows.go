package history

import (
	"encoding/json"
	"strings"
	"time"
)

// Windows reads the faults from the events of the nemesis, in order of their
// begin. Those of other tools are recognised as far as their names tell:
// start/stop, start-X/stop-X, kill/start, pause/resume.
func Windows(h *History) []Window {
	w := windower{byID: map[int]int{}, open: map[string]int{}}
	for i := range h.Events {
		if e := &h.Events[i]; e.Process == Nemesis {
			w.event(e)
		}
	}
	var end time.Duration
	if n := len(h.Events); n > 0 {
		end = h.Events[n-1].Time
	}
	for i := range w.windows {
		x := &w.windows[i]
		if !x.Started {
			x.Start = x.Begin
		}
		if !x.Stopped {
			x.Stop = end
		}
		if !w.ended[i] {
			x.End = end
		}
	}
	return w.windows
}

type windower struct {
	windows []Window
	ended   []bool
	byID    map[int]int    // our faults: ID -> position
	open    map[string]int // other tools': the f that began it -> position
	pending string         // the f of another tool's event that waits for its second half
}

func (w *windower) begin(e *Event, d FaultDetail, foreign bool) int {
	w.windows = append(w.windows, Window{FaultDetail: d, Begin: e.Time, Foreign: foreign})
	w.ended = append(w.ended, false)
	return len(w.windows) - 1
}

func (w *windower) event(e *Event) {
	var d FaultDetail
	if len(e.Value) > 0 && e.Value[0] == '{' && json.Unmarshal(e.Value, &d) == nil && d.ID > 0 {
		if name, ok := strings.CutPrefix(e.F, "start-"); ok {
			w.start(e, d, name)
			return
		}
		if strings.HasPrefix(e.F, "stop-") {
			w.stop(e, d)
			return
		}
	}
	w.foreign(e)
}

func (w *windower) start(e *Event, d FaultDetail, name string) {
	if d.Fault == "" {
		d.Fault = name
	}
	i, known := w.byID[d.ID]
	if !known {
		i = w.begin(e, d, false)
		w.byID[d.ID] = i
		w.windows[i].Proven, w.windows[i].Proof = false, ""
		w.windows[i].Events = append(w.windows[i].Events, e.Index)
		if e.Kind == Invoke || e.Kind == Info && e.Err == "" && !d.Proven {
			return
		}
	} else {
		w.windows[i].Events = append(w.windows[i].Events, e.Index)
	}
	x := &w.windows[i]
	x.FaultDetail, x.Start, x.Started, x.StartErr = d, e.Time, true, e.Err
}

func (w *windower) stop(e *Event, d FaultDetail) {
	i, known := w.byID[d.ID]
	if !known {
		return
	}
	x := &w.windows[i]
	x.Events = append(x.Events, e.Index)
	if !x.Stopped {
		x.Stop, x.Stopped = e.Time, true
		x.Last = d
		if e.Kind == Invoke || e.Err == "" && (!d.Proven || d.State == InForce) {
			return
		}
	}
	x.End, x.StopErr, x.Healed, x.After = e.Time, e.Err, d.Proven && e.Err == "", d
	w.ended[i] = true
}

// foreign takes the events of a nemesis that runs one operation after the
// other and writes one event when it begins and another when it is done.
func (w *windower) foreign(e *Event) {
	second := w.pending == e.F
	w.pending = e.F
	if second {
		w.pending = ""
	}
	opener, closes := w.role(e.F, second)
	if opener == "" {
		return
	}
	i, open := w.open[opener]
	if !closes {
		if !open || w.windows[i].Stopped {
			i = w.begin(e, FaultDetail{Fault: strings.TrimPrefix(e.F, "start-")}, true)
			w.open[opener] = i
		}
		x := &w.windows[i]
		x.Start, x.Started = e.Time, true
		x.Events = append(x.Events, e.Index)
		return
	}
	x := &w.windows[i]
	if !x.Stopped {
		x.Stop, x.Stopped = e.Time, true
	}
	x.End = e.Time
	x.Events = append(x.Events, e.Index)
	w.ended[i] = true
}

// role says which operation began the fault that f belongs to, and whether f
// ends it; nothing if f neither begins nor ends one.
func (w *windower) role(f string, second bool) (opener string, closes bool) {
	is := func(name string) bool {
		i, ok := w.open[name]
		return ok && (!w.windows[i].Stopped || second)
	}
	if name, ok := strings.CutPrefix(f, "stop-"); ok && is("start-"+name) {
		return "start-" + name, true
	}
	switch {
	case f == "start" && is("kill"):
		return "kill", true
	case f == "stop" && is("start"):
		return "start", true
	case f == "resume" && is("pause"):
		return "pause", true
	case f == "start", f == "kill", f == "pause", strings.HasPrefix(f, "start-"):
		return f, false
	}
	return "", false
}
