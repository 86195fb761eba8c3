package history_test

import (
	"testing"

	"github.com/capstan-dev/capstan/history"
)

// A table must tell the same as Pairs on the split history.
func TestTable(t *testing.T) {
	ev := func(i, process int, k history.Kind, f, v string) history.Event {
		return history.Event{Index: i, Process: process, Kind: k, F: f, Value: []byte(v)}
	}
	h := &history.History{Events: []history.Event{
		ev(0, 0, history.Invoke, "write", `["a",1]`),
		ev(1, 1, history.Invoke, "read", `["b",null]`),
		ev(2, history.Nemesis, history.Info, "start-partition", `null`),
		ev(3, 1, history.OK, "read", `["b",null]`),
		ev(4, 1, history.Invoke, "read", `["a",null]`),
		ev(5, 0, history.OK, "write", `["a",1]`),
		ev(6, 2, history.Invoke, "write", `["b",7]`),
		ev(7, 1, history.OK, "read", `1`),
		ev(8, 2, history.Info, "write", `["b",7]`),
	}}
	table, err := history.NewTable(h)
	if err != nil {
		t.Fatal(err)
	}
	split := history.SplitKeys(h)
	if len(split) != len(table.Keys) {
		t.Fatalf("%d keys, want %d", len(table.Keys), len(split))
	}
	for k, kh := range split {
		pairs, err := history.Pairs(kh.History)
		if err != nil {
			t.Fatal(err)
		}
		if table.Keys[k] != kh.Key || table.Len(k) != len(pairs) {
			t.Fatalf("key %s has %d calls, want %s with %d", table.Keys[k], table.Len(k), kh.Key, len(pairs))
		}
		for i, want := range pairs {
			got := table.Pair(k, i)
			if got.Invoke.Index != want.Invoke.Index || (got.Complete == nil) != (want.Complete == nil) {
				t.Errorf("key %s call %d: %+v, want %+v", kh.Key, i, got, want)
			}
			if got.Complete != nil && string(table.Value(k, got.Complete)) != string(want.Complete.Value) {
				t.Errorf("key %s call %d: value %s, want %s", kh.Key, i, table.Value(k, got.Complete), want.Complete.Value)
			}
		}
	}
	h.Events[5].F = "read"
	if _, err := history.NewTable(h); err == nil {
		t.Error("a read completes a write")
	}
}
