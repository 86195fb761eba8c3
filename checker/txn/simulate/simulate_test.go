package simulate_test

import (
	"bytes"
	"io"
	"testing"

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
		for _, w := range []simulate.Workload{simulate.ListAppend, simulate.RWRegister} {
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
