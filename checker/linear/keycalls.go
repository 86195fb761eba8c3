package linear

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/capstan-dev/capstan/checker/linear/spec"
	"github.com/capstan-dev/capstan/history"
)

// keyCalls are the calls of one key, to be decoded.
type keyCalls struct {
	*history.Table
	key   int
	o     Options
	model string
	tally tally
}

// tally counts the calls of a key.
type tally struct {
	calls        int // the failed ones included
	acknowledged int
}

// call is one call with the key taken off its values.
type call struct {
	history.Pair
	in, out json.RawMessage // out is nil unless it has an OK or Fail completion
}

func (c call) ok() bool      { return c.Outcome() == history.OK }
func (c call) failed() bool  { return c.Outcome() == history.Fail }
func (c call) crashed() bool { return c.Outcome() == history.Info }

// want is the error of an argument that does not decode.
func (c call) want(what string) error {
	return fmt.Errorf("event %d is a %s with the value %.60s, want %s", c.Invoke.Index, c.Invoke.F, orNull(c.in), what)
}

// at is the n-th call.
func (k *keyCalls) at(n int) call {
	c := call{Pair: k.Pair(k.key, n)}
	c.in = k.Value(k.key, c.Invoke)
	if c.Complete != nil && c.Complete.Kind != history.Info {
		c.out = k.Value(k.key, c.Complete)
	}
	return c
}

// collect decodes the calls of a key. decode says of each whether it tells
// anything; the answer of a crashed one is not used.
func collect[In, Out any](k *keyCalls, decode func(call) (in In, out Out, use bool, err error)) (ops []spec.Op[In, Out], calls []int32, err error) {
	n := k.Len(k.key)
	ops, calls = make([]spec.Op[In, Out], 0, n), make([]int32, 0, n)
	for i := range n {
		c := k.at(i)
		k.tally.calls++
		if c.ok() {
			k.tally.acknowledged++
		}
		in, out, use, err := decode(c)
		if err != nil {
			return nil, nil, err
		}
		if !use {
			continue
		}
		begin, end := k.Interval(k.key, i)
		o := spec.Op[In, Out]{In: in, Out: out, Call: int64(begin), Return: int64(end)}
		if c.crashed() {
			var none Out
			o.Out, o.Return, o.Crashed = none, spec.Never, true
		}
		ops, calls = append(ops, o), append(calls, int32(i))
	}
	return ops, calls, nil
}

// unknownF is the error of a call that the model does not know.
func (k *keyCalls) unknownF(c call, verbs ...string) error {
	return fmt.Errorf("event %d has f %q, but model %s knows %s only", c.Invoke.Index, c.Invoke.F, k.model, strings.Join(verbs, ", "))
}

// names numbers JSON values: equal ones get the same number, null is 0.
type names struct {
	numbers map[int64]int32 // short integers, most values
	texts   map[string]int32
	values  []json.RawMessage
}

func newNames() *names {
	return &names{numbers: map[int64]int32{}, texts: map[string]int32{"null": 0}, values: []json.RawMessage{json.RawMessage("null")}}
}

// of is the value's number.
func (n *names) of(v json.RawMessage) int32 {
	if i, ok := shortInt(v); ok {
		id, known := n.numbers[i]
		if !known {
			id = n.add(v)
			n.numbers[i] = id
		}
		return id
	}
	text := canonical(v)
	id, known := n.texts[text]
	if !known {
		id = n.add(json.RawMessage(text))
		n.texts[text] = id
	}
	return id
}

func (n *names) add(v json.RawMessage) int32 {
	n.values = append(n.values, v)
	return int32(len(n.values) - 1)
}

// text is the value as JSON.
func (n *names) text(id int32) string {
	if id < 0 || int(id) >= len(n.values) {
		return "?"
	}
	return string(n.values[id])
}

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

// canonical is the same text for equal JSON values.
func canonical(v json.RawMessage) string {
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
