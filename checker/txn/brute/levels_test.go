package brute_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/capstan-dev/capstan/checker/txn/adya"
	"github.com/capstan-dev/capstan/checker/txn/brute"
	"github.com/capstan-dev/capstan/checker/txn/log"
	"github.com/capstan-dev/capstan/history"
)

// concurrent makes a log of transactions of registers that all run at once,
// like "wx1 ry_; info wy1": writes, and reads of a value or of nothing.
func concurrent(t *testing.T, text string) *log.Log {
	t.Helper()
	h := &history.History{}
	add := func(p int, k history.Kind, value string) {
		h.Events = append(h.Events, history.Event{Index: len(h.Events), Process: p, Kind: k, F: "txn", Value: json.RawMessage(value)})
	}
	mop := regexp.MustCompile(`([rw])([a-z])(\w)`)
	txns := strings.Split(text, ";")
	for range 2 {
		begun := len(h.Events)
		for p, x := range txns {
			var mops []string
			for _, m := range mop.FindAllStringSubmatch(strings.TrimPrefix(strings.TrimSpace(x), "info"), -1) {
				mops = append(mops, fmt.Sprintf("[%q,%q,%s]", m[1], m[2], strings.Replace(m[3], "_", "null", 1)))
			}
			kind := history.Invoke
			switch {
			case begun > 0 && strings.Contains(x, "info"):
				kind = history.Info
			case begun > 0:
				kind = history.OK
			}
			add(p, kind, "["+strings.Join(mops, ",")+"]")
		}
	}
	l, err := log.FromHistory(h)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// judged has all models, by their friendly names.
func judged(l *log.Log) map[string]bool {
	h := brute.New(l)
	models := h.Allows()
	maps.Copy(models, h.Adya(1<<20))
	return models
}

func TestEveryModelHasADefinition(t *testing.T) {
	if diff := slices.DeleteFunc(adya.Checkable(), func(m string) bool { _, ok := judged(concurrent(t, "wx1"))[m]; return ok }); len(diff) > 0 {
		t.Errorf("without: %v", diff)
	}
}

// TestDefinitions: the phenomena as their authors tell them, each with a model
// that forbids it, and one that is as weak as can be and does not.
func TestDefinitions(t *testing.T) {
	for _, c := range []struct{ name, txns, allows, refuses string }{
		{"nothing", "wx1; rx1", "strict-serializable", ""},
		{"circular information flow", "wx1 ry1; wy1 rx1", "read-uncommitted strong-read-uncommitted", "read-committed strong-read-committed strong-session-read-committed"},
		{"aborted or crashed", "info wx1; rx_", "strict-serializable", ""},
		{"lost update", "rx_ wx1; rx_ wx2", "monotonic-atomic-view monotonic-view monotonic-snapshot-read read-atomic", "cursor-stability update-atomic consistent-view"},
		{"read skew, the old version first", "wx1 wy1; rx_ ry1", "cursor-stability monotonic-view monotonic-atomic-view monotonic-snapshot-read", "consistent-view read-atomic"},
		{"read skew, the new version first", "wx1 wy1; rx1 ry_", "cursor-stability", "monotonic-view monotonic-atomic-view monotonic-snapshot-read"},
		{"read skew, the new version first, of another's", "wx1; rx1 wy1; ry1 rx_", "cursor-stability monotonic-atomic-view", "monotonic-view monotonic-snapshot-read"},
		{"read skew by an own write", "wx1 wy1; wx2 ry_; rx1 ry1; rx2 ry1", "read-atomic", "consistent-view snapshot-isolation"},
		{"a read is not repeated", "wx1; rx_ rx1", "cursor-stability monotonic-atomic-view monotonic-snapshot-read", "consistent-view repeatable-read read-atomic"},
		{"write skew", "rx_ wy1; ry_ wx1", "snapshot-isolation forward-consistent-view consistent-view", "update-serializable repeatable-read"},
		{"long fork", "wx1; wy1; rx1 ry_; rx_ ry1", "update-serializable forward-consistent-view parallel-snapshot-isolation", "prefix snapshot-isolation repeatable-read"},
		{"long fork of one who writes", "wx1; wy1; rx1 ry_ wz1; rx_ ry1", "forward-consistent-view parallel-snapshot-isolation", "update-serializable"},
	} {
		models := judged(concurrent(t, c.txns))
		for _, m := range strings.Fields(c.allows) {
			if allowed, ok := models[m]; !allowed || !ok {
				t.Errorf("%s: %s refuses it", c.name, m)
			}
		}
		for _, m := range strings.Fields(c.refuses) {
			if allowed, ok := models[m]; allowed || !ok {
				t.Errorf("%s: %s allows it", c.name, m)
			}
		}
	}
}

// TestOrdersOfTime: one process, one after the other.
func TestOrdersOfTime(t *testing.T) {
	turns := func(processes ...int) *log.Log {
		h := &history.History{}
		for i, value := range []string{`[["r","x",1]]`, `[["w","x",1]]`} {
			for _, k := range []history.Kind{history.Invoke, history.OK} {
				h.Events = append(h.Events, history.Event{Index: len(h.Events), Process: processes[i], Kind: k, F: "txn", Value: json.RawMessage(value)})
			}
		}
		l, err := log.FromHistory(h)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	one, two := judged(turns(0, 0)), judged(turns(0, 1))
	for model, want := range map[string][2]bool{
		"read-committed": {true, true}, "serializable": {true, true}, "strong-session-read-uncommitted": {true, true}, "strong-read-uncommitted": {true, true},
		"strong-session-read-committed": {false, true}, "strong-session-serializable": {false, true},
		"strong-read-committed": {false, false}, "strict-serializable": {false, false},
	} {
		if got := [2]bool{one[model], two[model]}; got != want {
			t.Errorf("%s: %v, want %v", model, got, want)
		}
	}
	dirty := func(process int) map[string]bool {
		h := &history.History{}
		for i, value := range []string{`[["append","x",1]]`, `[["append","x",2]]`, `[["r","x",[2,1]]]`} {
			for _, k := range []history.Kind{history.Invoke, history.OK} {
				h.Events = append(h.Events, history.Event{Index: len(h.Events), Process: i * process, Kind: k, F: "txn", Value: json.RawMessage(value)})
			}
		}
		l, err := log.FromHistory(h)
		if err != nil {
			t.Fatal(err)
		}
		return judged(l)
	}
	one, two = dirty(0), dirty(1)
	if one["strong-session-read-uncommitted"] || !two["strong-session-read-uncommitted"] || two["strong-read-uncommitted"] || !two["read-uncommitted"] {
		t.Errorf("dirty writes in time: %v, %v", one, two)
	}
}
