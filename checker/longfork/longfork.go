// Package longfork checks that all reads see concurrent writes come in the same
// order, as Jepsen's long-fork does.
package longfork

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/value"
	"github.com/capstan-dev/capstan/history"
)

// New returns the checker named "long-fork", for transactions of one write, of
// a key that nobody else writes, and transactions that read a group of keys.
// Of two reads of the same group one must have seen all that the other saw:
// otherwise they disagree on which write came first (kind "long-fork"), which
// parallel snapshot isolation allows and snapshot isolation does not. It takes
// O(n log n) and the size of the reads.
func New() checker.Checker { return fork{} }

type fork struct{}

// Name is "long-fork".
func (fork) Name() string { return "long-fork" }

type figures struct {
	Writes int            `json:"writes"`
	Reads  int            `json:"reads"`
	Groups int            `json:"groups"`
	Found  map[string]int `json:"found"`
}

// read is an ok transaction of reads: for each key of its group, ascending,
// whether its write was seen.
type read struct {
	history.Pair
	keys []int32
	seen []bool
	some int // how many
}

type check struct {
	d       figures
	found   checker.Finds
	names   *value.Names
	written map[int32]*history.Event
	values  map[int32]int32 // that reads saw, by key
	groups  map[string][]read
	order   []string // of the groups
}

// illegal is a history that the check is not made for.
type illegal string

// Check judges the history.
func (fork) Check(ctx context.Context, h *history.History) (checker.Result, error) {
	pairs, err := history.Pairs(h)
	if err != nil {
		return checker.Result{}, err
	}
	c := check{names: value.NewNames(), written: map[int32]*history.Event{}, values: map[int32]int32{}, groups: map[string][]read{}}
	for i, p := range pairs {
		if i%4096 == 0 && ctx.Err() != nil {
			return checker.Result{}, ctx.Err()
		}
		wrong, err := c.transaction(p)
		if err != nil {
			return checker.Result{}, err
		}
		if wrong != "" {
			return checker.Result{Verdict: checker.Unknown, Reason: string(wrong)}, nil
		}
	}
	for _, g := range c.order {
		c.judge(c.groups[g])
	}
	c.d.Groups, c.d.Found = len(c.groups), c.found.Counts
	res, err := c.found.Result(fmt.Sprintf("no violation found in %d writes and %d reads of %d groups", c.d.Writes, c.d.Reads, c.d.Groups), c.d)
	if res.Verdict == checker.Valid && (c.d.Reads == 0 || c.d.Writes == 0) {
		res.Verdict, res.Reason = checker.Unknown, "nothing was written, or no read succeeded"
	}
	return res, err
}

func (c *check) transaction(p history.Pair) (illegal, error) {
	e := p.Invoke
	if e == nil || p.Outcome() == history.OK {
		e = p.Complete
	}
	var steps [][]json.RawMessage
	bad := fmt.Errorf("event %d has the value %.80s, want a list of [f key value] with f r or w", e.Index, e.Value)
	if json.Unmarshal(e.Value, &steps) != nil {
		return "", bad
	}
	r := read{Pair: p}
	writes := 0
	type cell struct {
		key  int32
		seen bool
	}
	var cells []cell
	for _, s := range steps {
		if len(s) != 3 {
			return "", bad
		}
		key := c.names.Of(s[1])
		switch f := strings.Trim(string(s[0]), `":`); f {
		case "w", "write":
			writes++
			if before := c.written[key]; before != nil {
				return illegal(fmt.Sprintf("key %s is written at event %d and again at event %d; long-fork needs one write a key", s[1], before.Index, e.Index)), nil
			}
			c.written[key] = e
		case "r", "read":
			cells = append(cells, cell{key, !value.IsNull(s[2])})
			if wrong := c.saw(p, key, s); wrong != "" {
				return wrong, nil
			}
		default:
			return "", bad
		}
	}
	switch {
	case writes == 1 && len(steps) == 1:
		c.d.Writes++
	case writes > 0:
		return illegal(fmt.Sprintf("event %d is a transaction of %d steps with a write; long-fork needs single writes, and reads apart", e.Index, len(steps))), nil
	case p.Outcome() == history.OK && len(cells) > 0:
		c.d.Reads++
		slices.SortFunc(cells, func(a, b cell) int { return cmp.Compare(a.key, b.key) })
		for _, x := range cells {
			r.keys, r.seen = append(r.keys, x.key), append(r.seen, x.seen)
			if x.seen {
				r.some++
			}
		}
		c.group(r)
	}
	return "", nil
}

// saw notes what a read saw of a key: there is only one value to see.
func (c *check) saw(p history.Pair, key int32, step []json.RawMessage) illegal {
	if p.Outcome() != history.OK || value.IsNull(step[2]) {
		return ""
	}
	v := c.names.Of(step[2])
	if before, ok := c.values[key]; ok && before != v {
		return illegal(fmt.Sprintf("key %s was read as %s and as %s; long-fork needs one write a key", step[1], c.names.Text(before), step[2]))
	}
	c.values[key] = v
	return ""
}

func (c *check) group(r read) {
	g := fmt.Sprint(r.keys)
	if _, ok := c.groups[g]; !ok {
		c.order = append(c.order, g)
	}
	c.groups[g] = append(c.groups[g], r)
}

// judge sorts the reads of a group by how much they saw. If they form a chain,
// each saw all that the one before it saw.
func (c *check) judge(reads []read) {
	slices.SortStableFunc(reads, func(a, b read) int { return cmp.Compare(a.some, b.some) })
	for i := 1; i < len(reads); i++ {
		a, b := &reads[i-1], &reads[i]
		only := func(x, y *read) int {
			return slices.IndexFunc(x.keys, func(k int32) bool {
				at, _ := slices.BinarySearch(x.keys, k)
				return x.seen[at] && !y.seen[at]
			})
		}
		left, right := only(a, b), only(b, a)
		if left < 0 || right < 0 {
			continue
		}
		c.found.Add("long-fork", func() string {
			x, y := c.names.Text(a.keys[left]), c.names.Text(a.keys[right])
			return fmt.Sprintf("the read of %s that returned at %s saw the write of %s and not that of %s, so %s was written first; the read of %s that returned at %s saw it the other way round",
				checker.Who(a.Complete), checker.When(a.Complete.Time), x, y, x, checker.Who(b.Complete), checker.When(b.Complete.Time))
		}, a.Invoke, a.Complete, b.Invoke, b.Complete, c.written[a.keys[left]], c.written[a.keys[right]])
	}
}
