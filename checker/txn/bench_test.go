package txn_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/capstan-dev/capstan/checker/txn"
	lists "github.com/capstan-dev/capstan/checker/txn/infer/append"
	"github.com/capstan-dev/capstan/checker/txn/log"
	"github.com/capstan-dev/capstan/checker/txn/simulate"
)

// workload is a simulated history that is measured.
type workload struct {
	name string
	o    simulate.Options
}

func workloads() []workload {
	full := simulate.Default()
	full.MinLength, full.MaxLength, full.Fail, full.Info = 4, 4, 0, 0
	full.Transactions, full.Seed = 100_000, 1
	long := full
	long.Keys, long.WritesPerKey = 20, 256
	skew := full
	skew.Isolation = "strong-snapshot-isolation"
	dirty := full
	dirty.Isolation, dirty.Transactions = "read-uncommitted", 10_000
	committed := dirty
	committed.Isolation = "read-committed"
	million := full
	million.Keys, million.WritesPerKey, million.Transactions = 20, 64, 1_000_000
	return []workload{
		{"100k", full}, {"100k-256-a-key", long}, {"100k-snapshot-isolation", skew}, {"10k-read-uncommitted", dirty},
		{"10k-read-committed", committed}, {"1m", million},
	}
}

// file writes a history as Jepsen does.
func (w workload) file(tb testing.TB) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), w.name+".edn")
	f, err := os.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	enc, err := simulate.NewWriter(f, "edn", simulate.ListAppend)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := simulate.Run(w.o, enc.Write); err != nil {
		tb.Fatal(err)
	}
	if err := enc.Close(); err != nil {
		tb.Fatal(err)
	}
	return path
}

// BenchmarkFile is from the file to the verdict, BenchmarkLog from the log.
func BenchmarkFile(b *testing.B) { benchmark(b, true) }

func BenchmarkLog(b *testing.B) { benchmark(b, false) }

func benchmark(b *testing.B, read bool) {
	for _, w := range workloads() {
		b.Run(w.name, func(b *testing.B) {
			path := w.file(b)
			st, err := os.Stat(path)
			if err != nil {
				b.Fatal(err)
			}
			l, err := log.Open(path)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			if read {
				b.SetBytes(st.Size())
			}
			for b.Loop() {
				if read {
					if l, err = log.Open(path); err != nil {
						b.Fatal(err)
					}
				}
				if _, err := txn.Check(context.Background(), l, lists.Infer); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(w.o.Transactions)*float64(b.N)/b.Elapsed().Seconds(), "txn/s")
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(b.Elapsed().Seconds()*1000/float64(b.N), "ms/op")
		})
	}
}
