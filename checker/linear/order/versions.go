package order

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/capstan-dev/capstan/checker/linear/order/ranks"
	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// VersionIn is write V, or read.
type VersionIn struct {
	Write bool
	V     int32
}

// VersionOut is the version that a write made, or the version and the value
// that a read found. The V of a write's answer means nothing.
type VersionOut struct {
	Version int64
	V       int32
}

type versionOp = spec.Op[VersionIn, VersionOut]

// VersionsModel is the register each of whose writes makes a version larger
// than all before, with gaps or without; its state is what a read returns.
// seen are the versions that a write is tried with when its answer is not
// known, ascending: those that reads returned are enough.
func VersionsModel(initial VersionOut, seen []int64) spec.Model[VersionOut, VersionIn, VersionOut] {
	return spec.Model[VersionOut, VersionIn, VersionOut]{
		Name: "versioned register",
		Init: initial,
		Step: func(s VersionOut, in VersionIn, out VersionOut) (VersionOut, bool) {
			if !in.Write {
				return s, s == out
			}
			return VersionOut{out.Version, in.V}, out.Version > s.Version
		},
		Outs: func(s VersionOut, in VersionIn) []VersionOut {
			if !in.Write {
				return []VersionOut{s}
			}
			var outs []VersionOut
			for _, v := range seen {
				if v > s.Version {
					outs = append(outs, VersionOut{Version: v})
				}
			}
			return outs
		},
		Pure:  func(in VersionIn, _ VersionOut) bool { return !in.Write },
		Equal: func(a, b VersionOut) bool { return a == b },
		Hash:  func(s VersionOut) uint64 { return uint64(s.Version)*0x9e3779b97f4a7c15 ^ uint64(s.V) },
		Object: func() func(VersionIn, VersionOut) bool {
			version, value := initial.Version, initial.V
			return func(in VersionIn, out VersionOut) bool {
				if !in.Write {
					return out.Version == version && out.V == value
				}
				newer := out.Version > version
				version, value = out.Version, in.V
				return newer
			}
		},
	}
}

// version is one version and what is known of it.
type version struct {
	number   int64
	write    int32 // that made it, -1 if it is not known
	read     int32 // the first that found it, -1 if none did
	deadline int32 // of the operations of this and later versions, the one that returned first; -1 if there is none
	bad      bool  // no write can have made it
}

type versions struct {
	told
	ops     []versionOp
	initial VersionOut
	all     []version // ascending
	group   []int32   // 2k: the write of version k; 2k+1: the reads of it
}

// DecideVersions is exact in O(n log n) time; values may repeat.
//
// The versions order all operations. A version that was read and that no write
// reported was made by a crashed write of that value: of those the k-th by
// call makes the k-th such version, which is optimal since a version must have
// been made before the first return of an operation that knew it or a later
// one, and these deadlines ascend.
func DecideVersions(ops []spec.Op[VersionIn, VersionOut], initial VersionOut, b spec.Budget) spec.Finding[VersionOut] {
	if overBudget(b, len(ops)) {
		return spec.Finding[VersionOut]{Why: spec.OutOfMemory}
	}
	d := newVersions(ops, initial)
	f := finish(ops, d.group, int32(2*len(d.all)), b, &d.told, d.sayPair)
	if f.Outcome != spec.Legal {
		return f
	}
	f.Assumed = map[int32]VersionOut{}
	for _, v := range d.all {
		if v.write >= 0 && ops[v.write].Crashed {
			f.Assumed[v.write] = VersionOut{Version: v.number}
		}
	}
	return f
}

func newVersions(ops []versionOp, initial VersionOut) *versions {
	d := &versions{ops: ops, initial: initial, group: make([]int32, len(ops))}
	d.all = []version{{number: initial.Version, write: -1, read: -1, deadline: -1}}
	var done []int32
	var numbers []int64
	for i := range ops {
		d.group[i] = leftOut
		if o := &ops[i]; !o.Crashed {
			done, numbers = append(done, int32(i)), append(numbers, o.Out.Version)
		}
	}
	sorted := ranks.Ascending(numbers)
	for k, i := range sorted {
		sorted[k] = done[i]
	}
	for k, end := 0, 0; k < len(sorted); k = end {
		number := ops[sorted[k]].Out.Version
		for end = k + 1; end < len(sorted) && ops[sorted[end]].Out.Version == number; end++ {
		}
		if number <= initial.Version {
			d.old(sorted[k:end])
		} else {
			d.version(sorted[k:end])
		}
	}
	d.deadlines()
	d.match()
	return d
}

// old takes the operations of the initial version or, which is wrong, of a
// version before it.
func (d *versions) old(run []int32) {
	for _, i := range run {
		o := &d.ops[i]
		switch {
		case o.In.Write:
			d.alone(i, fmt.Sprintf("{%d} made version %d, but there was version %d already at the start", i, o.Out.Version, d.initial.Version))
		case o.Out.Version < d.initial.Version:
			d.alone(i, fmt.Sprintf("{%d} found version %d, but it was version %d already at the start", i, o.Out.Version, d.initial.Version))
		case o.Out.V != d.initial.V:
			d.alone(i, fmt.Sprintf("{%d} found {=%d} in version %d, which is {=%d}", i, o.Out.V, o.Out.Version, d.initial.V))
		default:
			d.group[i] = 1
		}
	}
}

func (d *versions) alone(i int32, say string) {
	d.add(d.ops[i].Return, func() spec.Conflict { return conflict(d.ops, say, i) })
}

// version takes the operations of one version.
func (d *versions) version(run []int32) {
	k := int32(len(d.all))
	number := d.ops[run[0]].Out.Version
	v := version{number: number, write: -1, read: -1, deadline: -1}
	for _, i := range run {
		if !d.ops[i].In.Write {
			continue
		}
		if w := v.write; w >= 0 {
			d.add(max(d.ops[i].Return, d.ops[w].Return), func() spec.Conflict {
				return conflict(d.ops, fmt.Sprintf("{%d} and {%d} both made version %d", w, i, number), w, i)
			})
			continue
		}
		v.write, d.group[i] = i, 2*k
	}
	for _, i := range run {
		o := &d.ops[i]
		if o.In.Write {
			continue
		}
		if w := v.write; w >= 0 && d.ops[w].In.V != o.Out.V {
			d.add(o.Return, func() spec.Conflict {
				return conflict(d.ops, fmt.Sprintf("{%d} found {=%d} in version %d, which {%d} made with {=%d}", i, o.Out.V, number, w, d.ops[w].In.V), i, w)
			})
			continue
		}
		if r := v.read; r >= 0 && d.ops[r].Out.V != o.Out.V {
			d.add(max(o.Return, d.ops[r].Return), func() spec.Conflict {
				return conflict(d.ops, fmt.Sprintf("{%d} found {=%d} in version %d, {%d} found {=%d} in it", r, d.ops[r].Out.V, number, i, o.Out.V), r, i)
			})
			continue
		}
		if d.group[i] = 2*k + 1; v.read < 0 {
			v.read = i
		}
	}
	d.all = append(d.all, v)
}

func (d *versions) deadlines() {
	for i, g := range d.group {
		if g < 0 {
			continue
		}
		if v := &d.all[g/2]; v.deadline < 0 || d.ops[i].Return < d.ops[v.deadline].Return {
			v.deadline = int32(i)
		}
	}
	soonest := int32(-1)
	for k := len(d.all) - 1; k >= 0; k-- {
		v := &d.all[k]
		if soonest >= 0 && (v.deadline < 0 || d.ops[soonest].Return < d.ops[v.deadline].Return) {
			v.deadline = soonest
		}
		soonest = v.deadline
	}
}

// match finds crashed writes for the versions that only reads know.
func (d *versions) match() {
	var unknown, crashed []int32
	for k := 1; k < len(d.all); k++ {
		if d.all[k].write < 0 {
			unknown = append(unknown, int32(k))
		}
	}
	if len(unknown) == 0 {
		return
	}
	for i := range d.ops {
		if d.ops[i].Crashed && d.ops[i].In.Write {
			crashed = append(crashed, int32(i))
		}
	}
	value := func(k int32) int32 { return d.ops[d.all[k].read].Out.V }
	slices.SortStableFunc(unknown, func(a, b int32) int { return cmp.Compare(value(a), value(b)) })
	slices.SortFunc(crashed, func(a, b int32) int {
		return cmp.Or(cmp.Compare(d.ops[a].In.V, d.ops[b].In.V), cmp.Compare(d.ops[a].Call, d.ops[b].Call))
	})
	var made []int32 // versions of the same value that have their write
	for n, k := range unknown {
		v := value(k)
		if n > 0 && value(unknown[n-1]) != v {
			made = nil
		}
		for len(crashed) > 0 && d.ops[crashed[0]].In.V < v {
			crashed = crashed[1:]
		}
		next := int32(-1)
		if len(crashed) > 0 && d.ops[crashed[0]].In.V == v {
			next = crashed[0]
		}
		if next < 0 || d.ops[next].Call > d.ops[d.all[k].deadline].Return {
			d.all[k].bad = true
			earlier := made
			d.add(d.ops[d.all[k].read].Return, func() spec.Conflict { return d.sayUnmade(k, next, earlier) })
			continue
		}
		d.all[k].write, d.group[next] = next, 2*k
		made, crashed = append(made, k), crashed[1:]
	}
	for i, g := range d.group {
		if g >= 0 && d.all[g/2].bad {
			d.group[i] = leftOut
		}
	}
}

// maxPairs of a version and its crashed write are part of a conflict; the
// others are only counted.
const maxPairs = 4

// sayUnmade: version k was read, but next, the next crashed write of its
// value, began too late, or there is none; those before it made others.
func (d *versions) sayUnmade(k, next int32, others []int32) spec.Conflict {
	v := &d.all[k]
	r, z := v.read, v.deadline
	of := []int32{r}
	say := fmt.Sprintf("{%d} found {=%d} in version %d, but no write of {=%d} can have made that version", r, d.ops[r].Out.V, v.number, d.ops[r].Out.V)
	if next >= 0 {
		of = append(of, next, z)
		say += fmt.Sprintf(": {%d} returned with version %d {%d<%d} before {%d} began", z, d.ops[z].Out.Version, z, next, next)
	}
	if n := len(others); n > 0 {
		of = append(of, z)
		for _, o := range others[max(0, n-maxPairs):] {
			of = append(of, d.all[o].read, d.all[o].write)
		}
		say += fmt.Sprintf("; the writes of it without an answer that had begun by then, %d, are as many as the earlier versions that only they can have made", n)
	}
	return conflict(d.ops, say, of...)
}

func (d *versions) sayPair(p pair) spec.Conflict {
	y, x := p.first, p.second
	of := []int32{x, y, d.all[d.group[x]/2].write, d.all[d.group[y]/2].write}
	if d.group[x]/2 == d.group[y]/2 {
		return conflict(d.ops, fmt.Sprintf("{%d} found version %d and returned {%d<%d} before {%d}, which made it, began", x, d.ops[x].Out.Version, x, y, y), of...)
	}
	did := "found"
	if d.ops[y].In.Write {
		did = "made"
	}
	return conflict(d.ops, fmt.Sprintf("{%d} returned with version %d {%d<%d} before {%d} began, yet {%d} %s version %d, which is older",
		x, d.ops[x].Out.Version, x, y, y, y, did, d.ops[y].Out.Version), of...)
}

// VersionsNeeds says which operations must stay if one stays, so that any part
// of a legal history that has what it needs is legal: a read needs the write
// that made its version.
func VersionsNeeds(ops []spec.Op[VersionIn, VersionOut], initial VersionOut) [][]int32 {
	d := newVersions(ops, initial)
	needs := make([][]int32, len(ops))
	for i, g := range d.group {
		if g >= 0 && !ops[i].In.Write && d.all[g/2].write >= 0 {
			needs[i] = []int32{d.all[g/2].write}
		}
	}
	return needs
}
