// Package causalreverse checks that no write becomes visible before one that
// was acknowledged before it began, as Jepsen's causal-reverse does.
package causalreverse

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/value"
	"github.com/capstan-dev/capstan/history"
)

// New returns the checker named "causal-reverse", for writes of unique values
// and reads of all that were written: a read that sees a write, but not one
// that was acknowledged before that began, shows them in the reverse order. It
// takes O(n + the size of all reads). Strict serializability rules it out.
func New() checker.Checker { return reverse{} }

type reverse struct{}

// Name is "causal-reverse".
func (reverse) Name() string { return "causal-reverse" }

type figures struct {
	Writes int            `json:"writes"`
	Reads  int            `json:"reads"`
	Found  map[string]int `json:"found"`
}

// write is the call that wrote a value.
type write struct {
	history.Pair
	begin, end int // positions of the events; end is -1 if not acknowledged
}

type check struct {
	d      figures
	found  checker.Finds
	names  *value.Names
	writes []write // by value
	// acknowledged writes in order of their completion.
	acknowledged []int32
}

// Check judges the history.
func (reverse) Check(ctx context.Context, h *history.History) (checker.Result, error) {
	if history.CompletionOnly(h) {
		return checker.Result{Verdict: checker.Unknown, Reason: "the history has completions only: nothing tells which write began after which"}, nil
	}
	pairs, err := history.Pairs(h)
	if err != nil {
		return checker.Result{}, err
	}
	c := check{names: value.NewNames()}
	if err := c.load(h, pairs); err != nil {
		return checker.Result{}, err
	}
	for _, p := range pairs {
		if p.F() != "read" || p.Outcome() != history.OK {
			continue
		}
		if err := c.read(p); err != nil {
			return checker.Result{}, err
		}
		if ctx.Err() != nil {
			return checker.Result{}, ctx.Err()
		}
	}
	c.d.Found = c.found.Counts
	res, err := c.found.Result(fmt.Sprintf("no violation found in %d writes and %d reads", c.d.Writes, c.d.Reads), c.d)
	if res.Verdict == checker.Valid && (c.d.Reads == 0 || len(c.acknowledged) == 0) {
		res.Verdict, res.Reason = checker.Unknown, "no write was acknowledged, or no read succeeded"
	}
	return res, err
}

// load notes when each value was written.
func (c *check) load(h *history.History, pairs []history.Pair) error {
	at := make(map[*history.Event]int, len(pairs))
	for i := range h.Events {
		at[&h.Events[i]] = i
	}
	byEnd := map[int]int32{}
	for _, p := range pairs {
		switch p.F() {
		case "read":
			continue
		case "write", "insert":
		default:
			return fmt.Errorf("event %d has f %q, but causal-reverse knows read, write and insert only", p.Invoke.Index, p.F())
		}
		// That of a failed write must not be seen; if it is, it counts.
		if p.Outcome() != history.Fail {
			c.d.Writes++
		}
		n := c.names.Of(p.Invoke.Value)
		for int(n) >= len(c.writes) {
			c.writes = append(c.writes, write{begin: -1, end: -1})
		}
		if before := &c.writes[n]; before.begin >= 0 && before.Outcome() != history.Fail && p.Outcome() == history.Fail {
			continue
		} else if before.begin >= 0 && before.Outcome() != history.Fail {
			return fmt.Errorf("event %d writes %s a second time; causal-reverse needs unique values", p.Invoke.Index, c.names.Text(n))
		}
		w := write{Pair: p, begin: at[p.Invoke], end: -1}
		if p.Outcome() == history.OK {
			w.end = at[p.Complete]
			byEnd[w.end] = n
		}
		c.writes[n] = w
	}
	for i := range h.Events {
		if n, ok := byEnd[i]; ok {
			c.acknowledged = append(c.acknowledged, n)
		}
	}
	return nil
}

// read judges one read: of the values that it sees the one whose write began
// last demands the most.
func (c *check) read(p history.Pair) error {
	c.d.Reads++
	seen := map[int32]bool{}
	last := int32(-1)
	ok := value.IsNull(p.Complete.Value) || value.Elements(p.Complete.Value, func(v json.RawMessage) {
		n := c.names.Of(v)
		seen[n] = true
		if int(n) < len(c.writes) && c.writes[n].begin >= 0 && (last < 0 || c.writes[n].begin > c.writes[last].begin) {
			last = n
		}
	})
	if !ok {
		return fmt.Errorf("event %d is an ok read with the value %.60s, want a list of what was written", p.Complete.Index, p.Complete.Value)
	}
	if last < 0 {
		return nil
	}
	late := &c.writes[last]
	for _, n := range c.acknowledged {
		early := &c.writes[n]
		if early.end > late.begin {
			break
		}
		if seen[n] {
			continue
		}
		c.found.Add("causal-reverse", func() string {
			return fmt.Sprintf("the read of %s that returned at %s sees %s, but not %s, which had been acknowledged to %s at %s, before the write of %s began at %s",
				checker.Who(p.Complete), checker.When(p.Complete.Time), c.names.Text(last), c.names.Text(n),
				checker.Who(early.Complete), checker.When(early.Complete.Time), c.names.Text(last), checker.When(late.Invoke.Time))
		}, early.Invoke, early.Complete, late.Invoke, late.Complete, p.Invoke, p.Complete)
		return nil
	}
	return nil
}
