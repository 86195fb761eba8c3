package chain

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// what names a value by the operation that set it.
func (t *table) what(v int32) string {
	if i := t.vals[v].set; i >= 0 {
		return fmt.Sprintf("the value that {%d} set", i)
	}
	return "the initial value"
}

// did tells what operation i did with the value it belongs to.
func (t *table) did(i int32) string {
	v := t.home(i)
	switch {
	case v != none && t.vals[v].set == i:
		return "set it"
	case t.ops[i].In.Verb == CAS:
		return "found it"
	}
	return "returned it"
}

// period tells how long the span's values were current.
func (t *table) period(s span) string {
	text := t.what(s.lo)
	if s.lo != s.hi {
		text += ", and what came of it up to " + t.what(s.hi) + ","
	}
	if s.x < 0 {
		return fmt.Sprintf("%s must have been there until {%d} began, which %s", text, s.y, t.did(s.y))
	}
	if s.x == s.y {
		return fmt.Sprintf("%s must have been there at {%d}", text, s.x)
	}
	return fmt.Sprintf("%s must have been there from the return of {%d} to the call of {%d} {%d<%d} later", text, s.x, s.y, s.x, s.y)
}

// say puts the fault into words.
func (t *table) say(f fault) string {
	c := &t.vals[f.a]
	switch f.rule {
	case denies:
		return fmt.Sprintf("{%d} failed, although it found the very value that it compares with", f.a)
	case nobody:
		if c.n > 0 {
			return fmt.Sprintf("{%d} returned a value that nobody had written", c.first)
		}
		return fmt.Sprintf("{%d} succeeded, although nobody had written the value that it compares with", t.vals[c.next].set)
	case early:
		return fmt.Sprintf("{%d} returned {%d<%d} before {%d} began, yet it saw the value that only {%d} set", c.first, c.first, c.set, c.set, c.set)
	case twice:
		return fmt.Sprintf("both {%d} and {%d} found %s and replaced it; it was set once, so only one of them can have", t.vals[c.next].set, f.b, t.what(f.a))
	case cycle:
		return t.sayCycle(f.a)
	case disorder:
		u := t.disordered(f.a)
		x, y := c.first, t.vals[u].last
		return fmt.Sprintf("{%d} returned {%d<%d} before {%d} began, and %s came out of %s; so the latter was gone by then, yet {%d} %s",
			x, x, y, y, t.what(f.a), t.what(u), y, t.did(y))
	case overlap:
		return t.sayOverlap(f)
	}
	return t.sayInside(f)
}

func (t *table) sayCycle(v int32) string {
	var names []string
	for u := v; ; {
		names = append(names, fmt.Sprintf("{%d}", t.vals[u].set))
		if u = t.vals[u].next; u == v {
			break
		}
	}
	if len(names) == 1 {
		return names[0] + " replaced what it set itself"
	}
	return strings.Join(names, ", ") + " each replaced what the one before set, and the first what the last set: none of them can have been the first"
}

func (t *table) sayOverlap(f fault) string {
	a, b := t.spans(f)
	from, to := a.x, a.y // latest return, earliest call
	if from < 0 || b.x >= 0 && t.ops[b.x].Return > t.ops[from].Return {
		from = b.x
	}
	if t.ops[b.y].Call < t.ops[to].Call {
		to = b.y
	}
	return fmt.Sprintf("%s, and %s; these times overlap by {%d<%d}, but a register holds one value at a time",
		t.period(a), t.period(b), from, to)
}

func (t *table) sayInside(f fault) string {
	a, b := t.spans(f)
	w := t.vals[b.lo].set
	plain := a.lo == a.hi && b.x == b.y && b.x == w && w >= 0 && t.did(a.y) != "set it"
	switch {
	case plain && a.x < 0:
		return fmt.Sprintf("{%d} returned {%d<%d} before {%d} began, so the initial value was overwritten by then; yet {%d} %s",
			w, w, a.y, a.y, a.y, t.did(a.y))
	case plain && t.vals[a.lo].set == a.x:
		return fmt.Sprintf("{%d} returned {%d<%d} before {%d} began, so the value of {%d} was overwritten when {%d} returned; yet {%d}, which began {%d<%d} later, %s",
			a.x, a.x, w, w, a.x, w, a.y, w, a.y, t.did(a.y))
	}
	text := t.period(a)
	began := ""
	if a.x >= 0 {
		began = fmt.Sprintf("{%d} began {%d<%d} after {%d} had returned and ", b.y, a.x, b.y, a.x)
	}
	return fmt.Sprintf("%s; yet %s{%d} returned {%d<%d} before {%d} began, so that %s was there in between",
		text, began, b.x, b.x, a.y, a.y, t.what(b.lo))
}

var placeholder = regexp.MustCompile(`\{(\d+)(?:<(\d+))?\}`)

// whole renames the operations of a text to those of the whole history.
func (s *sub) whole(text string) string {
	name := func(digits string) string {
		i, err := strconv.Atoi(digits)
		if err != nil || i >= len(s.ids) {
			panic("chain: text names operation " + digits)
		}
		return strconv.Itoa(int(s.ids[i]))
	}
	return placeholder.ReplaceAllStringFunc(text, func(p string) string {
		if a, b, ok := strings.Cut(p[1:len(p)-1], "<"); ok {
			return "{" + name(a) + "<" + name(b) + "}"
		}
		return "{" + name(p[1:len(p)-1]) + "}"
	})
}
