package linear_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/linear"
	"github.com/capstan-dev/capstan/checker/linear/spec/spectest"
	"github.com/capstan-dev/capstan/history"
)

// toy is an object of some kind in the plainest way: apply answers an operation
// of a process as a history would record it; ok is false if it refuses.
type toy interface {
	next(r *rand.Rand, i int) (f, in string)
	apply(process int, f, in string) (out string, ok bool)
}

// box is a queue, a bag, a stack or a priority queue.
type box struct {
	put, take string
	held      []string
	pick      func(held []string) int
}

func (b *box) next(r *rand.Rand, i int) (string, string) {
	if r.IntN(2) == 0 {
		return b.put, fmt.Sprint(i)
	}
	return b.take, "null"
}

func (b *box) apply(_ int, f, in string) (string, bool) {
	if f == b.put {
		b.held = append(b.held, in)
		return in, true
	}
	if len(b.held) == 0 {
		return "null", true
	}
	at := b.pick(b.held)
	v := b.held[at]
	b.held = slices.Delete(b.held, at, at+1)
	return v, true
}

// pile is a list or a set.
type pile struct {
	add  string
	held []string
}

func (p *pile) next(r *rand.Rand, i int) (string, string) {
	if r.IntN(2) == 0 {
		return p.add, fmt.Sprint(i)
	}
	return "read", "null"
}

func (p *pile) apply(_ int, f, in string) (string, bool) {
	if f == p.add {
		p.held = append(p.held, in)
		return in, true
	}
	return "[" + strings.Join(p.held, ",") + "]", true
}

// members is a set by element.
type members map[string]bool

func (m members) next(r *rand.Rand, _ int) (string, string) {
	return []string{"add", "remove", "contains"}[r.IntN(3)], fmt.Sprint(r.IntN(2))
}

func (m members) apply(_ int, f, in string) (string, bool) {
	was := m[in]
	if f != "contains" {
		m[in] = f == "add"
	}
	return fmt.Sprint(was != (f == "add")), true
}

// text is a key that holds a string.
type text struct{ held string }

func (k *text) next(r *rand.Rand, i int) (string, string) {
	piece := fmt.Sprintf("%q", string(rune('a'+i)))
	return []string{"get", "append", "append", "put", "get"}[r.IntN(5)], piece
}

func (k *text) apply(_ int, f, in string) (string, bool) {
	switch f {
	case "get":
		return fmt.Sprintf("%q", k.held), true
	case "put":
		k.held = ""
	}
	k.held += strings.Trim(in, `"`)
	return in, true
}

// sum is a counter, whose adds may return the new value.
type sum struct {
	total   int
	returns bool
}

func (s *sum) next(r *rand.Rand, _ int) (string, string) {
	if r.IntN(2) == 0 {
		return "add", "1"
	}
	return "read", "null"
}

func (s *sum) apply(_ int, f, in string) (string, bool) {
	if f == "add" {
		s.total++
		if !s.returns {
			return in, true
		}
	}
	return fmt.Sprint(s.total), true
}

// lock is any of the locks, and a semaphore.
type lock struct {
	limit  int // acquires at a time
	owned  bool
	fenced bool
	held   []int
	token  int
}

func (l *lock) next(r *rand.Rand, _ int) (string, string) {
	return []string{"acquire", "release"}[r.IntN(2)], "null"
}

func (l *lock) apply(process int, f, _ string) (string, bool) {
	if f == "release" {
		at := slices.Index(l.held, process)
		if at < 0 && l.owned || len(l.held) == 0 {
			return "", false
		}
		l.held = slices.Delete(l.held, max(at, 0), max(at, 0)+1)
		return "null", true
	}
	if len(l.held) == l.limit || l.owned && len(l.held) > 0 && l.held[0] != process {
		return "", false
	}
	if len(l.held) == 0 {
		l.token++
	}
	l.held = append(l.held, process)
	if l.fenced {
		return fmt.Sprint(l.token), true
	}
	return "null", true
}

// cells are registers and lists by key.
type cells struct {
	held    map[string]string
	verb    string // of a change in a transaction; "" for a map
	version int
}

func (c *cells) next(r *rand.Rand, i int) (string, string) {
	key := []string{`"x"`, `"y"`}[r.IntN(2)]
	switch {
	case c.verb == "version":
		return []string{"write", "read"}[i%2], []string{fmt.Sprint(i), "null"}[i%2]
	case c.verb == "":
		switch r.IntN(4) {
		case 0:
			return "delete", key
		case 1:
			return "put", fmt.Sprintf("[%s,%d]", key, i)
		}
		return "get", key
	}
	var steps []string
	for n := range 1 + r.IntN(2) {
		if r.IntN(3) > 0 {
			steps = append(steps, fmt.Sprintf(`["r",%s,null]`, key))
		} else {
			steps = append(steps, fmt.Sprintf(`["%s",%s,%d]`, c.verb, key, 10*i+n))
		}
		key = `"y"`
	}
	return "txn", "[" + strings.Join(steps, ",") + "]"
}

func (c *cells) get(key string) string { return cmp.Or(c.held[key], "null") }

func (c *cells) apply(_ int, f, in string) (string, bool) {
	switch f {
	case "write":
		c.version++
		c.held["v"] = fmt.Sprintf("[%d,%s]", c.version, in)
		return c.held["v"], true
	case "read":
		return c.get("v"), true
	case "put":
		var kv []json.RawMessage
		_ = json.Unmarshal([]byte(in), &kv)
		c.held[string(kv[0])] = string(kv[1])
		return in, true
	case "delete":
		delete(c.held, in)
		return in, true
	case "get":
		return c.get(in), true
	}
	return c.steps(in), true
}

func (c *cells) steps(in string) string {
	var steps [][]json.RawMessage
	_ = json.Unmarshal([]byte(in), &steps)
	for _, s := range steps {
		key, v := string(s[1]), string(s[2])
		switch string(s[0]) {
		case `"r"`:
			s[2] = json.RawMessage(c.get(key))
		case `"w"`:
			c.held[key] = v
		case `"append"`:
			c.held[key] = strings.Replace(strings.TrimSuffix(cmp.Or(c.held[key], "[]"), "]")+","+v+"]", "[,", "[", 1)
		}
	}
	b, _ := json.Marshal(steps)
	return string(b)
}

func toys() map[string]func() toy {
	first := func(held []string) int { return 0 }
	least := func(held []string) int {
		return slices.Index(held, slices.MinFunc(held, func(a, b string) int {
			return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
		}))
	}
	keys := func(verb string) func() toy {
		return func() toy { return &cells{held: map[string]string{}, verb: verb} }
	}
	return map[string]func() toy{
		"fifo-queue":             func() toy { return &box{"enqueue", "dequeue", nil, first} },
		"unordered-queue":        func() toy { return &box{"enqueue", "dequeue", nil, func(h []string) int { return len(h) / 2 }} },
		"stack":                  func() toy { return &box{"push", "pop", nil, func(h []string) int { return len(h) - 1 }} },
		"priority-queue":         func() toy { return &box{"insert", "delete-min", nil, least} },
		"list":                   func() toy { return &pile{add: "append"} },
		"grow-set":               func() toy { return &pile{add: "add"} },
		"counter":                func() toy { return &sum{} },
		"add-and-get":            func() toy { return &sum{returns: true} },
		"mutex":                  func() toy { return &lock{limit: 1} },
		"owner-aware-mutex":      func() toy { return &lock{limit: 1, owned: true} },
		"reentrant-mutex":        func() toy { return &lock{limit: 9, owned: true} },
		"fenced-mutex":           func() toy { return &lock{limit: 1, owned: true, fenced: true} },
		"reentrant-fenced-mutex": func() toy { return &lock{limit: 9, owned: true, fenced: true} },
		"semaphore":              func() toy { return &lock{limit: 2} },
		"add-remove-set":         func() toy { return members{} },
		"kv":                     func() toy { return &text{} },
		"map":                    keys(""),
		"versioned-register":     keys("version"),
		"multi-register":         keys("w"),
		"txn":                    keys("append"),
	}
}

// played is a history of a toy: overlapping calls, some crashed, answers
// exchanged with others, and calls left out.
func played(r *rand.Rand, make func() toy) *history.History {
	o := make()
	n, clients := 3+r.IntN(9), 1+r.IntN(3)
	h := &history.History{}
	free := slices.Repeat([]int{0}, clients)
	var answered []int
	type event struct {
		at int
		e  history.Event
	}
	var events []event
	at := 0
	for i := range n {
		c := r.IntN(clients)
		at = max(at+r.IntN(3), free[c]+1)
		f, in := o.next(r, i)
		process := c
		out, ok := o.apply(process, f, in)
		if !ok {
			continue
		}
		begin, over := max(free[c]+1, at-r.IntN(4)), at+r.IntN(4)
		free[c] = over
		e := history.Event{Process: process, F: f, Value: raw(in)}
		events = append(events, event{begin, e})
		if r.IntN(8) == 0 {
			e.Kind = history.Info
		} else {
			e.Kind, e.Value = history.OK, raw(out)
			answered = append(answered, len(events))
		}
		events = append(events, event{over, e})
	}
	for len(answered) > 1 && r.IntN(3) > 0 {
		a, b := answered[r.IntN(len(answered))], answered[r.IntN(len(answered))]
		in := func(i int) string { return string(events[i-1].e.Value) }
		if x, y := &events[a].e, &events[b].e; x.F == y.F && (x.F != "txn" || in(a) == in(b)) {
			x.Value, y.Value = y.Value, x.Value
		}
	}
	if len(answered) > 0 && r.IntN(3) == 0 { // as if it had not happened
		at := answered[r.IntN(len(answered))]
		events = slices.Delete(events, at-1, at+1)
	}
	slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	for i, x := range events {
		x.e.Index, x.e.Time = i, time.Duration(x.at)*time.Millisecond
		h.Events = append(h.Events, x.e)
	}
	return h
}

// Whatever the kind: the special decider, the search, and porcupine behind
// each say the same, and what they say is certified or confirmed.
func TestKindsWithAndWithoutSpecialDecider(t *testing.T) {
	rounds := spectest.Histories(t) / 30
	for name, make := range toys() {
		init := ""
		if name == "semaphore" {
			init = "2"
		}
		bad, open := 0, 0
		for seed := range rounds {
			h := played(rand.New(rand.NewPCG(uint64(seed), 9)), make)
			if len(h.Events) == 0 {
				continue
			}
			a := check(t, name, linear.Options{Init: raw(init)}, h)
			b := check(t, name, linear.Options{Init: raw(init), Without: []string{linear.StepSpecial, linear.StepSecond}}, h)
			if strings.Contains(a.Reason+b.Reason, "defect") || strings.Contains(a.Reason, "panicked") || a.Verdict != b.Verdict && a.Verdict != checker.Unknown {
				t.Fatalf("%s seed %d: %s (%s) and %s (%s)\n%s", name, seed, a.Verdict, a.Reason, b.Verdict, b.Reason, show(h))
			}
			if a.Verdict == checker.Unknown {
				if open++; !strings.Contains(a.Reason, "no acknowledged") {
					t.Fatalf("%s seed %d: %s\n%s", name, seed, a.Reason, show(h))
				}
				continue
			}
			if a.Verdict == checker.Invalid {
				bad++
				confirmed(t, name, init, h, a)
				continue
			}
			rng := rand.New(rand.NewPCG(uint64(seed), 10))
			for law, other := range map[string]*history.History{"forgotten": forgotten(rng, h), "delayed": delayed(rng, h)} {
				if got := check(t, name, linear.Options{Init: raw(init)}, other); got.Verdict == checker.Invalid {
					t.Fatalf("%s seed %d: valid, but with a completion %s it is invalid: %s\n%s\nbefore\n%s", name, seed, law, got.Reason, show(other), show(h))
				}
			}
		}
		t.Logf("%s: %d of %d invalid", name, bad, rounds)
		if bad < rounds/40 || bad > rounds*9/10 || open > rounds/5 {
			t.Errorf("%s: %d of %d invalid, %d unknown: too one-sided", name, bad, rounds, open)
		}
	}
}

// forgotten is the history without the answer of one call: nobody knows whether
// it happened.
func forgotten(r *rand.Rand, h *history.History) *history.History {
	out := &history.History{Events: slices.Clone(h.Events)}
	if e := &out.Events[r.IntN(len(out.Events))]; e.Kind == history.OK {
		e.Kind, e.Value = history.Info, raw("null")
	}
	return out
}

// delayed is the history with one completion later by one event.
func delayed(r *rand.Rand, h *history.History) *history.History {
	out := &history.History{Events: slices.Clone(h.Events)}
	at := r.IntN(len(out.Events))
	if at+1 == len(out.Events) || out.Events[at].Kind == history.Invoke || out.Events[at+1].Process == out.Events[at].Process {
		return out
	}
	a, b := &out.Events[at], &out.Events[at+1]
	*a, *b = *b, *a
	a.Index, b.Index = at, at+1
	a.Time, b.Time = b.Time, a.Time
	return out
}

// confirmed wants each witness to be illegal as a history of its own.
func confirmed(t *testing.T, model, init string, h *history.History, res checker.Result) {
	t.Helper()
	for _, a := range res.Anomalies {
		sub := &history.History{}
		for _, i := range a.Events {
			sub.Events = append(sub.Events, h.Events[i])
		}
		if got := check(t, model, linear.Options{Init: raw(init), Without: []string{linear.StepSpecial}}, sub); got.Verdict != checker.Invalid || a.Text == "" {
			t.Fatalf("%s: the witness is %s: %s\n%s\nof\n%s", model, got.Verdict, a.Text, show(sub), show(h))
		}
	}
}
