// Package monotonic judges registers that only grow: transactions that increment
// one of them, and transactions that read several. The numbers tell the order of
// the versions, so that anomalies are found as in Elle's monotonic keys.
package monotonic

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/txn"
	"github.com/capstan-dev/capstan/checker/txn/adya"
	"github.com/capstan-dev/capstan/checker/txn/infer/wr"
	"github.com/capstan-dev/capstan/history"
)

// New returns the checker named "monotonic" against a model of isolation;
// empty: strict-serializable. Operations are inc [key, null], whose ok value is
// [key, v], and read, whose ok value maps keys to values; registers are 0 at
// first. Two increments that returned the same value for a key are a
// lost-update. If there are none, an increment to v is a transaction that read
// v-1 and wrote v, and the history is judged like one of rw-registers whose
// versions have the order of the numbers. A value that was seen and that no
// acknowledged increment wrote is given to one of unknown outcome.
func New(model string) (checker.Checker, error) {
	if model == "" {
		model = adya.StrictSerializable
	}
	_, err := txn.NewRWRegister(model, wr.Options{})
	return monotonic{adya.Friendly(adya.Unabbreviated(model))}, err
}

type monotonic struct{ model string }

// Name is "monotonic".
func (monotonic) Name() string { return "monotonic" }

// figures are the checker's where it stops at lost updates.
type figures struct {
	Model      string         `json:"model"`
	Increments int            `json:"increments"`
	Reads      int            `json:"reads"`
	Found      map[string]int `json:"found"`
}

// Check judges the history.
func (m monotonic) Check(ctx context.Context, h *history.History) (checker.Result, error) {
	ops, err := decode(h)
	if err != nil {
		return checker.Result{}, err
	}
	d := figures{Model: m.model}
	for i := range ops {
		o := &ops[i]
		switch {
		case o.outcome() != history.OK:
		case o.inc:
			d.Increments++
		default:
			d.Reads++
		}
	}
	if d.Increments == 0 || d.Reads == 0 {
		return checker.Result{Verdict: checker.Unknown, Reason: fmt.Sprintf("%d increments and %d reads were acknowledged: nothing was shown", d.Increments, d.Reads)}, nil
	}
	if found := lostUpdates(ops); len(found.Anomalies) > 0 {
		return m.lost(found, d)
	}
	t := translate(h, ops)
	isolation, err := txn.NewRWRegister(m.model, wr.Options{Orders: t.orders})
	if err != nil {
		return checker.Result{}, err
	}
	return isolation.Check(ctx, t.history)
}

// lost is what lost updates mean for the model.
func (m monotonic) lost(found checker.Finds, d figures) (checker.Result, error) {
	d.Found = found.Counts
	res, err := found.Result("", d)
	v := adya.Judge([]string{adya.LostUpdate})
	n := found.Counts[adya.LostUpdate]
	res.Reason = fmt.Sprintf("%d lost updates, which refute %v; %s", n, v.Refuted, found.Anomalies[0].Text)
	res.Notes = []string{"with two increments to one value, dependencies cannot be told: no further anomaly was looked for"}
	if !adya.Proscribed(m.model, []string{adya.LostUpdate})[adya.LostUpdate] {
		res.Verdict = checker.Valid
		res.Reason = fmt.Sprintf("%d lost updates were noticed, which %s allows", n, m.model)
	}
	return res, err
}

// lostUpdates finds pairs of increments of a key to the same value.
func lostUpdates(ops []op) checker.Finds {
	var found checker.Finds
	type version struct {
		key   string
		value int
	}
	first := map[version]*op{}
	for i := range ops {
		o := &ops[i]
		if !o.inc || o.outcome() != history.OK {
			continue
		}
		at := version{o.cells[0].key, o.cells[0].value}
		before := first[at]
		if before == nil {
			first[at] = o
			continue
		}
		found.Add(adya.LostUpdate, func() string {
			a, b := before.Complete, o.Complete
			return fmt.Sprintf("two increments of key %s returned %d: that of %s, acknowledged at %s, and that of %s, at %s; both had read %d, and one of them is lost",
				at.key, at.value, checker.Who(a), checker.When(a.Time), checker.Who(b), checker.When(b.Time), at.value-1)
		}, before.Invoke, before.Complete, o.Invoke, o.Complete)
	}
	return found
}

// cell is a register and its value.
type cell struct {
	key   string // as JSON
	value int
	known bool
}

// op is an increment, of one cell, or a read.
type op struct {
	history.Pair
	inc   bool
	cells []cell // of an increment that is not ok: its key; of such a read: none
}

func (o *op) outcome() history.Kind { return o.Outcome() }

func decode(h *history.History) ([]op, error) {
	pairs, err := history.Pairs(h)
	if err != nil {
		return nil, err
	}
	var ops []op
	for _, p := range pairs {
		e := p.Invoke
		if e == nil || p.Outcome() == history.OK {
			e = p.Complete
		}
		o := op{Pair: p, inc: p.F() == "inc"}
		switch {
		case p.F() != "inc" && p.F() != "read":
			return nil, fmt.Errorf("event %d has f %q, want inc or read", e.Index, p.F())
		case o.inc || p.Outcome() == history.OK:
			if o.cells, err = cells(e.Value); err != nil {
				return nil, fmt.Errorf("event %d (%s %s): %w", e.Index, e.Kind, e.F, err)
			}
		}
		if o.inc && (len(o.cells) != 1 || p.Outcome() == history.OK && !o.cells[0].known) {
			return nil, fmt.Errorf("event %d is an inc with the value %.60s, want [key, value]", e.Index, e.Value)
		}
		ops = append(ops, o)
	}
	return ops, nil
}

// cells reads {key: value, ...}, [key, value] or [[key, value] ...]; a value may
// be null.
func cells(v json.RawMessage) ([]cell, error) {
	var byName map[string]*int
	if json.Unmarshal(v, &byName) == nil && byName != nil {
		return named(byName)
	}
	pairs := []json.RawMessage{v}
	if key, _, ok := history.SplitPair(v); !ok || len(key) > 0 && key[0] == '[' {
		if err := json.Unmarshal(v, &pairs); err != nil {
			return nil, fmt.Errorf("the value is %.60s, want {key: value, ...}", v)
		}
	}
	var out []cell
	for _, p := range pairs {
		key, value, ok := history.SplitPair(p)
		var n *int
		if !ok || json.Unmarshal(value, &n) != nil {
			return nil, fmt.Errorf("the value has %.60s, want [key, number]", p)
		}
		c := cell{key: string(key), known: n != nil}
		if n != nil {
			c.value = *n
		}
		out = append(out, c)
	}
	return out, nil
}
