package linear

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/capstan-dev/capstan/checker/linear/spec"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/internal/nearest"
)

// Certificate proves that a key is linearizable: whoever does not trust the
// decider can follow it.
type Certificate struct {
	// Key as JSON text; empty if the history has none.
	Key string `json:"key,omitempty"`
	// Order lists the operations that took effect, by the indexes of their
	// invocations.
	Order []int `json:"order"`
	// Assumed are the answers of crashed operations that nobody saw but that
	// matter, by the index of the invocation, in the model's own terms.
	Assumed map[int]json.RawMessage `json:"assumed,omitempty"`
}

func (x *object[S, In, Out]) certificate(d decision) (Certificate, error) {
	c := Certificate{Key: x.calls.Keys[x.calls.key], Order: make([]int, len(d.order))}
	assumed, _ := d.assumed.(map[int32]Out)
	for n, i := range d.order {
		c.Order[n] = x.calls.at(int(x.at[i])).Invoke.Index
		out, ok := assumed[i]
		if !ok {
			continue
		}
		b, err := json.Marshal(out)
		if err != nil {
			return c, fmt.Errorf("encode assumed answer: %w", err)
		}
		if c.Assumed == nil {
			c.Assumed = map[int]json.RawMessage{}
		}
		c.Assumed[c.Order[n]] = b
	}
	return c, nil
}

func (x *object[S, In, Out]) follow(c Certificate) error {
	at := make(map[int]int32, len(x.ops))
	for i := range x.ops {
		at[x.calls.at(int(x.at[i])).Invoke.Index] = int32(i)
	}
	order := make([]int32, len(c.Order))
	assumed := map[int32]Out{}
	for n, event := range c.Order {
		i, ok := at[event]
		if !ok {
			return fmt.Errorf("entry %d: event %d invokes nothing on key %q that counts", n, event, c.Key)
		}
		order[n] = i
		if raw, ok := c.Assumed[event]; ok {
			var out Out
			if err := json.Unmarshal(raw, &out); err != nil {
				return fmt.Errorf("entry %d: decode assumed answer: %w", n, err)
			}
			assumed[i] = out
		}
	}
	return spec.Verify(x.ops, order, assumed, x.model.Object())
}

// certificate writes the key's linearization.
func (r *round) certificate(p problem, res keyResult) {
	c, err := p.certificate(res.decision)
	if err == nil {
		var b []byte
		if b, err = json.Marshal(c); err == nil {
			r.mu.Lock()
			defer r.mu.Unlock()
			_, err = r.l.o.Certificates.Write(append(b, '\n'))
		}
	}
	if err != nil {
		r.unwritten.CompareAndSwap(nil, &err)
	}
}

// Follow verifies certificates, one JSON object a line, against a history: that
// there is one for each key, and that each is a linearization of its key. It
// runs no decider. It returns how many keys and operations were verified.
func Follow(ctx context.Context, model string, o Options, h *history.History, certificates io.Reader) (keys, ops int, err error) {
	c, err := New(model, o)
	if err != nil {
		return 0, 0, err
	}
	l := c.(*linear)
	t, err := history.NewTable(h)
	if err != nil {
		return 0, 0, err
	}
	left := map[string]int{}
	for i, k := range t.Keys {
		left[k] = i
	}
	for dec := json.NewDecoder(certificates); ; keys++ {
		var c Certificate
		if err := dec.Decode(&c); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return keys, ops, fmt.Errorf("read certificate %d: %w", keys+1, err)
		}
		key, ok := left[c.Key]
		if !ok {
			return keys, ops, fmt.Errorf("certificate %d is for key %s, which the history does not have%s, or has been verified already", keys+1, c.Key, nearest.Hint(c.Key, t.Keys))
		}
		delete(left, c.Key)
		p, _, err := l.open(t, key)
		if err != nil {
			return keys, ops, err
		}
		if err := p.follow(c); err != nil {
			return keys, ops, fmt.Errorf("key %q: %w", c.Key, err)
		}
		ops += len(c.Order)
		if ctx.Err() != nil {
			return keys, ops, ctx.Err()
		}
	}
	for k := range left {
		return keys, ops, fmt.Errorf("key %q and %d others have no certificate", k, len(left)-1)
	}
	return keys, ops, nil
}
