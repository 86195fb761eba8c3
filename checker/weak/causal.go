package weak

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// causality is the causal order with its clocks.
type causality struct {
	t     *trace
	g     *graph
	order []int32
	clocks
	causal *tally
	// cyclic is a violation if program order and reads-from make a cycle;
	// then there are no clocks.
	cyclic []edge
	// forward: the operations are in causal order as they are. disagree: in
	// that order some read does not find the last of the writes that it knew.
	forward, disagree bool
	// cf are, for reads, the writes of their causal past that are before the
	// one that they found (CyclicCF); collected only if it matters.
	collect bool
	cf      []edge
}

// readEdges lead from writes to their reads that use accepts.
func (t *trace) readEdges(edges []edge, use func(i int32) bool) []edge {
	for i := range int32(len(t.ops)) {
		if t.reader(i) && t.from[i] >= 0 && use(i) {
			edges = append(edges, edge{t.from[i], i, -1, readFrom})
		}
	}
	return edges
}

// judgeCausal looks for the bad patterns of causal consistency.
func judgeCausal(ctx context.Context, t *trace, matrix []int32) (*causality, error) {
	c := &causality{t: t, causal: newTally(Causal), clocks: clocks{t: t, k: len(t.chains), at: matrix}}
	c.g = &graph{t: t, edges: t.readEdges(t.programEdges(len(t.ops)), func(int32) bool { return true })}
	c.g.index()
	var ok bool
	if c.order, ok = c.g.order(nil); !ok {
		c.cyclic = c.g.cycle(c.order)
		accused := lastOf(c.cyclic)
		c.causal.add(t, accused, len(c.cyclic), func() violation { return c.g.violation(Causal, c.cyclic, accused) })
		return c, nil
	}
	c.forward = !slices.ContainsFunc(c.g.edges, func(e edge) bool { return e.from > e.to })
	if c.forward {
		for i := range c.order {
			c.order[i] = int32(i)
		}
	}
	if err := c.g.clocks(ctx, &c.clocks, c.order); err != nil {
		return nil, err
	}
	c.g.given, c.g.past = len(c.g.edges), &c.clocks
	return c, c.reads(ctx)
}

// lastOf is the operation of a cycle with the greatest number.
func lastOf(cycle []edge) int32 {
	latest := int32(0)
	for _, e := range cycle {
		latest = max(latest, e.to)
	}
	return latest
}

// reads looks at what each read knew.
func (c *causality) reads(ctx context.Context) error {
	t := c.t
	w := newWalk(t)
	for _, chain := range t.chains {
		w.restart()
		for n, r := range chain {
			if n&255 == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			if !t.reader(r) || t.from[r] == thinAir {
				continue
			}
			w.each(r, c.of(r), func(other int32) { c.know(r, other) })
		}
	}
	return nil
}

// know: r knew other, the latest write of its chain to r's key.
func (c *causality) know(r, other int32) {
	t := c.t
	found := t.from[r]
	switch {
	case c.collect:
		if other != found && !c.before(other, found) {
			c.cf = append(c.cf, edge{other, found, r, known})
		}
	case found == initial:
		c.causal.add(t, r, c.g.least(2), func() violation {
			return c.overwritten(r, other)
		})
	case other == found:
	case c.before(found, other):
		c.causal.add(t, r, c.g.least(3), func() violation { return c.overwritten(r, other) })
	default:
		c.disagree = c.disagree || other > found
	}
}

// overwritten tells how r knew other, and how the writer of other knew what r
// found.
func (c *causality) overwritten(r, other int32) violation {
	found := c.t.from[r]
	second := c.g.path(quest{a: other, b: r})
	ops := opsOf(second)
	if found == initial {
		return newViolation(Causal, r, ops, "{%d} found the initial value, yet it knew {%d}: %s", r, other, tellPath(second))
	}
	first := c.g.path(quest{a: found, b: other})
	return newViolation(Causal, r, append(ops, opsOf(first)...),
		"{%d} found what {%d} wrote, yet it knew {%d}, which came after that. The first comes before the second: %s. The second was known: %s",
		r, found, other, tellPath(first), tellPath(second))
}

func opsOf(path []edge) []int32 {
	var ops []int32
	for _, e := range path {
		ops = append(ops, e.from, e.to, e.via)
	}
	return ops
}

// tellPath says why each step of a way holds, as one story.
func tellPath(path []edge) string {
	var s strings.Builder
	for i, e := range path {
		which := ", which"
		switch {
		case i == 0:
			fmt.Fprintf(&s, "{%d}", e.from)
			which = ""
		case path[i-1].kind > readFrom || e.kind > readFrom: // the sentence before has its reason
			fmt.Fprintf(&s, "; {%d}", e.from)
			which = ""
		}
		switch {
		case e.kind == program:
			fmt.Fprintf(&s, ", then came its {.%d}", e.to)
		case e.kind == readFrom:
			fmt.Fprintf(&s, "%s was seen by {%d}", which, e.to)
		case e.kind == known:
			fmt.Fprintf(&s, " has to come before {%d}, since {%d} knew the first and found the second", e.to, e.via)
		case e.kind == missed && e.via >= 0:
			fmt.Fprintf(&s, " has to come before {%d}, since it found what {%d} wrote and {%d} replaced that", e.to, e.via, e.to)
		case e.kind == missed:
			fmt.Fprintf(&s, " has to come before {%d}, since it found the initial value", e.to)
		}
	}
	return s.String()
}

// violation tells a cycle, with the grounds of what was inferred.
func (g *graph) violation(model string, cycle []edge, accused int32) violation {
	at := 0
	for i := range cycle { // begin with what happened first
		if cycle[i].from < cycle[at].from {
			at = i
		}
	}
	cycle = slices.Concat(cycle[at:], cycle[:at])
	ops := opsOf(cycle)
	told := map[edge]bool{}
	var grounds []string // of each way that takes more than a step to see
	for work := slices.Clone(cycle); len(work) > 0; work = work[1:] {
		way := g.ground(work[0])
		if told[work[0]] || way == nil {
			continue
		}
		told[work[0]] = true
		ops, work = append(ops, opsOf(way)...), append(work, way...)
		if len(way) > 1 || way[0].kind > readFrom {
			grounds = append(grounds, tellPath(way))
		}
	}
	v := newViolation(model, accused, ops, "")
	v.say = tellPath(cycle) + ". That is a circle"
	if len(grounds) > 0 {
		v.say += ". What they knew: " + strings.Join(grounds, "; ")
	}
	return v
}

// ground is why an inferred edge holds: the way by which the one operation is
// behind the other, made of edges that were there before it.
func (g *graph) ground(e edge) []edge {
	if e.kind < known || e.kind == follows || e.via < 0 {
		return nil
	}
	from, to := e.from, e.via
	if e.kind == missed {
		from, to = e.via, e.to
	}
	below := int32(slices.Index(g.edges, e))
	if g.given > 0 {
		below = min(below, int32(g.given))
	}
	return g.path(quest{a: from, b: to, below: below})
}

// judgeConvergence: the causal order and what reads say about concurrent
// writes must not make a cycle. The order is returned if they do not.
func (c *causality) judgeConvergence(ctx context.Context) (order []int32, bad *violation, err error) {
	if c.forward && !c.disagree {
		return c.order, nil, nil
	}
	c.collect = true
	if err := c.reads(ctx); err != nil {
		return nil, nil, err
	}
	g := &graph{t: c.t, edges: append(slices.Clone(c.g.edges), c.cf...), given: len(c.g.edges), past: c.g.past}
	c.cf = nil
	g.index()
	order, ok := g.order(nil)
	if ok {
		return order, nil, nil
	}
	cycle := g.cycle(order)
	v := g.violation(CausalConvergence, cycle, lastOf(cycle))
	return nil, &v, nil
}

// walk finds, for the reads of a chain in order, the latest writes to their
// key that they know.
type walk struct {
	t     *trace
	round int32
	stamp []int32 // by list of writes
	at    []int32
}

func newWalk(t *trace) *walk {
	return &walk{t: t, stamp: make([]int32, len(t.writes.ops)), at: make([]int32, len(t.writes.ops))}
}

func (w *walk) restart() { w.round++ }

// each calls f with the latest write of each chain to the key of r that r's
// clock has, but r itself.
func (w *walk) each(r int32, clock []int32, f func(int32)) {
	t := w.t
	from, to := t.writes.of(t.ops[r].Key)
	for l := from; l < to; l++ {
		upto := clock[t.writes.chain[l]]
		if upto == 0 {
			continue
		}
		if w.stamp[l] != w.round {
			w.stamp[l], w.at[l] = w.round, 0
		}
		all, at := t.writes.ops[l], w.at[l]
		for int(at) < len(all) && t.pos[all[at]] < upto {
			at++
		}
		if w.at[l] = at; at > 0 {
			f(all[at-1])
		}
	}
}
