package history_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/capstan-dev/capstan/history"
)

func raw(s string) json.RawMessage { return json.RawMessage(s) }

func TestJournalSortsOnClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	j, err := history.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	events := []history.Event{
		{Time: 10, Process: 0, Kind: history.Invoke, F: "read", Node: "n1"},
		{Time: 30, Process: 0, Kind: history.OK, F: "read", Node: "n1", Value: raw("1")},
		{Time: 20, Process: 1, Kind: history.Invoke, F: "write", Value: raw("2")},
		{Time: 20, Process: history.Nemesis, Kind: history.Invoke, F: "start-partition"},
		{Time: 40, Process: 1, Kind: history.Info, F: "write", Value: raw("2"), Err: "timeout \"x\"\n\x00"},
	}
	for _, e := range events {
		if err := j.Append(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Flush(); err != nil {
		t.Fatal(err)
	}
	if h, err := history.ReadFile(path); err != nil || len(h.Events) != len(events) {
		t.Fatalf("after Flush the file holds %d events, %v", len(h.Events), err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	h, err := history.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := &history.History{Events: []history.Event{events[0], events[2], events[3], events[1], events[4]}}
	for i := range want.Events {
		want.Events[i].Index = i
		if want.Events[i].Value == nil {
			want.Events[i].Value = raw("null")
		}
	}
	if diff := cmp.Diff(want, h); diff != "" {
		t.Error(diff)
	}
	if err := j.Append(events[0]); !errors.Is(err, history.ErrClosed) {
		t.Errorf("append after close: %v", err)
	}
	if _, err := history.Create(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("create over a journal: %v", err)
	}
}

func TestJournalFlushesByItself(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	j, err := history.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if err := j.Append(history.Event{F: "read"}); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(5 * time.Second)
	for {
		if h, err := history.ReadFile(path); err == nil && len(h.Events) == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing on disk after 5 s")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestJournalFromManyGoroutines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	j, err := history.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	var all sync.WaitGroup
	for p := range 8 {
		all.Go(func() {
			for range 1000 {
				for _, k := range []history.Kind{history.Invoke, history.OK} {
					if err := j.Append(history.Event{Time: time.Since(start), Process: p, Kind: k, F: "read"}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	h, err := history.ReadFile(path)
	if err != nil || len(h.Events) != 16000 {
		t.Fatalf("%d events, %v", len(h.Events), err)
	}
	open := map[int]bool{}
	for i, e := range h.Events {
		if e.Index != i || i > 0 && e.Time < h.Events[i-1].Time {
			t.Fatalf("event %d out of order: %+v", i, e)
		}
		if open[e.Process] == (e.Kind == history.Invoke) {
			t.Fatalf("event %d does not pair: %+v", i, e)
		}
		open[e.Process] = !open[e.Process]
	}
}

func TestJournalRefusesBadValue(t *testing.T) {
	j, err := history.Create(filepath.Join(t.TempDir(), "h.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Append(history.Event{F: "write", Value: raw("{")}); err == nil {
		t.Error("a value that is not JSON was taken")
	}
	if err := j.Close(); err == nil {
		t.Error("close does not remember the error")
	}
}

func TestJournalReportsLostFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	j, err := history.Create(filepath.Join(dir, "h.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []time.Duration{2, 1} {
		if err := j.Append(history.Event{Time: at, Process: int(at), F: "read"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err == nil {
		t.Error("close reported no error though the file is gone")
	}
}

// TestKilledJournalLeavesPrefix kills a real process in the middle of writing.
func TestKilledJournalLeavesPrefix(t *testing.T) {
	if path := os.Getenv("CAPSTAN_TEST_JOURNAL"); path != "" {
		writeForever(path)
	}
	for round := range 5 {
		path := filepath.Join(t.TempDir(), "history.jsonl")
		child := exec.Command(os.Args[0], "-test.run=^TestKilledJournalLeavesPrefix$")
		child.Env = append(os.Environ(), "CAPSTAN_TEST_JOURNAL="+path)
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		deadline := time.Now().Add(20 * time.Second)
		for size := int64(0); size < int64(1+round)*300_000; {
			if s, err := os.Stat(path); err == nil {
				size = s.Size()
			}
			if time.Now().After(deadline) {
				t.Fatal("the child wrote too little")
			}
			time.Sleep(time.Duration(round) * 3 * time.Millisecond)
		}
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = child.Wait()
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		h, err := history.ReadFile(path)
		if err != nil && !errors.Is(err, history.ErrTruncated) {
			t.Fatalf("the prefix is unreadable: %v", err)
		}
		if got, want := len(h.Events), bytes.Count(content, []byte("\n")); got < want {
			t.Errorf("%d whole lines, but %d events read", want, got)
		}
		for i, e := range h.Events {
			if e.Index != i {
				t.Fatalf("event %d has index %d", i, e.Index)
			}
		}
	}
}

func writeForever(path string) {
	j, err := history.Create(path)
	if err != nil {
		panic(err)
	}
	for i := 0; ; i++ {
		e := history.Event{Time: time.Duration(i), Process: i % 7, F: "write", Node: "n1", Value: raw(`[1,"abc"]`)}
		if err := j.Append(e); err != nil {
			panic(err)
		}
	}
}

func BenchmarkJournalAppend(b *testing.B) {
	j, err := history.Create(filepath.Join(b.TempDir(), "h.jsonl"))
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	e := history.Event{Process: 3, Kind: history.OK, F: "cas", Node: "n1", Value: raw("[17,[3,4]]")}
	b.ReportAllocs()
	for i := range b.N {
		e.Time = time.Duration(i)
		if err := j.Append(e); err != nil {
			b.Fatal(err)
		}
	}
}
