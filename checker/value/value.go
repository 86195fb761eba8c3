// Package value compares JSON values: equal ones get the same number and the
// same text, whatever their spelling.
package value

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Names numbers JSON values: equal ones get the same number, null is 0.
type Names struct {
	numbers map[int64]int32 // short integers, most values
	texts   map[string]int32
	values  []json.RawMessage
}

// NewNames knows null only.
func NewNames() *Names {
	return &Names{numbers: map[int64]int32{}, texts: map[string]int32{"null": 0}, values: []json.RawMessage{json.RawMessage("null")}}
}

// Of is the value's number.
func (n *Names) Of(v json.RawMessage) int32 {
	if i, ok := shortInt(v); ok {
		id, known := n.numbers[i]
		if !known {
			id = n.add(v)
			n.numbers[i] = id
		}
		return id
	}
	text := Canonical(v)
	id, known := n.texts[text]
	if !known {
		id = n.add(json.RawMessage(text))
		n.texts[text] = id
	}
	return id
}

func (n *Names) add(v json.RawMessage) int32 {
	n.values = append(n.values, v)
	return int32(len(n.values) - 1)
}

// Text is the value as JSON.
func (n *Names) Text(id int32) string {
	if id < 0 || int(id) >= len(n.values) {
		return "?"
	}
	return string(n.values[id])
}

// Len is one more than the greatest number given.
func (n *Names) Len() int { return len(n.values) }

// shortInt reads what is canonical as it stands: an integer without a leading
// zero that fits.
func shortInt(v json.RawMessage) (int64, bool) {
	digits := v
	if len(digits) > 0 && digits[0] == '-' {
		digits = digits[1:]
	}
	if len(digits) == 0 || len(digits) > 18 || digits[0] == '0' && len(v) > 1 {
		return 0, false
	}
	n := int64(0)
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	if len(digits) < len(v) {
		n = -n
	}
	return n, true
}

// plain writes numbers with a point or an exponent in one way: 1e2 is 100.0.
func plain(x any) any {
	switch x := x.(type) {
	case json.Number:
		if !strings.ContainsAny(string(x), ".eE") {
			return x
		}
		f, err := strconv.ParseFloat(string(x), 64)
		if err != nil {
			return x
		}
		if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			return json.Number(strconv.FormatInt(int64(f), 10) + ".0")
		}
		return json.Number(strconv.FormatFloat(f, 'g', -1, 64))
	case []any:
		for i := range x {
			x[i] = plain(x[i])
		}
	case map[string]any:
		for k := range x {
			x[k] = plain(x[k])
		}
	}
	return x
}

// Canonical is the same text for equal JSON values.
func Canonical(v json.RawMessage) string {
	if len(v) == 0 {
		return "null"
	}
	if !slices.ContainsFunc(v, func(c byte) bool { return c != '-' && (c < '0' || c > '9') }) {
		return string(v)
	}
	dec := json.NewDecoder(strings.NewReader(string(v)))
	dec.UseNumber()
	var x any
	if dec.Decode(&x) != nil {
		return string(v)
	}
	b, err := json.Marshal(plain(x))
	if err != nil {
		return string(v)
	}
	return string(b)
}

// IsNull is true for null and for nothing at all.
func IsNull(v json.RawMessage) bool { return len(v) == 0 || string(v) == "null" }

// Elements calls f with each element of a list; ok is false if v is none.
func Elements(v json.RawMessage, f func(json.RawMessage)) (ok bool) {
	if len(v) < 2 || v[0] != '[' || v[len(v)-1] != ']' {
		return false
	}
	if numbers := v[1 : len(v)-1]; !slices.ContainsFunc(numbers, func(c byte) bool { return c != ',' && c != '-' && (c < '0' || c > '9') }) {
		for len(numbers) > 0 {
			end := slices.Index(numbers, ',')
			if end < 0 {
				end = len(numbers)
			}
			f(numbers[:end])
			numbers = numbers[min(end+1, len(numbers)):]
		}
		return true
	}
	var all []json.RawMessage
	if json.Unmarshal(v, &all) != nil {
		return false
	}
	for _, e := range all {
		f(e)
	}
	return true
}
