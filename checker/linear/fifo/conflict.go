package fifo

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// maxConflicts are told, the earliest.
const maxConflicts = 100

// maxPairs of a lost value and a crashed dequeue that may have taken it are
// part of a conflict; the others are only counted.
const maxPairs = 4

type kind uint8

const (
	fromNowhere kind = iota // a: dequeue
	twice                   // a: enqueue, b and c: dequeues
	tooEarly                // a: enqueue, b: dequeue
	overtook                // value b overtook value a
	lost                    // value b overtook value a, which nobody dequeued
	notEmpty                // a: dequeue that found nothing
)

// flaw is a conflict before it is put into words.
type flaw struct {
	at      int64
	kind    kind
	a, b, c int32
	pairs   []int32 // if lost: values that crashed dequeues took, one each
}

func (d *decider) flaw(f flaw) { d.flaws = append(d.flaws, f) }

func (d *decider) conflicts() []spec.Conflict {
	slices.SortStableFunc(d.flaws, func(a, b flaw) int { return cmp.Compare(a.at, b.at) })
	var longest []int32
	var out []spec.Conflict
	told := map[int32]bool{} // lost values that a dequeue missed
	for _, f := range d.flaws {
		if len(out) == maxConflicts {
			break
		}
		var c spec.Conflict
		switch f.kind {
		case notEmpty:
			if longest == nil {
				longest = d.longest()
			}
			chain := d.chain(f.a, longest)
			if first := chain[0]; len(chain) == 1 && d.values[first].stuck() {
				if told[first] {
					continue
				}
				told[first] = true
			}
			c = d.sayNotEmpty(f.a, chain)
		case overtook, lost:
			c = d.sayOrder(f)
		default:
			c = d.sayValue(f)
		}
		out = append(out, d.finish(c))
	}
	slices.SortStableFunc(out, func(a, b spec.Conflict) int { return cmp.Compare(a.At, b.At) })
	return out
}

func (d *decider) finish(c spec.Conflict) spec.Conflict {
	slices.SortFunc(c.Ops, func(a, b int32) int {
		return cmp.Or(cmp.Compare(d.ops[a].Call, d.ops[b].Call), cmp.Compare(a, b))
	})
	c.Ops = slices.Compact(c.Ops)
	c.At = -1 << 63
	for _, i := range c.Ops {
		c.At = max(c.At, d.ops[i].Call)
		if !d.ops[i].Crashed {
			c.At = max(c.At, d.ops[i].Return)
		}
	}
	return c
}

// unknown looks for dequeues of what nobody had enqueued by then, whether or not
// values repeat.
func (d *decider) unknown() (out []spec.Conflict) {
	enqueues := map[int32][]int32{}
	for i := range d.ops {
		if in := d.ops[i].In; !in.Deq {
			enqueues[in.V] = append(enqueues[in.V], int32(i))
		}
	}
	for i := range d.ops {
		o := &d.ops[i]
		if !o.In.Deq || o.Crashed || o.Out.Empty {
			continue
		}
		of := enqueues[o.Out.V]
		if slices.ContainsFunc(of, func(e int32) bool { return d.ops[e].Call <= o.Return }) {
			continue
		}
		c := d.sayValue(flaw{kind: fromNowhere, a: int32(i)})
		if len(of) > 0 {
			c.Say = fmt.Sprintf("{%d} returned {=%d}, which nobody had begun to enqueue by then", i, o.Out.V)
		}
		out = append(out, d.finish(c))
	}
	slices.SortStableFunc(out, func(a, b spec.Conflict) int { return cmp.Compare(a.At, b.At) })
	return out[:min(len(out), maxConflicts)]
}

func (d *decider) sayValue(f flaw) spec.Conflict {
	switch f.kind {
	case fromNowhere:
		return spec.Conflict{Ops: []int32{f.a}, Say: fmt.Sprintf("{%d} returned {=%d}, which nobody ever enqueued", f.a, d.ops[f.a].Out.V)}
	case twice:
		return spec.Conflict{Ops: []int32{f.a, f.b, f.c},
			Say: fmt.Sprintf("both {%d} and {%d} returned {=%d}, which only {%d} enqueued, once", f.b, f.c, d.ops[f.c].Out.V, f.a)}
	}
	return spec.Conflict{Ops: []int32{f.a, f.b},
		Say: fmt.Sprintf("{%d} returned {=%d}, and did so {%d<%d} before {%d} began to enqueue it", f.b, d.ops[f.b].Out.V, f.b, f.a, f.a)}
}

func (d *decider) sayOrder(f flaw) spec.Conflict {
	a, b := &d.values[f.a], &d.values[f.b]
	x, y := d.ops[a.enq].In.V, d.ops[b.enq].In.V
	came := fmt.Sprintf("{%d} had returned {%d<%d} before {%d} began, so {=%d} was before {=%d} in the queue", a.enq, a.enq, b.enq, b.enq, x, y)
	if f.kind == overtook {
		return spec.Conflict{Ops: []int32{a.enq, b.enq, a.deq, b.deq},
			Say: fmt.Sprintf("%s; yet {%d} took {=%d} and returned {%d<%d} before {%d}, which took {=%d}, began", came, b.deq, y, b.deq, a.deq, a.deq, x)}
	}
	c := spec.Conflict{Ops: []int32{a.enq, b.enq, b.deq}}
	c.Say = fmt.Sprintf("%s; yet {%d} took {=%d}, and nothing had taken {=%d} by then", came, b.deq, y, x)
	if n := len(f.pairs); n > 0 {
		for k := max(0, n-maxPairs); k < n; k++ {
			c.Ops = append(c.Ops, d.values[f.pairs[k]].enq, d.crashed[k])
		}
		c.Say += fmt.Sprintf(" (the dequeues without an answer that had begun, %d of them, are as many as the other values that had to be gone and that nobody returned)", n)
	}
	return c
}

func (d *decider) sayNotEmpty(e int32, chain []int32) spec.Conflict {
	c := spec.Conflict{Ops: []int32{e}}
	most := -1
	var names []string
	for _, i := range chain {
		v := &d.values[i]
		c.Ops = append(c.Ops, v.enq)
		names = append(names, fmt.Sprintf("{=%d}", d.ops[v.enq].In.V))
		if v.stuck() {
			most = max(most, d.rank(i))
			if t := d.taker(d.rank(i)); t >= 0 && d.ops[t].Call <= d.ops[e].Return {
				c.Ops = append(c.Ops, t)
			}
		} else {
			c.Ops = append(c.Ops, v.deq)
		}
	}
	for k := max(0, most-maxPairs); k < min(most, len(d.crashed)); k++ {
		c.Ops = append(c.Ops, d.values[d.stuck[k]].enq, d.crashed[k])
	}
	v := &d.values[chain[0]]
	switch {
	case len(chain) > 1:
		c.Say = fmt.Sprintf("{%d} found the queue empty, yet at each moment of it one of %s was inside: each had been enqueued before a dequeue of the one before it began",
			e, strings.Join(names, ", "))
	case v.stuck():
		c.Say = fmt.Sprintf("{%d} found the queue empty, yet {%d} had returned {%d<%d} before it began, and nothing had taken %s by then", e, v.enq, v.enq, e, names[0])
	default:
		c.Say = fmt.Sprintf("{%d} found the queue empty, yet {%d} had returned {%d<%d} before it began, and {%d}, which took %s, began {%d<%d} after it had returned",
			e, v.enq, v.enq, e, v.deq, names[0], e, v.deq)
	}
	if most > 0 {
		c.Say += fmt.Sprintf(" (of the values that nobody returned %d came earlier, and the first %d dequeues without an answer are as many)", most, min(most, len(d.crashed)))
	}
	return c
}

// rank is the position of a stuck value among those.
func (d *decider) rank(i int32) int {
	k := sort.Search(len(d.stuck), func(k int) bool { return d.values[d.stuck[k]].in1 >= d.values[i].in1 })
	for d.stuck[k] != i {
		k++
	}
	return k
}
