package weak

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// shape is a simulated replicated store: writes take effect on a primary at
// once and on each replica lag later; processes read from their replica.
type shape struct {
	ops, processes, keys int
	lag                  int64   // of all replicas
	stray                float64 // reads from an even older state
	metric, fifo         bool    // as local, and what arrives last counts; see arrival
	local                bool    // each write is at once on its writer's replica, everywhere else later
	crash                float64
	cas                  float64
}

// simulate makes a history; half of the operations are reads.
func simulate(r *rand.Rand, s shape) ([]Op, []int32) {
	s.local = s.local || s.metric || s.fifo
	ops := make([]Op, 0, s.ops)
	written := make([][]version, s.keys)
	free := make([]int64, s.processes)
	process := make([]int32, s.processes)
	next := int32(s.processes)
	for p := range process {
		process[p] = int32(p)
	}
	// Processes take turns, so that calls ascend.
	for i := range s.ops {
		p := i % s.processes
		call := max(free[p], int64(i)*10)
		o := Op{Process: process[p], Node: int32(p % 3), Key: int32(r.IntN(s.keys)), See: None, Set: None, Call: call, Return: call + 1 + int64(r.IntN(10*s.processes-2)), Note: int32(i)}
		at := call + (o.Return-call)/2
		now := &written[o.Key]
		switch {
		case r.Float64() < s.cas && (p%2 == 0 || s.local):
			o.See, o.Set = 0, int32(i)+1
			if n := len(*now); n > 0 {
				o.See = (*now)[n-1].set
			}
			at = call
		case p%2 == 0 && !s.local || s.local && r.IntN(2) == 0:
			o.Set = int32(i) + 1
			at = call
		default:
			back := s.lag
			if r.Float64() < s.stray {
				back += int64(r.ExpFloat64() * 5000)
			}
			o.See = 0
			if s.metric || s.fifo {
				o.See = s.arrived(*now, p, at)
				break
			}
			for _, v := range slices.Backward(*now) {
				if v.at+back <= at || s.local && v.process == o.Process && back == s.lag {
					o.See = v.set
					break
				}
			}
		}
		if o.Set != None {
			*now = append(*now, version{at, p, o.Process, o.Set})
		}
		free[p] = o.Return + 1
		if r.Float64() < s.crash {
			o.Crashed, o.Return = true, Never
			process[p] = next
			next++
		}
		ops = append(ops, o)
	}
	slices.SortStableFunc(ops, func(a, b Op) int { return cmp.Compare(a.Call, b.Call) })
	return ops, make([]int32, s.keys)
}

type version struct {
	at      int64
	slot    int
	process int32
	set     int32
}

// arrived is the value that reached a slot last. Distances on a line keep causes
// before effects; others keep the order of each sender only.
func (s shape) arrived(all []version, slot int, now int64) (set int32) {
	latest := int64(-1)
	for n, v := range slices.Backward(all) {
		lag := s.lag * int64(max(slot-v.slot, v.slot-slot))
		if s.fifo && slot != v.slot {
			lag = s.lag * int64(1+(7*slot+13*v.slot)%11)
		}
		if at := v.at + lag; at <= now && at > latest {
			latest, set = at, v.set
		}
		if n < len(all)-2000 {
			break
		}
	}
	return set
}

func shapes(n int) map[string]shape {
	return map[string]shape{
		"lag":        {ops: n, processes: 10, keys: 1, lag: 500},
		"lag-keys":   {ops: n, processes: 10, keys: 100, lag: 500},
		"cas":        {ops: n, processes: 10, keys: 20, lag: 0, cas: .2},
		"stray":      {ops: n, processes: 10, keys: 1, lag: 0, stray: .01},
		"stray-keys": {ops: n, processes: 50, keys: 1000, stray: .01},
		"local":      {ops: n, processes: 10, keys: 100, lag: 500, local: true},
		"metric":     {ops: n, processes: 10, keys: 50, lag: 50, metric: true},
		"fifo":       {ops: n, processes: 10, keys: 50, lag: 50, fifo: true},
		"crash":      {ops: n, processes: 10, keys: 100, lag: 500, crash: .001},
	}
}

func BenchmarkJudge(b *testing.B) {
	for _, n := range []int{1e3, 1e4, 1e5, 1e6} {
		all := shapes(n)
		for _, name := range []string{"lag", "lag-keys", "cas", "stray", "stray-keys", "local", "metric", "fifo", "crash"} {
			b.Run(fmt.Sprintf("%s/n=%d", name, n), func(b *testing.B) {
				ops, init := simulate(rand.New(rand.NewPCG(1, 2)), all[name])
				b.ReportAllocs()
				for b.Loop() {
					ctx, done := context.WithTimeout(context.Background(), 20*time.Second)
					c, err := judge(ctx, ops, init, Options{})
					done()
					if err != nil {
						b.Fatal(err)
					}
					_ = c
				}
			})
		}
	}
}

func TestShapes(t *testing.T) {
	for name, s := range shapes(20000) {
		ops, init := simulate(rand.New(rand.NewPCG(1, 2)), s)
		start := time.Now()
		c, err := judge(context.Background(), ops, init, Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Log(name, time.Since(start).Round(time.Millisecond), c.states, c.why, c.count)
		for m, v := range c.found {
			small := c.t.shrink(v, init)
			t.Logf("   %s %d -> %v %s", m, len(v.ops), small.ops, small.say)
		}
	}
}
