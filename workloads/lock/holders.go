package lock

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	check "github.com/capstan-dev/capstan/checker/lock"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/workloads"
	"github.com/capstan-dev/capstan/workloads/gen"
)

const (
	// workersPerLock compete for each lock.
	workersPerLock = 5
	// holdsPerLock is how often a lock is held before a fresh one takes its
	// place: lists stay short.
	holdsPerLock = 40
	// opsPerHold are what a hold takes.
	opsPerHold = 4
	// think is the longest that a holder takes between load and save, and
	// backoff the longest between attempts to acquire.
	think, backoff = 20 * time.Millisecond, 10 * time.Millisecond
	// One of so many holds has a pause, and some hold has if there was none
	// for so many times its length.
	holdsPerPause, pausesApart = 20, 3
)

// holders generates what the workers do: each acquires a lock, works on its
// list, releases it, and begins again with any lock. A worker whose operation
// did not succeed gives its hold up.
type holders struct {
	rng     *rand.Rand
	pause   time.Duration
	paused  time.Duration // when a pause last began
	perLock int
	slots   []slot // the locks in use
	keys    *int   // used so far
	element int    // the last one
	workers map[int]*worker
}

type slot struct{ key, holds int }

// worker is what a worker does next, and not before At.
type worker struct {
	next  string
	at    time.Duration
	slot  int
	key   int
	owner string
	holds int
	check.Saved
}

func newHolders(p workloads.Params, pause time.Duration, keys *int) *holders {
	h := &holders{
		rng: rand.New(rand.NewPCG(p.Seed, 0)), pause: pause, keys: keys,
		perLock: max(1, cmp.Or(p.OpsPerKey/opsPerHold, holdsPerLock)), workers: map[int]*worker{},
	}
	for range max(1, p.Concurrency/workersPerLock) {
		h.slots = append(h.slots, slot{key: h.fresh()})
	}
	return h
}

func (h *holders) fresh() int {
	*h.keys++
	return *h.keys - 1
}

// Next lets holders go first: they are what others wait for.
func (h *holders) Next(v gen.View) (gen.Step, gen.Status) {
	at, first := history.Forever, -1
	for _, id := range v.Free {
		w := h.workers[id]
		if w == nil {
			w = &worker{next: "acquire"}
			h.workers[id] = w
		}
		switch {
		case w.at > v.Now:
			at = min(at, w.at)
		case w.next != "acquire":
			return gen.Step{Op: h.op(w, v.Processes[id]), Worker: id}, gen.Ready
		case first < 0:
			first = id
		}
	}
	if first >= 0 {
		return gen.Step{Op: h.op(h.workers[first], v.Processes[first]), Worker: first}, gen.Ready
	}
	return gen.Step{At: at}, gen.Wait
}

func (h *holders) op(w *worker, process int) gen.Op {
	var arg json.RawMessage
	switch w.next {
	case "acquire":
		w.slot = h.rng.IntN(len(h.slots))
		w.key = h.slots[w.slot].key
		w.holds++
		w.owner = fmt.Sprintf("p%d-%d", process, w.holds)
		arg = fmt.Appendf(nil, "%q", w.owner)
	case "release":
		arg = fmt.Appendf(nil, "%q", w.owner)
	case "save":
		h.element++
		w.List = append(w.List, h.element)
		arg = workloads.AppendInts([]byte(`{"list":`), w.List)
		if w.Token != 0 {
			arg = fmt.Appendf(arg, `,"token":%d`, w.Token)
		}
		arg = append(arg, '}')
	}
	return gen.Op{F: w.next, Value: gen.Keyed(w.key, arg)}
}

// Observe takes a worker a step on.
func (h *holders) Observe(id int, e history.Event) {
	w := h.workers[id]
	if w == nil || e.Kind == history.Invoke {
		return
	}
	f := w.next
	w.next, w.at = "acquire", e.Time
	if e.Kind != history.OK {
		w.at += h.upTo(backoff)
		return
	}
	_, v, err := gen.SplitKeyed(e.Value)
	if err != nil {
		return
	}
	switch f {
	case "acquire":
		if err := json.Unmarshal(v, &w.Token); err == nil {
			w.next = "load"
			h.held(w.slot, w.key)
		}
	case "load":
		w.List = nil
		if err := json.Unmarshal(v, &w.List); err == nil {
			w.next = "save"
			w.List = slices.Clip(w.List)
			w.at += h.upTo(think) + h.stop(e.Time)
		}
	case "save":
		w.next = "release"
	}
}

// held counts a hold, and takes a fresh lock when one was held often enough.
func (h *holders) held(at, key int) {
	s := &h.slots[at]
	if s.key != key {
		return // it was taken out of use meanwhile
	}
	if s.holds++; s.holds >= h.perLock {
		*s = slot{key: h.fresh()}
	}
}

func (h *holders) upTo(d time.Duration) time.Duration {
	return time.Duration(h.rng.Int64N(int64(d)))
}

// stop is how long a holder pauses.
func (h *holders) stop(now time.Duration) time.Duration {
	if h.pause == 0 || h.rng.IntN(holdsPerPause) > 0 && now-h.paused < pausesApart*h.pause {
		return 0
	}
	h.paused = now
	return h.pause
}
