package weak

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/capstan-dev/capstan/history"
)

// Report says which models a history refutes.
type Report struct {
	// Refuted have a witness of their own, the weakest first.
	Refuted []Refutation `json:"refuted"`
	// AlsoRefuted imply a refuted one, the weakest first.
	AlsoRefuted []string `json:"also_refuted"`
	// NotRefuted were decided, the strongest first.
	NotRefuted []string    `json:"not_refuted"`
	Undecided  []Undecided `json:"undecided"`
	// Strongest are the models not refuted that no other one not refuted
	// implies.
	Strongest []string `json:"strongest"`

	Operations int `json:"operations"`
	Processes  int `json:"processes"`
	Keys       int `json:"keys"`
	// Ambiguous reads found a value with several writers, LeftOut are
	// compare-and-sets that failed and do not tell what they found.
	Ambiguous int `json:"ambiguous"`
	LeftOut   int `json:"left_out"`

	// Sessions counts the violations of the session guarantees, those of
	// which the count is known; Nodes takes all that a node served for one
	// session.
	Sessions []Sessions `json:"sessions"`
	Nodes    []Node     `json:"nodes"`
}

// Refutation is a refuted model with its smallest known witness.
type Refutation struct {
	Model string `json:"model"`
	// Count of operations at which it shows; 1 where they are not counted.
	Count int `json:"count"`
	// Key as JSON, if the history has keys and the witness is on one.
	Key string `json:"key,omitempty"`
	// Events are the indexes of the witness' events, ascending.
	Events []int  `json:"events"`
	Text   string `json:"text"`
}

// Undecided is a model and why nothing can be said.
type Undecided struct {
	Model  string `json:"model"`
	Reason string `json:"reason"`
}

// Sessions counts the violations of a guarantee by the process and by the node
// of the operation at which they show.
type Sessions struct {
	Model      string         `json:"model"`
	Violations int            `json:"violations"`
	Processes  map[string]int `json:"processes,omitempty"`
	Nodes      map[string]int `json:"nodes,omitempty"`
}

// Node counts what a node broke as one session: the order of its operations is
// that of their intervals, so that the counts are bounds from below.
type Node struct {
	Node           string `json:"node"`
	Operations     int    `json:"operations"`
	MonotonicReads int    `json:"monotonic_reads"`
	ReadYourWrites int    `json:"read_your_writes"`
}

type state uint8

const (
	open state = iota
	holds
	refuted
)

// court judges one history.
type court struct {
	ctx    context.Context
	o      Options
	keys   int
	t      *trace
	states map[string]state
	why    map[string]string // of open ones
	found  map[string]violation
	count  map[string]int
	tally  []*tally
	matrix []int32
	shared *view
}

// Classify judges a history by all models. The error is that of FromHistory.
func Classify(ctx context.Context, h *history.History, o Options) (Report, error) {
	in, err := FromHistory(h, o)
	if err != nil {
		return Report{}, err
	}
	c, err := judge(ctx, in.Ops, in.Init, o)
	if err != nil {
		return Report{}, err
	}
	return in.report(c), nil
}

// judge decides all models, the cheap and weak ones first.
func judge(ctx context.Context, ops []Op, init []int32, o Options) (*court, error) {
	t, err := newTrace(ops, init)
	if err != nil {
		return nil, err
	}
	c := &court{
		ctx: ctx, o: o, keys: len(init), t: t,
		states: map[string]state{}, why: map[string]string{}, found: map[string]violation{}, count: map[string]int{},
	}
	switch o.Linearizable {
	case "valid":
		c.hold(Linearizable)
	case "invalid":
		c.states[Linearizable] = refuted
	}
	if t.thin >= 0 {
		c.thinAir()
		return c, nil
	}
	s := judgeSessions(t, c.keys)
	for _, l := range []*tally{s.ryw, s.mr, s.mw} {
		c.take(l)
	}
	var q *sequential
	if c.states[Sequential] == open {
		q = c.sequentialByKeys()
	}
	c.causalFamily(s)
	if c.states[Sequential] == open && q != nil {
		bad, err := q.saturated(ctx, c.view())
		c.conclude(Sequential, bad, err)
	}
	return c, nil
}

// thinAir refutes the weakest models, and so all of them.
func (c *court) thinAir() {
	for _, m := range guarantees() {
		c.refute(newViolation(m, c.t.thin, []int32{c.t.thin}, "{%d} found a value that nobody wrote", c.t.thin), 1)
	}
}

// hold marks a model and all that it implies.
func (c *court) hold(model string) {
	if c.states[model] == open {
		c.states[model] = holds
	}
	for _, m := range implied(model) {
		c.hold(m)
	}
}

// refute marks a model, and all that imply it.
func (c *court) refute(v violation, count int) {
	v.ops = c.t.withObservers(v.ops)
	c.found[v.model], c.count[v.model] = v, count
	for _, m := range append(Models(), Linearizable) {
		if Implies(m, v.model) {
			c.states[m] = refuted
		}
	}
}

func (c *court) take(l *tally) {
	c.tally = append(c.tally, l)
	if l.count > 0 {
		c.refute(l.best, l.count)
		return
	}
	c.hold(l.model)
}

// conclude takes what a decision came to.
func (c *court) conclude(model string, bad *violation, err error) {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		c.why[model] = "the time ran out"
	case err != nil:
		c.why[model] = err.Error()
	case bad != nil:
		c.refute(*bad, 1)
	default:
		c.hold(model)
	}
}

// sequentialByKeys is nil if nothing is left to do.
func (c *court) sequentialByKeys() *sequential {
	q, bad, confirmed, err := judgeSequential(c.ctx, c.t, c.keys)
	if bad != nil || err != nil || confirmed {
		c.conclude(Sequential, bad, err)
		return nil
	}
	return q
}

// clocks is room for one clock an operation, nil if that is too much.
func (c *court) clocks() []int32 {
	size := int64(len(c.t.ops)) * int64(len(c.t.chains))
	limit := cmp.Or(c.o.Memory, defaultMemory)
	if c.matrix == nil && size*4 <= limit {
		c.matrix = make([]int32, size)
	}
	return c.matrix
}

// view takes the clocks for itself.
func (c *court) view() *view {
	if c.shared == nil {
		c.shared = &view{t: c.t, w: newWalk(c.t), c: clocks{t: c.t, k: len(c.t.chains), at: c.clocks()}}
	}
	return c.shared
}

// causalFamily judges what no stronger model has settled.
func (c *court) causalFamily(s *sessions) {
	undecided := func(models ...string) bool {
		return slices.ContainsFunc(models, func(m string) bool { return c.states[m] == open })
	}
	if undecided(Causal, CausalConvergence, CausalMemory, WritesFollowReads) {
		c.byClocks(s, undecided)
	}
	if undecided(PRAM) {
		bad, err := judgePRAM(c.ctx, c.t, c.keys, c.view())
		c.conclude(PRAM, bad, err)
	}
}

func (c *court) byClocks(s *sessions, undecided func(...string) bool) {
	matrix := c.clocks()
	if matrix == nil && len(c.t.ops) > 0 {
		for _, m := range []string{Causal, CausalConvergence, CausalMemory, WritesFollowReads} {
			c.why[m] = errMemory.Error()
		}
		return
	}
	k, err := judgeCausal(c.ctx, c.t, matrix)
	switch {
	case err != nil:
		for _, m := range []string{Causal, CausalConvergence, CausalMemory, WritesFollowReads} {
			c.conclude(m, nil, err)
		}
		return
	case k.cyclic != nil:
		c.take(k.causal)
		v := k.causal.best
		v.model = WritesFollowReads
		c.refute(v, 1)
		return
	}
	c.take(k.causal)
	order := k.order
	if undecided(CausalConvergence) {
		agreed, bad, err := k.judgeConvergence(c.ctx)
		c.conclude(CausalConvergence, bad, err)
		if bad == nil && err == nil {
			order = agreed
		}
	}
	if undecided(WritesFollowReads) {
		l, err := judgeFollows(c.ctx, k, s, c.keys)
		switch {
		case err == nil:
			c.take(l)
		case l.count > 0: // not counted to the end
			c.conclude(WritesFollowReads, &l.best, nil)
		default:
			c.conclude(WritesFollowReads, nil, err)
		}
	}
	if undecided(CausalMemory) {
		bad, err := judgeMemory(c.ctx, k, order, c.keys, c.view())
		c.conclude(CausalMemory, bad, err)
	}
}

// report puts the findings into words.
func (in *Input) report(c *court) Report {
	r := Report{
		Refuted: []Refutation{}, AlsoRefuted: []string{}, NotRefuted: []string{}, Undecided: []Undecided{}, Strongest: []string{},
		Operations: len(in.Ops), Keys: len(in.keys), Ambiguous: c.t.ambiguous, LeftOut: in.LeftOut,
	}
	processes := map[int32]bool{}
	for i := range in.Ops {
		processes[in.Ops[i].Process] = true
	}
	r.Processes = len(processes)
	names := Models()
	if c.o.Linearizable != "" {
		names = append([]string{Linearizable}, names...)
	}
	for _, m := range slices.Backward(names) {
		v, own := c.found[m]
		switch {
		case own:
			v = c.t.shrink(v, in.Init)
			r.Refuted = append(r.Refuted, Refutation{m, c.count[m], in.key(c.t, v.ops), in.events(c.t, v.ops), in.render(c.t, v)})
		case c.states[m] == refuted:
			r.AlsoRefuted = append(r.AlsoRefuted, m)
		}
	}
	for _, m := range names {
		switch {
		case c.states[m] == refuted:
		case c.states[m] == holds && r.Ambiguous == 0:
			r.NotRefuted = append(r.NotRefuted, m)
		default:
			r.Undecided = append(r.Undecided, Undecided{m, c.reason(m)})
		}
	}
	for _, m := range r.NotRefuted {
		if !slices.ContainsFunc(r.Strongest, func(s string) bool { return Implies(s, m) }) {
			r.Strongest = append(r.Strongest, m)
		}
	}
	r.Sessions = in.sessions(c)
	r.Nodes = in.judgeNodes(c.t)
	return r
}

func (c *court) reason(model string) string {
	if c.states[model] == holds {
		return fmt.Sprintf("not refuted, but %d reads found a value that more than one operation wrote", c.t.ambiguous)
	}
	return cmp.Or(c.why[model], "not decided")
}

// guarantees are the models that sessions count.
func guarantees() []string {
	return []string{ReadYourWrites, MonotonicReads, MonotonicWrites, WritesFollowReads}
}

func (in *Input) sessions(c *court) []Sessions {
	all := []Sessions{}
	for _, m := range guarantees() {
		at := slices.IndexFunc(c.tally, func(l *tally) bool { return l.model == m })
		if at < 0 && c.states[m] != holds {
			continue
		}
		s := Sessions{Model: m, Processes: map[string]int{}, Nodes: map[string]int{}}
		if at >= 0 {
			l := c.tally[at]
			s.Violations = l.count
			for p, n := range l.byProc {
				s.Processes[itoa(p)] = n
			}
			for n, count := range l.byNode {
				if name := in.nodes[n]; name != "" {
					s.Nodes[name] += count
				}
			}
		}
		all = append(all, s)
	}
	return all
}

// events are the indexes of the operations' events.
func (in *Input) events(t *trace, ops []int32) []int {
	var all []int
	for _, i := range ops {
		for _, at := range in.Calls[t.ops[i].Note] {
			if at >= 0 {
				all = append(all, in.h.Events[at].Index)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// key is the only key of some operations, empty if there are several.
func (in *Input) key(t *trace, ops []int32) string {
	if slices.ContainsFunc(ops, func(i int32) bool { return t.ops[i].Key != t.ops[ops[0]].Key }) {
		return ""
	}
	return in.keys[t.ops[ops[0]].Key]
}
