package simulate

// store holds the committed versions of all keys.
type store struct {
	lists bool
	keys  []item
	// needs has for each commit what a view must have that has the commit:
	// what it saw, and for lists those whose elements precede its own.
	needs []view
}

// item is a key: its values in the order of versions, and which commit made
// each version.
type item struct {
	values   []int32
	versions []version
	// read is the latest timestamp at which it was read.
	read int64
}

type version struct {
	at  int64
	end int32 // the version is values[:end] for lists, values[end-1] for registers
}

// item grows the store to hold a key.
func (s *store) item(key int32) *item {
	for int(key) >= len(s.keys) {
		s.keys = append(s.keys, item{})
	}
	return &s.keys[key]
}

// latest is the number of the last commit.
func (s *store) latest() int64 { return int64(len(s.needs)) }

// seen is the latest version of a key in a view.
func (it *item) seen(v view) version {
	for i := len(it.versions) - 1; i >= 0; i-- {
		if v.sees(it.versions[i].at) {
			return it.versions[i]
		}
	}
	return version{}
}

func (it *item) last() version {
	if len(it.versions) == 0 {
		return version{}
	}
	return it.versions[len(it.versions)-1]
}

// read fills in what the i-th micro-operation sees in a view: the
// transaction's own writes over the committed version.
func (s *store) read(mops []Mop, i int, v view) {
	m := &mops[i]
	it := s.item(m.Key)
	end := it.seen(v).end
	own := 0
	for _, w := range mops[:i] {
		if w.Write && w.Key == m.Key {
			own++
		}
	}
	m.saw, m.own = end, own > 0
	if s.lists {
		m.List = it.values[:end:end]
	} else if m.Value = 0; end > 0 {
		m.Value = it.values[end-1]
	}
	if own > 0 {
		s.overlay(mops[:i], m, own)
	}
}

// overlay puts own writes on what was read.
func (s *store) overlay(before []Mop, m *Mop, own int) {
	if s.lists {
		m.List = append(make([]int32, 0, len(m.List)+own), m.List...)
	}
	for _, w := range before {
		switch {
		case !w.Write || w.Key != m.Key:
		case s.lists:
			m.List = append(m.List, w.Value)
		default:
			m.Value = w.Value
		}
	}
}

// lastWrite says whether no later micro-operation writes the key.
func lastWrite(mops []Mop, i int) bool {
	for _, m := range mops[i+1:] {
		if m.Write && m.Key == mops[i].Key {
			return false
		}
	}
	return mops[i].Write
}

// apply adds the writes of a transaction as versions.
func (s *store) apply(mops []Mop, at int64) {
	for i, m := range mops {
		if !m.Write || !s.lists && !lastWrite(mops, i) {
			continue
		}
		it := s.item(m.Key)
		it.values = append(it.values, m.Value)
		if lastWrite(mops, i) {
			it.versions = append(it.versions, version{at, int32(len(it.values))})
		}
	}
}
