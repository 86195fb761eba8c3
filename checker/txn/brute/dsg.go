package brute

import (
	"slices"

	"github.com/capstan-dev/capstan/checker/txn/log"
)

// element is a written value and its writer, a place in history.txns.
type element struct {
	value log.Value
	by    int
}

// relation has for each transaction the set of those that depend on it.
type relation []uint

func (r relation) add(a, b int) {
	if a != b {
		r[a] |= 1 << b
	}
}

func (r relation) has(a, b int) bool { return r[a]>>b&1 == 1 }

// closed is the transitive closure (Warshall).
func (r relation) closed() relation {
	out := slices.Clone(r)
	for k := range out {
		for i := range out {
			if out.has(i, k) {
				out[i] |= out[k]
			}
		}
	}
	return out
}

func (r relation) cyclic() bool {
	for i, set := range r.closed() {
		if set>>i&1 == 1 {
			return true
		}
	}
	return false
}

func (r relation) union(o relation) relation {
	out := slices.Clone(r)
	for i := range out {
		out[i] |= o[i]
	}
	return out
}

// observed is a read of what others wrote: its place in its transaction, and that
// of the version in the order of the key's, -1 for the initial one.
type observed struct {
	by, op int
	key    int32
	at     int
}

// dsg is Adya's direct serialization graph of one choice of what happened and
// in what order versions came.
type dsg struct {
	h          *History
	happened   uint
	orders     [][]element // by key
	reads      []observed
	ww, wr, rw relation
	// impossible reads: of no version in the order (G1a, or no state at all);
	// intermediate ones (G1b).
	impossible, intermediate bool
	// nonsense: a list with an element twice, or a value that nobody wrote.
	nonsense bool
	// internal: a transaction does not see its own operations.
	internal bool
}

// Adya has the models that are defined by orders of versions, by their friendly
// names, and whether the history keeps each with some order; nothing if there
// are more choices than most.
func (h *History) Adya(most int) map[string]bool {
	out := map[string]bool{}
	for maybe := range uint(1) << (len(h.txns) - h.oks) {
		happened := maybe<<h.oks | (1<<h.oks - 1)
		orders := make([][][]element, h.keys)
		choices := 1
		for key := range orders {
			orders[key] = h.versionOrders(int32(key), happened)
			choices *= len(orders[key])
		}
		if choices > most {
			return nil
		}
		chosen := make([][]element, h.keys)
		for n := range choices {
			for key := range orders {
				chosen[key] = orders[key][n%len(orders[key])]
				n /= len(orders[key])
			}
			for level, holds := range h.dsg(chosen, happened).levels() {
				out[level] = out[level] || holds
			}
		}
	}
	return out
}

// versionOrders are the orders that the values of a key may have had: for
// lists those that agree with the reads, as far as their elements are of
// transactions that happened; all of them if no order agrees, or for registers.
func (h *History) versionOrders(key int32, happened uint) [][]element {
	var elements []element
	for i := range h.txns {
		for _, o := range h.txns[i].ops {
			if happened>>i&1 == 1 && o.write && o.key == key {
				elements = append(elements, element{o.value, i})
			}
		}
	}
	var all, agreeing [][]element
	permute(elements, func(p []element) {
		if !h.lists && !h.programOrder(key, p) {
			return
		}
		all = append(all, slices.Clone(p))
		if h.lists && h.agrees(key, p, happened) {
			agreeing = append(agreeing, all[len(all)-1])
		}
	})
	if len(agreeing) > 0 {
		return agreeing
	}
	return all
}

// programOrder says whether the values of each transaction come one after the
// other, as it wrote them: only the last one is installed.
func (h *History) programOrder(key int32, p []element) bool {
	place := map[element]int{}
	for i, e := range p {
		place[e] = i
	}
	for i := range h.txns {
		last := -1
		for _, o := range h.txns[i].ops {
			at, ok := place[element{o.value, i}]
			if !o.write || !ok || o.key != key {
				continue
			}
			if last >= 0 && at != last+1 {
				return false
			}
			last = at
		}
	}
	return true
}

// agrees says whether all reads of a list are prefixes of an order.
func (h *History) agrees(key int32, order []element, happened uint) bool {
	for i := range h.txns[:h.oks] {
		for _, o := range h.txns[i].ops {
			if o.write || o.key != key {
				continue
			}
			at := 0
			for _, v := range o.seen {
				if !h.written(key, v, happened) {
					continue
				}
				if at == len(order) || order[at].value != v {
					return false
				}
				at++
			}
		}
	}
	return true
}

// written says whether a transaction that happened wrote the value.
func (h *History) written(key int32, v log.Value, happened uint) bool {
	for i := range h.txns {
		for _, o := range h.txns[i].ops {
			if happened>>i&1 == 1 && o.write && o.key == key && o.value == v {
				return true
			}
		}
	}
	return false
}

// permute calls f with all orders of a list.
func permute[T any](list []T, f func([]T)) {
	var from func(int)
	from = func(i int) {
		if i >= len(list)-1 {
			f(list)
			return
		}
		for j := i; j < len(list); j++ {
			list[i], list[j] = list[j], list[i]
			from(i + 1)
			list[i], list[j] = list[j], list[i]
		}
	}
	from(0)
}

// dsg builds the graph for orders of versions.
func (h *History) dsg(orders [][]element, happened uint) *dsg {
	n := len(h.txns)
	g := &dsg{h: h, happened: happened, orders: orders, ww: make(relation, n), wr: make(relation, n), rw: make(relation, n)}
	for key, order := range orders {
		for i := 1; i < len(order); i++ {
			g.ww.add(order[i-1].by, order[i].by)
		}
		g.impossible = g.impossible || h.backward(int32(key), order)
	}
	for i := range h.txns[:h.oks] {
		g.internal = g.internal || h.internal(&h.txns[i])
		var own []op
		for at, o := range h.txns[i].ops {
			if o.write {
				own = append(own, o)
			} else {
				g.nonsense = g.nonsense || h.nonsense(o)
				g.read(observed{i, at, o.key, -1}, o, own)
			}
		}
	}
	return g
}

// backward says whether values of one transaction stand in another order than
// it wrote them.
func (h *History) backward(key int32, order []element) bool {
	for i := range h.txns {
		var own []log.Value
		for _, o := range h.txns[i].ops {
			if o.write && o.key == key {
				own = append(own, o.value)
			}
		}
		for _, e := range order {
			if e.by == i && e.value != own[0] {
				return true
			} else if e.by == i {
				own = own[1:]
			}
		}
	}
	return false
}

// read adds the dependencies of a read.
func (g *dsg) read(r observed, o op, own []op) {
	h, t, seen, order := g.h, r.by, o.seen, g.orders[o.key]
	g.impossible = g.impossible || h.lists && !prefix(seen, order) // which tells also where own ones stand
	for k := len(own) - 1; k >= 0; k-- {                           // look below own writes
		if own[k].key == o.key && len(seen) > 0 && seen[len(seen)-1] == own[k].value {
			if !h.lists {
				return
			}
			seen = seen[:len(seen)-1]
		}
	}
	if len(seen) > 0 {
		r.at = slices.IndexFunc(order, func(e element) bool { return e.value == seen[len(seen)-1] })
		if r.at < 0 {
			g.impossible = true
			return
		}
		e := order[r.at]
		g.wr.add(e.by, t)
		g.intermediate = g.intermediate || e.by != t && !h.final(e, o.key)
		g.impossible = g.impossible || e.by == t // a value that it writes later
	}
	if r.at+1 < len(order) {
		g.rw.add(t, order[r.at+1].by)
	}
	g.reads = append(g.reads, r)
}

func prefix(seen []log.Value, order []element) bool {
	if len(seen) > len(order) {
		return false
	}
	for i, v := range seen {
		if order[i].value != v {
			return false
		}
	}
	return true
}

// final says whether a value is the last that its writer wrote of the key.
func (h *History) final(e element, key int32) bool {
	ops := h.txns[e.by].ops
	for i := len(ops) - 1; i >= 0; i-- {
		if ops[i].write && ops[i].key == key {
			return ops[i].value == e.value
		}
	}
	return false
}

// internal says whether a read does not agree with what its transaction did
// before: it saw something of the key, or wrote it, or both.
func (h *History) internal(t *txn) bool {
	for i, read := range t.ops {
		if read.write {
			continue
		}
		var own []log.Value // since the last read
		var before *op      // the last read
		for k := range t.ops[:i] {
			switch o := &t.ops[k]; {
			case o.key != read.key:
			case o.write:
				own = append(own, o.value)
			default:
				own, before = nil, o
			}
		}
		if !h.follows(read.seen, before, own) {
			return true
		}
	}
	return false
}

// follows says whether a read can be what comes after another one, if there is
// one, and own writes.
func (h *History) follows(seen []log.Value, before *op, own []log.Value) bool {
	if !h.lists && len(own) > 0 {
		return slices.Equal(seen, own[len(own)-1:])
	}
	n := len(seen) - len(own)
	if n < 0 || !slices.Equal(seen[n:], own) {
		return false
	}
	return before == nil || slices.Equal(seen[:n], before.seen)
}

// nonsense says whether a read shows what no transaction can have done.
func (h *History) nonsense(read op) bool {
	all := uint(1)<<len(h.txns) - 1
	for i, v := range read.seen {
		if slices.Contains(read.seen[:i], v) || !h.written(read.key, v, all) && !h.failed[keyed{read.key, v}] {
			return true
		}
	}
	return false
}
