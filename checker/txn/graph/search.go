package graph

import (
	"slices"
	"sync"
)

// anti are the anti-dependencies, data all dependencies but those of time. Hops
// are in every class: they only lead on from where another edge led.
const (
	anti Set = 1<<RW | 1<<RWP
	data     = anti | 1<<WW | 1<<WR
	hops Set = 1 << hop
	// forward are all but anti-dependencies. They have no cycle in most
	// histories, and then six classes need not be looked for.
	forward = 1<<WW | 1<<WR | 1<<Process | 1<<Realtime | hops
)

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
	strong := timed("-realtime", Of(Realtime), map[string]string{
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
	// Longer are the classes of which there may be a shorter cycle.
	Longer []string
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
	s := &search{o: o, implied: make([]uint32, count), specs: specs()}
	sizes := make([]int, count)
	component := make([]int32, len(names))
	for i, v := range names {
		component[i] = of[v]
		if i < sub.Txns {
			sizes[of[v]]++
		}
	}
	s.out.Components, s.out.Largest = int(count), slices.Max(sizes)
	s.all(&core{sub, names, component})
	return s.out
}

// all looks for all classes: those of data, then of processes, then of real time.
func (s *search) all(whole *core) {
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, cycles := whole.g.components(forward); cycles == 0 {
			s.acyclic = forward
		}
	})
	part := whole.within(data | hops)
	wg.Wait()
	each := len(s.specs) / 3
	for i, extra := range []Set{0, Of(Process), Of(Realtime)} {
		over := s.over(i*each, (i+1)*each)
		if !slices.Contains(over, false) {
			continue
		}
		if extra != 0 {
			part = whole.without(over).within(data | extra | hops)
		}
		s.level(part, i*each, (i+1)*each)
	}
}

// over says of each component whether no class from one to before another is
// looked for in it.
func (s *search) over(from, to int) []bool {
	over := make([]bool, len(s.implied))
	for component, classes := range s.implied {
		over[component] = true
		for i := from; i < to; i++ {
			over[component] = over[component] && (classes>>i&1 != 0 || s.never(i))
		}
	}
	return over
}

// never says whether there are no cycles of a class, anywhere.
func (s *search) never(at int) bool { return (s.specs[at].allow|hops)&^s.acyclic == 0 }

// core is a part of the graph in which cycles can be: by vertex, its number
// there, and its component there.
type core struct {
	g                *Graph
	names, component []int32
}

// within is the part with cycles of such edges only.
func (c *core) within(allow Set) *core {
	of, _ := c.g.components(allow)
	return c.inside(of)
}

// without is the part without some components, or the whole if that is not much
// smaller.
func (c *core) without(components []bool) *core {
	of, left := make([]int32, len(c.component)), 0
	for v, component := range c.component {
		of[v] = none
		if !components[component] {
			of[v] = component
			left++
		}
	}
	if left > len(of)/2 {
		return c
	}
	return c.inside(of)
}

func (c *core) inside(of []int32) *core {
	sub, kept := c.g.inside(of)
	out := &core{sub, make([]int32, len(kept)), make([]int32, len(kept))}
	for i, v := range kept {
		out.names[i], out.component[i] = c.names[v], c.component[v]
	}
	return out
}

// level looks for the classes from one to before another.
func (s *search) level(part *core, from, to int) {
	s.core = *part
	s.states = make([]visit, 4*len(s.names))
	for i := from; i < to; i++ {
		if over := s.over(i, i+1); slices.Contains(over, false) {
			s.class(s.specs[i], over)
		}
	}
}

type search struct {
	core
	o        Options
	last     partition // the one that was made last
	implied  []uint32  // by component of the whole graph: classes not to look for, a bit each
	specs    []spec
	acyclic  Set // edges of which there is no cycle
	states   []visit
	round    int32
	frontier [2][]int32
	out      Cycles
	late     bool
	pops     int
}

// class looks for the cycles of one class, in components that are not over.
func (s *search) class(c spec, over []bool) {
	if c.extra != 0 && !s.has(c.extra) || !s.has(c.begin) {
		return
	}
	best := map[int32]*walk{}
	open := map[int32]bool{}
	s.pairs(c, best, over)
	defer func(all core) { s.core = all }(s.core)
	s.core = *s.core.without(over)
	part := s.partition(c)
	began := s.pops
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
				if s.pops-began > enough {
					over[component] = true
					s.longer(c.name)
					break
				}
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

// pairs finds cycles of two transactions. Where anomalies abound each component
// has one, and need not be parted by the class.
func (s *search) pairs(c spec, best map[int32]*walk, over []bool) {
	if c.extra != 0 {
		return
	}
	rest := c.rest
	if c.alternate {
		rest &^= anti
	}
	for p := range s.g.pairs(c.begin, rest, len(s.g.heads), func(v int32) bool { return over[s.component[v]] }) {
		component := s.component[p[0].From]
		best[component] = &walk{[]int32{s.names[p[0].From], s.names[p[0].To]}, []Class{p[0].Class, p[1].Class}}
		over[component] = true
	}
}

// enough states were looked at for a class to take the shortest cycle so far.
const enough = 1 << 26

func (s *search) longer(name string) {
	if !slices.Contains(s.out.Longer, name) {
		s.out.Longer = append(s.out.Longer, name)
	}
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
	var implied uint32
	names := s.o.Implied(c.name)
	for i := range s.specs {
		if names[s.specs[i].name] {
			implied |= 1 << i
		}
	}
	var found []Cycle
	for component := range int32(len(s.implied)) {
		w := best[component]
		if w == nil {
			continue
		}
		s.implied[component] |= implied
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
		steps = append(steps, Step{From: v, Class: w.by[i]})
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
	g         *Graph
	of        []int32
	allow     Set
	alternate bool
}

func (s *search) partition(c spec) partition {
	if p := s.last; p.g == s.g && p.allow == c.allow && p.alternate == c.alternate {
		return p
	}
	p := partition{g: s.g, allow: c.allow, alternate: c.alternate}
	if c.alternate {
		p.of, _ = s.g.alternating(c.allow | hops).components(^Set(0))
	} else {
		p.of, _ = s.g.components(c.allow | hops)
	}
	s.last = p
	return p
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
