// Package watch checks that all who watch a value are told of the same writes in
// the same order, as Jepsen's watch workload of etcd does.
package watch

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/history"
)

// New returns the checker named "watch". Operations are write v, of unique
// values, and watch REVISION, whose ok value is {"values": [...], "revision":
// n}: what was written after that revision, and where the next watch goes on.
// Put together by their revisions, all watches must tell one sequence: where two
// differ that is a "disagreement", where one counts other writes up to a
// revision than another a "gap". A value that is told twice is a "repeat", one
// that nobody wrote, or whose write certainly failed, a "phantom", and one that
// was acknowledged, is not told, and must have come before one that is, "lost".
// A revision that goes back is "backwards". O(n).
func New() checker.Checker { return watch{} }

type watch struct{}

// Name is "watch".
func (watch) Name() string { return "watch" }

type figures struct {
	Acknowledged int            `json:"acknowledged"`
	Watches      int            `json:"watches"`
	Told         int            `json:"told"`
	Observers    int            `json:"observers"` // processes that were told something
	Found        map[string]int `json:"found"`
}

// Told is the value of a watch.
type Told struct {
	Values   []int `json:"values"`
	Revision int64 `json:"revision"`
}

// place is where something was told first.
type place struct {
	at int // in the sequence
	by history.Pair
}

// entry is an element of the sequence.
type entry struct {
	value int
	by    history.Pair
}

type check struct {
	d         figures
	found     checker.Finds
	writes    map[int]history.Pair
	revisions map[int64]place
	sequence  []entry
	places    map[int]place // of values
	observers map[int]bool
}

// Check judges the history.
func (watch) Check(ctx context.Context, h *history.History) (checker.Result, error) {
	pairs, err := history.Pairs(h)
	if err != nil {
		return checker.Result{}, err
	}
	c := check{writes: map[int]history.Pair{}, revisions: map[int64]place{0: {}}, places: map[int]place{}, observers: map[int]bool{}}
	var watches []history.Pair
	for _, p := range pairs {
		switch {
		case p.F() == "write":
			err = c.write(p)
		case p.F() != "watch":
			err = fmt.Errorf("process %d does %s, want write or watch", p.Process(), p.F())
		case p.Outcome() == history.OK && p.Invoke != nil:
			watches = append(watches, p)
		}
		if err != nil {
			return checker.Result{}, err
		}
	}
	slices.SortStableFunc(watches, func(a, b history.Pair) int { return a.Complete.Index - b.Complete.Index })
	for i, p := range watches {
		if i%1024 == 0 && ctx.Err() != nil {
			return checker.Result{}, ctx.Err()
		}
		if err := c.watch(p); err != nil {
			return checker.Result{}, err
		}
	}
	open := c.missing()
	c.d.Told, c.d.Observers, c.d.Found = len(c.sequence), len(c.observers), c.found.Counts
	return c.result(open)
}

func (c *check) result(open int) (checker.Result, error) {
	res, err := c.found.Result(fmt.Sprintf("%d observers were told the same %d writes in the same order, and none of %d acknowledged ones is missing",
		c.d.Observers, c.d.Told, c.d.Acknowledged), c.d)
	switch {
	case res.Verdict != checker.Valid:
	case c.d.Acknowledged == 0 || c.d.Told == 0:
		res.Verdict, res.Reason = checker.Unknown, "no write was acknowledged, or nobody was told of one"
	case c.d.Observers < 2:
		res.Verdict, res.Reason = checker.Unknown, "only one observer was told anything: nobody can disagree"
	case open > 0:
		res.Verdict, res.Reason = checker.Unknown, fmt.Sprintf("the observers did not get to the end: %d acknowledged writes may still be on their way", open)
	}
	return res, err
}

func (c *check) write(p history.Pair) error {
	e := p.Invoke
	if e == nil {
		e = p.Complete
	}
	var v int
	if err := json.Unmarshal(e.Value, &v); err != nil {
		return fmt.Errorf("event %d is a write of %.40s, want a whole number", e.Index, e.Value)
	}
	if before, again := c.writes[v]; again {
		return fmt.Errorf("event %d writes %d, as event %d does; values must be unique", e.Index, v, before.Invoke.Index)
	}
	c.writes[v] = p
	if p.Outcome() == history.OK {
		c.d.Acknowledged++
	}
	return nil
}

// watch puts what was told behind the revision that was asked for.
func (c *check) watch(p history.Pair) error {
	var after int64
	var told Told
	if err := json.Unmarshal(p.Invoke.Value, &after); err != nil {
		return fmt.Errorf("event %d is a watch of %.40s, want a revision", p.Invoke.Index, p.Invoke.Value)
	}
	if err := json.Unmarshal(p.Complete.Value, &told); err != nil {
		return fmt.Errorf("event %d is a watch that returned %.60s, want values and a revision", p.Complete.Index, p.Complete.Value)
	}
	c.d.Watches++
	start, known := c.revisions[after]
	switch {
	case !known && len(c.found.Anomalies) > 0:
		return nil // it goes on where a watch ended that contradicts others
	case !known:
		return fmt.Errorf("event %d watches from revision %d, where no watch before it ended", p.Invoke.Index, after)
	}
	if len(told.Values) > 0 {
		c.observers[p.Process()] = true
	}
	if told.Revision < after {
		c.found.Add("backwards", func() string {
			return fmt.Sprintf("the watch of %s at %s asked for what comes after revision %d and was sent to revision %d", checker.Who(p.Invoke), checker.When(p.Invoke.Time), after, told.Revision)
		}, p.Invoke, p.Complete)
		return nil
	}
	for i, v := range told.Values {
		if !c.tell(start.at+i, v, p) {
			return nil
		}
	}
	c.revision(told.Revision, start.at+len(told.Values), p)
	return nil
}

// tell takes in that a value was told at a place. It returns false if the rest
// of the watch says nothing new.
func (c *check) tell(at, v int, p history.Pair) bool {
	if at < len(c.sequence) {
		before := c.sequence[at]
		if before.value == v {
			return true
		}
		c.found.Add("disagreement", func() string {
			return fmt.Sprintf("write number %d was %d as %s was told at %s, but %d as %s was told at %s", at+1,
				before.value, checker.Who(before.by.Complete), checker.When(before.by.Complete.Time),
				v, checker.Who(p.Complete), checker.When(p.Complete.Time))
		}, before.by.Invoke, before.by.Complete, p.Invoke, p.Complete)
		return false
	}
	if before, again := c.places[v]; again {
		c.found.Add("repeat", func() string {
			return fmt.Sprintf("%s was told of %d at %s, as write number %d, but that was write number %d already", checker.Who(p.Complete), v, checker.When(p.Complete.Time), at+1, before.at+1)
		}, before.by.Invoke, before.by.Complete, p.Invoke, p.Complete)
	} else {
		c.places[v] = place{at, p}
	}
	c.sequence = append(c.sequence, entry{v, p})
	if w, known := c.writes[v]; !known || w.Outcome() == history.Fail {
		c.found.Add("phantom", func() string {
			return fmt.Sprintf("%s was told of %d at %s, whose write failed, or never was", checker.Who(p.Complete), v, checker.When(p.Complete.Time))
		}, w.Invoke, w.Complete, p.Invoke, p.Complete)
	}
	return true
}

// revision takes in how many writes there were up to a revision.
func (c *check) revision(r int64, at int, p history.Pair) {
	before, known := c.revisions[r]
	if !known {
		c.revisions[r] = place{at, p}
		return
	}
	if before.at == at || r == 0 {
		return
	}
	c.found.Add("gap", func() string {
		return fmt.Sprintf("up to revision %d %s was told of %d writes by %s, but %s of %d by %s", r,
			checker.Who(before.by.Complete), before.at, checker.When(before.by.Complete.Time),
			checker.Who(p.Complete), at, checker.When(p.Complete.Time))
	}, before.by.Invoke, before.by.Complete, p.Invoke, p.Complete)
}

// missing finds acknowledged writes that nobody was told of though some write
// was told that began after they had ended. It counts the other missing ones.
func (c *check) missing() (open int) {
	var latest entry // of those told, the one whose write was invoked last
	begun := -1
	for _, e := range c.sequence {
		if w := c.writes[e.value]; w.Invoke != nil && w.Invoke.Index > begun {
			latest, begun = e, w.Invoke.Index
		}
	}
	values := make([]int, 0, len(c.writes))
	for v := range c.writes {
		values = append(values, v)
	}
	slices.Sort(values)
	for _, v := range values {
		w := c.writes[v]
		if _, told := c.places[v]; told || w.Outcome() != history.OK {
			continue
		}
		if w.Complete.Index > begun {
			open++
			continue
		}
		c.found.Add("lost", func() string {
			return fmt.Sprintf("the write of %d by %s was acknowledged at %s, before that of %d began, of which %s was told at %s; but nobody was told of it", v,
				checker.Who(w.Complete), checker.When(w.Complete.Time), latest.value, checker.Who(latest.by.Complete), checker.When(latest.by.Complete.Time))
		}, w.Invoke, w.Complete, latest.by.Invoke, latest.by.Complete)
	}
	return open
}
