// Package queue checks that what went into a queue came out, as Jepsen's
// total-queue does. It says nothing about the order.
package queue

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/value"
	"github.com/capstan-dev/capstan/history"
)

// New returns the checker named "total-queue", for histories of enqueue,
// dequeue and drain (whose result is a list) which end with the queue drained.
// Every acknowledged enqueue must have come out ("lost"), and nothing but what
// was enqueued and did not fail ("unexpected"). What came out more often than it
// was enqueued is counted as duplicated and what came out though its enqueue
// was unknown as recovered; neither is a violation, as in Jepsen. A crashed
// dequeue or drain may have taken what is lost: then the verdict is unknown.
// O(n).
func New() checker.Checker { return total{} }

type total struct{}

// Name is "total-queue".
func (total) Name() string { return "total-queue" }

type figures struct {
	Attempted    int `json:"attempted"`
	Acknowledged int `json:"acknowledged"`
	OK           int `json:"ok"`
	Lost         int `json:"lost"`
	Unexpected   int `json:"unexpected"`
	Duplicated   int `json:"duplicated"`
	Recovered    int `json:"recovered"`
	Crashed      int `json:"crashed_dequeues"`
}

// element is what happened to one value.
type element struct {
	attempted, acknowledged, out int
	enqueue, took                history.Pair // the last acknowledged enqueue, the last dequeue
	failed                       history.Pair // an enqueue that failed
}

type check struct {
	d        figures
	names    *value.Names
	elements []element
	drains   bool // a drain crashed
}

// Check judges the history.
func (total) Check(ctx context.Context, h *history.History) (checker.Result, error) {
	pairs, err := history.Pairs(h)
	if err != nil {
		return checker.Result{}, err
	}
	c := check{names: value.NewNames()}
	for i, p := range pairs {
		if i%4096 == 0 && ctx.Err() != nil {
			return checker.Result{}, ctx.Err()
		}
		if err := c.call(p); err != nil {
			return checker.Result{}, err
		}
	}
	return c.judge()
}

func (c *check) at(v json.RawMessage) *element {
	n := c.names.Of(v)
	for int(n) >= len(c.elements) {
		c.elements = append(c.elements, element{})
	}
	return &c.elements[n]
}

func (c *check) call(p history.Pair) error {
	ok := p.Outcome() == history.OK
	switch p.F() {
	case "enqueue":
		e := p.Invoke
		if e == nil {
			e = p.Complete
		}
		c.enqueue(p, c.at(e.Value))
	case "dequeue":
		switch {
		case ok && !value.IsNull(p.Complete.Value):
			c.take(p, p.Complete.Value)
		case p.Outcome() == history.Info:
			c.d.Crashed++
		}
	case "drain":
		c.drains = c.drains || p.Outcome() == history.Info
		if ok && !value.IsNull(p.Complete.Value) && !value.Elements(p.Complete.Value, func(v json.RawMessage) { c.take(p, v) }) {
			return fmt.Errorf("event %d is an ok drain with the value %.60s, want a list of elements", p.Complete.Index, p.Complete.Value)
		}
	default:
		return fmt.Errorf("process %d does %s, but total-queue knows enqueue, dequeue and drain only", p.Process(), p.F())
	}
	return nil
}

func (c *check) enqueue(p history.Pair, e *element) {
	switch p.Outcome() {
	case history.Fail:
		e.failed = p
		return
	case history.OK:
		e.acknowledged++
		e.enqueue = p
		c.d.Acknowledged++
	}
	e.attempted++
	c.d.Attempted++
}

func (c *check) take(p history.Pair, v json.RawMessage) {
	e := c.at(v)
	e.out++
	e.took = p
}

func (c *check) judge() (checker.Result, error) {
	var found checker.Finds
	var lost []int
	for n := range c.elements {
		e := &c.elements[n]
		c.d.OK += min(e.out, e.attempted)
		c.d.Recovered += max(0, min(e.out, e.attempted)-e.acknowledged)
		if missing := e.acknowledged - e.out; missing > 0 {
			c.d.Lost += missing
			lost = append(lost, n)
		}
		switch {
		case e.out > 0 && e.attempted == 0:
			c.d.Unexpected += e.out
			found.Add("unexpected", func() string { return c.unexpected(n) }, e.took.Invoke, e.took.Complete, e.failed.Invoke, e.failed.Complete)
		case e.out > e.attempted:
			c.d.Duplicated += e.out - e.attempted
		}
	}
	certain := !c.drains && c.d.Lost > c.d.Crashed
	for _, n := range lost {
		if e := &c.elements[n]; certain {
			found.Add("lost", func() string {
				return fmt.Sprintf("element %s, acknowledged to %s at %s, never came out%s", c.names.Text(int32(n)),
					checker.Who(e.enqueue.Complete), checker.When(e.enqueue.Complete.Time), c.excuse())
			}, e.enqueue.Invoke, e.enqueue.Complete)
		}
	}
	res, err := found.Result(fmt.Sprintf("no violation found in %d elements", c.d.Acknowledged), c.d)
	switch {
	case res.Verdict == checker.Invalid || err != nil:
	case c.d.Acknowledged == 0:
		res.Verdict, res.Reason = checker.Unknown, "nothing was enqueued"
	case c.d.Lost > 0:
		res.Verdict = checker.Unknown
		res.Reason = fmt.Sprintf("%d elements never came out, but a dequeue or drain whose outcome is unknown may have taken them", c.d.Lost)
	}
	return res, err
}

// excuse says that crashed dequeues do not explain all losses.
func (c *check) excuse() string {
	if c.d.Crashed == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d did not, and only %d dequeues have an unknown outcome)", c.d.Lost, c.d.Crashed)
}

func (c *check) unexpected(n int) string {
	e := &c.elements[n]
	s := fmt.Sprintf("element %s came out to %s at %s, but ", c.names.Text(int32(n)), checker.Who(e.took.Complete), checker.When(e.took.Complete.Time))
	if e.failed.Complete != nil {
		return s + fmt.Sprintf("its enqueue failed at event %d, so it certainly was not enqueued", e.failed.Complete.Index)
	}
	return s + "nobody enqueued it"
}
