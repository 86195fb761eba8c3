package linear

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/capstan-dev/capstan/checker/linear/spec"
	"github.com/capstan-dev/capstan/history"
)

// keyCalls are the calls of one key, to be decoded.
type keyCalls struct {
	*history.Table
	key    int
	o      Options
	model  string
	counts counts
}

// counts are those of the calls of a key.
type counts struct {
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
	return fmt.Errorf("event %d is %s %s with the value %.60s, want %s", c.Invoke.Index, article(c.Invoke.F), c.Invoke.F, orNull(c.in), what)
}

func article(noun string) string {
	if noun != "" && strings.ContainsRune("aeiou", rune(noun[0])) {
		return "an"
	}
	return "a"
}

// wantResult is the error of a result that does not decode.
func (c call) wantResult(what string) error {
	return fmt.Errorf("event %d is an ok %s with the value %.60s, want %s", c.Complete.Index, c.Invoke.F, orNull(c.out), what)
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
		k.counts.calls++
		if c.ok() {
			k.counts.acknowledged++
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
