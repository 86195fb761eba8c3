package linear

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/history"
)

func (w *witness) anomaly(h *history.History) checker.Anomaly {
	t := newTeller(w, h)
	a := checker.Anomaly{Kind: "nonlinearizable", Key: w.k.name, Events: []int{}, Text: t.tell() + t.relaxed() + t.faults(h)}
	for _, o := range w.all() {
		p := w.k.pairs[o.pair]
		a.Events = append(a.Events, p.Invoke.Index)
		if p.Complete != nil {
			a.Events = append(a.Events, p.Complete.Index)
		}
	}
	slices.Sort(a.Events)
	return a
}

// all are the operations to show, in order of invocation.
func (w *witness) all() []op {
	ops := append(slices.Clone(w.ops), w.extra...)
	slices.SortFunc(ops, func(a, b op) int { return cmp.Compare(a.call, b.call) })
	return ops
}

func (w *witness) data() witnessData {
	d := witnessData{Key: w.k.name, Ops: []opData{}}
	for _, o := range w.all() {
		p := w.k.pairs[o.pair]
		x := opData{
			Process: p.Invoke.Process, Node: p.Invoke.Node, F: p.Invoke.F, In: orNull(p.Invoke.Value), Out: json.RawMessage("null"),
			Outcome: p.Outcome().String(), Start: int64(p.Invoke.Time), End: -1, Invoke: p.Invoke.Index, Complete: -1,
		}
		if c := p.Complete; c != nil {
			x.Complete = c.Index
			if c.Kind != history.Info {
				x.End, x.Out = int64(c.Time), orNull(c.Value)
			}
		}
		d.Ops = append(d.Ops, x)
	}
	return d
}

func orNull(v json.RawMessage) json.RawMessage {
	if len(v) == 0 {
		return json.RawMessage("null")
	}
	return v
}

// timeless is true if the times are positions: the file had none.
func timeless(h *history.History) bool {
	for i := range h.Events {
		if h.Events[i].Time != time.Duration(i) {
			return false
		}
	}
	return true
}

// teller puts a witness into words.
type teller struct {
	w        *witness
	timeless bool
	digits   int // of a second, enough to tell the witness' moments apart
}

func newTeller(w *witness, h *history.History) *teller {
	t := &teller{w: w, timeless: timeless(h), digits: 3}
	for ; t.digits < 9; t.digits += 3 {
		moments, texts := map[time.Duration]bool{}, map[string]bool{}
		for _, o := range w.ops {
			p := w.k.pairs[o.pair]
			moments[p.Invoke.Time], texts[t.seconds(p.Invoke.Time)] = true, true
			if p.Complete != nil {
				moments[p.Complete.Time], texts[t.seconds(p.Complete.Time)] = true, true
			}
		}
		if len(moments) == len(texts) {
			break
		}
	}
	return t
}

func (t *teller) seconds(d time.Duration) string { return fmt.Sprintf("%.*f s", t.digits, d.Seconds()) }

// tell tries the shapes that people know by name, then says what contradicts
// what in general.
func (t *teller) tell() string {
	if !t.w.shrunk {
		return fmt.Sprintf("no order of the %d operations up to event %d is legal (and the contradiction could not be narrowed down in time)", len(t.w.ops), t.culpritEvent())
	}
	shapes := []func() string{t.thinAir, t.future, t.twoCAS, t.stale, t.inversion, t.zones}
	if t.w.k.mutex {
		shapes = []func() string{t.heldTwice, t.notHeld}
	}
	for _, shape := range shapes {
		if s := shape(); s != "" {
			return s
		}
	}
	return t.listing()
}

// relaxed tells of which cas only the new value counts: what set the value that
// they saw is not in the witness, because the contradiction is there whatever
// they saw.
func (t *teller) relaxed() string {
	var names []string
	for i := range t.w.ops {
		o := &t.w.ops[i]
		e := t.w.k.pairs[o.pair].Invoke
		if old, _, ok := history.SplitPair(e.Value); ok && e.F == "cas" && o.kind == write && !t.sets(canonical(old)) {
			names = append(names, t.what(o))
		}
	}
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf(" Of %s only the new value matters here, not what it found.", strings.Join(names, " and of "))
}

// sets is true if the value is the initial one, or set in the witness.
func (t *teller) sets(value string) bool {
	return t.value(t.w.k.init) == value || slices.ContainsFunc(t.w.ops, func(o op) bool {
		v, ok := o.sets()
		return ok && t.value(v) == value
	})
}

func (t *teller) culprit() *op {
	for i := range t.w.ops {
		if t.w.ops[i].ret == t.w.culprit {
			return &t.w.ops[i]
		}
	}
	return &t.w.ops[len(t.w.ops)-1]
}

func (t *teller) culpritEvent() int { return t.w.k.pairs[t.culprit().pair].Complete.Index }

func (t *teller) value(v int32) string { return t.w.k.values[v] }

// what is "write 17".
func (t *teller) what(o *op) string {
	p := t.w.k.pairs[o.pair]
	var both []json.RawMessage
	switch {
	case p.Invoke.F == "cas" && json.Unmarshal(p.Invoke.Value, &both) == nil && len(both) == 2:
		return fmt.Sprintf("cas %s→%s", both[0], both[1])
	case o.kind == write:
		return p.Invoke.F + " " + t.value(o.a)
	}
	return p.Invoke.F
}

// who is "write 17 (process 3 on n1)".
func (t *teller) who(o *op) string {
	e := t.w.k.pairs[o.pair].Invoke
	if e.Node == "" {
		return fmt.Sprintf("%s (process %d)", t.what(o), e.Process)
	}
	return fmt.Sprintf("%s (process %d on %s)", t.what(o), e.Process, e.Node)
}

func (t *teller) at(e *history.Event) string {
	if t.timeless {
		return fmt.Sprintf("event %d", e.Index)
	}
	return t.seconds(e.Time)
}

func (t *teller) began(o *op) string { return t.at(t.w.k.pairs[o.pair].Invoke) }

func (t *teller) returned(o *op) string {
	if e := t.w.k.pairs[o.pair].Complete; e != nil {
		return t.at(e)
	}
	return "the end"
}

// gap is how long after a's completion b began, as ", 2.7 ms before".
func (t *teller) gap(a, b *op) string {
	if t.timeless {
		return "before"
	}
	return span(t.w.k.pairs[b.pair].Invoke.Time-t.w.k.pairs[a.pair].Complete.Time) + " before"
}

func span(d time.Duration) string {
	switch {
	case d >= time.Second:
		return fmt.Sprintf("%.3f s", d.Seconds())
	case d >= time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/1e6)
	case d >= time.Microsecond:
		return fmt.Sprintf("%.1f µs", float64(d)/1e3)
	}
	return fmt.Sprintf("%d ns", d)
}

// saw is "read (process 8 on n3) returned 12", or what a cas found.
func (t *teller) saw(o *op) string {
	if o.kind == read {
		return t.who(o) + " returned " + t.value(o.a)
	}
	return t.who(o) + " found " + t.value(o.a)
}

// setters are the witness' operations that set v: all that may have set what
// its reads saw, see needs.
func (t *teller) setters(v int32) []*op { return setters(t.w.ops, v) }

// everSet are those of the whole key.
func (t *teller) everSet(v int32) []*op { return setters(t.w.k.ops, v) }

func setters(ops []op, v int32) []*op {
	var out []*op
	for i := range ops {
		if x, ok := ops[i].sets(); ok && x == v {
			out = append(out, &ops[i])
		}
	}
	return out
}

// thinAir: a value that nobody wrote.
func (t *teller) thinAir() string {
	o := t.culprit()
	v, ok := o.sees()
	if !ok || v == t.w.k.init || len(t.everSet(v)) > 0 {
		return ""
	}
	s := fmt.Sprintf("%s at %s, but nothing ever wrote %s.", t.saw(o), t.returned(o), t.value(v))
	for i := range t.w.k.failed {
		f := &t.w.k.failed[i]
		if x, _ := f.sets(); x == v {
			e := t.w.k.pairs[f.pair].Complete
			t.w.extra = append(t.w.extra, *f)
			s += fmt.Sprintf(" Its writer, %s, failed at event %d, so it certainly did not happen.", t.who(f), e.Index)
			break
		}
	}
	return s
}

// future: a value that was written only later.
func (t *teller) future() string {
	o := t.culprit()
	v, ok := o.sees()
	if !ok || v == t.w.k.init {
		return ""
	}
	setters := t.everSet(v)
	for _, s := range setters {
		if s.call < o.ret {
			return ""
		}
	}
	first := setters[0]
	t.w.extra = append(t.w.extra, *first)
	return fmt.Sprintf("%s at %s, yet %s, which was the first to write %s, began only at %s.", t.saw(o), t.returned(o), t.who(first), t.value(v), t.began(first))
}

// twoCAS: two cas replaced the same value, which was there once.
func (t *teller) twoCAS() string {
	for i := range t.w.ops {
		a := &t.w.ops[i]
		n := len(t.everSet(a.a))
		if a.a == t.w.k.init {
			n++
		}
		for j := i + 1; j < len(t.w.ops) && a.kind == cas && !a.crashed && a.a != a.b && n == 1; j++ {
			if b := &t.w.ops[j]; b.kind == cas && !b.crashed && b.a == a.a && b.a != b.b {
				return fmt.Sprintf("%s and %s both succeeded, at %s and %s, but the value was %s only once: whichever came first replaced it.",
					t.who(a), t.who(b), t.returned(a), t.returned(b), t.value(a.a))
			}
		}
	}
	return ""
}

// before says that a was over when b began.
func before(a, b *op) bool { return !a.crashed && a.ret < b.call }

// older says why value v, which r saw, was there before the operation that set
// another one: "" if that is not known.
func (t *teller) older(v int32, overwriter, r *op) string {
	setters := t.setters(v)
	switch {
	case overwriter.kind == cas && overwriter.a == v && len(setters)+boolInt(v == t.w.k.init) == 1:
		return "replaced"
	case v == t.w.k.init && len(setters) == 0:
		return "initial"
	case v == t.w.k.init:
		return ""
	}
	for _, s := range setters {
		if s.call < r.ret && !before(s, overwriter) {
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
func (t *teller) stale() string {
	r := t.culprit()
	v, ok := r.sees()
	if !ok {
		return ""
	}
	for i := range t.w.ops {
		b := &t.w.ops[i]
		x, sets := b.sets()
		if !sets || x == v || !before(b, r) {
			continue
		}
		how := t.older(v, b, r)
		if how == "" {
			continue
		}
		s := fmt.Sprintf("%s was acknowledged at %s, %s %s began at %s, yet that %s ", t.who(b), t.returned(b), t.gap(b, r), t.who(r), t.began(r), t.w.k.pairs[r.pair].Invoke.F)
		if r.kind == read {
			s += "returned " + t.value(v)
		} else {
			s += "still found " + t.value(v)
		}
		if how == "initial" {
			return s + ", the initial value."
		}
		return s + fmt.Sprintf(", which %s had %s.", t.what(b), how)
	}
	return ""
}

// inversion: a read saw the new value, a later one the old.
func (t *teller) inversion() string {
	r2 := t.culprit()
	old, ok := r2.sees()
	if !ok {
		return ""
	}
	for i := range t.w.ops {
		r1 := &t.w.ops[i]
		v, sees := r1.sees()
		if !sees || v == old || !before(r1, r2) {
			continue
		}
		for j := range t.w.ops {
			b := &t.w.ops[j]
			x, sets := b.sets()
			if !sets || x != v || len(t.setters(v)) != 1 {
				continue
			}
			how := t.older(old, b, r2)
			if how == "" {
				continue
			}
			s := fmt.Sprintf("%s at %s, so %s had taken effect by then; %s, which began at %s, %s", t.saw(r1), t.returned(r1), t.who(b), t.who(r2), t.began(r2), t.after(r1, r2))
			if how == "initial" {
				return s + fmt.Sprintf(", went back to %s, the initial value.", t.value(old))
			}
			return s + fmt.Sprintf(", went back to %s, which %s had %s.", t.value(old), t.what(b), how)
		}
	}
	return ""
}

func (t *teller) after(a, b *op) string {
	if t.timeless {
		return "later"
	}
	return strings.TrimSuffix(t.gap(a, b), " before") + " later"
}

// zone is what is known of a value, or of a chain of values that cas made one
// out of the other, so that nothing came in between: it was there at some
// moment up to first's return, and at some moment from last's begin on.
type zone struct {
	values      []int32
	first, last *op // first is nil if the value was there from the beginning
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
func (t *teller) zones() string {
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
func (t *teller) clusters() []*zone {
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
	for i := range t.w.ops { // which values belong together
		o := &t.w.ops[i]
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
	for i := range t.w.ops {
		o := &t.w.ops[i]
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
	if z := byValue[t.w.k.init]; z != nil {
		z.first = nil
	}
	return order
}

// ambiguous is true for a value that may have been there twice.
func (t *teller) ambiguous(v int32) bool {
	return len(t.setters(v))+boolInt(v == t.w.k.init) > 1
}

// names is "12", or "12, then 13" for a chain.
func (t *teller) names(z *zone) string {
	var names []string
	for _, v := range z.values {
		names = append(names, t.value(v))
	}
	return strings.Join(names, ", then ")
}

func (t *teller) current(z *zone) string {
	s := fmt.Sprintf("the value was %s", t.names(z))
	if len(z.values) > 1 {
		s += ", each made out of the one before with nothing in between,"
	}
	if z.first == nil {
		s += " from the beginning"
	} else {
		s += fmt.Sprintf(" by %s, when %s returned", t.returned(z.first), t.who(z.first))
	}
	return s + fmt.Sprintf(", and still at %s, when %s began.", t.began(z.last), t.reader(z.last))
}

// reader is "a read (process 8 on n3) of 12".
func (t *teller) reader(o *op) string {
	if o.kind != read {
		return t.who(o)
	}
	return fmt.Sprintf("a %s of %s", t.who(o), t.value(o.a))
}

func (t *teller) within(z *zone) string {
	if z.ops == 1 {
		return fmt.Sprintf("%s ran within that time, from %s to %s", t.who(z.last), t.began(z.last), t.returned(z.last))
	}
	return fmt.Sprintf("%s began at %s and %s returned at %s, both within that time", t.who(z.last), t.began(z.last), t.who(z.first), t.returned(z.first))
}

// heldTwice: a lock was granted while another process certainly had it.
func (t *teller) heldTwice() string {
	second := t.culprit()
	if second.kind != acquire {
		return ""
	}
	for i := range t.w.ops {
		first := &t.w.ops[i]
		if first == second || first.kind != acquire || first.crashed {
			continue
		}
		rel := t.releaseOf(first)
		if rel != nil && rel.call < second.ret {
			continue
		}
		s := fmt.Sprintf("%s was granted at %s, and %s at %s", t.who(first), t.returned(first), t.who(second), t.returned(second))
		if rel == nil {
			return s + ", though the first never released the lock: it was held twice."
		}
		return s + fmt.Sprintf(", though the first released the lock only at %s: it was held twice.", t.began(rel))
	}
	return ""
}

// releaseOf is the next release by the process that acquired.
func (t *teller) releaseOf(a *op) *op {
	process := t.w.k.pairs[a.pair].Process()
	for i := range t.w.k.ops {
		o := &t.w.k.ops[i]
		if o.kind == release && o.call > a.call && t.w.k.pairs[o.pair].Process() == process {
			return o
		}
	}
	return nil
}

func (t *teller) notHeld() string {
	o := t.culprit()
	if o.kind != release || slices.ContainsFunc(t.w.ops, func(x op) bool { return x.kind == acquire }) {
		return ""
	}
	return fmt.Sprintf("%s succeeded at %s, but nobody had acquired the lock.", t.who(o), t.returned(o))
}

// listing names all operations with their intervals, and which had to come
// before which.
func (t *teller) listing() string {
	const most = 12
	var parts []string
	for i := range t.w.ops[:min(len(t.w.ops), most)] {
		o := &t.w.ops[i]
		until := "never returned"
		if e := t.w.k.pairs[o.pair].Complete; e != nil && e.Kind != history.Info {
			until = "returned at " + t.returned(o)
		}
		s := t.who(o)
		if v, ok := o.sees(); ok && o.kind == read {
			s += " of " + t.value(v)
		}
		parts = append(parts, fmt.Sprintf("%s began at %s and %s", s, t.began(o), until))
	}
	s := fmt.Sprintf("no order of these %d operations is legal: %s", len(t.w.ops), strings.Join(parts, "; "))
	if more := len(t.w.ops) - most; more > 0 {
		s += fmt.Sprintf("; and %d more", more)
	}
	return s + "."
}

// faults says what was in force while the last operation of the witness ran.
func (t *teller) faults(h *history.History) string {
	var s strings.Builder
	p := t.w.k.pairs[t.culprit().pair]
	for _, f := range history.Windows(h) {
		if f.Begin > p.Complete.Time || f.End < p.Invoke.Time || f.StartErr != "" {
			continue
		}
		fmt.Fprintf(&s, " Fault %s was in force from %s", f.Fault, t.seconds(f.Start))
		if f.Stopped {
			fmt.Fprintf(&s, " to %s", t.seconds(f.Stop))
		}
		if side := f.Sides[p.Invoke.Node]; side != "" {
			fmt.Fprintf(&s, "; %s was on its %s side", p.Invoke.Node, side)
		}
		s.WriteString(".")
	}
	return s.String()
}
