package simulate

// view is a set of commits, which are numbered from 1: all up to prefix, and
// of the 64 after it those whose bit is set in extra.
type view struct {
	prefix int64
	extra  uint64
}

func (v view) sees(at int64) bool {
	d := at - v.prefix
	return d <= 0 || d <= 64 && v.extra>>(d-1)&1 == 1
}

// covers says whether all of w is in v.
func (v view) covers(w view) bool {
	d := w.prefix - v.prefix
	switch {
	case d > 64 || d > 0 && w.extra>>(64-d) != 0:
		return false
	case d > 0:
		return (1<<d-1|w.extra<<d)&^v.extra == 0
	}
	return w.extra>>-d&^v.extra == 0
}

// join is the union.
func (v view) join(w view) view {
	if v.prefix > w.prefix {
		v, w = w, v
	}
	return view{w.prefix, w.extra | v.extra>>(w.prefix-v.prefix)}
}

// only is a small view with one commit in it.
func only(at int64) view { return view{at - 64, 1 << 63} }
