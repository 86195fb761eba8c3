package linear

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/capstan-dev/capstan/checker/linear/spec"
	"github.com/capstan-dev/capstan/checker/phase"
	"github.com/capstan-dev/capstan/checker/value"
	"github.com/capstan-dev/capstan/history"
)

// shown is an operation of a witness.
type shown struct {
	pair      history.Pair
	in, out   json.RawMessage // without the key
	call, ret int64
	crashed   bool
	at        int32 // its position in object.ops
}

// before says that a was over when b began.
func (a *shown) before(b *shown) bool { return !a.crashed && a.ret < b.call }

// teller puts operations into words.
type teller struct {
	timeless bool // the times are positions: the file had none
	digits   int  // of a second, enough to tell the witness' moments apart
}

func newTeller(timeless bool, ops []shown) teller {
	t := teller{timeless: timeless, digits: 3}
	for ; t.digits < 9; t.digits += 3 {
		moments, texts := map[time.Duration]bool{}, map[string]bool{}
		note := func(e *history.Event) {
			if e != nil {
				moments[e.Time], texts[t.seconds(e.Time)] = true, true
			}
		}
		for _, o := range ops {
			note(o.pair.Invoke)
			note(o.pair.Complete)
		}
		if len(moments) == len(texts) {
			break
		}
	}
	return t
}

func (t teller) seconds(d time.Duration) string { return fmt.Sprintf("%.*f s", t.digits, d.Seconds()) }

// what is "write 17".
func what(o *shown) string {
	f := o.pair.Invoke.F
	if old, new, ok := history.SplitPair(o.in); ok && f == "cas" {
		return fmt.Sprintf("cas %s→%s", old, new)
	}
	if v := value.Canonical(o.in); v != "null" {
		return f + " " + short(v)
	}
	return f
}

// short cuts a long value in the middle.
func short(v string) string {
	const most = 60
	if r := []rune(v); len(r) > most {
		return string(r[:most/2]) + "…" + string(r[len(r)-most/2:])
	}
	return v
}

// who is "write 17 (process 3 on n1)".
func who(o *shown) string {
	e := o.pair.Invoke
	if e.Node == "" {
		return fmt.Sprintf("%s (process %d)", what(o), e.Process)
	}
	return fmt.Sprintf("%s (process %d on %s)", what(o), e.Process, e.Node)
}

// answered is "dequeue (process 3 on n1) → 5".
func answered(o *shown) string {
	if o.crashed && o.pair.Outcome() != history.Info {
		return who(o) + ", still in flight" // when the contradiction was complete
	}
	if o.out == nil || value.Canonical(o.out) == value.Canonical(o.in) {
		return who(o)
	}
	return who(o) + " → " + short(value.Canonical(o.out))
}

func (t teller) at(e *history.Event) string {
	if t.timeless {
		return fmt.Sprintf("event %d", e.Index)
	}
	return t.seconds(e.Time)
}

func (t teller) began(o *shown) string { return t.at(o.pair.Invoke) }

func (t teller) returned(o *shown) string {
	if e := o.pair.Complete; e != nil {
		return t.at(e)
	}
	return "the end"
}

// gap is how long after a's completion b began, as "2.7 ms before".
func (t teller) gap(a, b *shown) string {
	return strings.TrimSpace(t.span(a, b) + " before")
}

// span is the time between them; empty if there are no times.
func (t teller) span(a, b *shown) string {
	if t.timeless || a.pair.Complete == nil {
		return ""
	}
	return phase.Span(b.pair.Invoke.Time - a.pair.Complete.Time)
}

var placeholder = regexp.MustCompile(`\{(=?)(\d+)(?:<(\d+))?\}`)

// render fills in what a decider says, see spec.Conflict; "" if it speaks of an
// operation that is not shown.
func (t teller) render(say string, ops []shown, values *value.Names) string {
	missing := false
	find := func(digits string) *shown {
		n, err := strconv.Atoi(digits)
		at := slices.IndexFunc(ops, func(o shown) bool { return int(o.at) == n })
		if err != nil || at < 0 {
			missing = true
			return nil
		}
		return &ops[at]
	}
	text := placeholder.ReplaceAllStringFunc(say, func(s string) string {
		m := placeholder.FindStringSubmatch(s)
		if m[1] != "" {
			n, err := strconv.Atoi(m[2])
			missing = missing || err != nil || values == nil
			if missing {
				return ""
			}
			return short(values.Text(int32(n)))
		}
		a := find(m[2])
		if m[3] == "" {
			if a == nil {
				return ""
			}
			return answered(a)
		}
		b := find(m[3])
		if a == nil || b == nil {
			return ""
		}
		return t.span(a, b)
	})
	if missing || say == "" {
		return ""
	}
	return strings.ReplaceAll(text, "  ", " ") // where there are no times
}

// listing names all operations with their intervals.
func (t teller) listing(ops []shown) string {
	const most = 12
	if len(ops) == 1 {
		return fmt.Sprintf("%s, which returned at %s, is not possible, whatever else happened.", answered(&ops[0]), t.returned(&ops[0]))
	}
	var parts []string
	for i := range ops[:min(len(ops), most)] {
		o := &ops[i]
		until := "never returned"
		if o.crashed && o.pair.Outcome() != history.Info {
			until = "had not returned"
		} else if e := o.pair.Complete; e != nil && e.Kind != history.Info {
			until = "returned at " + t.returned(o)
		}
		parts = append(parts, fmt.Sprintf("%s began at %s and %s", strings.TrimSuffix(answered(o), ", still in flight"), t.began(o), until))
	}
	s := fmt.Sprintf("no order of these %d operations is legal: %s", len(ops), strings.Join(parts, "; "))
	if more := len(ops) - most; more > 0 {
		s += fmt.Sprintf("; and %d more", more)
	}
	return s + "."
}

// furthest tells how far the best order of a small witness gets, and what
// cannot come next.
func furthest[S, In, Out any](m spec.Model[S, In, Out], ops []spec.Op[In, Out], show []shown) string {
	const most = 10
	if len(ops) < 2 || len(ops) > most || len(ops) != len(show) {
		return ""
	}
	best := longest(m, ops)
	if len(best) == len(ops) {
		return ""
	}
	rest := []string{}
	for i := range ops {
		if !ops[i].Crashed && !slices.Contains(best, i) {
			rest = append(rest, answered(&show[i]))
		}
	}
	if len(best) == 0 {
		return fmt.Sprintf(" Nothing can come first: not %s.", strings.Join(rest, ", nor "))
	}
	names := []string{}
	for _, i := range best {
		names = append(names, answered(&show[i]))
	}
	then := rest[0] + " cannot follow"
	if len(rest) > 1 {
		then = "none of " + strings.Join(rest, ", ") + " can follow"
	}
	return fmt.Sprintf(" The furthest that an order gets is %s; %s.", strings.Join(names, ", "), then)
}

// longest is a legal order of as many operations as possible.
func longest[S, In, Out any](m spec.Model[S, In, Out], ops []spec.Op[In, Out]) []int {
	var best, path []int
	var try func(done uint, s S)
	try = func(done uint, s S) {
		if len(path) > len(best) {
			best = slices.Clone(path)
		}
		deadline := int64(spec.Never)
		for i := range ops {
			if done&(1<<i) == 0 && !ops[i].Crashed {
				deadline = min(deadline, ops[i].Return)
			}
		}
		for i := range ops {
			if done&(1<<i) != 0 || ops[i].Call > deadline {
				continue
			}
			outs := []Out{ops[i].Out}
			if ops[i].Crashed {
				outs = m.Outs(s, ops[i].In)
			}
			for _, out := range outs {
				if next, ok := m.Step(s, ops[i].In, out); ok && !(ops[i].Crashed && m.Equal(next, s)) {
					path = append(path, i)
					try(done|1<<i, next)
					path = path[:len(path)-1]
				}
			}
		}
	}
	if len(ops) <= 8 { // 8! orders at most
		try(0, m.Init)
	}
	return best
}

// faults says what was in force while an operation ran.
func (t teller) faults(windows []history.Window, p history.Pair) string {
	var s strings.Builder
	end := p.Invoke.Time
	if p.Complete != nil {
		end = p.Complete.Time
	}
	for _, f := range windows {
		if f.Begin > end || f.End < p.Invoke.Time || f.StartErr != "" {
			continue
		}
		fmt.Fprintf(&s, " Fault %s was in force", f.Fault)
		if !t.timeless {
			fmt.Fprintf(&s, " from %s", t.seconds(f.Start))
		}
		if f.Stopped && !t.timeless {
			fmt.Fprintf(&s, " to %s", t.seconds(f.Stop))
		}
		if side := f.Sides[p.Invoke.Node]; side != "" {
			fmt.Fprintf(&s, "; %s was on its %s side", p.Invoke.Node, side)
		}
		s.WriteString(".")
	}
	return s.String()
}

func byCall(a, b shown) int { return cmp.Compare(a.call, b.call) }
