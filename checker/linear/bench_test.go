package linear_test

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/linear"
	"github.com/capstan-dev/capstan/history"
)

// shape says how a store is driven in realistic.
type shape struct {
	keys, perKey, clients int
	info                  float64 // share of calls whose outcome is unknown
	cas                   bool
	stale                 bool // one stale read, in the middle of the last key
	values                int  // written values repeat; 0: they are unique
	saw                   bool // a failed cas tells what it saw
}

type moment struct {
	at time.Duration
	do func()
}

type agenda []moment

func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return a[i].at < a[j].at }
func (a agenda) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)        { *a = append(*a, x.(moment)) }
func (a *agenda) Pop() any {
	x := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return x
}

// realistic drives one correct register after the other with clients that are
// always busy; each call takes effect somewhere in its interval. Written values
// are unique, half of the calls are reads.
func realistic(seed uint64, s shape) *history.History {
	rng := rand.New(rand.NewPCG(seed, 7))
	h := &history.History{}
	var q agenda
	now := time.Duration(0)
	process, fresh := 0, 0
	for key := range s.keys {
		state, previous, started := "null", []string(nil), 0
		add := func(p int, k history.Kind, f, v string) {
			h.Events = append(h.Events, history.Event{
				Index: len(h.Events), Time: now, Process: p, Kind: k, F: f, Node: fmt.Sprint("n", 1+p%5),
				Value: raw(fmt.Sprintf("[%d,%s]", key, v)),
			})
		}
		var client func(p int)
		later := func(f func()) {
			heap.Push(&q, moment{now + time.Duration(rng.ExpFloat64()*5e6), f})
		}
		client = func(p int) {
			if started >= s.perKey {
				return
			}
			started++
			f, in := "read", "null"
			if rng.IntN(2) == 0 {
				fresh++
				v := fresh
				if s.values > 0 {
					v = rng.IntN(s.values)
				}
				f, in = "write", fmt.Sprint(v)
				if s.cas && rng.IntN(2) == 0 {
					f, in = "cas", fmt.Sprintf("[%s,%d]", state, v)
				}
			}
			n := started
			add(p, history.Invoke, f, in)
			lost := rng.Float64() < s.info
			if lost && rng.IntN(2) == 0 { // never happens
				add(p, history.Info, f, in)
				process++
				client(process)
				return
			}
			later(func() {
				out, kind := in, history.OK
				switch f {
				case "read":
					out = state
					if s.stale && key == s.keys-1 && n >= s.perKey/2 && len(previous) > 5*s.clients {
						out, s.stale = previous[len(previous)-5*s.clients], false
					}
				case "write":
					previous, state = append(previous, state), in
				case "cas":
					var old, value string
					for i := range in {
						if in[i] == ',' {
							old, value = in[1:i], in[i+1:len(in)-1]
						}
					}
					if kind = history.Fail; old == state {
						previous, state, kind = append(previous, state), value, history.OK
					} else if s.saw {
						out = fmt.Sprintf("[%s,%s,%s]", old, value, state)
					}
				}
				later(func() {
					if lost {
						add(p, history.Info, f, in)
						process++
						client(process)
						return
					}
					add(p, kind, f, out)
					client(p)
				})
			})
		}
		base := process
		process += s.clients
		for c := range s.clients {
			client(base + c)
		}
		for q.Len() > 0 {
			m := heap.Pop(&q).(moment)
			now = max(now, m.at)
			m.do()
		}
	}
	return h
}

func BenchmarkCheck(b *testing.B) {
	for _, s := range []shape{
		{keys: 20, perKey: 500, clients: 10, info: .01, cas: true},
		{keys: 20, perKey: 500, clients: 10, info: .01, cas: true, stale: true},
		{keys: 20, perKey: 500, clients: 5, info: .01, cas: true},
		{keys: 20, perKey: 500, clients: 10, info: .01},
		{keys: 20, perKey: 200, clients: 5, info: .03, cas: true, values: 5},
		{keys: 1, perKey: 1e3, clients: 5},
		{keys: 1, perKey: 1e4, clients: 5},
		{keys: 1, perKey: 1e5, clients: 5},
		{keys: 1, perKey: 1e6, clients: 5},
		{keys: 1, perKey: 1e6, clients: 50, info: .05},
		{keys: 1, perKey: 1e6, clients: 10, info: .01, cas: true},
		{keys: 1, perKey: 1e6, clients: 10, info: .01, cas: true, saw: true},
		{keys: 1, perKey: 1e6, clients: 10, info: .01, stale: true},
		{keys: 1000, perKey: 1000, clients: 5},
	} {
		b.Run(strings.ReplaceAll(fmt.Sprintf("%+v", s), " ", ","), func(b *testing.B) {
			want := checker.Valid
			if s.stale {
				want = checker.Invalid
			}
			h := realistic(3, s)
			b.ReportAllocs()
			o := linear.Options{}
			if s.cas && !s.saw {
				o.FailedCAS = linear.FailedMismatch
			}
			for b.Loop() {
				res := check(b, "cas-register", o, h)
				if res.Verdict != want {
					b.Fatal(res.Verdict, res.Reason)
				}
			}
			b.ReportMetric(float64(len(h.Events)/2)*float64(b.N)/b.Elapsed().Seconds(), "ops/s")
		})
	}
}
