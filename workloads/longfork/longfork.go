// Package longfork is the workload of concurrent writes that all reads must see
// come in the same order, as in Jepsen's long-fork.
package longfork

import (
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/capstan-dev/capstan/checker"
	check "github.com/capstan-dev/capstan/checker/longfork"
	"github.com/capstan-dev/capstan/workloads"
	"github.com/capstan-dev/capstan/workloads/gen"
	"github.com/capstan-dev/capstan/workloads/txn"
)

const (
	// groupSize keys are written, once each, and read together, so many times.
	groupSize, readsPerGroup = 2, 8
)

// New makes the workload of one run.
func New() workloads.Workload { return &workload{} }

type workload struct{ groups int }

func (*workload) Name() string { return "long-fork" }

func (*workload) Doc() string {
	return "write fresh keys one by one and read groups of them in transactions; all must see the writes in one order"
}

// Transactional implements workloads.Transactional.
func (*workload) Transactional() {}

// Source writes the keys of one group after the other, with reads in between.
func (w *workload) Source(p workloads.Params) gen.Source {
	rng := rand.New(rand.NewPCG(p.Seed, 0))
	var ops []gen.Op
	return gen.Func(func() gen.Op {
		if len(ops) == 0 {
			ops = group(rng, w.groups)
			w.groups++
		}
		op := ops[0]
		ops = ops[1:]
		return op
	})
}

// group is what is done to a group, in any order.
func group(rng *rand.Rand, n int) []gen.Op {
	var ops []gen.Op
	for i := range groupSize {
		ops = append(ops, gen.Op{F: "txn", Value: fmt.Appendf(nil, `[["w",%d,1]]`, groupSize*n+i)})
	}
	for range readsPerGroup {
		ops = append(ops, read(n))
	}
	rng.Shuffle(len(ops), func(i, j int) { ops[i], ops[j] = ops[j], ops[i] })
	return ops
}

func read(n int) gen.Op {
	b := []byte{'['}
	for i := range groupSize {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `["r",%d,null]`, groupSize*n+i)
	}
	return gen.Op{F: "txn", Value: append(b, ']')}
}

// Final reads the last group through every worker.
func (w *workload) Final(workloads.Params) gen.Source {
	last := max(0, w.groups-1)
	return gen.Synchronize(gen.EachWorker(func(int) gen.Op { return read(last) }))
}

// Bind wants txn.Registers.
func (*workload) Bind(conn io.Closer) (workloads.Client, error) { return txn.WR(nil).Bind(conn) }

func (*workload) Checks() ([]checker.Checker, error) { return []checker.Checker{check.New()}, nil }
