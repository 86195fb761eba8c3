package simulate_test

import (
	"bytes"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/checker/txn/simulate"
)

// generate gives the bytes of a history.
func generate(t testing.TB, o simulate.Options, format string) ([]byte, []simulate.Planted) {
	t.Helper()
	var buf bytes.Buffer
	w, err := simulate.NewWriter(&buf, format, o.Workload)
	if err != nil {
		t.Fatal(err)
	}
	planted, err := simulate.Run(o, w.Write)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes(), planted
}

func TestSameSeedSameBytes(t *testing.T) {
	for _, level := range simulate.Levels() {
		for _, w := range simulate.Workloads() {
			o := simulate.Default()
			o.Isolation, o.Workload, o.Seed, o.Anomalies = level, w, 7, simulate.Anomalies(w)
			first, _ := generate(t, o, "edn")
			again, _ := generate(t, o, "edn")
			if !bytes.Equal(first, again) {
				t.Errorf("%s %s: two runs differ", level, w)
			}
			o.Seed++
			if other, _ := generate(t, o, "edn"); bytes.Equal(first, other) {
				t.Errorf("%s %s: the seed does not matter", level, w)
			}
		}
	}
}

// TestWellFormed: events are numbered in order of time, and a process does one
// thing at a time.
func TestWellFormed(t *testing.T) {
	for _, level := range simulate.Levels() {
		for seed := range uint64(20) {
			o := simulate.Default()
			o.Isolation, o.Seed, o.Transactions, o.Info = level, seed, int(seed)*3, 0.2
			o.Anomalies = simulate.Anomalies(o.Workload)
			open := map[int]bool{}
			var last time.Duration
			n := 0
			if _, err := simulate.Run(o, func(e *simulate.Event) error {
				if e.Index != n || e.Time < last || open[e.Process] == (e.Type == simulate.Invoke) {
					t.Errorf("%s, seed %d: event %d after %d, at %v after %v, process %d, %s", level, seed, e.Index, n, e.Time, last, e.Process, e.Type)
				}
				n, last, open[e.Process] = n+1, e.Time, e.Type == simulate.Invoke
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if want := 2 * o.Transactions; n < want {
				t.Errorf("%s, seed %d: %d events, want %d and those of plants", level, seed, n, want)
			}
		}
	}
}

// TestBadOptions: what makes no sense is told, and nothing runs.
func TestBadOptions(t *testing.T) {
	for want, change := range map[string]func(*simulate.Options){
		"isolation level": func(o *simulate.Options) { o.Isolation = "best" },
		"transactions":    func(o *simulate.Options) { o.Transactions = -1 },
		"processes":       func(o *simulate.Options) { o.Processes = 0 },
		"keys":            func(o *simulate.Options) { o.Keys = 0 },
		"writes a key":    func(o *simulate.Options) { o.WritesPerKey = 0 },
		"zipf":            func(o *simulate.Options) { o.Zipf = math.NaN() },
		"lengths":         func(o *simulate.Options) { o.MaxLength = 0 },
		"shares":          func(o *simulate.Options) { o.ReadOnly, o.WriteOnly = 0.7, 0.7 },
		"fail":            func(o *simulate.Options) { o.Info = 2 },
		"cannot plant":    func(o *simulate.Options) { o.Anomalies = []string{"rash"} },
	} {
		o := simulate.Default()
		change(&o)
		_, err := simulate.Run(o, func(*simulate.Event) error { t.Error("an event"); return nil })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want something about %q", err, want)
		}
	}
}

func BenchmarkRun(b *testing.B) {
	for _, level := range simulate.Levels() {
		b.Run(level, func(b *testing.B) {
			o := simulate.Default()
			o.Isolation, o.Transactions = level, 100_000
			for range b.N {
				w, _ := simulate.NewWriter(io.Discard, "edn", o.Workload)
				if _, err := simulate.Run(o, w.Write); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(o.Transactions)*float64(b.N)/b.Elapsed().Seconds(), "txns/s")
		})
	}
}
