package nemesis_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/nemesis"
	"github.com/capstan-dev/capstan/plan"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"partition":                            "partition",
		"partition:one-way":                    "partition:one-way",
		"kill(primary)":                        "kill:primary",
		"kill( n1   n3 )":                      "kill(n1 n3)",
		"kill(of=n1)":                          "kill:n1",
		"partition(halves,how=drop)":           "partition(halves, how=drop)",
		"partition(reset)":                     "partition(reset)",
		"partition( n1|n2 n3 , reset)":         "partition(n1 | n2 n3, reset)",
		"delay":                                "delay",
		"delay(50ms)":                          "delay:50ms",
		"delay(0.1s, jitter=10ms)":             "delay(100ms, jitter=10ms)",
		"loss(10%)":                            "loss:0.1",
		"loss:25%":                             "loss:0.25",
		"rate:1000kbit":                        "rate:1mbit",
		"rate(1.5mbit, of=primary)":            "rate(1500kbit, of=primary)",
		"memory:1024KiB":                       "memory:1MiB",
		"clock(offset=-5s)":                    "clock(offset=-5s)",
		"disk-error(one, sync=0, read=0.5)":    "disk-error(one, read=0.5, sync=0)",
		"corrupt(disguise)":                    "corrupt(disguise)",
		"delay(10ms, between=clients..n1)":     "delay(10ms, between=clients..n1)",
		"delay(10ms, between=n1 n2 .. n3)":     "delay(10ms, between=n1 n2..n3)",
		"upgrade:postgres:16":                  "upgrade:postgres:16",
		"mix( kill:one , partition(halves))":   "mix(kill:one, partition:halves)",
		"isolate(primary)+2s kill(same)":       "isolate:primary + 2s kill:same",
		"pause + mix(kill:same, stop:same)":    "pause + mix(kill:same, stop:same)",
		"pause:n1 + kill:same":                 "pause:n1 + kill:same",
		"mix(pause + 1s kill:same, mix(stop))": "mix(pause + 1s kill:same, mix(stop))",
	} {
		if f := parse(t, text); f.Name() != want || parse(t, want).Name() != want {
			t.Errorf("%q parses to %q, want %q", text, f.Name(), want)
		}
	}
}

func TestMistakesInFaults(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     "unknown fault",
		"partitoin":                            `did you mean "partition"?`,
		"partition:on":                         `did you mean "one"?`,
		"partition:primry":                     `did you mean "primary"?`,
		"kill:":                                "want nodes",
		"partition(n1 | n1 n2)":                "in two groups",
		"kill:primry":                          `did you mean "primary"?`,
		"kill(one n2)":                         `"one" goes alone`,
		"kill(one":                             "not closed",
		"kill(one))":                           `unexpected ")"`,
		"kill(one) x":                          `unexpected "x" after the fault (at character 11 of "kill(one) x")`,
		"kill(one, one)":                       `unknown argument "one" of kill`,
		"kill(of=one, of=all)":                 "of is given twice",
		"delay(50ms, jiter=1ms)":               `unknown argument "jiter" of delay (did you mean "jitter"?)`,
		"delay:fast":                           "want a duration like 50ms",
		"delay(0s)":                            "it would do nothing",
		"delay(1ms, jitter=-1ms)":              "(at character 12 of",
		"loss:2":                               "want a probability",
		"rate:fast":                            "want bits a second",
		"memory:16":                            "want a size",
		"delay(1ms, way=in)":                   "way needs of or between",
		"delay(1ms, of=n1, between=n1..n2)":    "exclude each other",
		"delay(1ms, between=n1)":               "want NODES..NODES",
		"delay(1ms, between=clients..clients)": "no links with each other",
		"partition(halves, way=in)":            "one-way only",
		"partition(one | n2)":                  "want names of nodes or roles",
		"mix":                                  "wants faults in parentheses",
		"mix()":                                "unknown fault",
		"mix(kill pause)":                      "between faults",
		"kill + 2x pause":                      "want a duration like 2s after +",
		"kill +":                               "unknown fault",
		"kill:same":                            "no step before",
		"kill + 1s stop(of=same) + mix(x":      "unknown fault",
		"mix(kill, kill(same)) + stop:same":    "(at character 16 of",
		"delay(1ms, between=same..all)":        "no step before",
		"upgrade":                              "want the image",
		"cpu:0":                                "want a number from 0.01",
		strings.Repeat("mix(", 100):            "nested too deep",
	} {
		if f, err := nemesis.Parse(kinds(), text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q) = %v, %v, want %s", text, f, err, want)
		}
	}
}

func TestSteps(t *testing.T) {
	for text, want := range map[string]string{
		"isolate(primary) 5s @12s":               "isolate:primary 5s @12s",
		"kill 1500ms @1m":                        "kill 1.5s @1m0s",
		"isolate:primary + 2s kill:same 10s @0s": "isolate:primary + 2s kill:same 10s @0s",
		"pause(n1 n2) 1s @leader-change":         "pause(n1 n2) 1s @leader-change",
		"pause 1s @op:1000":                      "pause 1s @op:1000",
		"pause 1s @info:1":                       "pause 1s @info",
	} {
		s, err := nemesis.ParseStep(kinds(), text)
		if err != nil || s.String() != want {
			t.Errorf("%q parses to %q, %v, want %q", text, s, err, want)
		}
	}
	for text, want := range map[string]string{
		"kill":                   "how long and when",
		"kill 5s":                "how long and when",
		"kill @5s":               "how long and when",
		"kill 5s @noon":          "unknown moment",
		"kill 5s @-1s":           "at least 0s",
		"kill 0s @1s":            "more than 0s",
		"kill 5s @1s @2s":        "one @ only",
		"kill 5s @op":            "want op:NUMBER",
		"kill 5s @op:0":          "want op:NUMBER",
		"kill 5s @leader-chagne": `did you mean "leader-change"?`,
		"kill 5s every 10s @1s":  "exclude each other",
		"":                       "want a fault",
	} {
		if s, err := nemesis.ParseStep(kinds(), text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseStep(%q) = %v, %v, want %s", text, s, err, want)
		}
	}
}

// FuzzParseStep: whatever is read prints as what it is read from again.
func FuzzParseStep(f *testing.F) {
	for _, text := range every {
		f.Add(text + " 5s @12s")
	}
	f.Add("kill:one 2s @op:1000")
	f.Add("mix(kill + pause, mix(stop)) + 2s kill(n1 n2) 1h @info:3")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := nemesis.ParseStep(kinds(), text)
		if err != nil {
			return
		}
		again, err := nemesis.ParseStep(kinds(), s.String())
		if err != nil || again.String() != s.String() {
			t.Errorf("%q prints as %q, which parses to %q, %v", text, s, again, err)
		}
		if len(nemesis.Uses(s.Fault)) == 0 {
			t.Errorf("%q uses no kind", text)
		}
	})
}

// TestDrawnSchedulesReadBack draws schedules of random faults and moments.
func TestDrawnSchedulesReadBack(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 3))
		var faults []nemesis.Fault
		for range 1 + rng.IntN(4) {
			faults = append(faults, parse(t, randomFault(rng, 2)))
		}
		r := nemesis.Rhythm{Every: time.Duration(1+rng.IntN(1e4)) * time.Millisecond, Jitter: rng.Float64() * 0.9, Until: time.Minute}
		r.For = r.Every / time.Duration(2+rng.IntN(3))
		s := nemesis.Periodic(rng, faults, r)
		s = append(s, nemesis.Step{At: 7, For: time.Hour, Fault: faults[0]},
			nemesis.Step{On: plan.Trigger{Event: plan.NthOp, N: 1 + rng.IntN(9)}, For: 1, Fault: faults[0]})
		s.Sort()
		for _, step := range s {
			again, err := nemesis.ParseStep(kinds(), step.String())
			if err != nil || again.String() != step.String() || again.At != step.At || again.For != step.For || again.On != step.On {
				t.Fatalf("%v reads back as %v, %v", step, again, err)
			}
		}
	}
}

// randomFault puts faults together.
func randomFault(rng *rand.Rand, depth int) string {
	text := func() string { return every[rng.IntN(len(every))] }
	if depth == 0 {
		return text()
	}
	switch rng.IntN(4) {
	case 0:
		return fmt.Sprintf("mix(%s, %s)", randomFault(rng, depth-1), randomFault(rng, depth-1))
	case 1:
		return fmt.Sprintf("%s + %v %s", randomFault(rng, depth-1), time.Duration(rng.IntN(1e9)), text())
	}
	return text()
}

func TestPeriodic(t *testing.T) {
	for _, limit := range []time.Duration{5 * time.Second, 20 * time.Second, 60 * time.Second, 10 * time.Minute} {
		every := min(10*time.Second, limit/2)
		for seed := range uint64(50) {
			draw := func() nemesis.Schedule {
				return nemesis.Periodic(rand.New(rand.NewPCG(seed, 1)), []nemesis.Fault{parse(t, "partition"), parse(t, "mix(kill, pause)")},
					nemesis.Rhythm{Every: every, For: every / 2, Jitter: 0.2, Until: limit})
			}
			s := draw()
			if len(s) == 0 || s[0].At < every/4 || s[len(s)-1].At+s[len(s)-1].For > limit-every/4 {
				t.Fatalf("limit %v, seed %d:\n%v", limit, seed, s)
			}
			for i := 1; i < len(s); i++ {
				if s[i-1].At+s[i-1].For >= s[i].At {
					t.Fatalf("%v has no quiet time before %v", s[i-1], s[i])
				}
			}
			if s.String() != draw().String() {
				t.Fatal("the same seed drew another schedule")
			}
			if slices.ContainsFunc(s, func(st nemesis.Step) bool { return strings.HasPrefix(st.Fault.Name(), "mix") }) {
				t.Fatal("a mix was not drawn")
			}
		}
	}
}

func TestGantt(t *testing.T) {
	s := nemesis.Schedule{
		{At: 0, For: 10 * time.Second, Fault: parse(t, "kill")},
		{At: 20 * time.Second, For: 1, Fault: parse(t, "pause:all")},
		{At: 30 * time.Second, For: 10 * time.Second, Fault: parse(t, "kill")},
		{On: plan.Trigger{Event: plan.LeaderChange, N: 1}, For: 1, Fault: parse(t, "partition(n1 n2 n3 n4 n5 | n6 n7 n8)")},
	}
	want := `
kill                     █████··········██████
pause:all                ··········█··········
partition(n1 n2 n3 n4 …  ?····················
                         |0s  |10s |20s | 40s|
`
	if got := "\n" + s.Gantt(40*time.Second, 46); strings.ReplaceAll(got, " \n", "\n") != want {
		t.Errorf("got %swant %s", got, want)
	}
}
