package fifo

import (
	"slices"
	"sort"

	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// cover is when the queue was certainly not empty: value i is inside strictly
// between in1 and out0. These are open intervals: where one ends and the next
// begins, the queue can have been empty.
type cover struct {
	from, to []int64 // maximal, disjoint, ascending
}

func (d *decider) newCover() cover {
	var c cover
	for _, i := range d.byIn1 {
		v := &d.values[i]
		last := len(c.to) - 1
		switch {
		case v.in1 >= v.out0:
		case last >= 0 && v.in1 < c.to[last]:
			c.to[last] = max(c.to[last], v.out0)
		default:
			c.from, c.to = append(c.from, v.in1), append(c.to, v.out0)
		}
	}
	return c
}

// empty finds for each dequeue that found nothing the first moment at which
// the queue can have been empty.
func (d *decider) empty() {
	if len(d.empties) == 0 {
		return
	}
	d.covers = d.newCover()
	c, k := d.covers, 0
	d.at = make([]int64, len(d.empties))
	for n, e := range d.empties { // by call
		if n&4095 == 0 && d.b.Stopped() {
			return
		}
		o := &d.ops[e]
		for k < len(c.to) && c.to[k] <= o.Call {
			k++
		}
		d.at[n] = o.Call
		if k < len(c.to) && c.from[k] < o.Call {
			d.at[n] = c.to[k]
		}
		if d.at[n] > o.Return {
			d.flaw(flaw{at: o.Return, kind: notEmpty, a: e})
		}
	}
}

// chain is a shortest list of values one of which is inside at any moment of
// operation e: from each on to the one that stays longest of those that came
// before it went.
func (d *decider) chain(e int32, longest []int32) []int32 {
	var chain []int32
	for at := d.ops[e].Call; ; {
		n := sort.Search(len(d.byIn1), func(k int) bool { return d.values[d.byIn1[k]].in1 >= at })
		i := longest[n-1]
		chain = append(chain, i)
		if at = d.values[i].out0; at > d.ops[e].Return {
			return chain
		}
	}
}

// longest is, for each prefix of byIn1, the value that stays longest.
func (d *decider) longest() []int32 {
	out := slices.Clone(d.byIn1)
	for k := 1; k < len(out); k++ {
		if d.values[out[k-1]].out0 >= d.values[out[k]].out0 {
			out[k] = out[k-1]
		}
	}
	return out
}

// taker is the crashed dequeue of the k-th stuck value; -1 if there is none.
func (d *decider) taker(k int) int32 {
	if k < len(d.crashed) {
		return d.crashed[k]
	}
	return -1
}

// needed is how many of the stuck values, a prefix, must have been dequeued.
func (d *decider) needed() int {
	last := int64(-1 << 63)
	for _, t := range d.at {
		last = max(last, t)
	}
	if d.ordered {
		for i := range d.values {
			if v := &d.values[i]; v.out1 < spec.Never {
				last = max(last, v.in0)
			}
		}
	}
	return sort.Search(len(d.stuck), func(k int) bool { return d.values[d.stuck[k]].in1 >= last })
}
