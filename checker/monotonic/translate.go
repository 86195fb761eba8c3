package monotonic

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/capstan-dev/capstan/history"
)

// named reads a map, whose keys JSON makes strings even if they are numbers.
func named(byName map[string]*int) ([]cell, error) {
	var out []cell
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		c := cell{key: name, known: byName[name] != nil}
		if _, err := strconv.Atoi(name); err != nil {
			quoted, err := json.Marshal(name)
			if err != nil {
				return nil, fmt.Errorf("encode key: %w", err)
			}
			c.key = string(quoted)
		}
		if c.known {
			c.value = *byName[name]
		}
		out = append(out, c)
	}
	return out, nil
}

// translation is a history as one of transactions on registers.
type translation struct {
	history *history.History
	orders  map[string][]string
}

// crashed is where the processes begin of increments of unknown outcome that
// are given a value, if there are several of a key.
const crashed = 1 << 24

func translate(h *history.History, ops []op) translation {
	keys := survey(ops)
	t := translation{history: &history.History{}, orders: map[string][]string{}}
	values := map[int]json.RawMessage{} // of events, by index
	moved := map[int][]history.Event{}  // by the index of the event behind which they go
	gone := map[int]bool{}
	for name, k := range keys {
		for _, v := range slices.Sorted(maps.Keys(k.written)) {
			t.orders[name] = append(t.orders[name], strconv.Itoa(v))
		}
		for i, o := range k.unknown {
			if i >= len(k.missing) || o.Invoke == nil {
				break
			}
			// Which of them wrote it nobody knows. With the invocation of
			// the first one, and a process of its own, real time and the
			// order of the process prove nothing that might be wrong.
			e := *o.Invoke
			if len(k.unknown) > 1 {
				e.Process = crashed + len(gone)
			}
			e.Value = increment(cell{key: name, value: k.missing[i]})
			first := k.unknown[0].Invoke.Index
			moved[first] = append(moved[first], e)
			gone[o.Invoke.Index] = true
			if o.Complete != nil {
				gone[o.Complete.Index] = true
			}
			t.orders[name] = append(t.orders[name], strconv.Itoa(k.missing[i]))
		}
		slices.SortFunc(t.orders[name], func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	}
	for i := range ops {
		if o := &ops[i]; o.Complete != nil && o.outcome() == history.OK {
			values[o.Complete.Index] = o.transaction()
		}
	}
	for _, e := range h.Events {
		if e.Process != history.Nemesis {
			e.Value = values[e.Index]
		}
		if !gone[e.Index] {
			t.history.Events = append(t.history.Events, e)
		}
		t.history.Events = append(t.history.Events, moved[e.Index]...)
	}
	return t
}

// seen is what is known of a key.
type seen struct {
	written map[int]bool // by acknowledged increments
	missing []int        // values that were seen and that none of those wrote, ascending
	unknown []*op        // increments of unknown outcome, in order of invocation
}

func survey(ops []op) map[string]*seen {
	keys := map[string]*seen{}
	read := map[string]map[int]bool{}
	at := func(key string) *seen {
		if keys[key] == nil {
			keys[key], read[key] = &seen{written: map[int]bool{}}, map[int]bool{}
		}
		return keys[key]
	}
	for i := range ops {
		o := &ops[i]
		for _, c := range o.cells {
			k := at(c.key)
			switch {
			case o.inc && o.outcome() == history.Info:
				k.unknown = append(k.unknown, o)
			case o.outcome() != history.OK:
			case o.inc:
				k.written[c.value] = true
				read[c.key][c.value-1] = true
			default:
				read[c.key][c.value] = true
			}
		}
	}
	for name, k := range keys {
		for _, v := range slices.Sorted(maps.Keys(read[name])) {
			if v != 0 && !k.written[v] {
				k.missing = append(k.missing, v)
			}
		}
	}
	return keys
}

// transaction is what an acknowledged operation did, as micro-operations.
func (o *op) transaction() json.RawMessage {
	if o.inc {
		return increment(o.cells[0])
	}
	b := []byte{'['}
	for i, c := range o.cells {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendRead(b, c.key, c.value)
	}
	return append(b, ']')
}

func increment(c cell) json.RawMessage {
	b := appendRead([]byte{'['}, c.key, c.value-1)
	b = append(b, `,["w",`...)
	b = append(append(b, c.key...), ',')
	b = strconv.AppendInt(b, int64(c.value), 10)
	return append(b, "]]"...)
}

// appendRead writes a read; registers that are 0 have not been written.
func appendRead(b []byte, key string, v int) []byte {
	b = append(append(append(b, `["r",`...), key...), ',')
	if v == 0 {
		return append(b, "null]"...)
	}
	return append(strconv.AppendInt(b, int64(v), 10), ']')
}
