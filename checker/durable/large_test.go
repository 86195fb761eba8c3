package durable_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/capstan-dev/capstan/checker/durable"
	"github.com/capstan-dev/capstan/checker/linear/chain"
	"github.com/capstan-dev/capstan/checker/linear/order"
	"github.com/capstan-dev/capstan/checker/linear/spec"
	"github.com/capstan-dev/capstan/checker/linear/spec/spectest"
	"github.com/capstan-dev/capstan/history"
)

// simulated is a linearizable register under n operations, a fault in the
// middle third, and reads through every node at the end.
func simulated(r *rand.Rand, n int) (ops []regOp, fault [2]int64) {
	shape := spectest.Shape{Ops: n, Clients: 10, Crash: .02}
	once := func(r *rand.Rand, i int) chain.In { // each value
		switch r.IntN(4) {
		case 0:
			return chain.In{Verb: chain.Write, A: int32(i + 1)}
		case 1:
			return chain.In{Verb: chain.CAS, A: int32(max(0, i-r.IntN(10))), B: int32(i + 1)}
		}
		return chain.In{}
	}
	for i, o := range spectest.Simulate(r, chain.Model(0), once, shape) {
		ops = append(ops, regOp{o, nodes[i%3]})
	}
	return ops, ending(&ops)
}

// ending adds reads of what the last read but one returned, one through each
// node, and places the fault.
func ending(ops *[]regOp) [2]int64 {
	end := int64(0)
	last := (*ops)[0].Op
	for _, o := range *ops {
		end = max(end, o.Call)
		if !o.Crashed {
			end = max(end, o.Return)
			last = o.Op
		}
	}
	for _, n := range nodes {
		end += 10
		o := spec.Op[chain.In, chain.Out]{Call: end, Return: end + 5}
		o.Out.V = last.Out.V
		if last.In.Verb == chain.Write {
			o.Out.V = last.In.A
		}
		*ops = append(*ops, regOp{o, n})
	}
	return [2]int64{end / 3, 2 * end / 3}
}

// sequential is a register without concurrency: whatever is planted is certain.
func sequential(r *rand.Rand, n int) (ops []regOp, fault [2]int64) {
	value := int32(0)
	for i := range n {
		o := spec.Op[chain.In, chain.Out]{Call: int64(10*i + 1), Return: int64(10*i + 6)}
		switch r.IntN(3) {
		case 0:
			value = int32(i + 1)
			o.In = chain.In{Verb: chain.Write, A: value}
		case 1:
			o.In = chain.In{Verb: chain.CAS, A: value, B: int32(i + 1)}
			o.Out.OK, value = true, int32(i+1)
		default:
			o.Out.V = value
		}
		ops = append(ops, regOp{o, nodes[i%3]})
	}
	end := int64(10 * n)
	for i, node := range nodes {
		at := end + 1 + int64(10*i)
		ops = append(ops, regOp{spec.Op[chain.In, chain.Out]{Call: at, Return: at + 5, Out: chain.Out{V: value}}, node})
	}
	return ops, [2]int64{end / 3, 2 * end / 3}
}

func TestLinearizableRegistersLoseNothing(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 9))
		ops, fault := simulated(r, 2000)
		ops = ops[:len(ops)-3]
		rep := measure(t, record(ops, register, fault))
		if of(rep).any() || rep.All.Acknowledged < 400 {
			t.Fatalf("seed %d: %+v\n%+v", seed, rep.All, rep.Found)
		}
	}
}

func TestLinearizableSetsLoseNothing(t *testing.T) {
	for seed := range uint64(5) {
		r := rand.New(rand.NewPCG(seed, 15))
		in := func(r *rand.Rand, i int) order.SetIn { return order.SetIn{Add: r.IntN(4) > 0, V: int32(i)} }
		var ops []setOp
		for i, o := range spectest.Simulate(r, order.SetModel(), in, spectest.Shape{Ops: 2000, Clients: 10, Crash: .02}) {
			ops = append(ops, setOp{o, nodes[i%3]})
		}
		rep := measure(t, record(ops, setText, [2]int64{1e9, 2e9}))
		if of(rep).any() || rep.All.Acknowledged < 1000 || rep.All.Seen < 900 {
			t.Fatalf("seed %d: %+v\n%+v", seed, rep.All, rep.Found)
		}
	}
}

// Final reads that go back to an old value lose every write since.
func TestPlantedLosses(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 10))
		ops, fault := sequential(r, 2000)
		n := len(ops) - 3
		from := n - 1 - r.IntN(500)
		old, lost := int32(-1), 0
		for i, o := range ops[:n] {
			wrote := o.In.Verb != chain.Read
			switch {
			case wrote && (old < 0 || i < from):
				if old = o.In.A; o.In.Verb == chain.CAS {
					old = o.In.B
				}
				lost = 0
			case wrote:
				lost++
			}
		}
		for i := range nodes {
			ops[n+i].Out.V = old
		}
		rep := measure(t, record(ops, register, fault))
		if rep.All.Lost != lost || rep.Unsettled != 0 {
			t.Fatalf("seed %d: planted %d lost writes, found %+v", seed, lost, rep.All)
		}
		if len(rep.Found) == 0 || !strings.Contains(rep.Found[0].Text, "is lost") {
			t.Fatalf("no witness: %+v", rep.Found)
		}
	}
}

// A set on a minority that forgets what it acknowledged while it was cut off.
func TestLossesAreAttributed(t *testing.T) {
	var ops []setOp
	var kept []int32
	fault := [2]int64{3000, 6000}
	lost := 0
	for i := range 1000 {
		at := int64(10*i + 1)
		o := setOp{spec.Op[order.SetIn, order.SetOut]{In: order.SetIn{Add: true, V: int32(i)}, Call: at, Return: at + 5}, nodes[i%3]}
		ops = append(ops, o)
		if o.node == "n1" && o.Return >= fault[0] && o.Return < fault[1] {
			lost++
			continue
		}
		kept = append(kept, int32(i))
	}
	for i, n := range nodes {
		at := int64(10_010 + 10*i)
		ops = append(ops, setOp{spec.Op[order.SetIn, order.SetOut]{Out: order.SetOut{Set: kept}, Call: at, Return: at + 5}, n})
	}
	rep := measure(t, record(ops, setText, fault))
	for _, g := range rep.Groups {
		want := 0
		switch g.Name {
		case "minority", "n1", "during faults", "fault 1 partition:one, minority":
			want = lost
		}
		if g.Lost != want {
			t.Errorf("%s %s: %d lost, want %d", g.By, g.Name, g.Lost, want)
		}
	}
	if rep.All.Lost != lost || len(rep.Found) != 10 || rep.Found[0].Side != "minority" {
		t.Errorf("%+v %+v", rep.All, rep.Found)
	}
}

func TestOtherHistories(t *testing.T) {
	for name, ops := range map[string][][2]string{
		"bank":    {{"transfer", "1"}, {"read", "{}"}},
		"counter": {{"add", "1"}, {"read", "1"}},
		"reads":   {{"read", "1"}},
		"none":    {},
	} {
		h := &history.History{}
		for i, o := range ops {
			for _, k := range []history.Kind{history.Invoke, history.OK} {
				h.Events = append(h.Events, history.Event{Index: len(h.Events), Time: 1, Process: i, Kind: k, F: o[0], Value: []byte(o[1])})
			}
		}
		if _, ok, err := durable.Measure(t.Context(), h, durable.Options{}); ok || err != nil {
			t.Errorf("%s: %v %v", name, ok, err)
		}
	}
}

func BenchmarkRegister(b *testing.B) {
	for _, n := range []int{1e3, 1e4, 1e5, 1e6} {
		ops, fault := simulated(rand.New(rand.NewPCG(1, 1)), n)
		bench(b, n, record(ops, register, fault))
	}
}

// BenchmarkSet adds n elements and reads them ten times.
func BenchmarkSet(b *testing.B) {
	for _, n := range []int{1e3, 1e4, 1e5, 1e6} {
		var ops []setOp
		var all []int32
		for i := range n {
			at := int64(10*i + 1)
			o := setOp{spec.Op[order.SetIn, order.SetOut]{Call: at, Return: at + 50}, nodes[i%3]}
			if i%(n/10) == n/10-1 {
				o.Out.Set = slices.Clone(all)
			} else {
				o.In = order.SetIn{Add: true, V: int32(i)}
				all = append(all, int32(i))
			}
			ops = append(ops, o)
		}
		bench(b, n, record(ops, setText, [2]int64{int64(3 * n), int64(6 * n)}))
	}
}

func bench(b *testing.B, n int, h *history.History) {
	b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok, err := durable.Measure(b.Context(), h, durable.Options{Init: []byte("0")}); !ok || err != nil {
				b.Fatal(ok, err)
			}
		}
	})
}
