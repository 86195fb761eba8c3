package history

import (
	"encoding/json"
	"fmt"
	"time"
)

// Call is one operation with its argument and its result decoded.
type Call[In, Out any] struct {
	Process int
	F, Node string
	// Key is the independent key as JSON text; empty if the history has none.
	Key string
	In  In
	// Out is decoded from an OK completion only.
	Out        Out
	Start, End time.Duration // End is Forever if the outcome is Info
	Outcome    Kind          // OK, Fail or Info
	// Invoke and Complete are the events' indexes, -1 where there is none.
	Invoke, Complete int
	Err              string
}

// Calls decodes the calls of the clients, in order of invocation: the one
// step from JSON to types. A null leaves the zero value. The values of a
// history with independent keys (see Keyed) are decoded without the key.
func Calls[In, Out any](h *History) ([]Call[In, Out], error) {
	pairs, err := Pairs(h)
	if err != nil {
		return nil, err
	}
	if err := CheckKeys(h); err != nil {
		return nil, err
	}
	keyed := Keyed(h)
	calls := make([]Call[In, Out], len(pairs))
	for i, p := range pairs {
		if calls[i], err = call[In, Out](p, keyed); err != nil {
			return nil, err
		}
	}
	return calls, nil
}

func call[In, Out any](p Pair, keyed bool) (Call[In, Out], error) {
	first := p.first()
	c := Call[In, Out]{
		Process: first.Process, F: first.F, Node: first.Node,
		Start: first.Time, End: Forever, Outcome: p.Outcome(), Invoke: -1, Complete: -1,
	}
	var key json.RawMessage
	if keyed {
		key, _, _ = SplitPair(first.Value)
		c.Key = string(key)
	}
	if e := p.Invoke; e != nil {
		c.Invoke = e.Index
		if err := decode(inner(e, key), &c.In); err != nil {
			return c, fmt.Errorf("decode value of event %d (%s %s): %w", e.Index, e.Kind, e.F, err)
		}
	}
	if e := p.Complete; e != nil {
		c.Complete, c.Err = e.Index, e.Err
		if c.Node == "" {
			c.Node = e.Node
		}
		if e.Kind != Info {
			c.End = e.Time
		}
		if e.Kind == OK {
			if err := decode(inner(e, key), &c.Out); err != nil {
				return c, fmt.Errorf("decode value of event %d (%s %s): %w", e.Index, e.Kind, e.F, err)
			}
		}
	}
	return c, nil
}

func decode(value json.RawMessage, into any) error {
	if isNull(value) {
		return nil
	}
	if raw, ok := into.(*json.RawMessage); ok {
		*raw = value
		return nil
	}
	return json.Unmarshal(value, into)
}
