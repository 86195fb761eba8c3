package strength_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/strength"
	"github.com/capstan-dev/capstan/history"
)

type line struct {
	process int
	kind    history.Kind
	f       string
}

func make1(lines []line, details ...history.FaultDetail) *history.History {
	h := &history.History{}
	for i, l := range lines {
		e := history.Event{Index: i, Time: time.Duration(i) * time.Second, Process: l.process, Kind: l.kind, F: l.f, Value: json.RawMessage("null")}
		if l.process == history.Nemesis {
			e.Value, _ = json.Marshal(details[0])
			details = details[1:]
		}
		h.Events = append(h.Events, e)
	}
	return h
}

const (
	inv = history.Invoke
	ok  = history.OK
	nfo = history.Info
	nem = history.Nemesis
)

func TestFaults(t *testing.T) {
	d := history.FaultDetail{ID: 1, Fault: "partition:one"}
	p := d
	p.Proven = true
	start := []line{{nem, inv, "start-partition"}, {nem, nfo, "start-partition"}}
	all := append(start[:2:2], line{nem, inv, "stop-partition"}, line{nem, nfo, "stop-partition"})
	lapsed, held := d, p
	lapsed.State, held.State = history.Injected, history.InForce
	tests := map[string]struct {
		h      *history.History
		expect bool
		want   checker.Verdict
		reason string
	}{
		"proven and healed":   {make1(all, d, p, d, p), true, checker.Valid, "all 1 faults were proven"},
		"did not bite":        {make1(all, d, d, d, p), true, checker.Unknown, "not proven in force"},
		"held to its end":     {make1(all, d, held, held, p), true, checker.Valid, "all 1 faults were proven"},
		"lapsed before":       {make1(all, d, held, lapsed, p), true, checker.Unknown, "not any more before its heal"},
		"heal not proven":     {make1(all, d, p, d, d), true, checker.Unknown, "not proven healed"},
		"never healed":        {make1(start, d, p), true, checker.Unknown, "not proven healed"},
		"none though planned": {make1(nil), true, checker.Unknown, "none was injected"},
		"none planned":        {make1(nil), false, checker.Valid, "no faults"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := checker.Run(context.Background(), strength.NewFaults(strength.FaultsOptions{Expect: tt.expect}), tt.h)
			if r.Verdict != tt.want || !strings.Contains(r.Reason, tt.reason) {
				t.Errorf("got %v: %s", r.Verdict, r.Reason)
			}
		})
	}
}

// refused lets the last call of a history be one that is not offered.
func refused(h *history.History) *history.History {
	e := &h.Events[len(h.Events)-1]
	e.Kind, e.Err = history.Fail, history.ErrNotOffered.Error()+": plain writes have no condition"
	return h
}

func TestStrength(t *testing.T) {
	d := history.FaultDetail{ID: 1, Fault: "kill", Proven: true}
	both := []line{{0, inv, "read"}, {1, inv, "read"}, {0, ok, "read"}, {1, ok, "read"}}
	serial := []line{{0, inv, "read"}, {0, ok, "read"}, {1, inv, "read"}, {1, ok, "read"}}
	noWrite := append(both[:4:4], line{0, inv, "write"}, line{0, nfo, "write"})
	fault := []line{{nem, inv, "start-kill"}, {nem, nfo, "start-kill"}, {nem, inv, "stop-kill"}, {nem, nfo, "stop-kill"}}
	tests := map[string]struct {
		h      *history.History
		min    int
		want   checker.Verdict
		reason string
	}{
		"enough":             {make1(both), 2, checker.Valid, "2 operations ok, up to 2 at a time"},
		"too few":            {make1(both), 3, checker.Unknown, "only 2 operations are ok"},
		"empty":              {make1(nil), 1, checker.Unknown, "only 0 operations"},
		"not concurrent":     {make1(serial), 2, checker.Unknown, "no two operations"},
		"a kind without ok":  {make1(noWrite), 2, checker.Unknown, "not one of 1 operations write is ok"},
		"a kind not offered": {refused(make1(noWrite)), 2, checker.Valid, "write is not offered"},
		"nothing after heal": {make1(append(both[:4:4], fault...), d, d, d, d), 2, checker.Unknown, "after the last heal"},
		"reads after heal":   {make1(append(fault[:4:4], both...), d, d, d, d), 2, checker.Valid, "2 of them asked after"},
		"the fault goes on":  {make1(append(fault[:2:2], both...), d, d), 2, checker.Unknown, "not healed"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := checker.Run(context.Background(), strength.New(strength.Options{MinOK: tt.min, FinalReads: true}), tt.h)
			if r.Verdict != tt.want || !strings.Contains(r.Reason, tt.reason) {
				t.Errorf("got %v: %s", r.Verdict, r.Reason)
			}
		})
	}
}
