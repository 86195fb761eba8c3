package linear

import (
	"encoding/json"
	"strconv"

	"github.com/capstan-dev/capstan/checker/linear/objects"
	"github.com/capstan-dev/capstan/checker/linear/spec"
	"github.com/capstan-dev/capstan/checker/value"
	"github.com/capstan-dev/capstan/history"
)

// micro is one step of an operation on many keys: [f key value].
type micro struct {
	verb       int // look, put, or grow
	key, value json.RawMessage
}

const grow = drop + 1

// micros reads a list of steps; ok is false if v is none.
func micros(v json.RawMessage) (out []micro, ok bool) {
	var steps [][]json.RawMessage
	if json.Unmarshal(v, &steps) != nil {
		return nil, false
	}
	for _, s := range steps {
		if len(s) != 3 {
			return nil, false
		}
		var f string
		if json.Unmarshal(s[0], &f) != nil {
			return nil, false
		}
		verb, known := verbs{"r": look, "read": look, "w": put, "write": put, "append": grow, ":r": look, ":w": put, ":append": grow}[f]
		if !known {
			return nil, false
		}
		out = append(out, micro{verb, s[1], s[2]})
	}
	return out, true
}

// table numbers the keys and, apart from them, the values of steps.
type table struct{ keys, values *value.Names }

const wantMicros = "a list of [f key value] with f one of r, read, w, write, append"

// steps decodes a call's steps, and what it saw if it is ok.
func (c call) steps() (asked, saw []micro, err error) {
	asked, ok := micros(c.in)
	if !ok {
		return nil, nil, c.want(wantMicros)
	}
	if !c.ok() {
		return asked, nil, nil
	}
	saw, ok = micros(c.out)
	if !ok || len(saw) != len(asked) {
		return nil, nil, c.wantResult("the steps of the invocation with what they read")
	}
	return asked, saw, nil
}

// openRegisters opens registers that an operation accesses many at a time.
func openRegisters(k *keyCalls) (problem, error) {
	t := table{value.NewNames(), value.NewNames()}
	initial, err := k.initialMap(t)
	if err != nil {
		return nil, err
	}
	ops, at, err := collect(k, func(c call) (in []objects.Access, out []int32, use bool, err error) {
		asked, saw, err := c.steps()
		if err != nil || c.failed() {
			return nil, nil, false, err
		}
		writes := false
		for n, m := range asked {
			if m.verb == grow {
				return nil, nil, false, c.want("reads and writes only")
			}
			a := objects.Access{Write: m.verb == put, Key: t.keys.Of(m.key)}
			seen := objects.Unknown
			if a.Write {
				a.Value, writes = t.values.Of(m.value), true
			} else if saw != nil {
				if seen = t.values.Of(saw[n].value); seen == 0 && k.nilSaysNothing() {
					seen = objects.Unknown
				}
			}
			in, out = append(in, a), append(out, seen)
		}
		return in, out, c.ok() || writes, nil
	})
	if err != nil {
		return nil, err
	}
	model := objects.Registers(initial)
	return openedRegisters(k, model, ops, at), nil
}

func openedRegisters[S any](k *keyCalls, model spec.Model[S, []objects.Access, []int32], ops []spec.Op[[]objects.Access, []int32], at []int32) problem {
	return &object[S, []objects.Access, []int32]{calls: k, model: model, ops: ops, at: at, needs: objects.NeedsRegisters}
}

// initialMap reads --init as a map from keys to values.
func (k *keyCalls) initialMap(t table) (map[int32]int32, error) {
	if len(k.o.Init) == 0 || value.IsNull(k.o.Init) {
		return nil, nil
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(k.o.Init, &m); err != nil {
		return nil, errInit{k.model, "a map from keys to values"}
	}
	initial := map[int32]int32{}
	for key, v := range m {
		id := t.keys.Of(json.RawMessage(strconv.Quote(key)))
		if _, err := strconv.ParseInt(key, 10, 64); err == nil { // JSON has no other keys than strings
			id = t.keys.Of(json.RawMessage(key))
		}
		initial[id] = t.values.Of(v)
	}
	return initial, nil
}

type errInit struct{ model, want string }

func (e errInit) Error() string {
	return "initial value of model " + e.model + ": want " + e.want
}

// openTransactions opens lists and registers that an operation reads and
// changes many at a time.
func openTransactions(k *keyCalls) (problem, error) {
	t := table{value.NewNames(), value.NewNames()}
	ops, at, err := collect(k, func(c call) (in []objects.Step, out [][]int32, use bool, err error) {
		asked, saw, err := c.steps()
		if err != nil || c.failed() {
			return nil, nil, false, err
		}
		changes := false
		for n, m := range asked {
			s := objects.Step{Verb: map[int]objects.StepVerb{look: objects.ReadKey, put: objects.WriteKey, grow: objects.AppendToKey}[m.verb], Key: t.keys.Of(m.key)}
			var seen []int32
			if s.Verb != objects.ReadKey {
				s.Value, changes = t.values.Of(m.value), true
			} else if saw != nil {
				seen = t.list(saw[n].value)
			}
			in, out = append(in, s), append(out, seen)
		}
		return in, out, c.ok() || changes, nil
	})
	if err != nil {
		return nil, err
	}
	return openedTransactions(k, objects.Transactions(), ops, at), nil
}

// list is what a read returned: a list, or a register's value as one.
func (t table) list(v json.RawMessage) []int32 {
	out := []int32{}
	if value.IsNull(v) {
		return out
	}
	if !value.Elements(v, func(e json.RawMessage) { out = append(out, t.values.Of(e)) }) {
		out = append(out, t.values.Of(v))
	}
	return out
}

func openedTransactions[S any](k *keyCalls, model spec.Model[S, []objects.Step, [][]int32], ops []spec.Op[[]objects.Step, [][]int32], at []int32) problem {
	type cell struct{ key, value int32 }
	return &object[S, []objects.Step, [][]int32]{
		calls: k, model: model, ops: ops, at: at,
		needs: func(ops []spec.Op[[]objects.Step, [][]int32]) [][]int32 {
			setters := map[cell][]int32{}
			for i := range ops {
				for _, s := range ops[i].In {
					if s.Verb != objects.ReadKey {
						setters[cell{s.Key, s.Value}] = append(setters[cell{s.Key, s.Value}], int32(i))
					}
				}
			}
			needs := make([][]int32, len(ops))
			for i := range ops {
				for n, s := range ops[i].In {
					if s.Verb != objects.ReadKey || n >= len(ops[i].Out) {
						continue
					}
					for _, v := range ops[i].Out[n] {
						needs[i] = append(needs[i], setters[cell{s.Key, v}]...)
					}
				}
			}
			return needs
		},
	}
}

// openMap opens a map: put [key value], get key, delete key; or put value, get
// and delete where the key was split off.
func openMap(k *keyCalls) (problem, error) {
	keys, values := value.NewNames(), value.NewNames()
	ops, at, err := collect(k, func(c call) (in objects.DictIn, out int32, use bool, err error) {
		v, err := k.verb(c, verbs{"put": put, "write": put, "get": look, "read": look, "delete": drop, "remove": drop}, "put", "get", "delete")
		if err != nil || c.failed() {
			return in, 0, false, err
		}
		in.Verb = map[int]objects.DictVerb{put: objects.Set, look: objects.Get, drop: objects.Delete}[v]
		out = objects.Unknown // a put tells nothing
		if v == put {
			content := c.in
			if key, val, ok := history.SplitPair(c.in); ok && k.Keys[k.key] == "" {
				in.Key, content = keys.Of(key), val
			} else if k.Keys[k.key] == "" {
				return in, 0, false, c.want("[key, value]")
			}
			in.Value = values.Of(content)
			return in, out, true, nil
		}
		if k.Keys[k.key] == "" {
			in.Key = keys.Of(c.in)
		}
		if v == look && c.ok() {
			got := c.out
			if key, val, ok := history.SplitPair(c.out); ok && k.Keys[k.key] == "" && keys.Of(key) == in.Key {
				got = val
			}
			if out = objects.None; !value.IsNull(got) {
				out = values.Of(got)
			}
		}
		return in, out, c.ok() || v == drop, nil
	})
	if err != nil {
		return nil, err
	}
	return openedMap(k, objects.Dict(), ops, at), nil
}

func openedMap[S any](k *keyCalls, model spec.Model[S, objects.DictIn, int32], ops []spec.Op[objects.DictIn, int32], at []int32) problem {
	return &object[S, objects.DictIn, int32]{
		calls: k, model: model, ops: ops, at: at,
		needs: objects.NeedsDict,
	}
}

// openSemaphore opens a semaphore with as many permits as --init says.
func openSemaphore(k *keyCalls) (problem, error) {
	permits, err := strconv.ParseInt(string(k.o.Init), 10, 32)
	if err != nil || permits < 1 {
		return nil, errInit{k.model, "the number of its permits, e.g. 2"}
	}
	ops, at, err := collect(k, func(c call) (in objects.Permits, out bool, use bool, err error) {
		v, err := k.verb(c, verbs{"acquire": take, "release": put}, "acquire", "release")
		if err != nil || c.failed() {
			return in, false, false, err
		}
		n := int64(1)
		if !value.IsNull(c.in) {
			if n, err = strconv.ParseInt(string(c.in), 10, 32); err != nil || n < 1 {
				return in, false, false, c.want("a number of permits, or nil for 1")
			}
		}
		if in = objects.Permits(n); v == put {
			in = -in
		}
		return in, true, true, nil
	})
	if err != nil {
		return nil, err
	}
	return &object[int32, objects.Permits, bool]{calls: k, model: objects.Semaphore(int32(permits)), ops: ops, at: at, needs: objects.NeedsSemaphore}, nil
}
