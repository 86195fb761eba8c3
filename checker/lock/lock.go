// Package lock checks what clients did with locks that have a lease: whether
// two held one at a time, or, where grants carry fencing tokens, whether those
// grew and the store kept to them; and whether what a lock protects was lost.
//
// Operations are acquire [key, owner] {token}, load [key, null] {list}, save
// [key, {"list": [...], "token": n}], whose last element is new, release [key,
// owner], and look [key, null] {list}, a read without the lock.
package lock

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/history"
)

// Saved is the value of a save.
type Saved struct {
	List  []int `json:"list"`
	Token int64 `json:"token,omitempty"`
}

// save is a call of save.
type save struct {
	history.Pair
	Saved
	load *history.Event // the invocation of the load that it is based on; nil if not known
}

// element is the one that it added; ok is false if the list is empty.
func (s *save) element() (int, bool) {
	if len(s.List) == 0 {
		return 0, false
	}
	return s.List[len(s.List)-1], true
}

// look is a read of the list without the lock.
type look struct {
	history.Pair
	list []int
}

// hold is a lock that was granted. Its holder certainly believed to have it
// from the completion of acquire to the invocation of its last operation.
type hold struct {
	acquire history.Pair
	token   int64
	last    *history.Event // the invocation of its last operation that may have happened
	lastAct *history.Event // the same, but no release; nil if there is none
	load    *history.Event // the invocation of its last load that is ok
	acted   bool           // an operation on what is protected is ok
	before  history.Event  // the event before the longest time in which it did nothing
	idle    time.Duration
	latest  time.Duration // of its last event
}

// until is the operation that is told of a hold which began before another: the
// last one on what is protected, if that came after.
func (h *hold) until(other *hold) *history.Event {
	if h.lastAct != nil && h.lastAct.Index > other.begin() {
		return h.lastAct
	}
	return h.last
}

func (h *hold) begin() int { return h.acquire.Complete.Index }
func (h *hold) end() int   { return h.last.Index }

// lockHistory is what happened to one lock.
type lockHistory struct {
	key      string
	acquires []history.Pair // in order of invocation
	holds    []*hold        // in order of invocation of acquire
	saves    []save         // the same
	looks    []look
}

// locks reads the history of each lock.
func locks(ctx context.Context, h *history.History) ([]lockHistory, error) {
	if err := history.CheckKeys(h); err != nil {
		return nil, err
	}
	var out []lockHistory
	for _, k := range history.SplitKeys(h) {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		l, err := read(k)
		if err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}

func read(k history.KeyHistory) (lockHistory, error) {
	l := lockHistory{key: k.Key}
	pairs, err := history.Pairs(k.History)
	if err != nil {
		return l, err
	}
	current := map[int]*hold{} // by process
	for _, p := range pairs {
		if p.Invoke == nil {
			return l, fmt.Errorf("event %d has no invocation: nothing tells who held the lock when", p.Complete.Index)
		}
		if err := l.add(p, current); err != nil {
			return l, err
		}
	}
	return l, nil
}

// add takes in one call.
func (l *lockHistory) add(p history.Pair, current map[int]*hold) error {
	switch p.F() {
	case "acquire":
		l.acquires = append(l.acquires, p)
		delete(current, p.Process())
		if p.Outcome() != history.OK {
			return nil
		}
		h := &hold{acquire: p, last: p.Complete, before: *p.Complete, latest: p.Complete.Time}
		if err := decode(p.Complete, &h.token); err != nil {
			return err
		}
		l.holds = append(l.holds, h)
		current[p.Process()] = h
		return nil
	case "look":
		if p.Outcome() != history.OK {
			return nil
		}
		r := look{Pair: p}
		l.looks = append(l.looks, r)
		return decode(p.Complete, &l.looks[len(l.looks)-1].list)
	case "save":
		s := save{Pair: p}
		if h := current[p.Process()]; h != nil {
			s.load = h.load
		}
		if err := decode(p.Invoke, &s.Saved); err != nil {
			return err
		}
		l.saves = append(l.saves, s)
	case "load", "release":
	default:
		return fmt.Errorf("event %d has f %q, want acquire, load, save, release or look", p.Invoke.Index, p.F())
	}
	if h := current[p.Process()]; h != nil {
		h.act(p)
		if p.F() == "release" || p.Outcome() == history.Fail {
			delete(current, p.Process())
		}
	}
	return nil
}

// act takes in what the holder did. What certainly failed proves nothing, unless
// the store answered that it refuses it.
func (h *hold) act(p history.Pair) {
	if p.Outcome() == history.Fail && !p.Complete.Unmet() {
		return
	}
	if idle := p.Invoke.Time - h.latest; idle > h.idle {
		h.idle = idle
		h.before.Time = h.latest
	}
	h.last, h.latest = p.Invoke, p.Invoke.Time
	if p.Complete != nil {
		h.latest = p.Complete.Time
	}
	if p.F() != "release" {
		h.lastAct = p.Invoke
	}
	if p.F() == "load" && p.Outcome() == history.OK {
		h.load = p.Invoke
	}
	h.acted = h.acted || p.F() != "release" && p.Outcome() == history.OK
}

func decode(e *history.Event, to any) error {
	if err := json.Unmarshal(e.Value, to); err != nil {
		return fmt.Errorf("event %d (%s %s): decode the value %.60s: %w", e.Index, e.Kind, e.F, e.Value, err)
	}
	return nil
}

// finds are anomalies of several locks.
type finds struct{ checker.Finds }

// add counts an anomaly of a lock.
func (f *finds) add(key, kind string, text func() string, events ...*history.Event) {
	n := len(f.Anomalies)
	f.Add(kind, text, events...)
	if len(f.Anomalies) > n {
		f.Anomalies[n].Key = key
	}
}
