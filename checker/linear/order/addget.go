package order

import (
	"fmt"

	"github.com/capstan-dev/capstan/checker/linear/order/ranks"
	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// AddIn is add Delta, or read.
type AddIn struct {
	Add   bool
	Delta int64
}

// AddOut is the value of the counter, after the add if it was one.
type AddOut struct{ V int64 }

type addOp = spec.Op[AddIn, AddOut]

// AddGetModel is the counter, 0 at first, whose adds return the new value.
func AddGetModel() spec.Model[int64, AddIn, AddOut] {
	after := func(s int64, in AddIn) int64 {
		if in.Add {
			return s + in.Delta
		}
		return s
	}
	return spec.Model[int64, AddIn, AddOut]{
		Name: "counter",
		Step: func(s int64, in AddIn, out AddOut) (int64, bool) {
			next := after(s, in)
			return next, next == out.V
		},
		Outs:  func(s int64, in AddIn) []AddOut { return []AddOut{{after(s, in)}} },
		Pure:  func(in AddIn, _ AddOut) bool { return !in.Add || in.Delta == 0 },
		Equal: func(a, b int64) bool { return a == b },
		Hash:  func(s int64) uint64 { return uint64(s) * 0x9e3779b97f4a7c15 },
		Object: func() func(AddIn, AddOut) bool {
			total := int64(0)
			return func(in AddIn, out AddOut) bool {
				if in.Add {
					total += in.Delta
				}
				return out.V == total
			}
		},
	}
}

// level is one value that the counter certainly had, and for how it got there
// the add that returned it, if one did.
type level struct {
	value    int64
	add      int32 // the add that led there, -1 if none had an answer
	read     int32 // a read that found it, -1 if none did
	deadline int32 // of the operations of this and later levels, the one that returned first; -1 if there is none
	gap      int64 // what adds without an answer added before; not 0 only if all add in one direction
}

// known is an operation that saw the level, -1 if it is only known that the
// counter starts there.
func (l level) known() int32 {
	if l.add >= 0 {
		return l.add
	}
	return l.read
}

type addGet struct {
	told
	b      spec.Budget
	ops    []addOp
	levels []level
	group  []int32 // 3k: adds without an answer that fill the gap before level k; 3k+1: its add; 3k+2: its reads
	// sign is the direction of all adds, 0 if they have different ones.
	sign int64
	// crashed are the adds without an answer by call; each is of amount, 0 if
	// they are of different ones.
	crashed []int32
	amount  int64
	why     string // it was not decided
	outcome spec.Outcome
}

// DecideAddGet decides in O(n log n) time. It is exact
//
//   - if all deltas have the same sign and those of crashed adds are equal:
//     then the values order all operations, and what is missing between two of
//     them was added by crashed adds, those that were called first;
//   - without crashed adds if no value was returned by two adds, nor the
//     initial 0 by one: then each add has one predecessor.
//
// Which of crashed adds of different amounts took effect is searched, as far as
// the budget's steps reach (defaultSums if it has none); else it is Undecided.
// What else there is, is Inapplicable. Adds of 0 count as reads.
func DecideAddGet(ops []spec.Op[AddIn, AddOut], b spec.Budget) spec.Finding[AddOut] {
	if overBudget(b, len(ops)) {
		return spec.Finding[AddOut]{Why: spec.OutOfMemory}
	}
	d := newAddGet(ops, b)
	if d.outcome == spec.Inapplicable {
		return spec.Finding[AddOut]{Outcome: d.outcome, Why: d.why}
	}
	f := finish(ops, d.group, int32(3*len(d.levels)), b, &d.told, d.sayPair)
	if f.Outcome != spec.Legal {
		return f
	}
	if d.why != "" {
		return spec.Finding[AddOut]{Why: d.why}
	}
	f.Assumed = map[int32]AddOut{}
	total := int64(0)
	for _, i := range f.Order {
		if o := &ops[i]; o.In.Add {
			total += o.In.Delta
			if o.Crashed {
				f.Assumed[i] = AddOut{total}
			}
		}
	}
	return f
}

func newAddGet(ops []addOp, b spec.Budget) *addGet {
	d := &addGet{ops: ops, b: b, group: make([]int32, len(ops))}
	done := d.load()
	if d.outcome == spec.Inapplicable {
		return d
	}
	d.levels = []level{{add: -1, read: -1, deadline: -1}}
	if d.sign == 0 {
		d.chain(done)
		return d
	}
	values := make([]int64, len(done))
	for k, i := range done {
		values[k] = d.sign * ops[i].Out.V
	}
	sorted := ranks.Ascending(values)
	for k, i := range sorted {
		sorted[k] = done[i]
	}
	for k, end := 0, 0; k < len(sorted); k = end {
		v := ops[sorted[k]].Out.V
		for end = k + 1; end < len(sorted) && ops[sorted[end]].Out.V == v; end++ {
		}
		d.value(sorted[k:end], v)
	}
	d.deadlines()
	d.fill()
	return d
}

// load sorts out the operations: done are those with an answer.
func (d *addGet) load() (done []int32) {
	var calls []int64
	up, down, seen := false, false, false
	for i := range d.ops {
		o := &d.ops[i]
		d.group[i] = leftOut
		adds := o.In.Add && o.In.Delta != 0
		if !o.Crashed {
			done = append(done, int32(i))
		} else if adds {
			if seen && d.amount != o.In.Delta {
				d.amount = 0
			} else if !seen {
				d.amount, seen = o.In.Delta, true
			}
			d.crashed, calls = append(d.crashed, int32(i)), append(calls, o.Call)
		}
		up, down = up || adds && o.In.Delta > 0, down || adds && o.In.Delta < 0
	}
	if d.sign = 1; down {
		d.sign = -1
	}
	if up && down {
		if d.sign = 0; len(d.crashed) > 0 {
			d.outcome, d.why = spec.Inapplicable, "some add and some subtract, and not all have an answer"
		}
	}
	sorted := ranks.Ascending(calls)
	for k, i := range sorted {
		sorted[k] = d.crashed[i]
	}
	d.crashed = sorted
	return done
}

func (d *addGet) moves(i int32) bool { return d.ops[i].In.Add && d.ops[i].In.Delta != 0 }

// value takes the operations that returned v.
func (d *addGet) value(run []int32, v int64) {
	if v*d.sign < 0 {
		for _, i := range run {
			d.impossible(i, fmt.Sprintf("{%d} returned %d, on the other side of 0 than all that was ever added", i, v))
		}
		return
	}
	last := &d.levels[len(d.levels)-1]
	next := level{value: v, add: -1, read: -1, deadline: -1, gap: d.sign * (v - last.value)}
	for _, i := range run {
		switch {
		case !d.moves(i):
			next.read = i
		case next.add >= 0:
			first := next.add
			d.add(max(d.ops[first].Return, d.ops[i].Return), func() spec.Conflict {
				return conflict(d.ops, fmt.Sprintf("{%d} and {%d} both returned %d, though each added something", first, i, v), first, i)
			})
		case d.sign*(v-d.ops[i].In.Delta-last.value) < 0: // also if v is 0
			d.skipped(i, last)
		default:
			next.add, next.gap = i, d.sign*(v-d.ops[i].In.Delta-last.value)
		}
	}
	if v == last.value {
		last.read = next.read
	} else if next.add >= 0 || next.read >= 0 {
		d.levels = append(d.levels, next)
	}
	k := int32(len(d.levels) - 1)
	if d.levels[k].value != v {
		return
	}
	for _, i := range run {
		if !d.moves(i) {
			d.group[i] = 3*k + 2
		} else if i == next.add {
			d.group[i] = 3*k + 1
		}
	}
}

func (d *addGet) impossible(i int32, say string) {
	d.add(d.ops[i].Return, func() spec.Conflict { return conflict(d.ops, say, i) })
}

// skipped: add i went past a value that the counter had.
func (d *addGet) skipped(i int32, over *level) {
	o, value, by := &d.ops[i], over.value, over.known()
	at := o.Return
	say := fmt.Sprintf("{%d} added %d and returned %d, so the counter went from %d to %d at once", i, o.In.Delta, o.Out.V, o.Out.V-o.In.Delta, o.Out.V)
	if by < 0 {
		say += fmt.Sprintf(", but it started at %d", value)
	} else {
		say += fmt.Sprintf(", but {%d} returned %d, which lies between", by, value)
		at = max(at, d.ops[by].Return)
	}
	d.add(at, func() spec.Conflict { return conflict(d.ops, say, i, by) })
}

func (d *addGet) deadlines() {
	for i, g := range d.group {
		if g < 0 {
			continue
		}
		if l := &d.levels[g/3]; l.deadline < 0 || d.ops[i].Return < d.ops[l.deadline].Return {
			l.deadline = int32(i)
		}
	}
	soonest := int32(-1)
	for k := len(d.levels) - 1; k >= 0; k-- {
		l := &d.levels[k]
		if soonest >= 0 && (l.deadline < 0 || d.ops[soonest].Return < d.ops[l.deadline].Return) {
			l.deadline = soonest
		}
		soonest = l.deadline
	}
}

// fill finds crashed adds for the gaps. Of different amounts there must be
// enough first of all.
func (d *addGet) fill() {
	used, begun, enough, missing := 0, 0, int64(0), int64(0)
	var different []int32
	for k := range d.levels {
		l := &d.levels[k]
		if l.gap == 0 {
			continue
		}
		deadline := d.ops[l.deadline].Return
		for begun < len(d.crashed) && d.ops[d.crashed[begun]].Call <= deadline {
			enough += d.sign * d.ops[d.crashed[begun]].In.Delta
			begun++
		}
		switch amount := d.sign * d.amount; {
		case missing+l.gap > enough || amount > 0 && l.gap%amount != 0:
			d.unfilled(k, begun)
		case amount == 0:
			missing += l.gap
			different = append(different, int32(k))
		default:
			missing += l.gap
			for range l.gap / amount {
				d.group[d.crashed[used]] = int32(3 * k)
				used++
			}
		}
	}
	if len(different) > 0 && len(d.found) == 0 {
		d.different(different)
	}
}

// unfilled: the first begun of the crashed adds do not explain how the counter
// came to level k.
func (d *addGet) unfilled(k, begun int) {
	l, last := &d.levels[k], &d.levels[k-1]
	x, z, p := l.known(), l.deadline, last.known()
	of := []int32{x, z, p}
	base := l.value
	say := fmt.Sprintf("{%d} returned %d", x, l.value)
	if l.add >= 0 {
		base -= d.ops[x].In.Delta
		say += fmt.Sprintf(" after adding %d, so the counter was %d before it", d.ops[x].In.Delta, base)
	}
	say += fmt.Sprintf(", but from %d, the highest value below that is known, nothing leads to %d", last.value, base)
	if d.sign < 0 {
		say = fmt.Sprintf("{%d} returned %d, but from %d, the lowest value above that is known, nothing leads to %d", x, l.value, last.value, base)
	}
	if begun > 0 {
		say += fmt.Sprintf(": the adds without an answer that had begun when {%d} returned, %d, do not make it up", z, begun)
		of = append(of, d.crashed[max(0, begun-maxPairs):begun]...)
	}
	if begun < len(d.crashed) && z != x {
		say += fmt.Sprintf("; {%d} returned %d, which is later", z, d.ops[z].Out.V)
	}
	d.add(max(d.ops[x].Return, d.ops[z].Return), func() spec.Conflict { return conflict(d.ops, say, of...) })
}

func (d *addGet) sayPair(p pair) spec.Conflict {
	y, x := p.first, p.second
	than := "is smaller"
	switch {
	case d.sign < 0:
		than = "is larger"
	case d.sign == 0:
		than = "the counter had only before"
	}
	if d.group[x]/3 == d.group[y]/3 {
		return conflict(d.ops, fmt.Sprintf("{%d} returned %d {%d<%d} before {%d}, which led to it, began", x, d.ops[x].Out.V, x, y, y), x, y)
	}
	return conflict(d.ops, fmt.Sprintf("{%d} returned %d {%d<%d} before {%d} began, yet {%d} returned %d, which %s",
		x, d.ops[x].Out.V, x, y, y, y, d.ops[y].Out.V, than), x, y)
}

// AddGetNeeds says which operations must stay if one stays, so that any part
// of a legal history that has what it needs is legal: each needs all adds
// before it.
func AddGetNeeds(ops []spec.Op[AddIn, AddOut]) [][]int32 {
	d := newAddGet(ops, spec.Budget{})
	needs := make([][]int32, len(ops))
	if d.outcome == spec.Inapplicable || d.why != "" {
		for i := range ops {
			needs[i] = []int32{int32((i + 1) % len(ops))}
		}
		return needs
	}
	order, _ := line(ops, d.group, int32(3*len(d.levels)))
	last := int32(-1)
	for _, i := range order {
		if last >= 0 {
			needs[i] = []int32{last}
		}
		if d.moves(i) {
			last = i
		}
	}
	return needs
}
