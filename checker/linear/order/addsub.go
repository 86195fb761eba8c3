package order

import (
	"fmt"

	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// chain orders adds and subtractions by what each started from, which is what
// exactly one other returned.
func (d *addGet) chain(done []int32) {
	to, from := map[int64]int32{0: -1}, map[int64]int32{} // adds by the value after and before them
	for _, i := range done {
		if !d.moves(i) {
			continue
		}
		if _, twice := to[d.ops[i].Out.V]; twice {
			d.outcome, d.why = spec.Inapplicable, "some add and some subtract, and a value came twice"
			return
		}
		to[d.ops[i].Out.V] = i
	}
	for _, i := range done {
		if !d.moves(i) {
			continue
		}
		base := d.ops[i].Out.V - d.ops[i].In.Delta
		if first, twice := from[base]; twice {
			source := to[base]
			if _, known := to[base]; !known {
				source = -1
			}
			d.add(max(d.ops[first].Return, d.ops[i].Return), func() spec.Conflict {
				return conflict(d.ops, fmt.Sprintf("{%d} and {%d} both went on from %d, where the counter was at most once", first, i, base), first, i, source)
			})
			continue
		}
		from[base] = i
	}
	at := map[int64]int32{0: 0} // levels by value
	for next, ok := from[0]; ok; next, ok = from[d.ops[next].Out.V] {
		k, v := int32(len(d.levels)), d.ops[next].Out.V
		d.group[next], at[v] = 3*k+1, k
		d.levels = append(d.levels, level{value: v, add: next, read: -1, deadline: -1})
	}
	d.unreached(done, to, at)
}

// unreached puts the reads in their place and tells of what the chain from 0
// does not reach.
func (d *addGet) unreached(done []int32, to, at map[int64]int32) {
	told := len(d.found) > 0 // then the chain has two ends
	for _, i := range done {
		o := &d.ops[i]
		if !d.moves(i) {
			if k, ok := at[o.Out.V]; ok {
				d.group[i] = 3*k + 2
			} else if _, ok := to[o.Out.V]; !ok {
				d.impossible(i, fmt.Sprintf("{%d} returned %d, but no add led there", i, o.Out.V))
			}
			continue
		}
		base := o.Out.V - o.In.Delta
		if _, ok := to[base]; !ok {
			d.impossible(i, fmt.Sprintf("{%d} returned %d after adding %d, but no add led to %d", i, o.Out.V, o.In.Delta, base))
			told = true
		}
	}
	if !told {
		d.circle(done, to)
	}
}

// circle tells of adds each of which starts where another ends, and none at 0.
func (d *addGet) circle(done []int32, to map[int64]int32) {
	seen := map[int32]bool{}
	for _, i := range done {
		if !d.moves(i) || d.group[i] != leftOut || seen[i] {
			continue
		}
		var circle []int32
		latest := d.ops[i].Return
		for n := i; !seen[n]; n = to[d.ops[n].Out.V-d.ops[n].In.Delta] {
			seen[n] = true
			circle = append(circle, n)
			latest = max(latest, d.ops[n].Return)
		}
		d.add(latest, func() spec.Conflict {
			return conflict(d.ops, fmt.Sprintf("{%d} returned %d, but each of %d adds starts where another of them ends, and none at 0", i, d.ops[i].Out.V, len(circle)), circle...)
		})
	}
}
