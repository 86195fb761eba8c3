package durable

import (
	"encoding/json"
	"time"

	"github.com/capstan-dev/capstan/checker/value"
	"github.com/capstan-dev/capstan/history"
)

// look is one observation of a value, by a read or by a compare-and-set that
// found it.
type look struct {
	value      int32
	node       int32
	op         int32 // position of the call among the key's
	begin, end time.Duration
	final      bool // a read that was invoked when the key was quiet
	cas        bool
}

// version is what is known of one value of a key.
type version struct {
	call  time.Duration // of its write
	there time.Duration // f
	ack   time.Duration // when its write was acknowledged, or never
	last  time.Duration // when the last look at it returned; -1: nobody saw it
	sets  int32         // how many operations wrote it
	op    int32         // the write's position; -1: none
	from  int32         // the value that its write replaced, if a cas; or -1
	eaten int32         // how many compare-and-sets that took effect replaced it
	by    [2]int32      // the first two of them
	place int32
	gone  bool // certainly lost
	back  bool // certainly resurrected
	twice bool // certainly duplicated
}

// single is true for a value that was written once, and seen or acknowledged.
func (v *version) single() bool { return v.sets == 1 && v.there < never }

// update is one operation that may have changed the register.
type update struct {
	value       int32
	call, there time.Duration
}

// keyed is what happened to one register.
type keyed struct {
	key      int
	names    *value.Names
	versions []version
	looks    []look // in order of their begin
	updates  []update
	quiet    time.Duration
}

// register measures one key.
func (m *meter) register(key int) {
	n := m.Len(key)
	k := &keyed{key: key, names: value.NewNames(), quiet: m.healed,
		versions: make([]version, 0, n/2+2), looks: make([]look, 0, n/2+2), updates: make([]update, 0, n/2+2)}
	k.at(nil)
	init, v := k.at(m.o.Init)
	v.sets, v.call, v.there = 1, -1, -1
	for i := range n {
		m.load(k, int32(i), init)
		if i%4096 == 0 && m.ctx.Err() != nil {
			return
		}
	}
	k.settle()
	if m.count(k) == 0 {
		return
	}
	m.lost(k)
	m.forked(k)
	m.returned(k)
}

func (k *keyed) at(v json.RawMessage) (int32, *version) {
	n := k.names.Of(v)
	for int(n) >= len(k.versions) {
		k.versions = append(k.versions, version{call: never, there: never, ack: never, last: -1, op: -1, from: -1, place: nowhere})
	}
	return n, &k.versions[n]
}

// load notes what one call wrote and saw.
func (m *meter) load(k *keyed, op, init int32) {
	p := m.Pair(k.key, int(op))
	ok := p.Outcome() == history.OK
	if p.Outcome() == history.Fail {
		return
	}
	switch p.F() {
	case "read":
		if ok {
			m.look(k, m.Value(k.key, p.Complete), op, p, false)
		}
	case "write":
		m.write(k, m.Value(k.key, p.Invoke), op, p)
	case "cas":
		old, new, pair := history.SplitPair(m.Value(k.key, p.Invoke))
		if !pair {
			return
		}
		n := m.write(k, new, op, p)
		from, _ := k.at(old)
		k.versions[n].from = from
		if ok {
			m.look(k, old, op, p, true)
		}
	}
}

func (m *meter) write(k *keyed, v json.RawMessage, op int32, p history.Pair) int32 {
	n, x := k.at(v)
	x.sets++
	x.call, x.op, x.from = min(x.call, p.Invoke.Time), op, -1
	x.place = m.place(p)
	u := update{n, p.Invoke.Time, never}
	k.quiet = max(k.quiet, p.Invoke.Time)
	if p.Outcome() == history.OK {
		u.there = p.Complete.Time
		x.ack, x.there = min(x.ack, u.there), min(x.there, u.there)
		k.quiet = max(k.quiet, u.there)
	}
	k.updates = append(k.updates, u)
	return n
}

func (m *meter) look(k *keyed, v json.RawMessage, op int32, p history.Pair, cas bool) {
	n, x := k.at(v)
	if n == 0 && m.o.NilSaysNothing && !cas {
		return
	}
	end := p.Complete.Time
	x.there, x.last = min(x.there, end), max(x.last, end)
	k.looks = append(k.looks, look{value: n, node: m.node(p.Invoke), op: op, begin: p.Invoke.Time, end: end, cas: cas})
}

// settle completes what the looks and the updates tell once all are known.
func (k *keyed) settle() {
	for i := range k.looks {
		l := &k.looks[i]
		l.final = !l.cas && l.begin > k.quiet
	}
	for i := range k.updates {
		u := &k.updates[i]
		if v := &k.versions[u.value]; v.single() {
			u.there = v.there
		}
	}
	for n := range k.versions {
		v := &k.versions[n]
		// A compare-and-set that crashed took effect if its value was seen.
		if v.from < 0 || !v.single() {
			continue
		}
		old := &k.versions[v.from]
		if old.eaten < 2 {
			old.by[old.eaten] = int32(n)
		}
		old.eaten++
	}
}

// count counts the key's acknowledged writes, and returns how many values are
// of interest.
func (m *meter) count(k *keyed) int {
	acked, some := 0, 0
	for i := range k.versions {
		v := &k.versions[i]
		switch {
		case v.sets > 1:
			m.r.Ambiguous++
			continue
		case v.single():
			some++
		}
		if v.sets == 1 && v.ack < never {
			acked++
			g := m.at(v.place)
			g.Acknowledged++
			if v.last >= 0 {
				g.Seen++
			}
		}
	}
	if acked > 0 {
		m.r.Keys++
	}
	return some
}
