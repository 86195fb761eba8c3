package linear

import (
	"fmt"
	"slices"
	"strings"

	"github.com/capstan-dev/capstan/checker/linear/chain"
	"github.com/capstan-dev/capstan/checker/value"
	"github.com/capstan-dev/capstan/history"
)

// regOp is an operation of a register's witness: what it sees, sets or both.
type regOp struct {
	kind regKind
	a, b int32
	shown
}

type regKind uint8

const (
	read     regKind = iota // sees a
	write                   // sets a
	cas                     // sees a, sets b
	mismatch                // sees something other than a
)

func newRegOp(o *registerOp, s shown) regOp {
	r := regOp{shown: s}
	switch {
	case isOpaque(o):
		r.kind, r.a = mismatch, o.In.A
	case isCAS(o):
		r.kind, r.a, r.b = cas, o.In.A, o.In.B
	case o.In.Verb == chain.Write:
		r.kind, r.a = write, o.In.A
	default:
		r.kind, r.a = read, o.Out.V
	}
	return r
}

func (o *regOp) sees() (int32, bool) { return o.a, o.kind == read || o.kind == cas }

func (o *regOp) sets() (int32, bool) {
	switch o.kind {
	case write:
		return o.a, true
	case cas:
		return o.b, true
	}
	return 0, false
}

// registerTeller knows the contradictions of registers by the shapes that
// people have names for.
type registerTeller struct {
	teller
	x       *registerObject
	ops     []regOp
	end     int64 // the culprit's return
	init    int32
	values  *value.Names
	failed  []failedSet
	support []shown // to be shown as well
}

func newRegisterTeller(x *registerObject, c *candidate[chain.In, chain.Out], base teller, show []shown) *registerTeller {
	t := &registerTeller{teller: base, x: x, end: c.culprit}
	for i := range c.ops {
		t.ops = append(t.ops, newRegOp(&c.ops[i], show[i]))
	}
	return t
}

// tell tries the shapes that people know by name; "" if none fits.
func (t *registerTeller) tell() string {
	for _, shape := range []func() string{t.thinAir, t.future, t.twoCAS, t.stale, t.inversion, t.zones} {
		if s := shape(); s != "" {
			return s
		}
	}
	return ""
}

// relaxed tells of which cas only the new value counts: what set the value that
// they saw is not in the witness, because the contradiction is there whatever
// they saw.
func (t *registerTeller) relaxed() string {
	var names []string
	for i := range t.ops {
		o := &t.ops[i]
		if old, _, ok := history.SplitPair(o.in); ok && o.pair.Invoke.F == "cas" && o.kind == write && !t.sets(value.Canonical(old)) {
			names = append(names, what(&o.shown))
		}
	}
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf(" Of %s only the new value matters here, not what it found.", strings.Join(names, " and of "))
}

// sets is true if the value is the initial one, or set in the witness.
func (t *registerTeller) sets(value string) bool {
	return t.value(t.init) == value || slices.ContainsFunc(t.ops, func(o regOp) bool {
		v, ok := o.sets()
		return ok && t.value(v) == value
	})
}

func (t *registerTeller) culprit() *regOp {
	for i := range t.ops {
		if t.ops[i].ret == t.end {
			return &t.ops[i]
		}
	}
	return &t.ops[len(t.ops)-1]
}

func (t *registerTeller) value(v int32) string { return t.values.Text(v) }

// saw is "read (process 8 on n3) returned 12", or what a cas found.
func (t *registerTeller) saw(o *regOp) string {
	if o.kind == read && o.pair.Invoke.F == "read" {
		return who(&o.shown) + " returned " + t.value(o.a)
	}
	return who(&o.shown) + " found " + t.value(o.a)
}

// setters are the witness' operations that set v: all that may have set what
// its reads saw, see needs.
func (t *registerTeller) setters(v int32) []*regOp { return setters(t.ops, v) }

// everSet are those of the whole key.
func (t *registerTeller) everSet(v int32) []*regOp {
	var out []*regOp
	for i := range t.x.ops {
		if x, ok := sets(&t.x.ops[i]); ok && x == v {
			o := newRegOp(&t.x.ops[i], t.x.show(int32(i), t.x.ops[i]))
			out = append(out, &o)
		}
	}
	return out
}

func setters(ops []regOp, v int32) []*regOp {
	var out []*regOp
	for i := range ops {
		if x, ok := ops[i].sets(); ok && x == v {
			out = append(out, &ops[i])
		}
	}
	return out
}

// thinAir: a value that nobody wrote.
func (t *registerTeller) thinAir() string {
	o := t.culprit()
	v, ok := o.sees()
	if !ok || v == t.init || len(t.everSet(v)) > 0 {
		return ""
	}
	s := fmt.Sprintf("%s at %s, but nothing ever wrote %s.", t.saw(o), t.returned(&o.shown), t.value(v))
	for _, f := range t.failed {
		if f.sets == v && f.pair.Invoke != o.pair.Invoke {
			t.support = append(t.support, f.shown)
			s += fmt.Sprintf(" Its writer, %s, failed at event %d, so it certainly did not happen.", who(&f.shown), f.pair.Complete.Index)
			break
		}
	}
	return s
}

// future: a value that was written only later.
func (t *registerTeller) future() string {
	o := t.culprit()
	v, ok := o.sees()
	if !ok || v == t.init {
		return ""
	}
	setters := t.everSet(v)
	for _, s := range setters {
		if s.call < o.ret {
			return ""
		}
	}
	first := setters[0]
	t.support = append(t.support, first.shown)
	return fmt.Sprintf("%s at %s, yet %s, which was the first to write %s, began only at %s.", t.saw(o), t.returned(&o.shown), who(&first.shown), t.value(v), t.began(&first.shown))
}

// twoCAS: two cas replaced the same value, which was there once.
func (t *registerTeller) twoCAS() string {
	for i := range t.ops {
		a := &t.ops[i]
		n := len(t.everSet(a.a))
		if a.a == t.init {
			n++
		}
		for j := i + 1; j < len(t.ops) && a.kind == cas && !a.crashed && a.a != a.b && n == 1; j++ {
			if b := &t.ops[j]; b.kind == cas && !b.crashed && b.a == a.a && b.a != b.b {
				return fmt.Sprintf("%s and %s both succeeded, at %s and %s, but the value was %s only once: whichever came first replaced it.",
					who(&a.shown), who(&b.shown), t.returned(&a.shown), t.returned(&b.shown), t.value(a.a))
			}
		}
	}
	return ""
}

// older says why value v, which r saw, was there before the operation that set
// another one: "" if that is not known.
func (t *registerTeller) older(v int32, overwriter, r *regOp) string {
	setters := t.setters(v)
	switch {
	case overwriter.kind == cas && overwriter.a == v && len(setters)+boolInt(v == t.init) == 1:
		return "replaced"
	case v == t.init && len(setters) == 0:
		return "initial"
	case v == t.init:
		return ""
	}
	for _, s := range setters {
		if s.call < r.ret && !s.before(&overwriter.shown) {
			return ""
		}
	}
	return "overwritten"
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// stale: a write was acknowledged before a read began that did not see it.
func (t *registerTeller) stale() string {
	r := t.culprit()
	v, ok := r.sees()
	if !ok {
		return ""
	}
	for i := range t.ops {
		b := &t.ops[i]
		x, sets := b.sets()
		if !sets || x == v || !b.before(&r.shown) {
			continue
		}
		how := t.older(v, b, r)
		if how == "" {
			continue
		}
		s := fmt.Sprintf("%s was acknowledged at %s, %s %s began at %s, yet that %s ", who(&b.shown), t.returned(&b.shown), t.gap(&b.shown, &r.shown), who(&r.shown), t.began(&r.shown), r.pair.Invoke.F)
		if r.kind == read && r.pair.Invoke.F == "read" {
			s += "returned " + t.value(v)
		} else {
			s += "still found " + t.value(v)
		}
		if how == "initial" {
			return s + ", the initial value."
		}
		return s + fmt.Sprintf(", which %s had %s.", what(&b.shown), how)
	}
	return ""
}

// inversion: a read saw the new value, a later one the old.
func (t *registerTeller) inversion() string {
	r2 := t.culprit()
	old, ok := r2.sees()
	if !ok {
		return ""
	}
	for i := range t.ops {
		r1 := &t.ops[i]
		v, sees := r1.sees()
		if !sees || v == old || !r1.before(&r2.shown) {
			continue
		}
		for j := range t.ops {
			b := &t.ops[j]
			x, sets := b.sets()
			if !sets || x != v || len(t.setters(v)) != 1 {
				continue
			}
			how := t.older(old, b, r2)
			if how == "" {
				continue
			}
			s := fmt.Sprintf("%s at %s, so %s had taken effect by then; %s, which began at %s, %s", t.saw(r1), t.returned(&r1.shown), who(&b.shown), who(&r2.shown), t.began(&r2.shown), t.after(r1, r2))
			if how == "initial" {
				return s + fmt.Sprintf(", went back to %s, the initial value.", t.value(old))
			}
			return s + fmt.Sprintf(", went back to %s, which %s had %s.", t.value(old), what(&b.shown), how)
		}
	}
	return ""
}

func (t *registerTeller) after(a, b *regOp) string {
	if t.timeless {
		return "later"
	}
	return strings.TrimSuffix(t.gap(&a.shown, &b.shown), " before") + " later"
}

// zone is what is known of a value, or of a chain of values that cas made one
// out of the other, so that nothing came in between: it was there at some
// moment up to first's return, and at some moment from last's begin on.
type zone struct {
	values      []int32
	first, last *regOp // first is nil if the value was there from the beginning
	ops         int
}

func (z *zone) from() int64 {
	if z.first == nil {
		return -1
	}
	return z.first.ret
}

// forward: the values were there all the time from first to last.
func (z *zone) forward() bool { return z.from() < z.last.call }

// zones: two values that must have been there at the same time. Complete for
// reads and writes of unique values.
func (t *registerTeller) zones() string {
	order := t.clusters()
	for _, a := range order {
		for _, b := range order {
			if a == b || !a.forward() {
				continue
			}
			switch {
			case b.forward() && max(a.from(), b.from()) < min(a.last.call, b.last.call):
				return t.current(a) + " But " + t.current(b) + " It cannot have been both."
			case !b.forward() && a.from() < b.last.call && b.from() < a.last.call:
				return t.current(a) + " Yet " + t.within(b) + ", so the value must have been " + t.names(b) + " in between."
			}
		}
	}
	return ""
}

// clusters groups the witness by value, chains of cas into one; none if a value
// was set more than once.
func (t *registerTeller) clusters() []*zone {
	byValue := map[int32]*zone{}
	var order []*zone
	at := func(v int32) *zone {
		z := byValue[v]
		if z == nil {
			z = &zone{values: []int32{v}}
			byValue[v] = z
			order = append(order, z)
		}
		return z
	}
	for i := range t.ops { // which values belong together
		o := &t.ops[i]
		z := at(o.a)
		if t.ambiguous(o.a) || o.kind == cas && t.ambiguous(o.b) {
			return nil
		}
		if next := byValue[o.b]; o.kind == cas && next != z {
			if next == nil {
				z.values = append(z.values, o.b)
				byValue[o.b] = z
				continue
			}
			z.values = append(z.values, next.values...)
			for _, v := range next.values {
				byValue[v] = z
			}
			order = slices.DeleteFunc(order, func(x *zone) bool { return x == next })
		}
	}
	for i := range t.ops {
		o := &t.ops[i]
		z := byValue[o.a]
		if z.ops++; z.ops == 1 {
			z.first, z.last = o, o
		}
		if o.ret < z.first.ret {
			z.first = o
		}
		if o.call > z.last.call {
			z.last = o
		}
	}
	if z := byValue[t.init]; z != nil {
		z.first = nil
	}
	return order
}

// ambiguous is true for a value that may have been there twice.
func (t *registerTeller) ambiguous(v int32) bool {
	return len(t.setters(v))+boolInt(v == t.init) > 1
}

// names is "12", or "12, then 13" for a chain.
func (t *registerTeller) names(z *zone) string {
	var names []string
	for _, v := range z.values {
		names = append(names, t.value(v))
	}
	return strings.Join(names, ", then ")
}

func (t *registerTeller) current(z *zone) string {
	s := fmt.Sprintf("the value was %s", t.names(z))
	if len(z.values) > 1 {
		s += ", each made out of the one before with nothing in between,"
	}
	if z.first == nil {
		s += " from the beginning"
	} else {
		s += fmt.Sprintf(" by %s, when %s returned", t.returned(&z.first.shown), who(&z.first.shown))
	}
	return s + fmt.Sprintf(", and still at %s, when %s began.", t.began(&z.last.shown), t.reader(z.last))
}

// reader is "a read (process 8 on n3) of 12".
func (t *registerTeller) reader(o *regOp) string {
	if o.kind != read {
		return who(&o.shown)
	}
	return fmt.Sprintf("a %s of %s", who(&o.shown), t.value(o.a))
}

func (t *registerTeller) within(z *zone) string {
	if z.ops == 1 {
		return fmt.Sprintf("%s ran within that time, from %s to %s", who(&z.last.shown), t.began(&z.last.shown), t.returned(&z.last.shown))
	}
	return fmt.Sprintf("%s began at %s and %s returned at %s, both within that time", who(&z.last.shown), t.began(&z.last.shown), who(&z.first.shown), t.returned(&z.first.shown))
}
