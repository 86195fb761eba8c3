package monotonic_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/monotonic"
	"github.com/capstan-dev/capstan/history"
)

const (
	clients, registers = 4, 2
	calls              = 60
)

// store does each transaction at one moment while it is in flight, or later if
// its outcome is unknown. Its bugs are switched on one by one.
type store struct {
	rng    *rand.Rand
	values [registers]int
	old    [registers]int // what a stale read returns
	bug    string
}

type flight struct {
	f       string
	process int
	key     int
	done    bool
	result  json.RawMessage
}

func (s *store) apply(x *flight) {
	x.done = true
	if x.f == "inc" {
		was := s.values[x.key]
		if s.bug == "lost update" && was > 0 && s.rng.IntN(10) == 0 {
			was--
		}
		s.values[x.key] = was + 1
		x.result = fmt.Appendf(nil, "[%d,%d]", x.key, was+1)
		return
	}
	v := s.values
	switch {
	case s.bug == "stale read" && s.rng.IntN(5) == 0:
		v = s.old
	case s.bug == "torn read" && s.rng.IntN(5) == 0:
		v[0] = s.old[0]
	}
	x.result = fmt.Appendf(nil, `{"0":%d,"1":%d}`, v[0], v[1])
	if s.rng.IntN(3) == 0 {
		s.old = s.values
	}
}

// simulate is a history of clients that crash now and then.
func simulate(seed uint64, bug string) *history.History {
	s := &store{rng: rand.New(rand.NewPCG(seed, 1)), bug: bug}
	h := &history.History{}
	record := func(x *flight, k history.Kind, v json.RawMessage) {
		h.Events = append(h.Events, history.Event{Index: len(h.Events), Time: time.Duration(len(h.Events)), Process: x.process, Kind: k, F: x.f, Value: v})
	}
	open := make([]*flight, clients)
	var crashed []*flight
	processes := [clients]int{0, 1, 2, 3}
	for asked := 0; asked < calls; {
		c := s.rng.IntN(clients)
		x := open[c]
		switch {
		case len(crashed) > 0 && s.rng.IntN(8) == 0:
			if late := crashed[s.rng.IntN(len(crashed))]; !late.done {
				s.apply(late)
			}
		case x == nil:
			x = &flight{f: []string{"inc", "read"}[s.rng.IntN(2)], process: processes[c], key: s.rng.IntN(registers)}
			open[c] = x
			asked++
			record(x, history.Invoke, asks(x))
		case !x.done && s.rng.IntN(10) == 0:
			record(x, history.Fail, asks(x))
			open[c] = nil
		case s.rng.IntN(8) == 0:
			record(x, history.Info, asks(x))
			crashed, open[c] = append(crashed, x), nil
			processes[c] += clients
		case !x.done:
			s.apply(x)
		default:
			record(x, history.OK, x.result)
			open[c] = nil
		}
	}
	return h
}

func asks(x *flight) json.RawMessage {
	if x.f == "inc" {
		return fmt.Appendf(nil, "[%d,null]", x.key)
	}
	return json.RawMessage(`{"0":null,"1":null}`)
}

func TestSimulated(t *testing.T) {
	m, err := monotonic.New("")
	if err != nil {
		t.Fatal(err)
	}
	for bug, least := range map[string]int{"": 0, "lost update": 300, "stale read": 300, "torn read": 300} {
		found := 0
		for seed := range uint64(1000) {
			res := checker.Run(t.Context(), m, simulate(seed, bug))
			if res.Verdict == checker.Invalid {
				found++
			}
			if bug == "" && res.Verdict != checker.Valid {
				t.Fatalf("seed %d: %v: %s", seed, res.Verdict, res.Reason)
			}
		}
		if found < least {
			t.Errorf("%s: found in %d of 1000 histories", bug, found)
		}
		t.Logf("%q: found in %d of 1000 histories", bug, found)
	}
}
