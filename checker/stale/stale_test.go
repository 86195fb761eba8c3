package stale_test

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/checker/linear/chain"
	"github.com/capstan-dev/capstan/checker/linear/spec"
	"github.com/capstan-dev/capstan/checker/linear/spec/spectest"
	"github.com/capstan-dev/capstan/checker/stale"
	"github.com/capstan-dev/capstan/history"
)

// op is an operation to make a history of: a write of v, or a read of it.
type op struct {
	process    int
	node       string
	write      bool
	v          int
	begin, end time.Duration // end < 0: crashed
}

func historyOf(ops []op) *history.History {
	h := &history.History{}
	for _, o := range ops {
		f, arg, out := "read", "null", fmt.Sprint(o.v)
		if o.write {
			f, arg = "write", out
		} else if o.v == 0 {
			out = "null"
		}
		e := history.Event{Time: o.begin, Process: o.process, Node: o.node, F: f, Value: []byte(arg)}
		h.Events = append(h.Events, e)
		if o.end >= 0 {
			e.Kind, e.Time, e.Value = history.OK, o.end, []byte(out)
			h.Events = append(h.Events, e)
		}
	}
	slices.SortStableFunc(h.Events, func(a, b history.Event) int {
		return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Kind, b.Kind))
	})
	for i := range h.Events {
		h.Events[i].Index = i
	}
	return h
}

// random makes a small history, each operation of a process of its own.
func random(r *rand.Rand) []op {
	var ops []op
	next := 0
	for i := range 2 + r.IntN(7) {
		begin := time.Duration(r.IntN(12))
		o := op{process: i, node: "n1", begin: begin, end: begin + time.Duration(r.IntN(4))}
		if r.IntN(2) == 0 {
			next++
			o.write, o.v = true, next
			if r.IntN(5) == 0 {
				o.end = -1
			}
		}
		ops = append(ops, o)
	}
	for i := range ops {
		if !ops[i].write && next > 0 {
			ops[i].v = r.IntN(next + 1)
		}
	}
	return ops
}

func linearizable(ops []op, earlier time.Duration) bool {
	var out []chain.Op
	for _, o := range ops {
		x := chain.Op{Call: int64(o.begin), Return: int64(o.end)}
		if o.write {
			x.In = chain.In{Verb: chain.Write, A: int32(o.v)}
			if x.Crashed = o.end < 0; x.Crashed {
				x.Return = spec.Never
			}
		} else {
			x.Out.V = int32(o.v)
			x.Call -= int64(earlier)
		}
		out = append(out, x)
	}
	return spectest.Brute(chain.Model(0), out)
}

// The definition, read literally: no history may be called stale by more than
// makes it linearizable again when every read is taken to have begun so much
// earlier.
func TestDeltaIsABoundFromBelow(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	found, exact := 0, 0
	for range spectest.Histories(t) / 5 {
		ops := random(r)
		rep, ok, err := stale.Measure(t.Context(), historyOf(ops), stale.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if !ok || rep.Delta == 0 {
			continue
		}
		found++
		if linearizable(ops, rep.Delta-1) {
			t.Fatalf("stale by %d, but linearizable with reads %d earlier: %+v", rep.Delta, rep.Delta-1, ops)
		}
		if linearizable(ops, rep.Delta) {
			exact++
		}
	}
	t.Logf("%d stale histories, in %d of them Delta is exact", found, exact)
	// The others have more against them than age: a read from the future.
	if found < 100 || exact < found/5 {
		t.Errorf("too few histories to tell: %d stale, %d exact", found, exact)
	}
}

// versions counts by the definition, in quadratic time.
func versions(ops []op, r op) int {
	there := map[int]time.Duration{0: -1}
	call := map[int]time.Duration{0: -1}
	for _, o := range ops {
		if o.write {
			call[o.v] = o.begin
		}
		if f, ok := there[o.v]; o.end >= 0 && (!ok || o.end < f) {
			there[o.v] = o.end
		}
	}
	n := 0
	for v, c := range call {
		if f, ok := there[v]; ok && c > there[r.v] && f < r.begin {
			n++
		}
	}
	return n
}

func TestVersions(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	some := 0
	for range spectest.Histories(t) / 5 {
		ops := random(r)
		rep, ok, err := stale.Measure(t.Context(), historyOf(ops), stale.Options{})
		if err != nil {
			t.Fatal(err)
		}
		most := 0
		for _, o := range ops {
			if !o.write {
				most = max(most, versions(ops, o))
			}
		}
		if ok && rep.NotAtomic != most {
			t.Fatalf("%d versions behind, want %d: %+v", rep.NotAtomic, most, ops)
		}
		some += most
	}
	if some == 0 {
		t.Error("no history was stale")
	}
}

// replicated is a history of n calls at one primary and through replicas that
// lag by an exponentially distributed time, and the true ages of the reads.
func replicated(n int, mean time.Duration) (*history.History, []time.Duration) {
	r := rand.New(rand.NewPCG(5, 6))
	const clients = 10
	type set struct {
		at time.Duration
		v  int
	}
	var sets []set
	var ops []op
	at := make([]time.Duration, clients)
	for len(ops) < n {
		c := 0 // whoever is free first
		for i := range at {
			if at[i] < at[c] {
				c = i
			}
		}
		begin := at[c] + 1 + time.Duration(r.ExpFloat64()*1e5)
		length := time.Duration(r.ExpFloat64()*2e6) + 2
		o := op{process: c, node: "n1", begin: begin, end: begin + length, write: c < clients/2}
		if o.write {
			o.v = len(sets) + 1
			sets = append(sets, set{begin + length/2, o.v})
		} else {
			o.node = "n2"
		}
		ops = append(ops, o)
		at[c] = o.end
	}
	slices.SortFunc(sets, func(a, b set) int { return cmp.Compare(a.at, b.at) })
	current := func(t time.Duration) int { // position in sets of the latest by then
		n, _ := slices.BinarySearchFunc(sets, t, func(s set, t time.Duration) int { return cmp.Compare(s.at, t+1) })
		return n - 1
	}
	var ages []time.Duration
	for i := range ops {
		if o := &ops[i]; !o.write {
			seen := current(o.begin + (o.end-o.begin)/2 - time.Duration(r.ExpFloat64()*float64(mean)))
			if seen >= 0 {
				o.v = sets[seen].v
			}
			if seen+1 < len(sets) {
				if age := o.begin + (o.end-o.begin)/2 - sets[seen+1].at; age > 0 {
					ages = append(ages, age)
				}
			}
		}
	}
	slices.Sort(ages)
	return historyOf(ops), ages
}

// What is found must come close to what was injected.
func TestAgesAreThoseInjected(t *testing.T) {
	h, ages := replicated(100_000, 50*time.Millisecond)
	rep, ok, err := stale.Measure(context.Background(), h, stale.Options{})
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	truth := ages[(len(ages)*99+99)/100-1]
	t.Logf("%d of %d reads stale (injected %d), p99 %v (injected %v), %d versions", rep.All.Stale, rep.All.Reads, len(ages), rep.All.Age.P99, truth, rep.NotAtomic)
	if off := math.Abs(float64(rep.All.Age.P99-truth)) / float64(truth); off > .05 {
		t.Errorf("p99 is %v, %.1f %% off the injected %v", rep.All.Age.P99, 100*off, truth)
	}
	if rep.All.Age.Max > ages[len(ages)-1] {
		t.Errorf("found %v, more than was injected, %v", rep.All.Age.Max, ages[len(ages)-1])
	}
}

func BenchmarkMeasure(b *testing.B) {
	for _, n := range []int{1e3, 1e4, 1e5, 1e6} {
		h, _ := replicated(n, 50*time.Millisecond)
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, ok, err := stale.Measure(context.Background(), h, stale.Options{}); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}
