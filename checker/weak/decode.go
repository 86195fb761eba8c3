package weak

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/capstan-dev/capstan/checker/value"
	"github.com/capstan-dev/capstan/history"
)

// Options say what a history means and bound its check.
type Options struct {
	// Init is the initial value of every register as JSON; empty: absent.
	Init json.RawMessage
	// NilSaysNothing: a read of null is left out.
	NilSaysNothing bool
	// Linearizable is what is known from elsewhere: "valid", "invalid" or
	// nothing.
	Linearizable string
	// Memory bounds the clocks in bytes; 0 is 256 MiB.
	Memory int64
}

const defaultMemory = 256 << 20

// Input is a decoded history.
type Input struct {
	Ops  []Op    // by Call; Note is a position in Calls
	Init []int32 // by key: the number of the initial value
	// Calls are where the operations stand in the history, as positions of
	// events; the second is -1 if there is no completion.
	Calls [][2]int32
	// LeftOut counts compare-and-sets that failed without saying what they
	// found.
	LeftOut int

	h        *history.History
	keys     []string
	nodes    []string
	values   *value.Names
	timeless bool // the times are positions: the file had none
}

// FromHistory decodes a history of registers: read, write, cas. Errors name the
// event.
func FromHistory(h *history.History, o Options) (*Input, error) {
	if history.CompletionOnly(h) {
		return nil, fmt.Errorf("decode history: it has completions only: without invocations nothing tells the order of a process's operations")
	}
	t, err := history.NewTable(h)
	if err != nil {
		return nil, fmt.Errorf("decode history: %w", err)
	}
	in := &Input{h: h, keys: t.Keys, values: value.NewNames(), timeless: h.Timeless()}
	init := in.values.Of(o.Init)
	nodes := map[string]int32{}
	for key := range t.Keys {
		in.Init = append(in.Init, init)
		for n := range t.Len(key) {
			p := t.Pair(key, n)
			op := Op{Process: int32(p.Invoke.Process), Key: int32(key), See: None, Set: None, Note: int32(len(in.Calls))}
			use, err := in.decode(&op, t, key, p, o)
			if err != nil {
				return nil, fmt.Errorf("decode history: %w", err)
			}
			if !use {
				continue
			}
			node, known := nodes[p.Invoke.Node]
			if !known {
				node = int32(len(in.nodes))
				nodes[p.Invoke.Node] = node
				in.nodes = append(in.nodes, p.Invoke.Node)
			}
			begin, end := t.Interval(key, n)
			op.Node, op.Call, op.Return = node, int64(begin), int64(end)
			if op.Crashed = p.Outcome() == history.Info; op.Crashed {
				op.Return = Never
			}
			in.Ops, in.Calls = append(in.Ops, op), append(in.Calls, [2]int32{int32(begin), int32(end)})
		}
	}
	slices.SortFunc(in.Ops, func(a, b Op) int { return cmp.Compare(a.Call, b.Call) })
	return in, nil
}

// decode fills in what an operation found and set; use is false if it says
// nothing.
func (in *Input) decode(op *Op, t *history.Table, key int, p history.Pair, o Options) (use bool, err error) {
	arg, outcome := t.Value(key, p.Invoke), p.Outcome()
	switch p.Invoke.F {
	case "read":
		if outcome != history.OK {
			return false, nil
		}
		op.See = in.values.Of(t.Value(key, p.Complete))
		return op.See != 0 || !o.NilSaysNothing, nil
	case "write":
		op.Set = in.values.Of(arg)
		return outcome != history.Fail, nil
	case "cas":
		return in.decodeCAS(op, t, key, p)
	}
	return false, fmt.Errorf("event %d has f %q, want read, write or cas", p.Invoke.Index, p.Invoke.F)
}

// decodeCAS: a failed one may tell what it found, as [old, new, found].
func (in *Input) decodeCAS(op *Op, t *history.Table, key int, p history.Pair) (use bool, err error) {
	from, to, ok := history.SplitPair(t.Value(key, p.Invoke))
	if !ok {
		return false, fmt.Errorf("event %d is a cas with the value %.60s, want [old, new]", p.Invoke.Index, t.Value(key, p.Invoke))
	}
	if p.Outcome() != history.Fail {
		op.See, op.Set = in.values.Of(from), in.values.Of(to)
		return true, nil
	}
	var parts []json.RawMessage
	if v := t.Value(key, p.Complete); len(v) > 1 && v[0] == '[' && json.Unmarshal(v, &parts) == nil && len(parts) == 3 {
		op.See = in.values.Of(parts[2])
		return true, nil
	}
	in.LeftOut++
	return false, nil
}
