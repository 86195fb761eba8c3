package lock

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/phase"
	"github.com/capstan-dev/capstan/history"
)

// Options say how the locks were used.
type Options struct {
	// Lease is how long a grant holds.
	Lease time.Duration
	// Fenced: grants carry tokens, and the store refuses those that it saw a
	// greater one than. Two who believe to hold a lock do no harm then.
	Fenced bool
}

// NewExclusion returns the checker named "mutual-exclusion". Two holds of a
// lock that certainly overlap, and whose holders both acted on what it
// protects, are "held-twice". A holder whose call has no answer is not believed
// to go on: its lease ends by right. Fenced locks are judged by their tokens
// instead: a grant whose token is not greater than that of a grant which had
// ended before it began is "token-order", two grants with one token are
// "token-twice", and a save that was accepted after another with a greater token
// had been acknowledged is "stale-token". O(n log n).
func NewExclusion(o Options) checker.Checker { return exclusion{o} }

type exclusion struct{ o Options }

// Name is "mutual-exclusion".
func (exclusion) Name() string { return "mutual-exclusion" }

type exclusionFigures struct {
	Locks    int `json:"locks"`
	Acquires int `json:"acquires"`
	Holds    int `json:"holds"`
	// Contended acquires were asked for while another held the lock.
	Contended int `json:"contended"`
	// Overlaps are pairs of holds at a time, WithinLease those of them whose
	// second began before the lease of the first could have ended.
	Overlaps    int            `json:"overlaps"`
	WithinLease int            `json:"within_lease"`
	Fenced      bool           `json:"fenced"`
	Refused     int            `json:"refused"` // saves, for their tokens
	Tokens      int            `json:"tokens"`
	Found       map[string]int `json:"found"`
}

type judge struct {
	o       Options
	d       exclusionFigures
	found   finds
	windows []history.Window
}

// Check judges the history.
func (c exclusion) Check(ctx context.Context, h *history.History) (checker.Result, error) {
	all, err := locks(ctx, h)
	if err != nil {
		return checker.Result{}, err
	}
	j := judge{o: c.o, d: exclusionFigures{Locks: len(all), Fenced: c.o.Fenced}, windows: history.Windows(h)}
	for _, l := range all {
		j.d.Acquires += len(l.acquires)
		j.d.Holds += len(l.holds)
		j.d.Contended += contended(l)
		j.overlaps(l)
		if c.o.Fenced {
			j.tokens(l)
			j.fence(l)
		}
	}
	j.d.Found = j.found.Counts
	return j.result()
}

func (j *judge) result() (checker.Result, error) {
	reason := fmt.Sprintf("no lock was held twice: %d holds of %d locks, %d more were asked for while another held the lock",
		j.d.Holds, j.d.Locks, j.d.Contended)
	if j.o.Fenced {
		reason = fmt.Sprintf("tokens grew over %d grants of %d locks, and no older one was accepted: %d times two held a lock at a time, and %d saves were refused",
			j.d.Holds, j.d.Locks, j.d.Overlaps, j.d.Refused)
	}
	res, err := j.found.Result(reason, j.d)
	if res.Verdict != checker.Valid {
		return res, err
	}
	switch {
	case j.d.Holds == 0:
		res.Verdict, res.Reason = checker.Unknown, "no lock was ever granted"
	case j.o.Fenced && j.d.Tokens < j.d.Holds:
		res.Verdict, res.Reason = checker.Unknown, fmt.Sprintf("%d of %d grants have no fencing token", j.d.Holds-j.d.Tokens, j.d.Holds)
	case j.d.Contended == 0:
		res.Verdict, res.Reason = checker.Unknown, "nobody asked for a lock while another held it: nothing was shown"
	}
	return res, err
}

// contended counts the acquires that were refused, or invoked while another
// certainly held the lock.
func contended(l lockHistory) int {
	n, until, by := 0, -1, -1
	next := 0
	byBegin := sortedHolds(l)
	for _, a := range l.acquires {
		for ; next < len(byBegin) && byBegin[next].begin() < a.Invoke.Index; next++ {
			if h := byBegin[next]; h.end() > until {
				until, by = h.end(), h.acquire.Process()
			}
		}
		refused := a.Complete != nil && a.Complete.Unmet()
		if refused || until > a.Invoke.Index && by != a.Process() {
			n++
		}
	}
	return n
}

func sortedHolds(l lockHistory) []*hold {
	return slices.SortedFunc(slices.Values(l.holds), func(a, b *hold) int { return cmp.Compare(a.begin(), b.begin()) })
}

// overlaps finds the pairs of holds at a time whose holders both acted.
func (j *judge) overlaps(l lockHistory) {
	var open []*hold // that may go on
	for _, b := range sortedHolds(l) {
		open = slices.DeleteFunc(open, func(a *hold) bool { return a.end() < b.begin() })
		if !b.acted || b.end() <= b.begin() {
			continue
		}
		for _, a := range open {
			j.d.Overlaps++
			within := b.acquire.Complete.Time < a.acquire.Invoke.Time+j.o.Lease
			if within {
				j.d.WithinLease++
			}
			if !j.o.Fenced {
				j.found.add(l.key, "held-twice", func() string { return j.twice(l.key, a, b) },
					a.acquire.Invoke, a.acquire.Complete, a.until(b), b.acquire.Invoke, b.acquire.Complete, b.until(b))
			}
		}
		open = append(open, b)
	}
}

// twice tells of two holds, the second of which began while the first went on.
func (j *judge) twice(key string, a, b *hold) string {
	var s strings.Builder
	aEnd, bEnd := a.until(b), b.until(b)
	from, granted := a.acquire.Complete.Time, b.acquire.Complete.Time
	fmt.Fprintf(&s, "lock %s was held twice: %s acquired it at %s and still acted on it at %s (%s), but %s acquired it at %s and acted on it until %s (%s)",
		key, checker.Who(a.acquire.Complete), checker.When(from), checker.When(aEnd.Time), aEnd.F,
		checker.Who(b.acquire.Complete), checker.When(granted), checker.When(bEnd.Time), bEnd.F)
	if j.o.Lease > 0 {
		switch {
		case granted < a.acquire.Invoke.Time+j.o.Lease:
			fmt.Fprintf(&s, "; that was within the first one's lease of %v", j.o.Lease)
		case b.acquire.Invoke.Time > from+j.o.Lease:
			fmt.Fprintf(&s, "; the first one's lease of %v had run out by %s, and it did not know", j.o.Lease, checker.When(from+j.o.Lease))
		default:
			fmt.Fprintf(&s, "; the first one's lease of %v ran out about then", j.o.Lease)
		}
	}
	if a.idle > j.o.Lease/2 {
		fmt.Fprintf(&s, "; from %s on it had done nothing for %s", checker.When(a.before.Time), phase.Span(a.idle))
	}
	if faults := j.faults(from, granted); faults != "" {
		fmt.Fprintf(&s, "; in between there was %s", faults)
	}
	return s.String()
}

// faults names those in force at some time between two moments.
func (j *judge) faults(from, to time.Duration) string {
	var names []string
	for _, w := range j.windows {
		if w.Begin <= to && w.End >= from {
			names = append(names, fmt.Sprintf("%s (%s to %s)", w.Fault, checker.When(w.Begin), checker.When(w.End)))
		}
	}
	return strings.Join(names, ", ")
}

// tokens checks that they grow from grant to grant.
func (j *judge) tokens(l lockHistory) {
	byEnd := sortedHolds(l)
	first := map[int64]*hold{}
	var highest *hold // of those that had been granted
	next := 0
	for _, h := range l.holds { // in order of invocation
		for ; next < len(byEnd) && byEnd[next].begin() < h.acquire.Invoke.Index; next++ {
			if highest == nil || byEnd[next].token > highest.token {
				highest = byEnd[next]
			}
		}
		if h.token == 0 {
			continue
		}
		j.d.Tokens++
		before := first[h.token]
		switch {
		case before != nil:
			j.badToken("token-twice", "the same token", l.key, before, h)
		case highest != nil && highest.token > h.token:
			j.badToken("token-order", "a smaller token", l.key, highest, h)
		}
		if before == nil {
			first[h.token] = h
		}
	}
}

func (j *judge) badToken(kind, what, key string, a, b *hold) {
	j.found.add(key, kind, func() string {
		return fmt.Sprintf("lock %s: %s acquired it at %s with token %d, and %s at %s with %s, %d", key,
			checker.Who(a.acquire.Complete), checker.When(a.acquire.Complete.Time), a.token,
			checker.Who(b.acquire.Complete), checker.When(b.acquire.Complete.Time), what, b.token)
	}, a.acquire.Invoke, a.acquire.Complete, b.acquire.Invoke, b.acquire.Complete)
}

// fence checks that the store accepted no token after it had acknowledged a
// greater one.
func (j *judge) fence(l lockHistory) {
	var done []*save // ok, in order of completion
	for i := range l.saves {
		s := &l.saves[i]
		switch {
		case s.Outcome() == history.OK:
			done = append(done, s)
		case s.Complete != nil && s.Complete.Unmet():
			j.d.Refused++
		}
	}
	slices.SortFunc(done, func(a, b *save) int { return cmp.Compare(a.Complete.Index, b.Complete.Index) })
	var highest *save
	next := 0
	for i := range l.saves {
		s := &l.saves[i]
		if s.Outcome() != history.OK {
			continue
		}
		for ; next < len(done) && done[next].Complete.Index < s.Invoke.Index; next++ {
			if highest == nil || done[next].Token > highest.Token {
				highest = done[next]
			}
		}
		if highest == nil || highest.Token <= s.Token {
			continue
		}
		by := highest
		j.found.add(l.key, "stale-token", func() string {
			return fmt.Sprintf("lock %s: the save of %s at %s with token %d was accepted, though that of %s with token %d had been acknowledged at %s", l.key,
				checker.Who(s.Invoke), checker.When(s.Invoke.Time), s.Token, checker.Who(by.Invoke), by.Token, checker.When(by.Complete.Time))
		}, by.Invoke, by.Complete, s.Invoke, s.Complete)
	}
}
