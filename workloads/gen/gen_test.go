package gen_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/workloads/gen"
)

const ms = time.Millisecond

func rng() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

func op(f string) gen.Source { return gen.Repeat(gen.Op{F: f}) }

// numbered is the endless source of f 0, f 1, ...
func numbered(f string) gen.Source {
	i := 0
	return gen.Func(func() gen.Op {
		i++
		return gen.Op{F: f, Value: fmt.Appendf(nil, "%d", i-1)}
	})
}

// play simulates and prints the invocations as "TIMEms PROCESS F VALUE".
func play(src gen.Source, im gen.Imaginary) []string {
	if im.Until == 0 {
		im.Until = time.Hour
	}
	var lines []string
	for _, e := range gen.Simulate(src, im) {
		if e.Kind == history.Invoke {
			lines = append(lines, strings.TrimSpace(fmt.Sprintf("%d %d %s %s", e.Time/ms, e.Process, e.F, e.Value)))
		}
	}
	return lines
}

func TestSchedules(t *testing.T) {
	two := gen.Imaginary{Workers: 2}
	crash := gen.Imaginary{Workers: 2, Outcome: func(gen.Op, int) history.Kind { return history.Info }}
	tests := map[string]struct {
		src  gen.Source
		im   gen.Imaginary
		want []string
	}{
		"limit gives n operations to the longest idle workers": {
			gen.Limit(4, numbered("w")), two,
			[]string{"0 0 w 0", "0 1 w 1", "1 0 w 2", "1 1 w 3"},
		},
		"once": {gen.Once(gen.Op{F: "r"}), two, []string{"0 0 r"}},
		"each worker gets one": {
			gen.EachWorker(func(w int) gen.Op { return gen.Op{F: fmt.Sprint("for", w)} }), two,
			[]string{"0 0 for0", "0 1 for1"},
		},
		"delay spaces starts and catches up when workers were busy": {
			gen.Limit(4, gen.Delay(2*ms, numbered("w"))),
			gen.Imaginary{Workers: 1, Latency: func(op gen.Op, _ int) time.Duration {
				if string(op.Value) == "1" {
					return 5 * ms
				}
				return ms
			}},
			[]string{"0 0 w 0", "2 0 w 1", "7 0 w 2", "8 0 w 3"},
		},
		"time limit ends asking, not calls": {
			gen.TimeLimit(3*ms, op("r")), gen.Imaginary{Workers: 1},
			[]string{"0 0 r", "1 0 r", "2 0 r"},
		},
		"pause is time without operations": {
			gen.Phases(gen.Once(gen.Op{F: "a"}), gen.Pause(5*ms), gen.Once(gen.Op{F: "b"})), two,
			[]string{"0 0 a", "6 1 b"},
		},
		"phases wait until all workers are free": {
			gen.Phases(gen.Limit(2, op("slow")), gen.Limit(2, op("next"))),
			gen.Imaginary{Workers: 2, Latency: func(op gen.Op, w int) time.Duration { return time.Duration(1+4*w) * ms }},
			[]string{"0 0 slow", "0 1 slow", "5 0 next", "5 1 next"},
		},
		"chain does not wait": {
			gen.Chain(gen.Limit(1, op("slow")), gen.Limit(1, op("next"))),
			gen.Imaginary{Workers: 2, Latency: func(gen.Op, int) time.Duration { return 9 * ms }},
			[]string{"0 0 slow", "0 1 next"},
		},
		"synchronize waits for calls of earlier sources": {
			gen.Chain(gen.Once(gen.Op{F: "slow"}), gen.Synchronize(gen.Once(gen.Op{F: "next"}))),
			gen.Imaginary{Workers: 2, Latency: func(gen.Op, int) time.Duration { return 9 * ms }},
			[]string{"0 0 slow", "9 1 next"},
		},
		"flip-flop takes turns and ends with either": {
			gen.FlipFlop(op("a"), gen.Limit(2, op("b"))), gen.Imaginary{Workers: 1},
			[]string{"0 0 a", "1 0 b", "2 0 a", "3 0 b", "4 0 a"},
		},
		"any takes the first that can": {
			gen.Limit(3, gen.Any(gen.Delay(2*ms, op("timed")), op("filler"))), gen.Imaginary{Workers: 1},
			[]string{"0 0 timed", "1 0 filler", "2 0 timed"},
		},
		"until-ok ends with the first ok": {
			gen.UntilOK(numbered("try")),
			gen.Imaginary{Workers: 1, Outcome: func(op gen.Op, _ int) history.Kind {
				if string(op.Value) == "2" {
					return history.OK
				}
				return history.Fail
			}},
			[]string{"0 0 try 0", "1 0 try 1", "2 0 try 2"},
		},
		"until-ok ignores operations that are not its own": {
			gen.Chain(gen.Once(gen.Op{F: "other"}), gen.UntilOK(gen.Limit(3, op("try")))),
			gen.Imaginary{Workers: 2, Outcome: func(op gen.Op, _ int) history.Kind {
				if op.F == "other" {
					return history.OK
				}
				return history.Fail
			}},
			[]string{"0 0 other", "0 1 try", "1 0 try", "1 1 try"},
		},
		"a process that crashed is replaced": {
			gen.Limit(4, op("w")), crash,
			[]string{"0 0 w", "0 1 w", "1 2 w", "1 3 w"},
		},
		"process limit counts possible processes": {
			gen.ProcessLimit(4, op("w")), crash,
			[]string{"0 0 w", "0 1 w", "1 2 w", "1 3 w"},
		},
		"reserve keeps workers apart": {
			gen.Reserve(gen.Limit(2, op("rest")), gen.Part{Workers: 1, Source: gen.Limit(2, op("a"))},
				gen.Part{Workers: 1, Source: gen.Limit(1, op("b"))}),
			gen.Imaginary{Workers: 3},
			[]string{"0 1 b", "0 2 rest", "0 0 a", "1 0 a", "1 2 rest"},
		},
		"keys rotate in each group of workers": {
			gen.ConcurrentKeys(2, 3, func(k int) gen.Source { return gen.Limit(3, numbered("w")) }),
			gen.Imaginary{Workers: 4},
			[]string{"0 2 w [0,0]", "0 0 w [1,0]", "0 3 w [0,1]", "0 1 w [1,1]", "1 0 w [1,2]", "1 1 w [2,0]", "1 2 w [0,2]", "2 0 w [2,1]", "2 1 w [2,2]"},
		},
		"a key that has nothing ends the group instead of hanging": {
			gen.ConcurrentKeys(1, 0, func(int) gen.Source { return gen.Limit(0, op("w")) }), two, nil,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := play(tt.src, tt.im)
			if strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

func TestMixIsFairAndDoesNotBlock(t *testing.T) {
	slow := gen.Delay(10*ms, op("slow"))
	counts := map[string]int{}
	for _, line := range play(gen.TimeLimit(100*ms, gen.Mix(rng(), slow, op("a"), op("b"))), gen.Imaginary{Workers: 1}) {
		counts[strings.Fields(line)[2]]++
	}
	if counts["slow"] < 9 || counts["slow"] > 11 || counts["a"] < 30 || counts["b"] < 30 {
		t.Errorf("want about 10 slow and 45 of a and b each, got %v", counts)
	}
}

// A rate is an open loop: what is due while all workers are busy starts late,
// and tells when it was due.
func TestRateCatchesUp(t *testing.T) {
	src := gen.Rate(100, rng(), op("r"))
	busy := gen.View{Now: 0, All: []int{0}, Free: []int{0}, Processes: []int{0}}
	if s, st := src.Next(busy); st != gen.Ready || s.Due != 0 {
		t.Fatalf("first: %+v %v", s, st)
	}
	busy.Now = time.Second
	last, n := time.Duration(-1), 0
	for ; ; n++ {
		s, st := src.Next(busy)
		if st != gen.Ready {
			break
		}
		if s.Due <= last || s.Due > busy.Now {
			t.Fatalf("due %v after %v at %v", s.Due, last, busy.Now)
		}
		last = s.Due
	}
	if n < 80 || n > 120 {
		t.Errorf("%d operations after a stall of a second at 100/s", n)
	}
}

func TestRateHoldsOverAllWorkers(t *testing.T) {
	n := len(play(gen.TimeLimit(10*time.Second, gen.Rate(100, rng(), op("r"))), gen.Imaginary{Workers: 5}))
	if n < 900 || n > 1100 {
		t.Errorf("100 operations a second for 10 s: got %d", n)
	}
}

func TestSameSeedSameSchedule(t *testing.T) {
	run := func() string {
		r := rng()
		src := gen.ConcurrentKeys(2, 0, func(int) gen.Source {
			return gen.Limit(20, gen.Mix(r, numbered("a"), numbered("b")))
		})
		return strings.Join(play(gen.TimeLimit(time.Second, gen.Stagger(3*ms, r, src)), gen.Imaginary{Workers: 6}), "\n")
	}
	first, again := run(), run()
	if first != again {
		t.Error("two simulations with the same seed differ")
	}
}

func TestObserveReachesTheKeyWithItsOwnValue(t *testing.T) {
	var seen []string
	src := gen.ConcurrentKeys(1, 2, func(int) gen.Source {
		return gen.Limit(1, &spy{Source: op("r"), seen: &seen})
	})
	play(src, gen.Imaginary{Workers: 1})
	want := "null null null null"
	if got := strings.Join(seen, " "); got != want {
		t.Errorf("observed values %q, want %q", got, want)
	}
}

type spy struct {
	gen.Source
	seen *[]string
}

func (s *spy) Observe(_ int, e history.Event) { *s.seen = append(*s.seen, string(e.Value)) }

func TestSplitKeyedRejectsOthers(t *testing.T) {
	for _, bad := range []string{"", "3", "[1]", "[1,2,3]", `["a",1]`, "{}"} {
		if _, _, err := gen.SplitKeyed(json.RawMessage(bad)); err == nil {
			t.Errorf("SplitKeyed(%q) gave no error", bad)
		}
	}
}
