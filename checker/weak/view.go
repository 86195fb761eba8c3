package weak

import (
	"context"
	"slices"
)

// view looks for an order that explains the reads of some processes.
type view struct {
	t *trace
	c clocks // scratch
	// anti: what was read is in the same order as the writes, too, so that a
	// read comes before what overwrote its value (sequential).
	anti bool
	w    *walk
	work int64 // entries of clocks joined so far
}

// maxWork bounds the entries of clocks that views join, for one history.
const maxWork = 1 << 32

// seen is true for an operation whose answer the view has to explain.
func (v *view) seen(r int32) bool {
	t := v.t
	return t.from[r] >= initial && t.from[r] != noRead && (v.anti || !t.ops[r].Crashed)
}

// saturate adds to the edges what must hold if the reads of these chains are
// right, until nothing is new; it returns the edges with a topological order,
// or a cycle.
func (v *view) saturate(ctx context.Context, edges []edge, chains [][]int32, rank []int32) (g *graph, order []int32, cycle []edge, err error) {
	g = &graph{t: v.t, edges: edges}
	for {
		g.index()
		order, ok := g.order(rank)
		if !ok {
			return g, nil, g.cycle(order), nil
		}
		if v.work += int64(len(g.edges)) * int64(v.c.k); v.work > maxWork {
			return g, nil, nil, errWork
		}
		if err := g.clocks(ctx, &v.c, order); err != nil {
			return g, nil, nil, err
		}
		before := len(g.edges)
		for _, chain := range chains {
			v.w.restart()
			for n, r := range chain {
				if n&255 == 0 && ctx.Err() != nil {
					return g, nil, nil, ctx.Err()
				}
				if v.seen(r) {
					g.edges = v.infer(g.edges, r)
				}
			}
		}
		if len(g.edges) == before {
			return g, order, nil, nil
		}
		if len(g.edges) > maxEdges*len(v.t.ops)+1<<16 {
			return g, nil, nil, errEdges
		}
	}
}

// infer adds what follows from one read and what is known.
func (v *view) infer(edges []edge, r int32) []edge {
	t := v.t
	found := t.from[r]
	v.w.each(r, v.c.of(r), func(other int32) {
		switch {
		case found == initial:
			edges = append(edges, edge{r, other, -1, missed})
		case other != found && !v.c.before(other, found):
			edges = append(edges, edge{other, found, r, known})
		}
	})
	if !v.anti {
		return edges
	}
	from, to := t.writes.of(t.ops[r].Key)
	for l := from; l < to; l++ {
		if w := v.firstAfter(t.writes.ops[l], found, r); w >= 0 && !v.c.before(r, w) {
			edges = append(edges, edge{r, w, found, missed})
		}
	}
	return edges
}

// firstAfter is the first of a chain's writes, r apart, that comes after a
// source, -1: none.
func (v *view) firstAfter(writes []int32, source, r int32) int32 {
	at := 0
	if source >= 0 {
		at, _ = slices.BinarySearchFunc(writes, true, func(w int32, _ bool) int {
			if w != source && v.c.before(source, w) {
				return 0
			}
			return -1
		})
	}
	if at < len(writes) && writes[at] == r {
		at++
	}
	if at == len(writes) {
		return -1
	}
	if source < 0 && v.c.before(r, writes[at]) {
		return -1
	}
	return writes[at]
}

// guess explains the reads of one chain by the smallest past: whenever it finds
// something new, all that comes before that (by clock) is placed in front of
// it. It is false if that does not explain all reads, which proves nothing.
type guess struct {
	t       *trace
	now     []int32 // by key: the write placed last
	placed  []int32 // by chain
	rank    []int32 // by operation: a topological order; nil: one chain at a time
	batch   []int32
	written []int32 // keys to reset
}

func newGuess(t *trace, keys int, rank []int32) *guess {
	g := &guess{t: t, now: make([]int32, keys), placed: make([]int32, len(t.chains)), rank: rank}
	for k := range g.now {
		g.now[k] = initial
	}
	return g
}

// explain tries the reads of a chain. past is the clock of a write, its own
// place excluded; nil: it is what its chain did before.
func (g *guess) explain(chain []int32, past func(w int32) []int32) bool {
	t := g.t
	clear(g.placed)
	for _, k := range g.written {
		g.now[k] = initial
	}
	g.written = g.written[:0]
	for _, i := range chain {
		key := t.ops[i].Key
		if t.reader(i) {
			if w := t.from[i]; w >= 0 && g.placed[t.chain[w]] <= t.pos[w] {
				if t.chain[w] == t.chain[i] || t.behind(w, i) {
					return false
				}
				g.place(w, past)
			}
			if g.now[key] != t.from[i] {
				return false
			}
		}
		g.placed[t.chain[i]] = t.pos[i] + 1
		if t.writer(i) {
			g.put(i)
		}
	}
	return true
}

// behind is true for a crashed write that i's own process made after i.
func (t *trace) behind(w, i int32) bool {
	b := t.branch[t.chain[w]]
	return b >= 0 && t.chain[b] == t.chain[i] && t.pos[b] >= t.pos[i]
}

// place puts a write and its past.
func (g *guess) place(w int32, past func(w int32) []int32) {
	t := g.t
	g.batch = g.batch[:0]
	if past == nil {
		if b := t.branch[t.chain[w]]; b >= 0 {
			g.advance(t.chain[b], t.pos[b]+1)
		}
	} else {
		for c, upto := range past(w) {
			g.advance(int32(c), upto)
		}
	}
	g.advance(t.chain[w], t.pos[w]+1)
	if g.rank != nil {
		slices.SortFunc(g.batch, func(a, b int32) int { return int(g.rank[a]) - int(g.rank[b]) })
	}
	for _, i := range g.batch {
		g.put(i)
	}
}

func (g *guess) advance(chain, upto int32) {
	for g.placed[chain] < upto {
		if i := g.t.chains[chain][g.placed[chain]]; g.t.writer(i) {
			g.batch = append(g.batch, i)
		}
		g.placed[chain]++
	}
}

func (g *guess) put(i int32) {
	key := g.t.ops[i].Key
	if g.now[key] == initial {
		g.written = append(g.written, key)
	}
	g.now[key] = i
}

// judgePRAM explains each process by program order and what it read.
func judgePRAM(ctx context.Context, t *trace, keys int, v *view) (*violation, error) {
	g := newGuess(t, keys, nil)
	for c := range t.chains {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		chain := t.session(c)
		if chain == nil || g.explain(chain, nil) {
			continue
		}
		if v.c.at == nil {
			return nil, errMemory
		}
		edges := t.readEdges(t.programEdges(len(chain)), func(i int32) bool { return t.chain[i] == int32(c) })
		if bad, err := v.one(ctx, PRAM, edges, chain); bad != nil || err != nil {
			return bad, err
		}
	}
	return nil, nil
}

// judgeMemory explains each process by the causal order. order is a
// topological order of it.
func judgeMemory(ctx context.Context, c *causality, order []int32, keys int, v *view) (*violation, error) {
	t := c.t
	rank := make([]int32, len(t.ops))
	for n, i := range order {
		rank[i] = int32(n)
	}
	g := newGuess(t, keys, rank)
	var hard []int
	for i := range t.chains {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if chain := t.session(i); chain != nil && !g.explain(chain, c.of) {
			hard = append(hard, i)
		}
	}
	for _, i := range hard { // from here on the clocks are v's
		if bad, err := v.one(ctx, CausalMemory, slices.Clone(c.g.edges), t.chains[i]); bad != nil || err != nil {
			return bad, err
		}
	}
	return nil, nil
}

// one looks for the view of one process.
func (v *view) one(ctx context.Context, model string, edges []edge, chain []int32) (*violation, error) {
	g, _, cycle, err := v.saturate(ctx, edges, [][]int32{chain}, nil)
	if err != nil || cycle == nil {
		return nil, err
	}
	bad := g.violation(model, cycle, lastOf(cycle))
	bad.say = "as process " + itoa(v.t.ops[chain[0]].Process) + " sees it: " + bad.say
	return &bad, nil
}
