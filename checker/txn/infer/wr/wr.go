// Package wr infers dependencies between transactions on registers whose
// written values are unique: who read whose write, and, by assumptions that the
// caller makes, which version of a register came before which. Source: Kingsbury
// and Alvaro, Elle (VLDB 2020), section 5; the sweeps over time are linear in
// the touches of a key, times those that are concurrent.
package wr

import (
	"fmt"
	"slices"

	"github.com/capstan-dev/capstan/checker/txn/adya"
	"github.com/capstan-dev/capstan/checker/txn/graph"
	"github.com/capstan-dev/capstan/checker/txn/infer"
	"github.com/capstan-dev/capstan/checker/txn/log"
)

// Options say what may be assumed of registers besides that they begin with nil
// and that values are unique. A wrong assumption makes wrong accusations, or
// shows as cyclic-versions.
type Options struct {
	// WritesFollowReads: what a transaction wrote to a key comes after what it
	// had read of it.
	WritesFollowReads bool
	// Sequential: each process meets the versions of a key in their order, as
	// far as its transactions are ok: the last, unknown one of a process is not bound.
	Sequential bool
	// Linearizable: a transaction that was invoked after another had been
	// completed meets no older version of a key.
	Linearizable bool
	// Orders are those that the database tells: of a key, its values from the
	// oldest to the newest, all as JSON. They may leave out some.
	Orders map[string][]string
}

// some says whether anything is assumed.
func (o Options) some() bool {
	return o.WritesFollowReads || o.Sequential || o.Linearizable || o.Orders != nil
}

// Infer finds the dependencies. An error says that the log is not one of
// registers with unique values.
func Infer(l *log.Log, o Options) (*infer.Inference, error) {
	t, err := gather(l)
	if err != nil {
		return nil, err
	}
	t.judge()
	keys := t.byKey()
	w := &inference{tables: t, keys: keys, options: o, process: processes(l), local: make([]int32, len(t.versions))}
	edges, cyclic, open := w.run()
	for _, c := range cyclic {
		w.found.Add(adya.CyclicVersions, func() infer.Found { return w.cyclicVersions(c) })
	}
	out := &infer.Inference{Edges: edges, Found: t.found, Evidence: w.evidence}
	if open > 0 {
		out.Open = []string{fmt.Sprintf("%d of the anti-dependencies on the initial versions of keys were not looked at: too many transactions read nil of keys that were written often", open)}
	}
	return out, nil
}

// inference is all that is inferred of one log.
type inference struct {
	*tables
	keys    groups
	options Options
	process []int32
	local   []int32
}

// groups are the touches of each key, side by side, in order of completion.
type groups struct{ start, touches []int32 }

func (g groups) of(key int32) []int32 { return g.touches[g.start[key]:g.start[key+1]] }

func (t *tables) byKey() groups {
	g := groups{start: make([]int32, len(t.log.Keys)+2), touches: make([]int32, len(t.touches))}
	for i := range t.touches {
		g.start[t.touches[i].key+2]++
	}
	for k := 2; k < len(g.start); k++ {
		g.start[k] += g.start[k-1]
	}
	for i := range t.touches {
		at := &g.start[t.touches[i].key+1]
		g.touches[*at] = int32(i)
		*at++
	}
	return g
}

// processes numbers the processes of transactions without gaps.
func processes(l *log.Log) []int32 {
	out := make([]int32, len(l.Txns))
	number := map[int32]int32{}
	for i := range l.Txns {
		p := l.Txns[i].Process
		n, ok := number[p]
		if !ok {
			n = int32(len(number))
			number[p] = n
		}
		out[i] = n
	}
	return out
}

func (w *inference) orders() *orders {
	return &orders{tables: w.tables, options: w.options, process: w.process, local: w.local, latest: make([]seen, len(w.process))}
}

// run infers the edges of all keys, on two goroutines; the result does not
// depend on how they share the work.
func (w *inference) run() (edges []graph.Edge, cyc []cyclic, open int) {
	type part struct {
		edges  []graph.Edge
		cyclic []cyclic
		open   int
	}
	half, _ := slices.BinarySearch(w.keys.start[1:len(w.log.Keys)+1], int32(len(w.touches)/2))
	half = min(half, len(w.log.Keys))
	work := func(from, to int) (p part) {
		e := &edger{orders: w.orders()}
		for k := from; k < to; k++ {
			e.keyEdges(int32(k), w.keys.of(int32(k)))
		}
		return part{e.edges, e.cyclic, e.open}
	}
	second := make(chan part, 1)
	go func() { second <- work(half, len(w.log.Keys)) }()
	a := work(0, half)
	b := <-second
	return append(a.edges, b.edges...), append(a.cyclic, b.cyclic...), a.open + b.open
}

// cyclicVersions tells of a key whose versions have no order: the transactions
// that show it, and who wrote the versions.
func (w *inference) cyclicVersions(c cyclic) infer.Found {
	f := infer.Found{Key: c.key, Why: c.why}
	add := func(txn, mop int32) {
		if txn != infer.None && !slices.Contains(f.Txns, txn) {
			f.Txns, f.Mops = append(f.Txns, txn), append(f.Mops, mop)
		}
	}
	for _, i := range c.touches {
		x := &w.touches[i]
		if x.read != infer.None {
			add(x.txn, x.readMop)
		}
		add(x.txn, x.writeMop)
	}
	for _, s := range c.versions {
		v := &w.versions[s]
		f.Values = append(f.Values, v.value)
		add(v.writer, v.mop)
	}
	return f
}

// evidence tells why an edge is there.
func (w *inference) evidence(from, to int32, c graph.Class) infer.Evidence {
	for i := w.begin[from]; i < w.begin[from+1]; i++ {
		a := &w.touches[i]
		for j := w.begin[to]; j < w.begin[to+1]; j++ {
			b := &w.touches[j]
			if a.key != b.key {
				continue
			}
			if e, ok := w.between(a, b, c); ok {
				return e
			}
		}
	}
	return infer.NoEvidence()
}

// between is the evidence of two touches of a key.
func (w *inference) between(a, b *touch, c graph.Class) (infer.Evidence, bool) {
	e := infer.Evidence{Key: a.key, FromMop: a.writeMop, ToMop: b.writeMop, Next: log.Nil}
	u := a.write
	switch c {
	case graph.WR:
		e.ToMop = b.readMop
		if u == infer.None || u != b.read {
			return e, false
		}
		e.Value = w.versions[u].value
		return e, true
	case graph.RW:
		u, e.FromMop = a.read, a.readMop
	}
	if u == infer.None || b.write == infer.None || u == b.write {
		return e, false
	}
	e.Value, e.Next = w.versions[u].value, w.versions[b.write].value
	if u == w.index.keys[a.key].base {
		return e, true
	}
	var ok bool
	e.Why, ok = w.reason(a.key, u, b.write)
	return e, ok
}

// reason infers a key once more to tell why one version came before another.
func (w *inference) reason(key, u, v int32) (string, bool) {
	o := w.orders()
	o.local = make([]int32, len(w.versions))
	o.number(key, w.keys.of(key))
	o.infer()
	a, ok := o.find(o.local[u]-1, o.local[v]-1)
	if !ok {
		return "", false
	}
	return o.why(a), true
}
