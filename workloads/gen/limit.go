package gen

import (
	"time"

	"github.com/capstan-dev/capstan/history"
)

// Limit ends src after n operations.
func Limit(n int, src Source) Source { return &limit{Source: src, left: n} }

type limit struct {
	Source
	left int
}

func (l *limit) Next(v View) (Step, Status) {
	if l.left <= 0 {
		return Step{}, Done
	}
	step, st := l.Source.Next(v)
	if st == Ready {
		l.left--
	}
	return step, st
}

// TimeLimit ends src d after it was first asked. Calls in flight go on.
func TimeLimit(d time.Duration, src Source) Source {
	return &timeLimit{Source: src, d: d, end: -1}
}

type timeLimit struct {
	Source
	d, end time.Duration
}

func (t *timeLimit) Next(v View) (Step, Status) {
	if t.end < 0 {
		t.end = v.Now + t.d
	}
	if v.Now >= t.end {
		return Step{}, Done
	}
	step, st := t.Source.Next(v)
	if st == Wait {
		step.At = min(step.At, t.end)
	}
	return step, st
}

// ProcessLimit ends src before it would touch more than n different
// processes. Every crashed call retires its process, and what a checker can
// bear is bounded by the number of processes; this bounds it.
func ProcessLimit(n int, src Source) Source {
	return &processLimit{Source: src, n: n, seen: map[int]bool{}}
}

type processLimit struct {
	Source
	n    int
	seen map[int]bool
}

func (p *processLimit) Next(v View) (Step, Status) {
	// All possible processes count, not only those that got an operation:
	// otherwise the answer would depend on which worker src is about to pick.
	fresh := 0
	for _, w := range v.All {
		if !p.seen[v.Processes[w]] {
			fresh++
		}
	}
	if len(p.seen)+fresh > p.n {
		return Step{}, Done
	}
	for _, w := range v.All {
		p.seen[v.Processes[w]] = true
	}
	return p.Source.Next(v)
}

// UntilOK ends src as soon as one of its operations is ok. Operations already
// in flight go on.
func UntilOK(src Source) Source { return &untilOK{src: src, mine: map[int]bool{}} }

type untilOK struct {
	src  Source
	mine map[int]bool
	ok   bool
}

func (u *untilOK) Next(v View) (Step, Status) {
	if u.ok {
		return Step{}, Done
	}
	step, st := u.src.Next(v)
	if st == Ready {
		u.mine[step.Worker] = true
	}
	return step, st
}

func (u *untilOK) Observe(w int, e history.Event) {
	if u.mine[w] && e.Kind != history.Invoke {
		u.ok = u.ok || e.Kind == history.OK
		delete(u.mine, w)
	}
	u.src.Observe(w, e)
}
