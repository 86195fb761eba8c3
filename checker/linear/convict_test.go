package linear_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/linear"
	"github.com/capstan-dev/capstan/history"
)

// stacked is a history of n operations of busy clients on a stack, one of which
// pops from the bottom.
func stacked(r *rand.Rand, n, clients int) *history.History {
	type op struct {
		call, at, ret float64
		process       int
		f, in, out    string
	}
	free := make([]float64, clients)
	ops := make([]op, n)
	for i := range ops {
		c := slices.Index(free, slices.Min(free))
		call := free[c] + r.Float64()/2
		ret := call + 5*r.Float64()
		ops[i] = op{call: call, at: call + (ret-call)*r.Float64(), ret: ret, process: c, f: []string{"push", "pop"}[r.IntN(2)], in: "null"}
		free[c] = ret + .001
	}
	slices.SortFunc(ops, func(a, b op) int { return cmp.Compare(a.at, b.at) })
	var held []string
	planted := false
	for i := range ops {
		o := &ops[i]
		top := len(held) - 1
		switch {
		case o.f == "push":
			o.in = fmt.Sprint(i)
			o.out = o.in
			held = append(held, o.in)
		case top < 0:
			o.out = "null"
		default:
			if !planted && i > n/2 && top > 5 {
				planted, top = true, 0
			}
			o.out = held[top]
			held = slices.Delete(held, top, top+1)
		}
	}
	h := &history.History{}
	for _, o := range ops {
		e := history.Event{Process: o.process, F: o.f, Time: time.Duration(o.call * 1e6), Value: raw(o.in)}
		h.Events = append(h.Events, e)
		e.Kind, e.Time, e.Value = history.OK, time.Duration(o.ret*1e6), raw(o.out)
		h.Events = append(h.Events, e)
	}
	slices.SortStableFunc(h.Events, func(a, b history.Event) int { return cmp.Compare(a.Time, b.Time) })
	for i := range h.Events {
		h.Events[i].Index = i
	}
	return h
}

// A history that no search decides as a whole is convicted by a part of it.
func TestConvictionByAPart(t *testing.T) {
	windows := 0
	for seed := range 5 {
		h := stacked(rand.New(rand.NewPCG(uint64(seed), 3)), 2000, 6)
		res := check(t, "stack", linear.Options{Timeout: time.Minute}, h)
		if res.Verdict != checker.Invalid || len(res.Anomalies[0].Events) > 20 {
			t.Errorf("seed %d: %s: %s", seed, res.Verdict, res.Reason)
			continue
		}
		if strings.Contains(strings.Join(res.Notes, "\n"), "windows decided 1 of 1 keys") {
			windows++
		}
		confirmed(t, "stack", "", h, res)
	}
	if windows == 0 {
		t.Error("the search decided them all: this test shows nothing")
	}
}
