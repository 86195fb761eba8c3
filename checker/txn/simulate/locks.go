package simulate

import "slices"

// locks let transactions write in place: a writer of a key keeps the others
// from writing it until its end. Reads look at what is there.
type locks struct{ keys []lock }

// lock is held by one transaction, which found so many values.
type lock struct {
	holder *attempt
	found  int
}

func (l *locks) lock(key int32) *lock {
	for int(key) >= len(l.keys) {
		l.keys = append(l.keys, lock{})
	}
	return &l.keys[key]
}

// do executes a micro-operation; false: another one holds the lock.
func (l *locks) do(s *store, a *attempt, m *Mop) bool {
	it := s.item(m.Key)
	if !m.Write {
		m.List, m.Value = nil, 0
		if n := len(it.values); s.lists {
			m.List = it.values[:n:n]
		} else if n > 0 {
			m.Value = it.values[n-1]
		}
		return true
	}
	k := l.lock(m.Key)
	switch k.holder {
	case a:
	case nil:
		*k = lock{a, len(it.values)}
		a.held = append(a.held, m.Key)
	default:
		return false
	}
	it.values = append(it.values, m.Value)
	return true
}

func (l *locks) commit(a *attempt) {
	for _, key := range a.held {
		l.keys[key].holder = nil
	}
	a.held = a.held[:0]
}

// abort takes the writes back. Others have lists that share the array.
func (l *locks) abort(s *store, a *attempt) {
	for _, key := range a.held {
		it := s.item(key)
		it.values = slices.Clone(it.values[:l.keys[key].found])
	}
	l.commit(a)
}
