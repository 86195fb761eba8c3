package avail_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/checker/avail"
	"github.com/capstan-dev/capstan/history"
)

// asked is a call as the tests know it.
type asked struct {
	begin, end, due time.Duration
	node, f         string
	kind            history.Kind
	unmet           bool
}

// random makes n calls of ten clients, and a fault in the middle third.
func random(r *rand.Rand, n int) (*history.History, []asked, [2]time.Duration) {
	b := &builder{}
	var calls []asked
	third := time.Duration(n) * time.Millisecond / 3
	fault := [2]time.Duration{third, 2 * third}
	at := 0
	for i := range n {
		begin := time.Duration(i) * time.Millisecond
		for ; at < 2 && begin > fault[at]; at++ {
			b.fault(fault[at], []string{"start", "stop"}[at])
		}
		c := asked{begin: begin, end: begin + 1 + time.Duration(r.IntN(1e6-2)), due: begin - min(begin, time.Duration(r.IntN(1e6))),
			node: []string{"n1", "n2"}[r.IntN(2)], f: []string{"read", "write"}[r.IntN(2)], kind: history.Kind(1 + r.IntN(3))}
		c.unmet = c.kind == history.Fail && r.IntN(2) == 0
		b.event(c.begin, i, history.Invoke, c.f, c.node, "null")
		b.h.Events[len(b.h.Events)-1].Due = c.due
		b.event(c.end, i, c.kind, c.f, c.node, "null")
		if c.unmet {
			b.h.Events[len(b.h.Events)-1].Err = history.ErrUnmet.Error() + ": 3"
		}
		calls = append(calls, c)
	}
	return &b.h, calls, fault
}

// where is a call's stage and side by the definition.
func (c asked) where(fault [2]time.Duration) (stage, side string) {
	switch {
	case c.begin < fault[0]:
		return avail.Before, "all"
	case c.begin < fault[1]+time.Millisecond:
		return avail.During, map[string]string{"n1": "minority", "n2": "majority"}[c.node]
	}
	return avail.After, "all"
}

func TestTotalsTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		h, calls, fault := random(r, 30+r.IntN(300))
		rep, err := avail.MeasureAt(t.Context(), h, avail.Options{Level: "read=one"})
		if err != nil || rep.Level != "read=one" {
			t.Fatal(rep.Level, err)
		}
		counts, times := map[string]avail.Counts{}, map[string][]time.Duration{}
		for _, c := range calls {
			stage, side := c.where(fault)
			k := stage + side + c.f
			n := counts[k]
			switch c.kind {
			case history.OK:
				n.OK++
				times[k] = append(times[k], c.latency())
			case history.Fail:
				if n.Fail++; c.unmet {
					n.Unmet++
				}
			default:
				n.Info++
			}
			counts[k] = n
		}
		if len(rep.Totals) != len(counts) || len(rep.LatencyTotals) != len(times) {
			t.Fatalf("%d totals of %d, %d latencies of %d", len(rep.Totals), len(counts), len(rep.LatencyTotals), len(times))
		}
		for _, x := range rep.Totals {
			if want := counts[x.Phase+x.Side+x.F]; x.Counts != want || x.Answered()+x.Refused()+x.Info != x.Total() {
				t.Fatalf("%s %s %s: got %+v, want %+v", x.Phase, x.Side, x.F, x.Counts, want)
			}
		}
		for _, x := range rep.LatencyTotals {
			all := times[x.Phase+x.Side+x.F]
			slices.Sort(all)
			if x.N != len(all) || !near(x.P50, all[(len(all)-1)/2]) || !near(x.Max, all[len(all)-1]) {
				t.Fatalf("got %+v, want of %v", x, all)
			}
		}
	}
}

func (c asked) latency() time.Duration {
	if c.due > 0 {
		return c.end - c.due
	}
	return c.end - c.begin
}

func TestMeasureObeysItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := avail.MeasureAt(ctx, example(), avail.Options{}); err == nil {
		t.Error("no error after the context ended")
	}
}

func BenchmarkMeasure(b *testing.B) {
	for _, n := range []int{1e3, 1e4, 1e5, 1e6} {
		h, _, _ := random(rand.New(rand.NewPCG(1, 1)), n)
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := avail.Measure(h); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
