// Package ids checks that generated identifiers are unique, as Jepsen's
// unique-ids does.
package ids

import (
	"context"
	"fmt"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/value"
	"github.com/capstan-dev/capstan/history"
)

// New returns the checker named "unique-ids": no two acknowledged calls of
// generate returned the same value (kind "duplicated"). O(n).
func New() checker.Checker { return ids{} }

type ids struct{}

// Name is "unique-ids".
func (ids) Name() string { return "unique-ids" }

type figures struct {
	Attempted    int `json:"attempted"`
	Acknowledged int `json:"acknowledged"`
	Duplicated   int `json:"duplicated"`
}

// Check judges the history.
func (ids) Check(ctx context.Context, h *history.History) (checker.Result, error) {
	pairs, err := history.Pairs(h)
	if err != nil {
		return checker.Result{}, err
	}
	var d figures
	var found checker.Finds
	names := value.NewNames()
	first := map[int32]*history.Event{}
	for i, p := range pairs {
		if i%4096 == 0 && ctx.Err() != nil {
			return checker.Result{}, ctx.Err()
		}
		if p.F() != "generate" {
			return checker.Result{}, fmt.Errorf("process %d does %s, but unique-ids knows generate only", p.Process(), p.F())
		}
		d.Attempted++
		if p.Outcome() != history.OK {
			continue
		}
		d.Acknowledged++
		id := names.Of(p.Complete.Value)
		before := first[id]
		if before == nil {
			first[id] = p.Complete
			continue
		}
		d.Duplicated++
		found.Add("duplicated", func() string {
			return fmt.Sprintf("%s was generated for %s at %s and again for %s at %s", names.Text(id),
				checker.Who(before), checker.When(before.Time), checker.Who(p.Complete), checker.When(p.Complete.Time))
		}, before, p.Invoke, p.Complete)
	}
	if d.Acknowledged == 0 {
		return checker.Result{Verdict: checker.Unknown, Reason: "no identifier was generated"}, nil
	}
	return found.Result(fmt.Sprintf("no violation found in %d identifiers", d.Acknowledged), d)
}
