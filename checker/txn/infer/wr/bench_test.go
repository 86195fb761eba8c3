package wr_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/capstan-dev/capstan/checker/txn/infer/wr"
	"github.com/capstan-dev/capstan/checker/txn/log"
)

// serial is a strictly serializable history: n transactions of up to four
// operations by 20 processes, over a pool of 10 keys that are replaced after 32
// writes. A transaction takes effect when it completes.
func serial(n int, seed uint64) *log.Log {
	rng := rand.New(rand.NewPCG(seed, 0))
	const clients, pool, writes = 20, 10, 32
	l := &log.Log{Nodes: []string{""}, Txns: make([]log.Txn, 0, n)}
	var keys [pool]int32
	var state []log.Value
	fresh := func(slot int) {
		keys[slot] = int32(len(state))
		state = append(state, log.Nil)
		l.Keys, l.Longest = append(l.Keys, fmt.Sprint(len(l.Keys))), append(l.Longest, nil)
	}
	for i := range keys {
		fresh(i)
	}
	var begun [clients]int32
	position := int32(0)
	for i := range begun {
		begun[i] = position
		position++
	}
	for range n {
		p := rng.IntN(clients)
		x := log.Txn{Process: int32(p), Invoke: begun[p], Complete: position, First: int32(len(l.Mops))}
		x.InvokeIndex, x.CompleteIndex = x.Invoke, x.Complete
		begun[p] = position + 1
		position += 2
		for range 1 + rng.IntN(4) {
			slot := rng.IntN(pool)
			k := keys[slot]
			if rng.IntN(2) == 0 {
				l.Mops = append(l.Mops, log.Mop{Key: k, Fun: log.Read, Value: state[k]})
				continue
			}
			state[k]++ // from Nil to 0
			l.Mops = append(l.Mops, log.Mop{Key: k, Fun: log.Write, Value: state[k]})
			if state[k] == writes-1 {
				fresh(slot)
			}
		}
		x.Last = int32(len(l.Mops))
		l.Txns = append(l.Txns, x)
	}
	return l
}

func BenchmarkInfer(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000, 1_000_000} {
		l := serial(n, 1)
		for name, o := range map[string]wr.Options{"default": {}, "linearizable": {Linearizable: true}, "all": {WritesFollowReads: true, Sequential: true, Linearizable: true}} {
			b.Run(fmt.Sprintf("%d/%s", n, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					in, err := wr.Infer(l, o)
					if err != nil {
						b.Fatal(err)
					}
					if len(in.Found.All) > 0 {
						b.Fatal(in.Found.All[0])
					}
				}
				b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "txn/s")
			})
		}
	}
}
