package fifo

import (
	"cmp"
	"slices"
	"sort"

	"github.com/capstan-dev/capstan/checker/linear/order/ranks"
	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// item is what the certificate lines up: a value, or a dequeue that found
// nothing, which is like a value that came and went at one moment.
type item struct {
	enq, deq int32 // operations, -1 if none; the same if it found nothing
	in0, in1 int64
	out0     int64
	out1     int64
}

// certify builds the linearization that the absence of conflicts promises.
func (d *decider) certify() spec.Finding[Out] {
	f := spec.Finding[Out]{Outcome: spec.Legal, Assumed: map[int32]Out{}}
	items := d.items(&f)
	if d.ordered {
		line, ok := d.merge(items)
		if !ok {
			if d.b.Stopped() {
				return spec.Finding[Out]{Why: spec.OutOfTime}
			}
			return spec.Finding[Out]{Why: "no order of the values was found"} // cannot happen
		}
		f.Order = emit(items, line, len(d.ops))
	} else {
		f.Order = d.spread(items)
	}
	return f
}

func (d *decider) items(f *spec.Finding[Out]) []item {
	needed := d.needed()
	takers := make(map[int32]int32, needed)
	for k, i := range d.stuck[:needed] {
		takers[i] = d.taker(k)
		f.Assumed[d.taker(k)] = Out{V: d.ops[d.values[i].enq].In.V}
	}
	items := make([]item, 0, len(d.values)+len(d.empties))
	for i := range d.values {
		v := &d.values[i]
		it := item{enq: v.enq, deq: v.deq, in0: v.in0, in1: v.in1, out0: v.out0, out1: v.out1}
		if v.stuck() {
			it.out0 = spec.Never
			if taker, ok := takers[int32(i)]; ok {
				// Before those that stay inside for ever.
				it.deq, it.out0, it.out1 = taker, v.out0, spec.Never-1
			}
		}
		items = append(items, it)
	}
	for n, e := range d.empties {
		t := d.at[n]
		items = append(items, item{enq: e, deq: e, in0: t, in1: t, out0: t, out1: t})
	}
	return items
}

// merge lines the items up so that neither the enqueues nor the dequeues are
// out of order: it takes one before which nothing must come, again and again.
// Such a one exists: from a cycle through the two orders, which are interval
// orders, a cycle of two items would follow, and there is none.
func (d *decider) merge(items []item) ([]int32, bool) {
	sorted := func(key func(*item) int64) []int32 {
		keys := make([]int64, len(items))
		for i := range items {
			keys[i] = key(&items[i])
		}
		return ranks.Ascending(keys)
	}
	in0, in1 := sorted(func(x *item) int64 { return x.in0 }), sorted(func(x *item) int64 { return x.in1 })
	out0, out1 := sorted(func(x *item) int64 { return x.out0 }), sorted(func(x *item) int64 { return x.out1 })
	free := make([]uint8, len(items)) // 1: in one order, 2: in both, 3: taken
	var ready []int32
	release := func(i int32) {
		if free[i]++; free[i] == 2 {
			ready = append(ready, i)
		}
	}
	line := make([]int32, 0, len(items))
	for a, b, p, q := 0, 0, 0, 0; len(line) < len(items); {
		for free[in1[a]] == 3 {
			a++
		}
		for ; p < len(in0) && items[in0[p]].in0 <= items[in1[a]].in1; p++ {
			release(in0[p])
		}
		for free[out1[b]] == 3 {
			b++
		}
		for ; q < len(out0) && items[out0[q]].out0 <= items[out1[b]].out1; q++ {
			release(out0[q])
		}
		if len(ready) == 0 || len(line)&4095 == 0 && d.b.Stopped() {
			return nil, false
		}
		i := ready[len(ready)-1]
		ready, free[i] = ready[:len(ready)-1], 3
		line = append(line, i)
	}
	return line, true
}

// emit merges the enqueues and the dequeues of a line of items by time. A
// dequeue that found nothing waits until all before it are gone.
func emit(items []item, line []int32, n int) []int32 {
	order := make([]int32, 0, n)
	came := make([]int64, len(line))
	in, out := int64(-1<<63), int64(-1<<63)
	for i, j := 0, 0; j < len(line); {
		if i < len(line) {
			it := &items[line[i]]
			if it.enq == it.deq && i == j {
				in = max(in, out, it.in0)
				out = in
				order = append(order, it.enq)
				i, j = i+1, j+1
				continue
			}
			if it.enq != it.deq && (i == j || max(in, it.in0) <= max(out, items[line[j]].out0, came[j])) {
				in = max(in, it.in0)
				came[i] = in
				order = append(order, it.enq)
				i++
				continue
			}
		}
		it := &items[line[j]]
		if it.deq >= 0 {
			out = max(out, it.out0, came[j])
			order = append(order, it.deq)
		}
		j++
	}
	return order
}

// spread lays out a bag: each value comes and goes between two of the moments
// at which the bag was empty, as early as its dequeue allows.
func (d *decider) spread(items []item) []int32 {
	moments := slices.Clone(d.at)
	slices.Sort(moments)
	var ops []int32
	var times, ranked []int64
	add := func(o int32, t int64, gap, kind int) {
		ops, times, ranked = append(ops, o), append(times, t), append(ranked, int64(gap)*4+int64(kind))
	}
	// The emptyings are numbered by time, to know at equal times what comes
	// before which of them.
	empties := slices.Clone(items[len(d.values):])
	slices.SortFunc(empties, func(a, b item) int { return cmp.Compare(a.in0, b.in0) })
	for g, it := range empties {
		add(it.enq, it.in0, g, 2)
	}
	for i := range items[:len(d.values)] {
		it := &items[i]
		gap := sort.Search(len(moments), func(k int) bool { return moments[k] >= it.out0 })
		came := it.in0
		if gap > 0 {
			came = max(came, moments[gap-1])
		}
		add(it.enq, came, gap, 0)
		if it.deq >= 0 {
			add(it.deq, it.out0, gap, 1)
		}
	}
	first := ranks.Ascending(ranked)
	sorted := make([]int64, len(times))
	for k, i := range first {
		sorted[k] = times[i]
	}
	order := ranks.Ascending(sorted)
	for k, i := range order {
		order[k] = ops[first[i]]
	}
	return order
}
