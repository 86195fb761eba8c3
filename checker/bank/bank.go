// Package bank checks reads of accounts between which money is transferred:
// whatever the order of the transfers, the total stays, as in Jepsen's bank.
package bank

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/value"
	"github.com/capstan-dev/capstan/history"
)

// Options say what is known of the bank.
type Options struct {
	// Total of all accounts; nil: what most reads sum up to.
	Total *int64
	// Accounts that there are; nil: any.
	Accounts []string
	// NegativeBalances are allowed.
	NegativeBalances bool
}

// New returns the checker named "bank". Each ok read, a map or a list of
// balances, must have known accounts only ("unexpected-key"), a balance in each
// ("nil-balance"), the total ("wrong-total"), and no debt ("negative-value").
// It uses isolation of whole reads: snapshot isolation and everything above it
// promises the total. O(n).
func New(o Options) checker.Checker { return bank{o} }

type bank struct{ o Options }

// Name is "bank".
func (bank) Name() string { return "bank" }

type figures struct {
	Reads int            `json:"reads"`
	Total int64          `json:"total"`
	Found map[string]int `json:"found"`
	// Lowest and Highest total that was read.
	Lowest  int64 `json:"lowest"`
	Highest int64 `json:"highest"`
}

// read is an ok read.
type read struct {
	history.Pair
	balances map[string]int64
	nils     []string
	total    int64
}

// Check judges the history.
func (b bank) Check(ctx context.Context, h *history.History) (checker.Result, error) {
	pairs, err := history.Pairs(h)
	if err != nil {
		return checker.Result{}, err
	}
	var reads []read
	for i, p := range pairs {
		if i%4096 == 0 && ctx.Err() != nil {
			return checker.Result{}, ctx.Err()
		}
		if p.F() != "read" || p.Outcome() != history.OK {
			continue
		}
		r, err := parse(p)
		if err != nil {
			return checker.Result{}, err
		}
		reads = append(reads, r)
	}
	if len(reads) == 0 {
		return checker.Result{Verdict: checker.Unknown, Reason: "no read of the accounts succeeded"}, nil
	}
	return b.judge(reads)
}

// parse reads {account: balance} or [balance ...].
func parse(p history.Pair) (read, error) {
	r := read{Pair: p, balances: map[string]int64{}}
	accounts := map[string]json.RawMessage{}
	if json.Unmarshal(p.Complete.Value, &accounts) != nil {
		n := 0
		if !value.Elements(p.Complete.Value, func(v json.RawMessage) { accounts[fmt.Sprint(n)] = v; n++ }) {
			return r, fmt.Errorf("event %d is an ok read with the value %.60s, want a map of accounts to balances", p.Complete.Index, p.Complete.Value)
		}
	}
	for account, v := range accounts {
		if value.IsNull(v) {
			r.nils = append(r.nils, account)
			continue
		}
		var balance int64
		if err := json.Unmarshal(v, &balance); err != nil {
			return r, fmt.Errorf("event %d: account %s has the balance %.40s, want a whole number", p.Complete.Index, account, v)
		}
		r.balances[account] = balance
		r.total += balance
	}
	slices.Sort(r.nils)
	return r, nil
}

// usual is the total that most reads have, the first of them on a tie, and one
// that has it.
func usual(reads []read) *read {
	count := map[int64]int{}
	var best *read
	for i := range reads {
		if len(reads[i].nils) == 0 {
			count[reads[i].total]++
		}
	}
	for i := range reads {
		if r := &reads[i]; len(r.nils) == 0 && (best == nil || count[r.total] > count[best.total]) {
			best = r
		}
	}
	return best
}

func (b bank) judge(reads []read) (checker.Result, error) {
	var found checker.Finds
	d := figures{Reads: len(reads), Lowest: reads[0].total, Highest: reads[0].total}
	var example *read
	if b.o.Total != nil {
		d.Total = *b.o.Total
	} else if example = usual(reads); example != nil {
		d.Total = example.total
	}
	for i := range reads {
		r := &reads[i]
		d.Lowest, d.Highest = min(d.Lowest, r.total), max(d.Highest, r.total)
		b.judgeRead(&found, r, d.Total, example)
	}
	d.Found = found.Counts
	reason := fmt.Sprintf("no violation found in %d reads: each sums up to %d", d.Reads, d.Total)
	res, err := found.Result(reason, d)
	if res.Verdict == checker.Valid && b.o.Total == nil && len(reads) == 1 {
		res.Verdict, res.Reason = checker.Unknown, "there is one read only, and nothing tells what the total should be"
	}
	return res, err
}

// judgeRead finds the first thing that is wrong with a read, as Jepsen does.
func (b bank) judgeRead(found *checker.Finds, r *read, total int64, example *read) {
	who := func() string {
		return fmt.Sprintf("the read of %s that returned at %s", checker.Who(r.Complete), checker.When(r.Complete.Time))
	}
	if b.o.Accounts != nil {
		for account := range r.balances {
			if !slices.Contains(b.o.Accounts, account) {
				found.Add("unexpected-key", func() string { return fmt.Sprintf("%s has account %s, which does not exist", who(), account) }, r.Invoke, r.Complete)
				return
			}
		}
	}
	switch {
	case len(r.nils) > 0:
		found.Add("nil-balance", func() string {
			return fmt.Sprintf("%s has no balance in account %s", who(), strings.Join(r.nils, ", "))
		}, r.Invoke, r.Complete)
	case r.total != total && example != nil:
		found.Add("wrong-total", func() string {
			return fmt.Sprintf("%s sums up to %d, %+d off the %d of most reads, e.g. that of %s at %s: %s", who(), r.total, r.total-total, total,
				checker.Who(example.Complete), checker.When(example.Complete.Time), show(r.balances))
		}, r.Invoke, r.Complete, example.Invoke, example.Complete)
	case r.total != total:
		found.Add("wrong-total", func() string {
			return fmt.Sprintf("%s sums up to %d, %+d off the total of %d: %s", who(), r.total, r.total-total, total, show(r.balances))
		}, r.Invoke, r.Complete)
	case !b.o.NegativeBalances:
		for _, account := range slices.Sorted(maps.Keys(r.balances)) {
			if v := r.balances[account]; v < 0 {
				found.Add("negative-value", func() string { return fmt.Sprintf("%s has %d in account %s", who(), v, account) }, r.Invoke, r.Complete)
				return
			}
		}
	}
}

func show(balances map[string]int64) string {
	const most = 12
	var parts []string
	for _, account := range slices.Sorted(maps.Keys(balances)) {
		parts = append(parts, fmt.Sprintf("%s: %d", account, balances[account]))
	}
	if len(parts) > most {
		parts = append(parts[:most], "…")
	}
	return "{" + strings.Join(parts, ", ") + "}"
}
