package linear

import (
	"encoding/json"
	"slices"
	"strconv"

	"github.com/capstan-dev/capstan/checker/linear/order"
	"github.com/capstan-dev/capstan/checker/linear/spec"
	"github.com/capstan-dev/capstan/checker/linear/tally"
	"github.com/capstan-dev/capstan/checker/value"
	"github.com/capstan-dev/capstan/history"
)

// number reads a whole number, so small that the sum of all in a history fits
// 64 bits.
func number(v json.RawMessage) (int64, bool) {
	n, err := strconv.ParseInt(string(v), 10, 64)
	const most = 1 << 40
	return n, err == nil && n > -most && n < most
}

const aNumber = "a whole number below 2^40"

// openCounter opens a counter whose adds return nothing.
func openCounter(k *keyCalls) (problem, error) {
	ops, at, err := collect(k, func(c call) (in tally.In, out int64, use bool, err error) {
		v, err := k.verb(c, verbs{"add": put, "read": look}, "add", "read")
		if err != nil || c.failed() {
			return in, 0, false, err
		}
		ok := false
		if v == put {
			in.Verb = tally.Add
			if in.Delta, ok = number(c.in); !ok {
				return in, 0, false, c.want(aNumber)
			}
			return in, 0, true, nil
		}
		if !c.ok() || value.IsNull(c.out) {
			return in, 0, false, nil
		}
		if out, ok = number(c.out); !ok {
			return in, 0, false, c.wantResult(aNumber)
		}
		return in, out, true, nil
	})
	if err != nil {
		return nil, err
	}
	return &object[int64, tally.In, int64]{
		calls: k, model: tally.Model(), ops: ops, at: at, special: tally.Decide, named: "counter bounds", needs: tally.Needs,
	}, nil
}

// openAddGet opens a counter whose adds return the new value.
func openAddGet(k *keyCalls) (problem, error) {
	ops, at, err := collect(k, func(c call) (in order.AddIn, out order.AddOut, use bool, err error) {
		v, err := k.verb(c, verbs{"add": put, "add-and-get": put, "read": look}, "add", "add-and-get", "read")
		if err != nil || c.failed() {
			return in, out, false, err
		}
		ok := false
		if in.Add = v == put; in.Add {
			if in.Delta, ok = number(c.in); !ok {
				return in, out, false, c.want(aNumber)
			}
		}
		if !c.ok() {
			return in, out, in.Add, nil
		}
		if out.V, ok = number(c.out); !ok {
			return in, out, false, c.wantResult("the counter's new value, " + aNumber)
		}
		return in, out, true, nil
	})
	if err != nil {
		return nil, err
	}
	return &object[int64, order.AddIn, order.AddOut]{
		calls: k, model: order.AddGetModel(), ops: ops, at: at, special: order.DecideAddGet, named: "counter order", needs: order.AddGetNeeds,
	}, nil
}

// openVersions opens a register whose answers carry a version: [version value].
func openVersions(k *keyCalls) (problem, error) {
	values := value.NewNames()
	initial := order.VersionOut{V: values.Of(k.o.Init)}
	var seen []int64
	ops, at, err := collect(k, func(c call) (in order.VersionIn, out order.VersionOut, use bool, err error) {
		v, err := k.verb(c, verbs{"write": put, "read": look}, "write", "read")
		if err != nil || c.failed() {
			return in, out, false, err
		}
		if in.Write = v == put; in.Write {
			content := c.in
			if version, val, pair := history.SplitPair(c.in); pair && value.IsNull(version) {
				content = val
			}
			in.V = values.Of(content)
		}
		if !c.ok() {
			return in, out, in.Write, nil
		}
		version, val, pair := history.SplitPair(c.out)
		switch {
		case !in.Write && value.IsNull(c.out):
			return in, initial, true, nil
		case pair && value.IsNull(version) && !in.Write:
			out = initial
		case !pair:
			return in, out, false, c.wantResult("[version, value]")
		default:
			if out.Version, pair = number(version); !pair {
				return in, out, false, c.wantResult("[version, value] with a whole number below 2^40 for a version")
			}
			out.V = values.Of(val)
		}
		if !in.Write {
			seen = append(seen, out.Version)
		}
		return in, out, true, nil
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(seen)
	seen = slices.Compact(seen)
	return &object[order.VersionOut, order.VersionIn, order.VersionOut]{
		calls: k, model: order.VersionsModel(initial, seen), ops: ops, at: at, values: values, named: "version order",
		special: func(ops []spec.Op[order.VersionIn, order.VersionOut], b spec.Budget) spec.Finding[order.VersionOut] {
			return order.DecideVersions(ops, initial, b)
		},
		needs: func(ops []spec.Op[order.VersionIn, order.VersionOut]) [][]int32 {
			return order.VersionsNeeds(ops, initial)
		},
	}, nil
}
