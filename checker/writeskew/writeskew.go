// Package writeskew checks inserts that depend on a predicate which each of them
// makes false for the others: Adya's G2, as in Jepsen's adya.
package writeskew

import (
	"context"
	"fmt"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/history"
)

// New returns the checker named "write-skew". Of the inserts [key, row], each
// of which happens only if there is no row for its key, at most one may be
// acknowledged: two are a "G2", an anti-dependency in both directions, which
// serializability forbids and snapshot isolation allows. O(n).
func New() checker.Checker { return skew{} }

type skew struct{}

// Name is "write-skew".
func (skew) Name() string { return "write-skew" }

type figures struct {
	Keys int `json:"keys"`
	// Raced are keys that two inserts were in flight for at a time.
	Raced    int            `json:"raced"`
	Inserted int            `json:"inserted"`
	Found    map[string]int `json:"found"`
}

// Check judges the history.
func (skew) Check(ctx context.Context, h *history.History) (checker.Result, error) {
	pairs, err := history.Pairs(h)
	if err != nil {
		return checker.Result{}, err
	}
	var d figures
	var found checker.Finds
	first := map[string]*history.Pair{}
	last := map[string]*history.Pair{} // of a key, the insert that ends last
	raced := map[string]bool{}
	for i := range pairs {
		p := &pairs[i]
		if i%4096 == 0 && ctx.Err() != nil {
			return checker.Result{}, ctx.Err()
		}
		key, err := keyOf(p)
		if err != nil {
			return checker.Result{}, err
		}
		before := last[key]
		if before != nil && concurrent(before, p) {
			raced[key] = true
		}
		if before == nil || ends(p) > ends(before) {
			last[key] = p
		}
		if p.Outcome() != history.OK {
			continue
		}
		d.Inserted++
		o := first[key]
		if o == nil {
			first[key] = p
			continue
		}
		found.Add("G2", func() string {
			return fmt.Sprintf("key %s: the insert %s of %s, acknowledged at %s, and %s of %s, at %s, both succeeded, though each was to happen only without the other: neither saw the other's row",
				key, o.Complete.Value, checker.Who(o.Complete), checker.When(o.Complete.Time), p.Complete.Value, checker.Who(p.Complete), checker.When(p.Complete.Time))
		}, o.Invoke, o.Complete, p.Invoke, p.Complete)
	}
	d.Keys, d.Raced, d.Found = len(last), len(raced), found.Counts
	res, err := found.Result(fmt.Sprintf("no violation found on %d keys, on %d of which two inserts raced", d.Keys, d.Raced), d)
	switch {
	case res.Verdict != checker.Valid:
	case d.Inserted == 0:
		res.Verdict, res.Reason = checker.Unknown, "no insert was acknowledged"
	case d.Raced == 0:
		res.Verdict, res.Reason = checker.Unknown, "no two inserts for a key were in flight at a time: nothing was shown"
	}
	return res, err
}

func keyOf(p *history.Pair) (string, error) {
	e := p.Invoke
	if e == nil {
		e = p.Complete
	}
	key, _, ok := history.SplitPair(e.Value)
	if !ok || e.F != "insert" {
		return "", fmt.Errorf("event %d is %s %.60s, want insert [key, row]", e.Index, e.F, e.Value)
	}
	return string(key), nil
}

// concurrent says whether the second, which was invoked later, was invoked
// before the first ended.
func concurrent(a, b *history.Pair) bool {
	return a.Invoke == nil || b.Invoke == nil || b.Invoke.Index < ends(a)
}

const never = int(^uint(0) >> 1)

func ends(p *history.Pair) int {
	if p.Complete == nil || p.Outcome() == history.Info {
		return never
	}
	return p.Complete.Index
}
