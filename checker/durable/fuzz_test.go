package durable_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/checker/durable"
	"github.com/capstan-dev/capstan/checker/linear/chain"
	"github.com/capstan-dev/capstan/checker/linear/spec/spectest"
	"github.com/capstan-dev/capstan/history"
)

// Whatever the history, there is an answer, and its figures fit together.
func FuzzMeasure(f *testing.F) {
	f.Add([]byte{0x01, 0x52, 0x13, 0x07, 0x99})
	f.Add([]byte("a register and a set, read and written"))
	f.Fuzz(func(t *testing.T, data []byte) {
		h := &history.History{}
		open := map[int]string{}
		names := [][]string{{"read", "write", "cas"}, {"read", "add", "add"}}[len(data)%2]
		for i, b := range data {
			e := history.Event{Index: i, Time: time.Duration(i / 2), Process: int(b % 4), Node: []string{"", "n1", "n2"}[b/4%3], F: names[b/16%3]}
			e.Value = fmt.Appendf(nil, []string{"%d", "[%d,1]", "[%[1]d,%[1]d]", "null"}[b/64], b%8)
			if was, busy := open[e.Process]; busy {
				e.F, e.Kind = was, history.Kind(1+b/32%3)
				delete(open, e.Process)
			} else {
				open[e.Process] = e.F
			}
			h.Events = append(h.Events, e)
		}
		r, ok, err := durable.Measure(t.Context(), h, durable.Options{NilSaysNothing: len(data)%3 == 0})
		if err != nil || !ok {
			return
		}
		if a := r.All; a.Lost+a.Possible.Lost > a.Acknowledged || a.Seen > a.Acknowledged || r.Unsettled > r.Keys {
			t.Errorf("%+v", r)
		}
		for _, x := range r.Found {
			for _, e := range x.Events {
				if e < 0 || e >= len(h.Events) {
					t.Errorf("no event %d: %+v", e, x)
				}
			}
		}
	})
}

// A clock that runs otherwise, but in the same order, changes no count.
func TestOnlyTheOrderCounts(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for range 2000 {
		small := registers.Random(r)
		ops, fault := spread(r, small, func() chain.Out { return chain.Out{V: int32(r.IntN(len(small) + 1))} })
		h := record(ops, register, fault)
		one := measure(t, h)
		for i := range h.Events {
			h.Events[i].Time = 3*h.Events[i].Time + 7
		}
		if two := measure(t, h); !reflect.DeepEqual(one.All, two.All) || !reflect.DeepEqual(one.Groups, two.Groups) {
			t.Fatalf("%+v, then %+v", one, two)
		}
	}
}

// A write that crashed before anything else, and that nobody saw, may have come
// at any time: it never makes a write lost or forked.
func TestACrashedWriteAccusesNobody(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	for range spectest.Histories(t) / 10 {
		small := registers.Random(r)
		ops, fault := spread(r, small, func() chain.Out { return chain.Out{V: int32(r.IntN(len(small) + 1))} })
		one := measure(t, record(ops, register, fault))
		crashed := regOp{node: ops[0].node}
		crashed.In, crashed.Crashed, crashed.Return = chain.In{Verb: chain.Write, A: 99}, true, never
		two := measure(t, record(append(ops, crashed), register, fault))
		if one.Object == "" {
			continue
		}
		a, b := of(one), of(two)
		if b.Counts != a.Counts || b.Possible.Lost > a.Possible.Lost {
			t.Fatalf("%+v, then %+v:\n%s", a, b, show(ops))
		}
	}
}
