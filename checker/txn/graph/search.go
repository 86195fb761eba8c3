package graph

import "slices"

// anti are the anti-dependencies.
const anti Set = 1<<RW | 1<<RWP

// spec is one class of cycles: Adya's thesis, section 4.2 to 4.4, and Elle's
// G-nonadjacent, the cycles that snapshot isolation forbids.
type spec struct {
	name  string
	allow Set
	// begin are the edges one of which each cycle has.
	begin Set
	// rest are the edges that it has besides.
	rest Set
	// alternate: no two anti-dependencies follow one another.
	alternate bool
	// model is the weakest that it refutes, where the search must leave it at
	// that; empty for those that another of the list covers.
	model string
	// extra is process or real time, of which each cycle has an edge; 0 for
	// the plain ones.
	extra Set
}

// plain are the classes without process and time, the worst first.
func plain() []spec {
	ww, wr, rw, rwp := Of(WW), Of(WR), Of(RW), Of(RWP)
	return []spec{
		{name: "G0", allow: ww, begin: ww, rest: ww, model: "read-uncommitted"},
		{name: "G1c", allow: ww | wr, begin: wr, rest: ww | wr, model: "read-committed"},
		{name: "G-single-item", allow: ww | wr | rw, begin: rw, rest: ww | wr, alternate: true},
		{name: "G-single", allow: ww | wr | rwp, begin: rwp, rest: ww | wr, alternate: true},
		{name: "G-nonadjacent-item", allow: ww | wr | rw, begin: rw, rest: ww | wr | rw, alternate: true, model: "snapshot-isolation"},
		{name: "G-nonadjacent", allow: ww | wr | rw | rwp, begin: rwp, rest: ww | wr | rw | rwp, alternate: true, model: "snapshot-isolation"},
		{name: "G2-item", allow: ww | wr | rw, begin: rw, rest: ww | wr | rw, model: "repeatable-read"},
		{name: "G2", allow: ww | wr | rw | rwp, begin: rwp, rest: ww | wr | rw | rwp, model: "serializable"},
	}
}

// timed are the classes with edges of process or real time.
func timed(suffix string, extra Set, models map[string]string) []spec {
	out := plain()
	for i := range out {
		s := &out[i]
		s.name += suffix
		s.extra = extra
		s.allow |= extra
		s.rest |= extra
		s.model = models[s.model]
	}
	return out
}

func specs() []spec {
	session := timed("-process", Of(Process), map[string]string{
		"read-uncommitted": "strong-session-read-uncommitted", "read-committed": "strong-session-read-committed",
		"snapshot-isolation": "strong-session-snapshot-isolation",
		"repeatable-read":    "strong-session-serializable", "serializable": "strong-session-serializable",
	})
	strong := timed("-realtime", Of(Realtime, hop), map[string]string{
		"read-uncommitted": "strong-read-uncommitted", "read-committed": "strong-read-committed",
		"snapshot-isolation": "strong-snapshot-isolation",
		"repeatable-read":    "strict-serializable", "serializable": "strict-serializable",
	})
	return slices.Concat(plain(), session, strong)
}

// Options say how to search.
type Options struct {
	// Implied are all classes of cycles that one of a name also is: they are
	// not looked for in a component that has it.
	Implied func(name string) map[string]bool
	// Stop says that the time is over: then existence is reported only. It is
	// asked often.
	Stop func() bool
}

// Cycles are what was found.
type Cycles struct {
	// Found has, of each class and component, a shortest cycle, in order of
	// the classes, plain before process before real time; within a class the
	// shorter ones first.
	Found []Cycle
	// Exists are the models that some cycle refutes of which the search found
	// none in time.
	Exists []string
	// Open are the classes which may exist besides.
	Open []string
	// Components counts the strongly connected components, Largest are the
	// transactions of the largest one.
	Components, Largest int
}

// Search finds the cycles of a graph: in each strongly connected component, of
// each class that is not implied by one that the component has, a shortest one.
// Whether a class exists is decided in linear time, but for G-single, which
// asks for a search.
func Search(g *Graph, o Options) Cycles {
	of, count := g.components(^Set(0))
	if count == 0 {
		return Cycles{}
	}
	sub, names := g.inside(of)
	s := &search{g: sub, o: o, names: names, component: make([]int32, len(names)), implied: make([]map[string]bool, count)}
	sizes := make([]int, count)
	for i, v := range names {
		s.component[i] = of[v]
		if i < sub.Txns {
			sizes[of[v]]++
		}
	}
	s.out.Components, s.out.Largest = int(count), slices.Max(sizes)
	s.states = make([]visit, 4*len(names))
	for _, c := range specs() {
		s.class(c)
	}
	return s.out
}

type search struct {
	g         *Graph
	o         Options
	names     []int32
	component []int32           // by vertex: its component in the whole graph
	implied   []map[string]bool // by component: classes not to look for
	states    []visit
	round     int32
	frontier  [2][]int32
	out       Cycles
	late      bool
	pops      int
}

// class looks for the cycles of one class.
func (s *search) class(c spec) {
	if c.extra != 0 && !s.has(c.extra) || !s.has(c.begin) {
		return
	}
	part := s.partition(c)
	best := map[int32]*walk{}
	open := map[int32]bool{}
	over := make([]bool, len(s.implied)) // components that need no more
	for i, names := range s.implied {
		over[i] = names[c.name]
	}
	for v := range int32(s.g.Txns) {
		component := s.component[v]
		if over[component] {
			continue
		}
		for _, h := range s.g.From(v) {
			if !c.begin.Has(h.Class()) || !part.edge(v, h) {
				continue
			}
			if s.stopped() {
				open[component], over[component] = true, true
				break
			}
			limit := int32(1<<31 - 1)
			if b := best[component]; b != nil {
				limit = int32(b.length()) - 1
			}
			if w := s.shortest(v, h, c, part, limit); w != nil && w.simple() {
				best[component] = w
				if w.length() == 2 {
					over[component] = true
					break
				}
			}
		}
	}
	s.report(c, best, open)
}

func (s *search) has(classes Set) bool {
	return slices.ContainsFunc(s.g.heads, func(h Head) bool { return classes.Has(h.Class()) })
}

func (s *search) stopped() bool {
	if !s.late && s.o.Stop != nil && s.o.Stop() {
		s.late = true
	}
	return s.late
}

// report takes in the cycles of a class, and what is left open.
func (s *search) report(c spec, best map[int32]*walk, open map[int32]bool) {
	var found []Cycle
	for component := range int32(len(s.implied)) {
		w := best[component]
		if w == nil {
			continue
		}
		if s.implied[component] == nil {
			s.implied[component] = map[string]bool{}
		}
		for name := range s.o.Implied(c.name) {
			s.implied[component][name] = true
		}
		found = append(found, Cycle{Kind: c.name, Steps: s.steps(w)})
		delete(open, component)
	}
	slices.SortStableFunc(found, func(a, b Cycle) int { return len(a.Steps) - len(b.Steps) })
	s.out.Found = append(s.out.Found, found...)
	if len(open) == 0 {
		return
	}
	s.out.Open = append(s.out.Open, c.name)
	if c.model != "" && !slices.Contains(s.out.Exists, c.model) {
		s.out.Exists = append(s.out.Exists, c.model)
	}
}

// steps are the dependencies of a walk, barriers left out.
func (s *search) steps(w *walk) []Step {
	steps := make([]Step, 0, len(w.at))
	for i, v := range w.at {
		steps = append(steps, Step{From: s.names[v], Class: w.by[i]})
	}
	least := 0
	for i := range steps {
		steps[i].To = steps[(i+1)%len(steps)].From
		if steps[i].From < steps[least].From {
			least = i
		}
	}
	return slices.Concat(steps[least:], steps[:least])
}

// partition has the components by the edges of one class of cycles.
type partition struct {
	of        []int32
	alternate bool
}

func (s *search) partition(c spec) partition {
	if c.alternate {
		of, _ := s.g.alternating(c.allow).components(^Set(0))
		return partition{of, true}
	}
	of, _ := s.g.components(c.allow)
	return partition{of, false}
}

// edge says whether an edge lies on a closed walk of the class.
func (p partition) edge(v int32, h Head) bool {
	to := h.To()
	if !p.alternate {
		return p.of[v] != none && p.of[v] == p.of[to]
	}
	if anti.Has(h.Class()) {
		return p.of[2*v] != none && p.of[2*v] == p.of[2*to+1]
	}
	for last := range int32(2) {
		if p.of[2*v+last] != none && p.of[2*v+last] == p.of[2*to] {
			return true
		}
	}
	return false
}
