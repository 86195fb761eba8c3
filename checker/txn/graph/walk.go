package graph

import "slices"

// walk is a closed walk: the transactions by their numbers in the whole graph,
// and the class of the edge that leaves each.
type walk struct {
	at []int32
	by []Class
}

func (w *walk) length() int { return len(w.at) }

// simple says whether no transaction is there twice.
func (w *walk) simple() bool {
	at := slices.Clone(w.at)
	slices.Sort(at)
	return len(slices.Compact(at)) == len(w.at)
}

// A state of the search is a vertex, whether the walk has an edge of the extra
// class, and whether its last edge is an anti-dependency: 4v+2*extra+last.
type visit struct {
	round  int32 // of which search this is
	length int32 // of the walk to here
	from   int32 // the state before; none at the beginning
	by     Class
}

// shortest finds a shortest closed walk of a class that begins with an edge; nil
// if there is none, or none of at most limit edges. It is a breadth-first
// search over states, in which hops cost nothing.
func (s *search) shortest(v int32, h Head, c spec, part partition, limit int32) *walk {
	s.round++
	begin := 4*h.To() + last(h.Class())
	s.states[begin] = visit{round: s.round, length: 1, from: none, by: h.Class()}
	near, far := append(s.frontier[0][:0], begin), s.frontier[1][:0]
	defer func() { s.frontier = [2][]int32{near, far} }()
	for length := int32(1); length <= limit && len(near) > 0; length++ {
		far = far[:0]
		for i := 0; i < len(near); i++ {
			at := near[i]
			if s.states[at].length != length {
				continue // reached again, by a hop
			}
			if at>>2 == v {
				if s.closes(at, c) {
					return s.back(at, v)
				}
				continue
			}
			if s.pops++; s.pops&0xfff == 0 && s.stopped() {
				return nil
			}
			for _, n := range s.g.From(at >> 2) {
				to, ok := s.step(at, n, c, part)
				if !ok {
					continue
				}
				cost := int32(1)
				if n.Class() == hop {
					cost = 0
				}
				st := &s.states[to]
				if st.round == s.round && st.length <= length+cost {
					continue
				}
				*st = visit{s.round, length + cost, at, n.Class()}
				if cost == 0 {
					near = append(near, to)
				} else {
					far = append(far, to)
				}
			}
		}
		near, far = far, near
	}
	return nil
}

func last(c Class) int32 {
	if anti.Has(c) {
		return 1
	}
	return 0
}

// closes says whether the walk that is back at its beginning is of the class.
func (s *search) closes(at int32, c spec) bool {
	return (c.extra == 0 || at&2 != 0) && (!c.alternate || at&1 == 0)
}

// step is the state that an edge leads to, if it stays in the class.
func (s *search) step(at int32, h Head, c spec, part partition) (int32, bool) {
	class, to := h.Class(), h.To()
	state := 4*to | at&2 | last(class)
	switch {
	case class == hop:
		state = 4*to | at&3
	case !c.rest.Has(class) || c.alternate && at&1 == 1 && anti.Has(class):
		return 0, false
	case c.extra.Has(class):
		state |= 2
	}
	if part.alternate {
		return state, part.of[2*to+state&1] == part.of[2*(at>>2)+at&1]
	}
	return state, part.of[to] == part.of[at>>2]
}

// back is the walk that led to a state.
func (s *search) back(at, begin int32) *walk {
	w := &walk{}
	for at != none {
		st := &s.states[at]
		from := begin
		if st.from != none {
			from = st.from >> 2
		}
		if st.by != hop {
			w.at, w.by = append(w.at, s.names[from]), append(w.by, st.by)
		}
		at = st.from
	}
	slices.Reverse(w.at)
	slices.Reverse(w.by)
	return w
}
