package predicate

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/workloads"
)

// encode writes [["insert", key, value], ["delete", key], ["r", key, value],
// ["rp", test, {key: value, ...}], ...]. What reads returned is null before they
// are done.
func encode(mops []Mop, done bool) json.RawMessage {
	b := []byte{'['}
	for i, m := range mops {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, '[', '"'), m.F...), '"', ',')
		if m.F == "rp" {
			b = m.Test.appendTo(b)
			b = appendFound(append(b, ','), m.Found, done)
		} else {
			b = strconv.AppendInt(b, int64(m.Key), 10)
		}
		switch {
		case m.F == "insert" || m.F == "w" || done && m.Known:
			b = strconv.AppendInt(append(b, ','), int64(m.Value), 10)
		case m.F == "r":
			b = append(b, ",null"...)
		}
		b = append(b, ']')
	}
	return append(b, ']')
}

func (t Test) appendTo(b []byte) []byte {
	switch t.F {
	case "=":
		return fmt.Appendf(b, `["=",%d]`, t.Value)
	case "mod":
		return fmt.Appendf(b, `["mod",%d,%d]`, t.Modulus, t.Value)
	}
	return append(b, `"true"`...)
}

func appendFound(b []byte, found map[int]int, done bool) []byte {
	if !done {
		return append(b, "null"...)
	}
	b = append(b, '{')
	for i, k := range slices.Sorted(maps.Keys(found)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(append(b, '"'), int64(k), 10)
		b = strconv.AppendInt(append(b, '"', ':'), int64(found[k]), 10)
	}
	return append(b, '}')
}

// decode reads an invocation.
func decode(value json.RawMessage) ([]Mop, error) {
	raw, err := workloads.Arg[[][]json.RawMessage]("txn", value)
	if err != nil {
		return nil, err
	}
	mops := make([]Mop, len(raw))
	for i, r := range raw {
		if mops[i], err = decodeMop(r); err != nil {
			return nil, fmt.Errorf("%w: decode micro-operation %d: %w", history.ErrNotApplied, i, err)
		}
	}
	return mops, nil
}

func decodeMop(r []json.RawMessage) (m Mop, err error) {
	if len(r) < 2 {
		return m, fmt.Errorf("%d parts, want at least 2", len(r))
	}
	if err := json.Unmarshal(r[0], &m.F); err != nil {
		return m, err
	}
	if m.F == "rp" {
		m.Test, err = decodeTest(r[1])
		return m, err
	}
	if err := json.Unmarshal(r[1], &m.Key); err != nil {
		return m, err
	}
	switch m.F {
	case "r", "delete":
		return m, nil
	case "insert", "w":
		if len(r) < 3 {
			return m, fmt.Errorf("%s without a value", m.F)
		}
		return m, json.Unmarshal(r[2], &m.Value)
	}
	return m, fmt.Errorf("there is no %q", m.F)
}

// decodeTest reads "true", ["=", v] or ["mod", m, r].
func decodeTest(raw json.RawMessage) (t Test, err error) {
	if json.Unmarshal(raw, &t.F) == nil {
		if t.F != "true" {
			return t, fmt.Errorf("there is no predicate %q", t.F)
		}
		return t, nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return t, err
	}
	into := []any{&t.F, &t.Value}
	if len(list) == 3 {
		into = []any{&t.F, &t.Modulus, &t.Value}
	}
	if len(list) != len(into) {
		return t, fmt.Errorf("predicate %s: want [= v] or [mod m r]", raw)
	}
	for i := range list {
		if err := json.Unmarshal(list[i], into[i]); err != nil {
			return t, err
		}
	}
	if t.F != map[int]string{2: "=", 3: "mod"}[len(list)] {
		return t, fmt.Errorf("predicate %s: want [= v] or [mod m r]", raw)
	}
	return t, nil
}
