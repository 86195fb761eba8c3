package durable_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/checker/durable"
	"github.com/capstan-dev/capstan/checker/linear/chain"
	"github.com/capstan-dev/capstan/checker/linear/spec"
	"github.com/capstan-dev/capstan/checker/linear/spec/spectest"
	"github.com/capstan-dev/capstan/history"
)

// op is an operation of a process of its own.
type op[In, Out any] struct {
	spec.Op[In, Out]
	node string
}

type (
	regOp = op[chain.In, chain.Out]
)

// record makes a history; text tells an operation's name, argument and result,
// and whether it failed. A fault lasts from one time to the other, if any.
func record[In, Out any](ops []op[In, Out], text func(spec.Op[In, Out]) (f, in, out string, fail bool), fault [2]int64) *history.History {
	h := &history.History{}
	for i, o := range ops {
		f, in, out, fail := text(o.Op)
		e := history.Event{Time: time.Duration(o.Call), Process: i, Node: o.node, F: f, Value: []byte(in)}
		h.Events = append(h.Events, e)
		if o.Crashed {
			continue
		}
		e.Kind, e.Time, e.Value = history.OK, time.Duration(o.Return), []byte(out)
		if fail {
			e.Kind, e.Err = history.Fail, history.ErrUnmet.Error()
		}
		h.Events = append(h.Events, e)
	}
	if fault[1] > 0 {
		d, _ := json.Marshal(history.FaultDetail{ID: 1, Fault: "partition:one", Proven: true,
			Sides: map[string]string{"n1": "minority", "n2": "majority", "n3": "majority"}})
		for i, f := range []string{"start-partition", "stop-partition"} {
			for _, k := range []history.Kind{history.Invoke, history.Info} {
				h.Events = append(h.Events, history.Event{Time: time.Duration(fault[i]), Process: history.Nemesis, Kind: k, F: f, Value: d})
			}
		}
	}
	slices.SortStableFunc(h.Events, func(a, b history.Event) int {
		return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(min(a.Kind, 1), min(b.Kind, 1)))
	})
	for i := range h.Events {
		h.Events[i].Index = i
	}
	return h
}

func register(o spec.Op[chain.In, chain.Out]) (f, in, out string, fail bool) {
	switch o.In.Verb {
	case chain.Read:
		return "read", "null", fmt.Sprint(o.Out.V), false
	case chain.Write:
		in = fmt.Sprint(o.In.A)
		return "write", in, in, false
	}
	in = fmt.Sprintf("[%d,%d]", o.In.A, o.In.B)
	return "cas", in, in, !o.Out.OK
}

var registers = spectest.Subject[int32, chain.In, chain.Out]{
	Model: chain.Model(0),
	In: func(r *rand.Rand, i int) chain.In {
		switch r.IntN(5) {
		case 0, 1:
			v := int32(i + 1)
			if r.IntN(20) == 0 {
				v = int32(1 + r.IntN(i+1))
			}
			return chain.In{Verb: chain.Write, A: v}
		case 2:
			return chain.In{Verb: chain.CAS, A: int32(r.IntN(i + 1)), B: int32(i + 1)}
		}
		return chain.In{}
	},
	Mutate: func(r *rand.Rand, in chain.In, out chain.Out) chain.Out {
		if in.Verb == chain.Read {
			out.V = int32(r.IntN(12))
		} else if in.Verb == chain.CAS {
			out.OK = !out.OK
		}
		return out
	},
}

var nodes = []string{"n1", "n2", "n3"}

// spread gives operations nodes, and ends some histories with reads of all.
func spread[In, Out any](r *rand.Rand, ops []spec.Op[In, Out], answer func() Out) ([]op[In, Out], [2]int64) {
	var out []op[In, Out]
	end := int64(0)
	for _, o := range ops {
		out = append(out, op[In, Out]{o, nodes[r.IntN(3)]})
		if end = max(end, o.Call); !o.Crashed {
			end = max(end, o.Return)
		}
	}
	var fault [2]int64
	if r.IntN(2) == 0 {
		fault[0] = 1 + r.Int64N(end+1)
		fault[1] = fault[0] + r.Int64N(end+1)
	}
	if r.IntN(3) > 0 {
		begin := max(end, fault[1]) + 1
		first := answer()
		for _, n := range nodes[r.IntN(5)/4:] {
			o := op[In, Out]{spec.Op[In, Out]{Out: first, Call: begin, Return: begin + r.Int64N(3)}, n}
			if r.IntN(3) == 0 {
				o.Out = answer()
			}
			out = append(out, o)
			begin += r.Int64N(3)
		}
	}
	if r.IntN(5) == 0 {
		for i := range out {
			out[i].node = ""
		}
	}
	return out, fault
}

func plain[In, Out any](ops []op[In, Out]) []spec.Op[In, Out] {
	var out []spec.Op[In, Out]
	for _, o := range ops {
		out = append(out, o.Op)
	}
	return out
}

func show[In, Out any](ops []op[In, Out]) string {
	text := ""
	for i, o := range ops {
		text += fmt.Sprintf("%3d %s %s", i, o.node, spectest.Format([]spec.Op[In, Out]{o.Op})[3:])
	}
	return text
}

// figures are what the twins compute: all groups' sum, and unsettled keys.
type figures struct {
	Counts    durable.Counts
	Possible  durable.Possible
	unsettled bool
}

func of(r durable.Report) figures {
	return figures{r.All.Counts, r.All.Possible, r.Unsettled > 0}
}

func (f figures) any() bool {
	return f.Counts.Lost+f.Counts.Resurrected+f.Counts.Duplicated+f.Counts.Forked+f.Possible.Lost+f.Possible.Resurrected+f.Possible.Duplicated > 0
}

func (f *figures) total(x figures) {
	f.Counts.Acknowledged += x.Counts.Acknowledged
	f.Counts.Seen += x.Counts.Seen
	f.Counts.Lost += x.Counts.Lost
	f.Counts.Resurrected += x.Counts.Resurrected
	f.Counts.Duplicated += x.Counts.Duplicated
	f.Counts.Forked += x.Counts.Forked
	f.Possible.Lost += x.Possible.Lost
	f.Possible.Resurrected += x.Possible.Resurrected
	f.Possible.Duplicated += x.Possible.Duplicated
}

func measure(t *testing.T, h *history.History) durable.Report {
	t.Helper()
	r, ok, err := durable.Measure(t.Context(), h, durable.Options{Init: []byte("0")})
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		r.All = durable.Group{}
	}
	return r
}

// sums demands that each division of the writes into groups adds up.
func sums(t *testing.T, r durable.Report) {
	t.Helper()
	by := map[string]int{}
	for _, g := range r.Groups {
		if g.By != durable.ByNode || g.Name != "" {
			by[g.By] += g.Acknowledged
		}
		if g.Lost+g.Possible.Lost > g.Acknowledged || g.Seen > g.Acknowledged {
			t.Fatalf("group %+v", g)
		}
	}
	if by[durable.ByPhase] != r.All.Acknowledged || by[durable.BySide] != by[durable.ByFault] {
		t.Fatalf("groups do not add up: %v of %+v", by, r.All)
	}
}

// Certain and possible figures are those of the definitions, and none is
// anything but zero on a linearizable history.
func TestRegisterTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var all figures
	legal, unsettled := 0, 0
	for i := range spectest.Histories(t) {
		small := registers.Random(r)
		ops, fault := spread(r, small, func() chain.Out { return chain.Out{V: int32(r.IntN(len(small) + 1))} })
		rep := measure(t, record(ops, register, fault))
		got, want := of(rep), registerTwin(ops, fault[1])
		if rep.Object == "" {
			continue
		}
		if got != want {
			t.Fatalf("history %d: got %+v, want %+v:\n%s fault %v\n%+v", i, got, want, show(ops), fault, rep.Found)
		}
		if spectest.Brute(registers.Model, plain(ops)) {
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
	if n := spectest.Histories(t); legal < n/10 || min(unsettled, all.Counts.Lost, all.Possible.Lost, all.Counts.Resurrected, all.Possible.Resurrected, all.Counts.Forked, all.Counts.Duplicated, all.Possible.Duplicated) < n/500 {
		t.Error("the generator does not reach everything")
	}
}

// Every witness that is kept is a history by itself that is not linearizable.
func TestRegisterWitnesses(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	found := map[string]int{}
	for range spectest.Histories(t) / 5 {
		small := registers.Random(r)
		ops, fault := spread(r, small, func() chain.Out { return chain.Out{V: int32(r.IntN(len(small) + 1))} })
		h := record(ops, register, fault)
		for _, f := range measure(t, h).Found {
			found[f.Kind]++
			in := map[int]bool{}
			for _, e := range f.Events {
				in[h.Events[e].Process] = true
			}
			var part []spec.Op[chain.In, chain.Out]
			for p, o := range ops {
				if in[p] {
					part = append(part, o.Op)
				}
			}
			if f.Text == "" || spectest.Brute(registers.Model, part) {
				t.Fatalf("the witness is linearizable: %+v\n%s", f, show(ops))
			}
		}
	}
	t.Log(found)
	if len(found) != 4 {
		t.Error("not every kind was found")
	}
}
