// Package sequential checks that what one process wrote one after the other
// nobody sees the other way round, as Jepsen's sequential does.
package sequential

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/value"
	"github.com/capstan-dev/capstan/history"
)

// New returns the checker named "sequential". A process puts the subkeys of a
// group, put [group, n], one after the other, each when the one before was
// acknowledged. A scan reads them all in reverse order, as [group, [values]],
// the last subkey first. One that sees a subkey, and afterwards not one that
// was put before it, has seen them "reordered": sequential consistency and
// causal consistency forbid it. Jepsen's names write and read are taken, too.
// O(n).
func New() checker.Checker { return sequential{} }

type sequential struct{}

// Name is "sequential".
func (sequential) Name() string { return "sequential" }

type figures struct {
	Puts  int `json:"puts"`
	Scans int `json:"scans"`
	// Empty scans saw nothing, Partial ones some, Full ones all.
	Empty   int            `json:"empty"`
	Partial int            `json:"partial"`
	Full    int            `json:"full"`
	Found   map[string]int `json:"found"`
}

// Check judges the history.
func (sequential) Check(ctx context.Context, h *history.History) (checker.Result, error) {
	pairs, err := history.Pairs(h)
	if err != nil {
		return checker.Result{}, err
	}
	var d figures
	var found checker.Finds
	puts := acknowledged(pairs)
	for i, p := range pairs {
		if i%4096 == 0 && ctx.Err() != nil {
			return checker.Result{}, ctx.Err()
		}
		if p.Outcome() != history.OK {
			continue
		}
		switch p.F() {
		case "put", "write":
			d.Puts++
		case "scan", "read":
			if err := d.scan(&found, p, puts); err != nil {
				return checker.Result{}, err
			}
		default:
			return checker.Result{}, fmt.Errorf("event %d has f %q, want put or scan", p.Complete.Index, p.F())
		}
	}
	d.Found = found.Counts
	res, err := found.Result(fmt.Sprintf("no violation found in %d scans, %d of which saw some of a group and not all of it", d.Scans, d.Partial), d)
	if res.Verdict == checker.Valid && d.Partial+d.Full == 0 {
		res.Verdict, res.Reason = checker.Unknown, "no scan saw anything"
	}
	return res, err
}

// subkey is one of a group.
type subkey struct {
	group string
	n     int
}

// acknowledged are the puts that are ok.
func acknowledged(pairs []history.Pair) map[subkey]history.Pair {
	puts := map[subkey]history.Pair{}
	for _, p := range pairs {
		if p.Outcome() != history.OK || p.F() != "put" && p.F() != "write" {
			continue
		}
		group, v, ok := history.SplitPair(p.Complete.Value)
		var n int
		if ok && json.Unmarshal(v, &n) == nil {
			puts[subkey{string(group), n}] = p
		}
	}
	return puts
}

func (d *figures) scan(found *checker.Finds, p history.Pair, puts map[subkey]history.Pair) error {
	group, list, ok := history.SplitPair(p.Complete.Value)
	var values []json.RawMessage
	if !ok || json.Unmarshal(list, &values) != nil {
		return fmt.Errorf("event %d is a scan with the value %.60s, want [group, [values]]", p.Complete.Index, p.Complete.Value)
	}
	d.Scans++
	seen, missing, some := -1, -1, 0
	for at, v := range values {
		n := len(values) - 1 - at
		switch {
		case !value.IsNull(v):
			some++
			if seen < 0 {
				seen = n
			}
		case seen >= 0 && missing < 0:
			missing = n
		}
	}
	switch some {
	case 0:
		d.Empty++
	case len(values):
		d.Full++
	default:
		d.Partial++
	}
	if missing >= 0 {
		put := puts[subkey{string(group), missing}]
		found.Add("reordered", func() string {
			who := "the same process had put before"
			if put.Complete != nil {
				who = fmt.Sprintf("%s had put before, acknowledged at %s", checker.Who(put.Complete), checker.When(put.Complete.Time))
			}
			return fmt.Sprintf("group %s: the scan of %s that returned at %s saw subkey %d, and then not subkey %d, which %s: %s",
				group, checker.Who(p.Complete), checker.When(p.Complete.Time), seen, missing, who, list)
		}, put.Invoke, put.Complete, p.Invoke, p.Complete)
	}
	return nil
}
