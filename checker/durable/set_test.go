package durable_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/capstan-dev/capstan/checker/linear/order"
	"github.com/capstan-dev/capstan/checker/linear/spec"
	"github.com/capstan-dev/capstan/checker/linear/spec/spectest"
	"github.com/capstan-dev/capstan/history"
)

type setOp = op[order.SetIn, order.SetOut]

func setText(o spec.Op[order.SetIn, order.SetOut]) (f, in, out string, fail bool) {
	if o.In.Add {
		return "add", fmt.Sprint(o.In.V), fmt.Sprint(o.In.V), false
	}
	return "read", "null", strings.ReplaceAll(fmt.Sprint(o.Out.Set), " ", ","), false
}

func someSet(r *rand.Rand, set []int32) []int32 {
	set = slices.Clone(set)
	if len(set) > 0 && r.IntN(2) == 0 {
		return slices.Delete(set, 0, 1+r.IntN(len(set)))
	}
	return append(set, int32(r.IntN(9)))
}

var sets = spectest.Subject[[]int32, order.SetIn, order.SetOut]{
	Model: order.SetModel(),
	In: func(r *rand.Rand, i int) order.SetIn {
		return order.SetIn{Add: r.IntN(2) == 0, V: int32(r.IntN(i + 1))}
	},
	Mutate: func(r *rand.Rand, in order.SetIn, out order.SetOut) order.SetOut {
		if !in.Add {
			out.Set = someSet(r, out.Set)
		}
		return out
	},
}

func randomSets(r *rand.Rand) ([]setOp, [2]int64) {
	small := sets.Random(r)
	for i := range small {
		if small[i].In.Add {
			small[i].Out = order.SetOut{}
		}
	}
	var most []int32
	for _, o := range small {
		if len(o.Out.Set) > len(most) {
			most = o.Out.Set
		}
	}
	return spread(r, small, func() order.SetOut {
		if r.IntN(2) == 0 {
			return order.SetOut{Set: most}
		}
		return order.SetOut{Set: someSet(r, most)}
	})
}

// setTwin computes the figures of one set from the definitions.
func setTwin(ops []setOp, healed int64) (f figures) {
	quiet := healed
	if healed == 0 {
		quiet = -1
	}
	ack, elements := map[int32]int64{}, map[int32]bool{}
	for _, x := range ops {
		for _, v := range x.Out.Set {
			elements[v] = true
		}
		if !x.In.Add {
			continue
		}
		quiet = max(quiet, x.Call)
		if !x.Crashed {
			quiet = max(quiet, x.Return)
			ack[x.In.V], elements[x.In.V] = 1, true
		}
	}
	finals, known := lastReads(ops, quiet)
	for v := range elements {
		in := 0
		for _, set := range finals {
			add(slices.Contains(set, v), &in)
		}
		if ack[v] > 0 {
			f.Counts.Acknowledged++
			add(slices.ContainsFunc(ops, func(x setOp) bool { return slices.Contains(x.Out.Set, v) }), &f.Counts.Seen)
			add(known && in == 0, &f.Counts.Lost)
			add(len(finals) > 0 && in < len(finals) && !(known && in == 0), &f.Possible.Lost)
		}
		add(slices.ContainsFunc(ops, func(x setOp) bool {
			first := slices.Index(x.Out.Set, v)
			return first >= 0 && slices.Contains(x.Out.Set[first+1:], v)
		}), &f.Counts.Duplicated)
		back := false
		for _, n := range nodes {
			back = back || cameBack(ops, v, func(x string) bool { return x == n })
		}
		add(back, &f.Counts.Resurrected)
		add(!back && cameBack(ops, v, func(string) bool { return true }), &f.Possible.Resurrected)
	}
	f.unsettled = len(ack) > 0 && !known
	return f
}

func isRead(o setOp) bool { return !o.In.Add && !o.Crashed }

func lastReads(ops []setOp, quiet int64) (finals [][]int32, known bool) {
	last, names := map[string]setOp{}, map[string]bool{}
	for _, x := range ops {
		names[x.node] = true
		if !isRead(x) || x.Call <= quiet {
			continue
		}
		if x.node == "" {
			finals = append(finals, x.Out.Set)
			continue
		}
		if y, ok := last[x.node]; !ok || y.Return < x.Return || y.Return == x.Return && y.Call <= x.Call {
			last[x.node] = x
		}
	}
	for _, x := range last {
		finals = append(finals, x.Out.Set)
	}
	return finals, len(finals) > 0 && (names[""] || len(last) == len(names))
}

func cameBack(ops []setOp, v int32, through func(string) bool) bool {
	for _, x := range ops {
		for _, y := range ops {
			for _, z := range ops {
				if isRead(x) && isRead(y) && isRead(z) && through(x.node) && through(y.node) && through(z.node) && x.Return < y.Call && y.Return < z.Call &&
					slices.Contains(x.Out.Set, v) && !slices.Contains(y.Out.Set, v) && slices.Contains(z.Out.Set, v) {
					return true
				}
			}
		}
	}
	return false
}

func TestSetTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var all figures
	legal, unsettled := 0, 0
	for i := range spectest.Histories(t) {
		ops, fault := randomSets(r)
		rep := measure(t, record(ops, setText, fault))
		if rep.Object == "" {
			continue
		}
		got, want := of(rep), setTwin(ops, fault[1])
		if got != want {
			t.Fatalf("history %d: got %+v, want %+v:\n%s fault %v\n%+v", i, got, want, show(ops), fault, rep.Found)
		}
		if spectest.Brute(sets.Model, plain(ops)) {
			if legal++; got.any() {
				t.Fatalf("history %d is linearizable, but %+v:\n%s%+v", i, got, show(ops), rep.Found)
			}
		}
		if rep.Unsettled > 0 {
			unsettled++
		}
		sums(t, rep)
		all.total(got)
	}
	t.Logf("%d linearizable, %d unsettled, %+v", legal, unsettled, all)
	if n := spectest.Histories(t); legal < n/10 || min(unsettled, all.Counts.Lost, all.Possible.Lost, all.Counts.Resurrected, all.Possible.Resurrected, all.Counts.Duplicated) < n/500 {
		t.Error("the generator does not reach everything")
	}
}

func TestSetWitnesses(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	found := map[string]int{}
	for range spectest.Histories(t) / 5 {
		ops, fault := randomSets(r)
		h := record(ops, setText, fault)
		for _, f := range measure(t, h).Found {
			found[f.Kind]++
			// The events name the reads; all adds belong to what they mean.
			part := withAdds(ops, h, f.Events)
			if f.Text == "" || spectest.Brute(sets.Model, part) {
				t.Fatalf("the witness is linearizable: %+v\n%s", f, show(ops))
			}
		}
	}
	t.Log(found)
	if len(found) != 3 {
		t.Error("not every kind was found")
	}
}

func withAdds(ops []setOp, h *history.History, events []int) []spec.Op[order.SetIn, order.SetOut] {
	in := map[int]bool{}
	for _, e := range events {
		in[h.Events[e].Process] = true
	}
	var part []spec.Op[order.SetIn, order.SetOut]
	for p, o := range ops {
		if in[p] || o.In.Add {
			part = append(part, o.Op)
		}
	}
	return part
}
