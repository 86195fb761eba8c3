package linear

import (
	"encoding/json"
	"strconv"

	"github.com/capstan-dev/capstan/checker/linear/fifo"
	"github.com/capstan-dev/capstan/checker/linear/kv"
	"github.com/capstan-dev/capstan/checker/linear/objects"
	"github.com/capstan-dev/capstan/checker/linear/order"
	"github.com/capstan-dev/capstan/checker/linear/presence"
	"github.com/capstan-dev/capstan/checker/linear/spec"
	"github.com/capstan-dev/capstan/checker/value"
	"github.com/capstan-dev/capstan/history"
)

// verbs maps the names in histories to what they mean.
type verbs map[string]int

const (
	put = iota
	take
	look
	drop
)

func (k *keyCalls) verb(c call, names verbs, want ...string) (int, error) {
	v, ok := names[c.Invoke.F]
	if !ok {
		return 0, k.unknownF(c, want...)
	}
	return v, nil
}

// openQueue opens a queue, ordered or a bag.
func openQueue(ordered bool) func(*keyCalls) (problem, error) {
	return func(k *keyCalls) (problem, error) {
		values := value.NewNames()
		ops, at, err := collect(k, func(c call) (in fifo.In, out fifo.Out, use bool, err error) {
			v, err := k.verb(c, verbs{"enqueue": put, "dequeue": take}, "enqueue", "dequeue")
			if err != nil {
				return in, out, false, err
			}
			if v == put {
				in.V = values.Of(c.in)
				return in, out, !c.failed(), nil
			}
			in.Deq = true
			if c.ok() {
				out.V = values.Of(c.out)
				out.Empty = out.V == 0
			}
			return in, out, !c.failed(), nil
		})
		if err != nil {
			return nil, err
		}
		return &object[[]int32, fifo.In, fifo.Out]{
			calls: k, model: fifo.Model(ordered), ops: ops, at: at, values: values, named: "queue patterns", needs: fifo.Needs,
			special: func(ops []spec.Op[fifo.In, fifo.Out], b spec.Budget) spec.Finding[fifo.Out] {
				return fifo.Decide(ops, ordered, b)
			},
		}, nil
	}
}

// openList opens an append-only list that is read as a whole.
func openList(k *keyCalls) (problem, error) {
	values := value.NewNames()
	ops, at, err := collect(k, func(c call) (in order.ListIn, out order.ListOut, use bool, err error) {
		v, err := k.verb(c, verbs{"append": put, "read": look}, "append", "read")
		if err != nil || c.failed() {
			return in, out, false, err
		}
		if v == put {
			in.Append, in.V = true, values.Of(c.in)
			return in, out, true, nil
		}
		if !c.ok() {
			return in, out, false, nil
		}
		out.List, err = k.elements(c, values)
		return in, out, true, err
	})
	if err != nil {
		return nil, err
	}
	return &object[[]int32, order.ListIn, order.ListOut]{
		calls: k, model: order.ListModel(), ops: ops, at: at, values: values, special: order.DecideList, named: "list order", needs: order.ListNeeds,
	}, nil
}

// openGrowSet opens a set that only grows and is read as a whole.
func openGrowSet(k *keyCalls) (problem, error) {
	values := value.NewNames()
	ops, at, err := collect(k, func(c call) (in order.SetIn, out order.SetOut, use bool, err error) {
		v, err := k.verb(c, verbs{"add": put, "read": look}, "add", "read")
		if err != nil || c.failed() {
			return in, out, false, err
		}
		if v == put {
			in.Add, in.V = true, values.Of(c.in)
			return in, out, true, nil
		}
		if !c.ok() {
			return in, out, false, nil
		}
		out.Set, err = k.elements(c, values)
		return in, out, true, err
	})
	if err != nil {
		return nil, err
	}
	return &object[[]int32, order.SetIn, order.SetOut]{
		calls: k, model: order.SetModel(), ops: ops, at: at, values: values, special: order.DecideSet, named: "set order", needs: order.SetNeeds,
	}, nil
}

// elements reads the list that an operation returned; null is an empty one.
func (k *keyCalls) elements(c call, values *value.Names) ([]int32, error) {
	out := []int32{}
	if value.IsNull(c.out) {
		return out, nil
	}
	ok := value.Elements(c.out, func(v json.RawMessage) { out = append(out, values.Of(v)) })
	if !ok {
		return nil, c.wantResult("a list")
	}
	return out, nil
}

// openBox opens a stack or a queue by priority, with the names of its verbs.
func openBox[S any](model func() spec.Model[S, objects.In, int32], prefer preference[objects.In, int32], names verbs, want ...string) func(*keyCalls) (problem, error) {
	return func(k *keyCalls) (problem, error) {
		values := value.NewNames()
		ranked := want[0] == "insert" // then the numbers themselves count
		number := func(c call, v json.RawMessage) (int32, error) {
			if !ranked {
				return values.Of(v), nil
			}
			n, err := strconv.ParseInt(string(v), 10, 32)
			if err != nil || int32(n) == objects.None || int32(n) == objects.Unknown {
				return 0, c.want("a whole number of 32 bits")
			}
			return int32(n), nil
		}
		ops, at, err := collect(k, func(c call) (in objects.In, out int32, use bool, err error) {
			v, err := k.verb(c, names, want...)
			if err != nil || c.failed() {
				return in, out, false, err
			}
			if v == put {
				in.Value, err = number(c, c.in)
				return in, 0, true, err
			}
			in.Verb, out = objects.Take, objects.None
			if c.ok() && !value.IsNull(c.out) {
				out, err = number(c, c.out)
			}
			return in, out, true, err
		})
		if err != nil {
			return nil, err
		}
		return &object[S, objects.In, int32]{calls: k, model: model(), ops: ops, at: at, values: values, needs: objects.Needs, prefer: prefer}, nil
	}
}

// openPresence opens a set with add, remove and contains, each of one element.
// The answer is true if an add added, a remove removed, and contains found it;
// an add or remove may be answered by anything else, which tells nothing.
func openPresence(k *keyCalls) (problem, error) {
	values := value.NewNames()
	ops, at, err := collect(k, func(c call) (in presence.In, out presence.Out, use bool, err error) {
		v, err := k.verb(c, verbs{"add": put, "remove": drop, "contains": look}, "add", "remove", "contains")
		if err != nil || c.failed() {
			return in, out, false, err
		}
		in.V = values.Of(c.in)
		in.Verb = map[int]presence.Verb{put: presence.Add, drop: presence.Remove, look: presence.Contains}[v]
		answer := c.out
		if _, second, pair := history.SplitPair(c.out); pair { // [element, answer]
			answer = second
		}
		yes := string(answer) == "true"
		out.Known = c.ok() && (yes || string(answer) == "false")
		out.OK = out.Known && yes != (v == put)
		if v == look && c.ok() && !out.Known {
			return in, out, false, c.wantResult("true or false")
		}
		return in, out, c.ok() || v != look, nil
	})
	if err != nil {
		return nil, err
	}
	return &object[[]int32, presence.In, presence.Out]{
		calls: k, model: presence.Model(), ops: ops, at: at, values: values, special: presence.Decide, named: "presence", needs: presence.Needs,
	}, nil
}

// openKV opens a key that holds a string.
func openKV(k *keyCalls) (problem, error) {
	ops, at, err := collect(k, func(c call) (in kv.In, out kv.Out, use bool, err error) {
		v, err := k.verb(c, verbs{"put": put, "append": grow, "get": look}, "put", "append", "get")
		if err != nil || c.failed() {
			return in, out, false, err
		}
		in.Verb = map[int]kv.Verb{put: kv.Put, grow: kv.Append, look: kv.Get}[v]
		if v != look {
			if in.Piece, err = text(c.in); err != nil {
				return in, out, false, c.want("a string")
			}
			return in, out, true, nil
		}
		if !c.ok() {
			return in, out, false, nil
		}
		if out.Value, err = text(c.out); err != nil {
			return in, out, false, c.wantResult("a string")
		}
		return in, out, true, nil
	})
	if err != nil {
		return nil, err
	}
	return &object[string, kv.In, kv.Out]{
		calls: k, model: kv.Model(), ops: ops, at: at, special: kv.Decide, named: "zones of pieces", needs: kv.Needs,
	}, nil
}

// text is a string; null is an empty one.
func text(v json.RawMessage) (s string, err error) {
	if value.IsNull(v) {
		return "", nil
	}
	err = json.Unmarshal(v, &s)
	return s, err
}
