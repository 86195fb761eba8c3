package history

import (
	"encoding/json"
	"fmt"
)

// Table lists the calls of the clients by independent key, in order of
// invocation, without copying an event: 8 bytes a call.
type Table struct {
	// Keys in order of first appearance, as JSON text; one empty key if the
	// history has no independent keys.
	Keys []string

	h        *History
	keyed    bool
	first    []int32 // by key: its first call
	invoke   []int32 // by call: positions in h.Events
	complete []int32 // -1: none
}

// NewTable pairs up the calls of a history with invocations. Errors are those
// of Pairs and CheckKeys.
func NewTable(h *History) (*Table, error) {
	if err := CheckKeys(h); err != nil {
		return nil, err
	}
	t := &Table{h: h, keyed: Keyed(h)}
	of, err := t.pair()
	if err != nil {
		return nil, err
	}
	t.group(of)
	return t, nil
}

// pair fills in invoke and complete in order of invocation and says which key
// each call is on.
func (t *Table) pair() (of []int32, err error) {
	at := map[string]int32{} // key -> number
	open := map[int]int32{}  // process -> call
	if !t.keyed {
		t.Keys = []string{""}
	}
	for i := range t.h.Events {
		e := &t.h.Events[i]
		if e.Process == Nemesis {
			continue
		}
		call, busy := open[e.Process]
		switch {
		case e.Kind == Invoke && busy:
			return nil, &MalformedError{*e, fmt.Sprintf("the process invokes again while its call of event %d is in flight", t.h.Events[t.invoke[call]].Index)}
		case e.Kind == Invoke:
			open[e.Process] = int32(len(t.invoke))
			t.invoke, t.complete = append(t.invoke, int32(i)), append(t.complete, -1)
			of = append(of, t.number(e, at))
		case !busy:
			return nil, &MalformedError{*e, "the process has no call in flight that this could complete"}
		default:
			if inv := &t.h.Events[t.invoke[call]]; inv.F != e.F {
				return nil, &MalformedError{*e, fmt.Sprintf("completes %s, which was invoked at event %d", inv.F, inv.Index)}
			}
			t.complete[call] = int32(i)
			delete(open, e.Process)
		}
	}
	return of, nil
}

// number is the key's number, a new one for a new key.
func (t *Table) number(e *Event, at map[string]int32) int32 {
	if !t.keyed {
		return 0
	}
	key, _, _ := SplitPair(e.Value)
	n, ok := at[string(key)]
	if !ok {
		n = int32(len(t.Keys))
		t.Keys = append(t.Keys, string(key))
		at[string(key)] = n
	}
	return n
}

// group sorts the calls by key, stably, by counting.
func (t *Table) group(of []int32) {
	t.first = make([]int32, len(t.Keys)+1)
	for _, k := range of {
		t.first[k+1]++
	}
	for k := range t.Keys {
		t.first[k+1] += t.first[k]
	}
	if len(t.Keys) == 1 {
		return
	}
	next := append([]int32(nil), t.first...)
	invoke, complete := make([]int32, len(of)), make([]int32, len(of))
	for i, k := range of {
		invoke[next[k]], complete[next[k]] = t.invoke[i], t.complete[i]
		next[k]++
	}
	t.invoke, t.complete = invoke, complete
}

// Len is the number of calls on a key.
func (t *Table) Len(key int) int { return int(t.first[key+1] - t.first[key]) }

// Pair is the n-th call on a key.
func (t *Table) Pair(key, n int) Pair {
	at := int(t.first[key]) + n
	p := Pair{Invoke: &t.h.Events[t.invoke[at]]}
	if c := t.complete[at]; c >= 0 {
		p.Complete = &t.h.Events[c]
	}
	return p
}

// Interval is where the n-th call on a key begins and ends, as positions of its
// events in the history; the end is -1 if it has no completion.
func (t *Table) Interval(key, n int) (begin, end int) {
	at := int(t.first[key]) + n
	return int(t.invoke[at]), int(t.complete[at])
}

// Value is an event's value without the key.
func (t *Table) Value(key int, e *Event) json.RawMessage {
	if !t.keyed {
		return e.Value
	}
	return inner(e, json.RawMessage(t.Keys[key]))
}
