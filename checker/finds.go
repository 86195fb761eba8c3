package checker

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/capstan-dev/capstan/history"
)

// Finds collects what a checker finds in one pass: how many anomalies of each
// kind, and the first of each in full.
type Finds struct {
	Counts    map[string]int
	Anomalies []Anomaly
}

// maxFinds of one kind are told in full.
const maxFinds = 5

// Add counts an anomaly with its events, some of which may be nil. text is only
// called for those that are told.
func (f *Finds) Add(kind string, text func() string, events ...*history.Event) {
	if f.Counts == nil {
		f.Counts = map[string]int{}
	}
	if f.Counts[kind]++; f.Counts[kind] > maxFinds {
		return
	}
	a := Anomaly{Kind: kind, Events: []int{}, Text: text()}
	for _, e := range events {
		if e != nil {
			a.Events = append(a.Events, e.Index)
		}
	}
	slices.Sort(a.Events)
	a.Events = slices.Compact(a.Events)
	f.Anomalies = append(f.Anomalies, a)
}

// Result is Invalid if something was found, else Valid for that reason. data
// are the checker's figures.
func (f *Finds) Result(reason string, data any) (Result, error) {
	r := Result{Reason: reason, Anomalies: f.Anomalies}
	if len(f.Anomalies) > 0 {
		r.Verdict, r.Reason = Invalid, f.Anomalies[0].Text
	}
	var err error
	if r.Data, err = json.Marshal(data); err != nil {
		return r, fmt.Errorf("encode figures: %w", err)
	}
	return r, nil
}

// Who names the process of an event, and its node if it has one.
func Who(e *history.Event) string {
	if e.Node == "" {
		return fmt.Sprintf("process %d", e.Process)
	}
	return fmt.Sprintf("process %d on %s", e.Process, e.Node)
}

// When is a moment in a text.
func When(d time.Duration) string { return fmt.Sprintf("%.3f s", d.Seconds()) }
