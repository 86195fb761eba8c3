package weak

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
)

var (
	errMemory = errors.New("the causal order does not fit into the memory allowed")
	errEdges  = errors.New("too many conclusions about the order of writes")
	errWork   = errors.New("too many rounds of conclusions about the order of writes")
	errSearch = errors.New("no order was found, and no contradiction, within the steps allowed")
)

const (
	maxEdges = 24      // inferred, for each operation
	maxSteps = 1 << 17 // states of the search
)

// sequential looks for one order of all operations.
type sequential struct {
	t    *trace
	keys int
	// root and depth say where a value stands in its run of compare-and-sets,
	// which nothing can come between: the write that begins it and the number
	// of steps from there. The roots of initial values are behind the operations.
	root, depth []int32
	byKey       [][]int32 // the operations of each key that have a place
}

// judgeSequential refutes with a violation, or confirms, as far as the keys by
// themselves can tell: fully if there is one.
func judgeSequential(ctx context.Context, t *trace, keys int) (s *sequential, bad *violation, confirmed bool, err error) {
	s = &sequential{t: t, keys: keys}
	if bad := s.runs(); bad != nil {
		return s, bad, false, nil
	}
	s.byKey = s.keyOps()
	orders := make([][]int32, keys)
	for k := range keys {
		if ctx.Err() != nil {
			return s, nil, false, ctx.Err()
		}
		if orders[k], bad = s.key(s.byKey[k]); bad != nil {
			return s, bad, false, nil
		}
	}
	return s, nil, s.confirmed(orders), nil
}

// reads is true for operations that found something; here a crashed
// compare-and-set did, if it took effect.
func (s *sequential) reads(i int32) bool { return s.t.from[i] >= initial && s.t.from[i] != noRead }

// runs fills in root and depth.
func (s *sequential) runs() *violation {
	t := s.t
	n := int32(len(t.ops))
	s.root, s.depth = make([]int32, n), make([]int32, n)
	for i := range s.root {
		s.root[i] = -1
	}
	var stack []int32
	for i := range n {
		if t.from[i] == thinAir {
			v := newViolation(Sequential, i, []int32{i}, "{%d} found a value that nobody wrote", i)
			return &v
		}
		for at := i; t.writer(at) && s.root[at] == -1; {
			stack = append(stack, at)
			s.root[at] = -2
			switch w := t.from[at]; {
			case w == thinAir:
				v := newViolation(Sequential, at, []int32{at}, "{%d} found a value that nobody wrote", at)
				return &v
			case w == initial || w == noRead:
				s.settle(&stack)
			case s.root[w] == -2:
				v := newViolation(Sequential, at, stack, "each of these found what another one of them wrote, so that none can be the first")
				return &v
			case s.root[w] >= 0:
				s.settle(&stack)
			default:
				at = w
			}
		}
	}
	return nil
}

// settle places the operations of a run, the first of which stands on known ground.
func (s *sequential) settle(stack *[]int32) {
	t := s.t
	for len(*stack) > 0 {
		i := (*stack)[len(*stack)-1]
		*stack = (*stack)[:len(*stack)-1]
		switch w := t.from[i]; {
		case w == noRead:
			s.root[i] = i
		case w == initial:
			s.root[i], s.depth[i] = s.start(i), 1
		default:
			s.root[i], s.depth[i] = s.root[w], s.depth[w]+1
		}
	}
}

// start is the root of the initial value of an operation's key.
func (s *sequential) start(i int32) int32 { return int32(len(s.t.ops)) + s.t.ops[i].Key }

// place is where an operation belongs in its key: the root and the depth.
func (s *sequential) place(i int32) (root, depth int32) {
	switch w := s.t.from[i]; {
	case s.t.writer(i):
		return s.root[i], s.depth[i]
	case w == initial:
		return s.start(i), 0
	case w < 0:
		return -1, 0
	default:
		return s.root[w], s.depth[w]
	}
}

// keyOps are the operations of each key that have a place.
func (s *sequential) keyOps() [][]int32 {
	by := make([][]int32, s.keys)
	for i := range s.t.ops {
		if root, _ := s.place(int32(i)); root >= 0 {
			k := s.t.ops[i].Key
			by[k] = append(by[k], int32(i))
		}
	}
	return by
}

// step says that the run from comes before the run to because of two
// operations of one process.
type step struct{ from, to, before, after int32 }

// key orders the runs of one key: all operations on a run stand together, so
// that program order orders them. Exact (the analogue of Cantin, Lipasti,
// Smith, The complexity of verifying memory coherence, 2005).
func (s *sequential) key(ops []int32) (roots []int32, bad *violation) {
	t := s.t
	var steps []step
	lastOf := map[int32]int32{} // chain -> its last operation on the key
	consumer := map[int32]int32{}
	for _, i := range ops {
		if t.writer(i) && s.reads(i) {
			if first, twice := consumer[t.from[i]]; twice {
				v := newViolation(Sequential, i, []int32{t.from[i], first, i}, "{%d} and {%d} replaced the same value: the second cannot have found it", first, i)
				return nil, &v
			}
			consumer[t.from[i]] = i
		}
		before, some := lastOf[t.chain[i]]
		if b := t.branch[t.chain[i]]; !some && b >= 0 {
			before, some = s.onKey(b, t.ops[i].Key)
		}
		lastOf[t.chain[i]] = i
		if !some {
			continue
		}
		r1, d1 := s.place(before)
		r2, d2 := s.place(i)
		switch {
		case r1 != r2 && r2 >= int32(len(t.ops)) && r1 >= 0:
			v := s.pair(before, i)
			return nil, &v
		case r1 != r2:
			steps = append(steps, step{r1, r2, before, i})
		case d1 > d2 || d1 == d2 && t.writer(i):
			v := s.pair(before, i)
			return nil, &v
		}
	}
	return s.sortRuns(ops, steps)
}

// onKey is the operation on a key at or before b in b's chain.
func (s *sequential) onKey(b, key int32) (int32, bool) {
	for p := s.t.pos[b]; p >= 0; p-- {
		i := s.t.chains[s.t.chain[b]][p]
		if root, _ := s.place(i); s.t.ops[i].Key == key && root >= 0 {
			return i, true
		}
	}
	return -1, false
}

func (s *sequential) pair(before, i int32) violation {
	t := s.t
	if t.from[before] == i {
		return newViolation(Sequential, i, []int32{before, i}, "{%d} found a value that the same process wrote only later, by {%d}", before, i)
	}
	return newViolation(Sequential, i, append(s.context(before), s.context(i)...),
		"after {%d} came its {.%d}, but the values they are about come in the other order", before, i)
}

// context are an operation and the run of compare-and-sets that leads to what
// it is about.
func (s *sequential) context(i int32) []int32 {
	ops := []int32{i}
	for w := s.t.from[i]; w >= 0 && len(ops) < 32; w = s.t.from[w] {
		ops = append(ops, w)
	}
	return ops
}

// sortRuns sorts the roots of a key topologically, initial value first.
func (s *sequential) sortRuns(ops []int32, steps []step) ([]int32, *violation) {
	var roots []int32
	number := map[int32]int32{}
	for _, i := range ops {
		root, _ := s.place(i)
		if _, known := number[root]; !known && root < int32(len(s.t.ops)) {
			number[root] = int32(len(roots))
			roots = append(roots, root)
		}
	}
	g := graph{t: &trace{ops: make([]Op, len(roots))}}
	for n, st := range steps {
		if st.from < int32(len(s.t.ops)) {
			g.edges = append(g.edges, edge{number[st.from], number[st.to], int32(n), follows})
		}
	}
	g.index()
	rank := make([]int32, len(roots))
	copy(rank, roots)
	order, ok := g.order(rank)
	if ok {
		out := make([]int32, len(order))
		for i, n := range order {
			out[i] = roots[n]
		}
		return out, nil
	}
	v := s.runCycle(g.cycle(order), steps)
	return nil, &v
}

// runCycle tells a cycle of runs.
func (s *sequential) runCycle(cycle []edge, steps []step) violation {
	var ops []int32
	say := ""
	at := 0 // begin with the earliest
	for i := range cycle {
		if steps[cycle[i].via].before < steps[cycle[at].via].before {
			at = i
		}
	}
	for i, e := range slices.Concat(cycle[at:], cycle[:at]) {
		st := steps[e.via]
		ops = append(append(ops, s.context(st.before)...), s.context(st.after)...)
		if i > 0 {
			say += "; "
		}
		say += fmt.Sprintf("after {%d} came its {.%d}", st.before, st.after)
	}
	v := newViolation(Sequential, slices.Max(ops), ops, "")
	v.say = say + ": no order of the writes fits all of these processes"
	return v
}

// confirmed builds an order of all operations from the orders of the keys and
// verifies it.
func (s *sequential) confirmed(orders [][]int32) bool {
	t := s.t
	g := &graph{t: t, edges: t.programEdges(2 * len(t.ops))}
	for k := range s.byKey {
		g.edges = s.keyEdges(g.edges, orders[k], s.byKey[k])
	}
	g.index()
	rank := make([]int32, len(t.ops))
	for i := range rank {
		rank[i] = int32(i)
	}
	order, ok := g.order(rank)
	return ok && t.verify(order, s.keys) == nil
}

// keyEdges put the operations of a key in line: a write, what found it, the
// next write.
func (s *sequential) keyEdges(edges []edge, roots, ops []int32) []edge {
	n := int32(len(s.t.ops))
	at := make(map[int32]int32, len(roots))
	for i, r := range roots {
		at[r] = int32(i) + 1
	}
	type spot struct{ run, depth, reader, op int32 }
	line := make([]spot, 0, len(ops))
	for _, i := range ops {
		root, depth := s.place(i)
		sp := spot{0, depth, 1, i}
		if root < n {
			sp.run = at[root]
		}
		if s.t.writer(i) {
			sp.reader = 0
		}
		line = append(line, sp)
	}
	slices.SortFunc(line, func(a, b spot) int {
		return cmp.Or(cmp.Compare(a.run, b.run), cmp.Compare(a.depth, b.depth), cmp.Compare(a.reader, b.reader), cmp.Compare(a.op, b.op))
	})
	begin := 0 // of the operations since the last write, itself included
	for i, sp := range line {
		if sp.reader == 1 {
			if line[begin].reader == 0 {
				edges = append(edges, edge{line[begin].op, sp.op, -1, readFrom})
			}
			continue
		}
		for _, before := range line[begin:i] {
			edges = append(edges, edge{before.op, sp.op, -1, follows})
		}
		begin = i
	}
	return edges
}

// verify checks that an order has every operation once, keeps program order,
// and that all reads find the latest write.
func (t *trace) verify(order []int32, keys int) error {
	now := make([]int32, keys)
	for k := range now {
		now[k] = initial
	}
	done := make([]bool, len(t.ops))
	for at, i := range order {
		o := &t.ops[i]
		switch p := t.prev[i]; {
		case done[i]:
			return fmt.Errorf("verify order: entry %d: operation %d is there twice", at, i)
		case p >= 0 && !done[p]:
			return fmt.Errorf("verify order: entry %d: operation %d is before %d of the same process", at, i, p)
		case t.from[i] != noRead && t.from[i] != now[o.Key]:
			return fmt.Errorf("verify order: entry %d: operation %d does not find the latest write", at, i)
		}
		done[i] = true
		if t.writer(i) {
			now[o.Key] = i
		}
	}
	if len(order) != len(t.ops) {
		return fmt.Errorf("verify order: %d operations are missing", len(t.ops)-len(order))
	}
	return nil
}

// saturated draws all conclusions, then tries the order that they leave, then
// searches.
func (s *sequential) saturated(ctx context.Context, v *view) (*violation, error) {
	t := s.t
	if v.c.at == nil {
		return nil, errMemory
	}
	edges := t.programEdges(len(t.ops))
	for i := range int32(len(t.ops)) {
		if t.from[i] >= 0 {
			edges = append(edges, edge{t.from[i], i, -1, readFrom})
		}
	}
	rank := make([]int32, len(t.ops))
	for i := range rank {
		rank[i] = int32(i)
	}
	v.anti = true
	g, order, cycle, err := v.saturate(ctx, edges, t.chains, rank)
	v.anti = false
	switch {
	case errors.Is(err, errWork) && len(t.ops) > maxSteps, err != nil && !errors.Is(err, errEdges) && !errors.Is(err, errWork):
		return nil, err
	case cycle != nil:
		bad := g.violation(Sequential, cycle, lastOf(cycle))
		return &bad, nil
	case err == nil:
		for n, i := range order {
			rank[i] = int32(n)
		}
		if s.confirmed(s.rankedRuns(rank)) || s.schedule(ctx, g, rank) {
			return nil, nil
		}
	}
	return s.search(ctx)
}

func (s *sequential) rankedRuns(rank []int32) [][]int32 {
	orders := make([][]int32, s.keys)
	for k, ops := range s.byKey {
		for _, i := range ops {
			if s.t.writer(i) && s.root[i] == i {
				orders[k] = append(orders[k], i)
			}
		}
		slices.SortFunc(orders[k], func(a, b int32) int { return int(rank[a]) - int(rank[b]) })
	}
	return orders
}

// search tries orders, those of the calls first.
func (s *sequential) search(ctx context.Context) (*violation, error) {
	t := s.t
	dead := map[string]bool{}
	at := make([]int32, len(t.chains))
	now := make([]int32, s.keys)
	for k := range now {
		now[k] = initial
	}
	done := make([]bool, len(t.ops))
	var try func(left int) (bool, error)
	try = func(left int) (bool, error) {
		state := stateOf(at, now)
		switch {
		case left == 0:
			return true, nil
		case dead[state]:
			return false, nil
		case len(dead) > maxSteps/(1+len(t.chains)/64) || left > 1<<16:
			return false, errSearch
		case ctx.Err() != nil:
			return false, ctx.Err()
		}
		for c := range t.chains {
			if int(at[c]) == len(t.chains[c]) {
				continue
			}
			i := t.chains[c][at[c]]
			key := t.ops[i].Key
			if p := t.prev[i]; p >= 0 && !done[p] || t.from[i] != noRead && t.from[i] != now[key] {
				continue
			}
			was := now[key]
			done[i] = true
			at[c]++
			if t.writer(i) {
				now[key] = i
			}
			if ok, err := try(left - 1); ok || err != nil {
				return ok, err
			}
			done[i], now[key] = false, was
			at[c]--
		}
		dead[state] = true
		return false, nil
	}
	ok, err := try(len(t.ops))
	if ok || err != nil {
		return nil, err
	}
	all := make([]int32, len(t.ops))
	for i := range all {
		all[i] = int32(i)
	}
	v := newViolation(Sequential, int32(len(all)-1), all, "no order of these operations explains what they found: all of them were tried")
	return &v, nil
}

func stateOf(at, now []int32) string {
	b := make([]byte, 0, 4*(len(at)+len(now)))
	for _, s := range [][]int32{at, now} {
		for _, x := range s {
			b = append(b, byte(x), byte(x>>8), byte(x>>16), byte(x>>24))
		}
	}
	return string(b)
}
