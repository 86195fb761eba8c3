// Package converge measures whether the replicas agree in the end, and how soon
// they were seen to.
//
// Definitions. A key is quiet from the moment that its last update has returned
// (a crashed one: was invoked) and the last fault is healed. A node has settled
// when a read through it, invoked after that, returned what it and every later
// read through it return. The key has converged if all nodes of the history
// have settled on the same value, by the time that the last of those reads
// returned. If a node's last read differs from another's the key has diverged.
// A key that was not read through every node after it was quiet says nothing.
package converge

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/capstan-dev/capstan/checker/value"
	"github.com/capstan-dev/capstan/history"
)

// Report says how many keys converged.
type Report struct {
	Keys      int `json:"keys"`
	Converged int `json:"converged"`
	Diverged  int `json:"diverged"`
	// Unread keys were not read through every node after they were quiet.
	Unread int `json:"unread"`
	// Slowest is the longest time from quiet to convergence; it is bounded
	// from below by when somebody looked.
	Slowest time.Duration `json:"slowest_ns"`
	// Divergences are the first keys that have diverged.
	Divergences []Divergence `json:"divergences"`
}

// Divergence is a key whose nodes end with different values.
type Divergence struct {
	Key   string      `json:"key,omitempty"`
	Nodes []NodeValue `json:"nodes"`
}

// NodeValue is what a node's last read returned.
type NodeValue struct {
	Node  string `json:"node"`
	Value string `json:"value"`
	Event int    `json:"event"` // index of the completion
}

const maxDivergences = 10

// Measure computes the report in O(n). ok is false if the history has no nodes
// or no reads. Errors are those of history.NewTable.
func Measure(ctx context.Context, h *history.History) (r Report, ok bool, err error) {
	if history.CompletionOnly(h) || len(h.Events) == 0 {
		return r, false, nil
	}
	t, err := history.NewTable(h)
	if err != nil {
		return r, false, fmt.Errorf("measure convergence: %w", err)
	}
	nodes := nodesOf(h)
	if len(nodes) < 2 {
		return r, false, nil
	}
	var healed time.Duration
	for _, w := range history.Windows(h) {
		healed = max(healed, w.End)
	}
	r.Divergences = []Divergence{}
	for key := range t.Keys {
		r.key(t, key, nodes, healed)
		if ctx.Err() != nil {
			return r, false, ctx.Err()
		}
	}
	return r, r.Keys > 0, nil
}

func nodesOf(h *history.History) []string {
	seen := map[string]bool{}
	var nodes []string
	for i := range h.Events {
		e := &h.Events[i]
		if e.Process >= 0 && e.Node != "" && !seen[e.Node] {
			seen[e.Node] = true
			nodes = append(nodes, e.Node)
		}
	}
	slices.Sort(nodes)
	return nodes
}

// settled is where a node stands: since when its reads return a value.
type settled struct {
	value int32
	since time.Duration
	last  *history.Event
}

func (r *Report) key(t *history.Table, key int, nodes []string, healed time.Duration) {
	quiet, updates, bag := healed, 0, true
	for i := range t.Len(key) {
		p := t.Pair(key, i)
		bag = bag && (p.F() == "read" || p.F() == "add")
		switch {
		case p.F() == "read" || p.Outcome() == history.Fail:
		case p.Outcome() == history.OK:
			quiet, updates = max(quiet, p.Complete.Time), updates+1
		default:
			quiet, updates = max(quiet, p.Invoke.Time), updates+1
		}
	}
	if updates == 0 {
		return
	}
	r.Keys++
	at := map[string]*settled{}
	names := value.NewNames()
	for i := range t.Len(key) {
		p := t.Pair(key, i)
		if p.F() != "read" || p.Outcome() != history.OK || p.Invoke.Time < quiet {
			continue
		}
		v := names.Of(content(t.Value(key, p.Complete), bag))
		s := at[p.Invoke.Node]
		if s == nil || s.value != v {
			s = &settled{value: v, since: p.Complete.Time}
			at[p.Invoke.Node] = s
		}
		s.last = p.Complete
	}
	r.conclude(t.Keys[key], nodes, at, names, quiet)
}

func (r *Report) conclude(key string, nodes []string, at map[string]*settled, names *value.Names, quiet time.Duration) {
	d := Divergence{Key: key}
	same, all, slowest := true, true, time.Duration(0)
	var first *settled
	for _, n := range nodes {
		s := at[n]
		if s == nil {
			all = false
			continue
		}
		if first == nil {
			first = s
		}
		same = same && s.value == first.value
		slowest = max(slowest, s.since-quiet)
		d.Nodes = append(d.Nodes, NodeValue{n, names.Text(s.value), s.last.Index})
	}
	switch {
	case !same:
		r.Diverged++
		if len(r.Divergences) < maxDivergences {
			r.Divergences = append(r.Divergences, d)
		}
	case !all:
		r.Unread++
	default:
		r.Converged++
		r.Slowest = max(r.Slowest, slowest)
	}
}

// content is a value to compare: the elements of a bag are read in any order.
func content(v json.RawMessage, bag bool) json.RawMessage {
	var elements []json.RawMessage
	if !bag || len(v) == 0 || v[0] != '[' || json.Unmarshal(v, &elements) != nil {
		return v
	}
	slices.SortFunc(elements, func(a, b json.RawMessage) int { return slices.Compare(a, b) })
	b, err := json.Marshal(elements)
	if err != nil {
		return v
	}
	return b
}
