package gen

import (
	"math/rand/v2"

	"github.com/capstan-dev/capstan/history"
)

// router remembers which of several sources gave each worker its call, so
// that events go to that one only.
type router struct {
	srcs  []Source // nil where a source has ended
	owner map[int]Source
}

func newRouter(srcs []Source) router {
	return router{srcs: srcs, owner: map[int]Source{}}
}

// ask asks source i.
func (r *router) ask(i int, v View) (Step, Status) {
	if r.srcs[i] == nil {
		return Step{}, Done
	}
	step, st := r.srcs[i].Next(v)
	switch st {
	case Ready:
		r.owner[step.Worker] = r.srcs[i]
	case Done:
		r.srcs[i] = nil
	}
	return step, st
}

func (r *router) Observe(w int, e history.Event) {
	if src, ok := r.owner[w]; ok {
		src.Observe(w, e)
	}
}

// first asks in the given order and returns the first operation there is; else
// the shortest wait; Done if all are done.
func first(order []int, ask func(i int) (Step, Status)) (Step, Status) {
	best, status := Step{At: history.Forever}, Done
	for _, i := range order {
		step, st := ask(i)
		switch st {
		case Ready:
			return step, st
		case Wait:
			status = Wait
			best.At = min(best.At, step.At)
		}
	}
	return best, status
}

// turns gives each of n the first turn in turn, so that none starves the
// others.
type turns struct{ order []int }

func (t *turns) next(n int) []int {
	if len(t.order) != n {
		t.order = t.order[:0]
		for i := range n {
			t.order = append(t.order, i)
		}
	}
	if n > 0 {
		t.order = append(t.order[1:], t.order[0])
	}
	return t.order
}

// Mix draws each operation from a source picked at random. A source that has
// to wait does not hold up the others. It ends when all have ended.
func Mix(rng *rand.Rand, srcs ...Source) Source {
	return &mix{router: newRouter(srcs), rng: rng}
}

type mix struct {
	router
	rng   *rand.Rand
	order []int
}

func (m *mix) Next(v View) (Step, Status) {
	// The draw is kept until it led to an operation; a source that is asked
	// in vain must not lose its turn, or slow sources would be rarer than
	// they should be.
	if m.order == nil {
		m.order = m.rng.Perm(len(m.srcs))
	}
	step, st := first(m.order, func(i int) (Step, Status) { return m.ask(i, v) })
	if st == Ready {
		m.order = nil
	}
	return step, st
}

// Any takes each operation from the first of the sources, in order, that has
// one now. It ends when all have ended.
func Any(srcs ...Source) Source {
	a := &anyOf{router: newRouter(srcs)}
	for i := range srcs {
		a.order = append(a.order, i)
	}
	return a
}

type anyOf struct {
	router
	order []int
}

func (a *anyOf) Next(v View) (Step, Status) {
	return first(a.order, func(i int) (Step, Status) { return a.ask(i, v) })
}

// FlipFlop takes operations from a and b in turns and ends when the one whose
// turn it is has ended.
func FlipFlop(a, b Source) Source { return &flipFlop{router: newRouter([]Source{a, b})} }

type flipFlop struct {
	router
	turn int
}

func (f *flipFlop) Next(v View) (Step, Status) {
	step, st := f.ask(f.turn, v)
	if st == Ready {
		f.turn = 1 - f.turn
	}
	return step, st
}

// Phases runs the sources one after another. Each begins when the one before
// has ended and all workers are free.
func Phases(srcs ...Source) Source {
	synced := make([]Source, len(srcs))
	for i, s := range srcs {
		synced[i] = Synchronize(s)
	}
	return &phases{router: newRouter(synced)}
}

type phases struct {
	router
	now int
}

func (p *phases) Next(v View) (Step, Status) {
	for ; p.now < len(p.srcs); p.now++ {
		if step, st := p.ask(p.now, v); st != Done {
			return step, st
		}
	}
	return Step{}, Done
}

// Chain runs the sources one after another without waiting in between.
func Chain(srcs ...Source) Source { return &phases{router: newRouter(srcs)} }

// Synchronize waits until every worker is free before it begins src.
func Synchronize(src Source) Source { return &synchronize{Source: src} }

type synchronize struct {
	Source
	begun bool
}

func (s *synchronize) Next(v View) (Step, Status) {
	if !s.begun && len(v.Free) < len(v.All) {
		return wait()
	}
	s.begun = true
	return s.Source.Next(v)
}

// Part is a number of workers and what they do.
type Part struct {
	Workers int
	Source  Source
}

// Reserve gives each part the next Workers of the workers for itself, and
// rest what is left over. It ends when all have ended.
func Reserve(rest Source, parts ...Part) Source {
	r := &reserve{}
	for _, p := range parts {
		r.counts = append(r.counts, p.Workers)
		r.srcs = append(r.srcs, p.Source)
	}
	r.srcs = append(r.srcs, rest)
	r.router = newRouter(r.srcs)
	return r
}

type reserve struct {
	router
	counts []int
	turns  turns
}

func (r *reserve) Next(v View) (Step, Status) {
	return first(r.turns.next(len(r.srcs)), func(i int) (Step, Status) {
		return r.ask(i, v.only(r.share(v.All, i)))
	})
}

// share is the workers of part i.
func (r *reserve) share(all []int, i int) []int {
	from := 0
	for _, c := range r.counts[:min(i, len(r.counts))] {
		from += c
	}
	from = min(from, len(all))
	if i >= len(r.counts) {
		return all[from:]
	}
	return all[from:min(from+r.counts[i], len(all))]
}

// only narrows a view to some of its workers, ascending.
func (v View) only(workers []int) View {
	free := make([]int, 0, len(workers))
	for _, w := range v.Free {
		if contains(workers, w) {
			free = append(free, w)
		}
	}
	v.All, v.Free = workers, free
	return v
}
