package linear

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/linear/spec"
	"github.com/capstan-dev/capstan/history"
)

// witness is a part of a key's history that has no legal order, in words.
type witness struct {
	key       string
	ops       []shown // by call
	culprit   history.Pair
	text      string
	confirmed bool // by porcupine
	disputed  bool // by porcupine: a defect of ours
	cascade   bool // it shares an operation with an earlier one of its key
}

// at is when the violation was complete.
func (w *witness) at() time.Duration { return w.culprit.Complete.Time }

// show is an operation as it is to be shown.
func (x *object[S, In, Out]) show(i int32, o spec.Op[In, Out]) shown {
	s := showCall(x.calls.at(int(x.at[i])))
	s.call, s.ret, s.crashed, s.at = o.Call, o.Return, o.Crashed, i
	return s
}

// showCall is a call as it is to be shown, apart from where it stands.
func showCall(c call) shown {
	return shown{pair: c.Pair, in: c.in, out: c.out, at: -1}
}

// scene is what witnesses are told against.
type scene struct {
	timeless bool // the file had no times
	windows  []history.Window
}

func newScene(h *history.History) *scene {
	return &scene{timeless: h.Timeless(), windows: history.Windows(h)}
}

// witnesses explains an illegal key. Every conflict of a special decider is one;
// after a search, the history up to the completion that made it illegal is cut
// down.
func (x *object[S, In, Out]) witnesses(d decision, sc *scene, b spec.Budget, most int) []*witness {
	var out []*witness
	for _, c := range d.conflicts {
		if len(out) == most || b.Stopped() && len(out) > 0 {
			break
		}
		if s, ok := x.fromConflict(c, b); ok {
			out = append(out, x.witness(s, sc))
		}
	}
	if len(out) == 0 {
		s := &shrinker[S, In, Out]{x: x, budget: b}
		s.locate(d.frontier, len(d.conflicts) == 0)
		s.safely(s.fairly)
		out = append(out, x.witness(s, sc))
	}
	slices.SortStableFunc(out, byTime)
	markCascades(out)
	return out
}

// markCascades marks what shares an operation with an earlier witness.
func markCascades(ws []*witness) {
	seen := map[int32]bool{}
	for _, w := range ws {
		for _, o := range w.ops {
			w.cascade = w.cascade || o.at >= 0 && seen[o.at]
		}
		for _, o := range w.ops {
			seen[o.at] = true
		}
	}
}

// fromConflict starts from the operations that a decider names, and those
// that they need; ok is false if these are legal.
func (x *object[S, In, Out]) fromConflict(c spec.Conflict, b spec.Budget) (s *shrinker[S, In, Out], ok bool) {
	s = &shrinker[S, In, Out]{x: x, budget: b, candidate: candidate[In, Out]{say: c.Say, culprit: -1}}
	if !s.take(c) {
		// A read of a counter needs all adds: what the decider names says
		// more, with its words.
		s.alone(c)
		s.shrunk = true
		return s, s.illegal(s.ops, probeSteps)
	}
	if !s.illegal(s.ops, probeSteps) {
		return nil, false
	}
	if x.tell == nil {
		s.must = spokenOf(c.Say)
	}
	keep := make([]bool, len(s.ops))
	for i := range keep {
		keep[i] = true
	}
	s.safely(func() { s.relate(); s.shrink(keep) })
	return s, true
}

// take starts with some operations and those that they need, which are relaxed
// where they can be: a relaxed operation needs nothing. It is false if that is
// too much to show.
func (s *shrinker[S, In, Out]) take(c spec.Conflict) bool {
	s.part, s.origin = s.x.needs != nil, slices.Clone(c.Ops)
	in := map[int32]bool{}
	for _, i := range c.Ops {
		in[i] = true
	}
	given := maps.Clone(in)
	for _, i := range c.Blind {
		given[i] = false
	}
	for n := 0; n < len(s.origin) && s.x.needs != nil; n++ {
		i := s.origin[n]
		if _, loose := s.relaxable(i); loose && !given[i] {
			continue
		}
		for _, j := range s.x.wholeNeeds()[i] {
			if !in[j] {
				in[j] = true
				s.origin = append(s.origin, j)
			}
		}
		if len(s.origin) > len(c.Ops)+maxNeeded {
			return false
		}
	}
	slices.Sort(s.origin)
	for _, i := range s.origin {
		o := s.x.ops[i]
		s.full = append(s.full, o)
		if loose, ok := s.relaxable(i); ok && !given[i] {
			o = loose
		}
		s.ops = append(s.ops, o)
	}
	return true
}

// spokenOf are the operations that a decider's words name.
func spokenOf(say string) map[int32]bool {
	named := map[int32]bool{}
	for _, m := range placeholder.FindAllStringSubmatch(say, -1) {
		if m[1] != "" {
			continue
		}
		for _, digits := range m[2:] {
			if n, err := strconv.Atoi(digits); err == nil {
				named[int32(n)] = true
			}
		}
	}
	return named
}

// maxNeeded bounds what is added to the operations of a conflict.
const maxNeeded = 300

// alone takes the operations that a decider names and nothing else.
func (s *shrinker[S, In, Out]) alone(c spec.Conflict) {
	s.origin = slices.Clone(c.Ops)
	slices.Sort(s.origin)
	s.ops = nil
	for _, i := range s.origin {
		s.ops = append(s.ops, s.x.ops[i])
	}
}

func (s *shrinker[S, In, Out]) relaxable(i int32) (spec.Op[In, Out], bool) {
	if s.x.relax == nil {
		return s.x.ops[i], false
	}
	return s.x.relax(s.x.ops[i])
}

// wholeNeeds is what needs what in the whole key.
func (x *object[S, In, Out]) wholeNeeds() [][]int32 {
	if x.needed == nil {
		x.needed = x.needs(x.ops)
	}
	return x.needed
}

// blame finds the completion that made a small witness illegal.
func (s *shrinker[S, In, Out]) blame() {
	var returns []int64
	for i := range s.ops {
		if s.ops[i].Return < spec.Never {
			returns = append(returns, s.ops[i].Return)
		}
	}
	slices.Sort(returns)
	for _, ret := range returns {
		s.culprit = ret
		if s.illegal(s.upTo(ret), probeSteps) {
			return
		}
	}
}

// witness puts a candidate into words.
func (x *object[S, In, Out]) witness(s *shrinker[S, In, Out], sc *scene) *witness {
	if !slices.ContainsFunc(s.ops, func(o spec.Op[In, Out]) bool { return o.Return == s.culprit }) {
		s.blame()
	}
	w := &witness{key: x.calls.Keys[x.calls.key]}
	for n, i := range s.origin {
		w.ops = append(w.ops, x.show(i, s.ops[n]))
		if s.ops[n].Return == s.culprit {
			w.culprit = w.ops[n].pair
		}
	}
	t := newTeller(sc.timeless, w.ops)
	w.text = x.words(s, t, w)
	second := spec.Porcupine(x.model, s.ops, 2*time.Second)
	w.confirmed, w.disputed = second == spec.Illegal, second == spec.Legal
	w.text += t.faults(sc.windows, w.culprit)
	slices.SortStableFunc(w.ops, byCall)
	return w
}

func (x *object[S, In, Out]) words(s *shrinker[S, In, Out], t teller, w *witness) string {
	if !s.shrunk {
		return fmt.Sprintf("no order of the %d operations up to event %d is legal (and the contradiction could not be narrowed down in time)", len(s.ops), w.culprit.Complete.Index)
	}
	if x.tell != nil {
		text, support := x.tell(x, &s.candidate, t, w.ops)
		for _, o := range support {
			if !slices.ContainsFunc(w.ops, func(p shown) bool { return p.pair.Invoke == o.pair.Invoke }) {
				w.ops = append(w.ops, o)
			}
		}
		if text != "" {
			return text + s.suffix
		}
	}
	if text := t.render(s.say, w.ops, x.values); text != "" {
		return sentence(text) + s.suffix
	}
	return t.listing(w.ops) + furthest(x.model, s.ops, w.ops[:len(s.ops)]) + s.suffix
}

func sentence(s string) string {
	if strings.HasSuffix(s, ".") {
		return s
	}
	return s + "."
}

// safely leaves the witness as it is if shrink panics: a defect there
// must not turn a violation into unknown.
func (s *shrinker[S, In, Out]) safely(shrink func()) {
	before := s.candidate
	before.ops = slices.Clone(s.ops)
	defer func() {
		if recover() != nil {
			s.candidate = before
		}
	}()
	shrink()
}

// witnessData is a witness for drawing.
type witnessData struct {
	Key       string   `json:"key"`
	Confirmed bool     `json:"confirmed"` // porcupine finds no order either
	Cascade   bool     `json:"cascade"`
	Ops       []opData `json:"ops"`
}

type opData struct {
	Process  int             `json:"process"`
	Node     string          `json:"node"`
	F        string          `json:"f"`
	In       json.RawMessage `json:"in"`
	Out      json.RawMessage `json:"out"`
	Outcome  string          `json:"outcome"`
	Start    int64           `json:"start_ns"`
	End      int64           `json:"end_ns"` // -1: never
	Invoke   int             `json:"invoke"`
	Complete int             `json:"complete"` // -1: none
}

func (w *witness) data() witnessData {
	d := witnessData{Key: w.key, Confirmed: w.confirmed, Cascade: w.cascade, Ops: []opData{}}
	for i := range w.ops {
		o := &w.ops[i]
		p := o.pair
		x := opData{
			Process: p.Invoke.Process, Node: p.Invoke.Node, F: p.Invoke.F, In: orNull(o.in), Out: orNull(o.out),
			Outcome: p.Outcome().String(), Start: int64(p.Invoke.Time), End: -1, Invoke: p.Invoke.Index, Complete: -1,
		}
		if c := p.Complete; c != nil {
			x.Complete = c.Index
			if c.Kind != history.Info {
				x.End = int64(c.Time)
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

func (w *witness) anomaly() checker.Anomaly {
	a := checker.Anomaly{Kind: "nonlinearizable", Key: w.key, Events: []int{}, Text: w.text, Cascade: w.cascade}
	for _, o := range w.ops {
		a.Events = append(a.Events, o.pair.Invoke.Index)
		// What was in flight when the contradiction was complete is part of it
		// as such: how it ended came later.
		inFlight := o.crashed && o.pair.Outcome() != history.Info
		if o.pair.Complete != nil && !inFlight {
			a.Events = append(a.Events, o.pair.Complete.Index)
		}
	}
	slices.Sort(a.Events)
	return a
}

func byTime(a, b *witness) int { return cmp.Compare(a.at(), b.at()) }
