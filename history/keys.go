package history

import "encoding/json"

// KeyHistory is what happened to one independent key.
type KeyHistory struct {
	// Key as JSON text, e.g. 3 or "a".
	Key string
	// History has the events of the clients with the key taken off their
	// values; their indexes and times are those of the whole history.
	History *History
}

// Keyed is true if the operations are on independent keys: every invocation
// (in a history of completions only: every completion) carries [key, value].
// What else looks like it is told apart so: the reads of a single register
// carry null and those of a set nothing of two elements; a cas must have a pair
// [old, new] behind the key; and a transaction of two operations has a list
// where the key would be. A key that is a list, a map or null is taken for one
// only if some read was invoked with [key, null].
func Keyed(h *History) bool {
	some, odd, asks := false, false, false
	only := CompletionOnly(h)
	for i := range h.Events {
		e := &h.Events[i]
		if e.Process == Nemesis || !only && e.Kind != Invoke {
			continue
		}
		key, ok := keyOf(e)
		if !ok {
			return false
		}
		some = true
		odd = odd || key[0] == '[' || key[0] == '{' || key[0] == 'n'
		asks = asks || asksKey(e)
	}
	return some && (!odd || asks)
}

// keyOf is the key of an event, if it may have one.
func keyOf(e *Event) (json.RawMessage, bool) {
	key, value, ok := SplitPair(e.Value)
	if ok && e.F == "cas" {
		_, _, ok = SplitPair(value)
	}
	return key, ok
}

// asksKey is true for the invocation of a read with [key, null]: without keys
// nobody asks like that.
func asksKey(e *Event) bool {
	if e.Process == Nemesis || e.Kind != Invoke || e.F != "read" {
		return false
	}
	_, value, ok := SplitPair(e.Value)
	return ok && isNull(value)
}

// CheckKeys returns a *MalformedError if some operations have a key and others
// certainly have none: nothing tells then what these were on.
func CheckKeys(h *History) error {
	asked := false
	var without *Event
	for i := range h.Events {
		e := &h.Events[i]
		if e.Process == Nemesis || e.Kind != Invoke {
			continue
		}
		asked = asked || asksKey(e)
		if _, ok := keyOf(e); !ok && without == nil {
			without = e
		}
		if asked && without != nil {
			return &MalformedError{*without, "it has no key, but other operations have; want [key, value] in all of them"}
		}
	}
	return nil
}

// SplitKeys splits a keyed history into those of its keys, in order of first
// appearance, without the nemesis. A history that is not keyed comes back as
// the only one, with an empty key.
func SplitKeys(h *History) []KeyHistory {
	if !Keyed(h) {
		return []KeyHistory{{History: h}}
	}
	of, keys, counts := keysOf(h)
	out := make([]KeyHistory, len(keys))
	for k := range out {
		out[k] = KeyHistory{Key: keys[k], History: &History{Events: make([]Event, 0, counts[k])}}
	}
	for i, k := range of {
		if k < 0 {
			continue
		}
		e := h.Events[i]
		e.Value = inner(&e, json.RawMessage(keys[k]))
		out[k].History.Events = append(out[k].History.Events, e)
	}
	return out
}

// keysOf numbers the keys in order of first appearance and says which event
// belongs to which: a completion to that of its process' invocation, the
// nemesis and strays to none (-1).
func keysOf(h *History) (of []int32, keys []string, counts []int) {
	of = make([]int32, len(h.Events))
	at := map[string]int32{}  // key -> number
	open := map[int]int32{}   // process -> number
	only := CompletionOnly(h) // then each event has its own key
	for i := range h.Events {
		e := &h.Events[i]
		of[i] = -1
		if e.Process == Nemesis {
			continue
		}
		k, busy := open[e.Process]
		if e.Kind == Invoke || only || !busy {
			key, _, ok := SplitPair(e.Value)
			if !ok {
				continue
			}
			if k, ok = at[string(key)]; !ok {
				k = int32(len(keys))
				at[string(key)] = k
				keys, counts = append(keys, string(key)), append(counts, 0)
			}
			open[e.Process] = k
		}
		of[i] = k
		counts[k]++
	}
	return of, keys, counts
}

// inner is the event's value without the key; a completion that did not
// repeat the key keeps its value.
func inner(e *Event, key json.RawMessage) json.RawMessage {
	if key == nil {
		return e.Value
	}
	if k, v, ok := SplitPair(e.Value); ok && string(k) == string(key) {
		return v
	}
	return e.Value
}

// SplitPair splits a JSON array of exactly two elements, such as [key, value],
// without decoding them. ok is false for anything else.
func SplitPair(v json.RawMessage) (a, b json.RawMessage, ok bool) {
	if len(v) == 0 || v[0] != '[' {
		return nil, nil, false
	}
	i, ok := skipValue(v, 1)
	if ok && i < len(v) && v[i] == ',' {
		j, ok := skipValue(v, i+1)
		if ok && j == len(v)-1 && v[j] == ']' {
			return v[1:i], v[i+1 : j], true
		}
	}
	if ok && i < len(v) && (v[i] == ']' || v[i] == ',') && !hasSpace(v) {
		return nil, nil, false
	}
	var parts []json.RawMessage
	if json.Unmarshal(v, &parts) != nil || len(parts) != 2 {
		return nil, nil, false
	}
	return parts[0], parts[1], true
}

func hasSpace(v json.RawMessage) bool {
	for _, c := range v {
		if c == ' ' || c == '\n' || c == '\t' || c == '\r' {
			return true
		}
	}
	return false
}
