package linear

import (
	"encoding/json"
	"strconv"

	"github.com/capstan-dev/capstan/checker/linear/fifo"
	"github.com/capstan-dev/capstan/checker/linear/objects"
	"github.com/capstan-dev/capstan/checker/linear/order"
	"github.com/capstan-dev/capstan/checker/linear/spec"
	"github.com/capstan-dev/capstan/checker/value"
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
			calls: k, model: fifo.Model(ordered), ops: ops, at: at, named: "queue patterns", needs: fifo.Needs,
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
		calls: k, model: order.ListModel(), ops: ops, at: at, special: order.DecideList, named: "list order", needs: order.ListNeeds,
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
		calls: k, model: order.SetModel(), ops: ops, at: at, special: order.DecideSet, named: "set order", needs: order.SetNeeds,
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
func openBox[S any](model func() spec.Model[S, objects.In, int32], names verbs, want ...string) func(*keyCalls) (problem, error) {
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
		return &object[S, objects.In, int32]{calls: k, model: model(), ops: ops, at: at, needs: boxNeeds}, nil
	}
}

// boxNeeds: taking away all operations on a value leaves a legal history
// legal. A value that no completed take returned may have gone by any crashed
// one.
func boxNeeds(ops []spec.Op[objects.In, int32]) [][]int32 {
	group := map[int32][]int32{} // value -> its operations
	taken := map[int32]bool{}
	var crashed []int32
	for i := range ops {
		o := &ops[i]
		switch {
		case o.In.Verb == objects.Put:
			group[o.In.Value] = append(group[o.In.Value], int32(i))
		case o.Crashed:
			crashed = append(crashed, int32(i))
		case o.Out != objects.None:
			group[o.Out] = append(group[o.Out], int32(i))
			taken[o.Out] = true
		}
	}
	needs := make([][]int32, len(ops))
	for v, all := range group {
		link(needs, all)
		if !taken[v] {
			needs[all[0]] = append(needs[all[0]], crashed...)
		}
	}
	return needs
}

// link makes all of some operations need each other, in a ring.
func link(needs [][]int32, all []int32) {
	for n, i := range all {
		if len(all) > 1 {
			needs[i] = append(needs[i], all[(n+1)%len(all)])
		}
	}
}
