package simulate

import (
	"math/rand/v2"

	"github.com/capstan-dev/capstan/checker/txn/adya"
)

// level is how a database keeps one isolation level.
type level struct {
	name string
	view viewing
	// lag: views may leave out recent commits. session: but not those that
	// the same process has seen or made.
	lag, session bool
	conflict     conflict
}

// viewing is how reads come by their views.
type viewing uint8

const (
	prefixes viewing = iota // one prefix of the commits a transaction
	causal                  // one causally closed set
	atomic                  // one set of whole transactions
	growing                 // the same, growing from read to read
	eachRead                // a prefix for each read
	dirty                   // none: whatever is there
)

// conflict is when a transaction must not commit.
type conflict uint8

const (
	// exposed: something came between an own append that was read and what
	// it was read upon.
	exposed conflict = iota
	// writes: there is a version that it did not see of a key it wrote.
	writes
	// timestamps: a read would have seen something else at its timestamp, or
	// a write comes too late for another read or write.
	timestamps
)

func levels() []level {
	return []level{
		{"strict-serializable", prefixes, false, false, timestamps},
		{"strong-session-serializable", prefixes, true, true, timestamps},
		{"serializable", prefixes, true, false, timestamps},
		{"repeatable-read", prefixes, true, false, timestamps},
		{"strong-snapshot-isolation", prefixes, false, false, writes},
		{"strong-session-snapshot-isolation", prefixes, true, true, writes},
		{"snapshot-isolation", prefixes, true, false, writes},
		{"parallel-snapshot-isolation", causal, true, false, writes},
		{"prefix", prefixes, true, false, exposed},
		{"causal-cerone", causal, true, false, exposed},
		{"update-atomic", atomic, true, false, writes},
		{"read-atomic", atomic, true, false, exposed},
		{"monotonic-atomic-view", growing, true, false, exposed},
		{"read-committed", eachRead, true, false, exposed},
		{"read-uncommitted", dirty, false, false, exposed},
	}
}

// Levels are the names of the isolation levels, the strongest first.
func Levels() []string {
	var names []string
	for _, l := range levels() {
		names = append(names, l.name)
	}
	return names
}

// LevelName is the name of a level that may be abbreviated.
func LevelName(name string) string { return adya.Friendly(adya.Unabbreviated(name)) }

func levelNamed(name string) (level, bool) {
	name = LevelName(name)
	for _, l := range levels() {
		if l.name == name {
			return l, true
		}
	}
	return level{}, false
}

// database runs transactions at one level.
type database struct {
	level
	store
	locks
	rng   *rand.Rand
	clock int64 // timestamps given out
}

// maxLag is how many commits a view may leave out.
const maxLag = 24

// attempt is one try of a transaction.
type attempt struct {
	view view
	// known must be in the next view: what the process has seen and made, at
	// levels that keep it in mind.
	known view
	mops  []Mop
	// fresh attempts see all there is: after a conflict.
	fresh bool
	// held are the keys that it has locked.
	held []int32
}

// begin takes the attempt's view.
func (d *database) begin(a *attempt) {
	if d.conflict == timestamps {
		a.view = view{prefix: d.timestamp(a)}
		return
	}
	a.view = d.look(a.fresh)
	if d.session {
		a.view = a.view.join(a.known)
	}
}

// stampBits make timestamps of the same lag differ.
const stampBits = 24

// timestamp draws a timestamp: now, or some time ago.
func (d *database) timestamp(a *attempt) int64 {
	d.clock++
	at := d.clock
	if d.lag && !a.fresh {
		at = max(at-d.rng.Int64N(maxLag), 1)
	}
	ts := at<<stampBits | d.clock&(1<<stampBits-1)
	if d.session && ts <= a.known.prefix {
		ts = d.clock<<stampBits | d.clock&(1<<stampBits-1)
	}
	return ts
}

// look draws a view.
func (d *database) look(fresh bool) view {
	now := d.latest()
	if fresh || !d.lag {
		return view{prefix: now}
	}
	v := view{prefix: max(now-d.rng.Int64N(maxLag), 0)}
	if d.view == prefixes || d.view == eachRead {
		return v
	}
	coins := d.rng.Uint64()
	for at := v.prefix + 1; at <= now; at++ {
		bit := at - v.prefix - 1
		if coins>>bit&1 == 1 && v.covers(d.needs[at-1]) {
			v.extra |= 1 << bit
		}
	}
	return v
}

// do executes one micro-operation; false: it must wait.
func (d *database) do(a *attempt, i int) bool {
	switch {
	case d.view == dirty:
		return d.locks.do(&d.store, a, &a.mops[i])
	case a.mops[i].Write:
		return true
	case d.view == growing:
		a.view = a.view.join(d.look(a.fresh))
	case d.view == eachRead:
		a.view = d.look(a.fresh)
	}
	d.read(a.mops, i, a.view)
	return true
}

// commit makes the writes visible, unless there is a conflict.
func (d *database) commit(a *attempt) bool {
	switch d.conflict {
	case timestamps:
		return d.commitAt(a)
	case writes:
		if !d.sawWhatItWrites(a) {
			return false
		}
	case exposed:
		if d.view == dirty {
			d.locks.commit(a)
			return true
		}
		if d.intruded(a.mops) {
			return false
		}
	}
	if !hasWrites(a.mops) {
		a.known = a.known.join(a.view)
		return true
	}
	at := d.latest() + 1
	d.needs = append(d.needs, d.needed(a))
	d.apply(a.mops, at)
	if a.known = a.known.join(a.view); d.view == prefixes {
		a.known = a.known.join(view{prefix: at})
	}
	return true
}

func hasWrites(mops []Mop) bool {
	for _, m := range mops {
		if m.Write {
			return true
		}
	}
	return false
}

func (d *database) sawWhatItWrites(a *attempt) bool {
	for _, m := range a.mops {
		if m.Write && !a.view.sees(d.item(m.Key).last().at) {
			return false
		}
	}
	return true
}

// intruded says whether another write came between an own one and the version
// that it was read upon.
func (d *database) intruded(mops []Mop) bool {
	for _, m := range mops {
		if d.lists && m.own && m.saw != d.item(m.Key).last().end {
			return true
		}
	}
	return false
}

// needed is what whoever sees the commit must see.
func (d *database) needed(a *attempt) view {
	var v view
	if d.view == causal {
		v = a.view
	}
	if !d.lists || d.view == prefixes || d.view == eachRead {
		return v
	}
	for _, m := range a.mops {
		if !m.Write {
			continue
		}
		if before := d.item(m.Key).last().at; before > 0 {
			v = v.join(only(before)).join(d.needs[before-1])
		}
	}
	return v
}

// commitAt commits at the timestamp of the view, or now.
func (d *database) commitAt(a *attempt) bool {
	at := a.view.prefix
	if hasWrites(a.mops) && !d.fits(a, at) {
		d.clock++
		at = d.clock<<stampBits | d.clock&(1<<stampBits-1)
	}
	if !d.fits(a, at) {
		return false
	}
	for _, m := range a.mops {
		if it := d.item(m.Key); !m.Write {
			it.read = max(it.read, at)
		}
	}
	d.apply(a.mops, at)
	a.known.prefix = max(a.known.prefix, at)
	return true
}

// fits says whether a transaction may have happened at a timestamp.
func (d *database) fits(a *attempt, at int64) bool {
	for _, m := range a.mops {
		it := d.item(m.Key)
		switch {
		case m.Write:
			if it.last().at > at || it.read > at {
				return false
			}
		case it.seen(view{prefix: at}).end != m.saw:
			return false
		}
	}
	return true
}
