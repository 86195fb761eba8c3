package linear_test

import (
	"context"
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/linear"
	"github.com/capstan-dev/capstan/history"
)

// plain asks porcupine without any of our preparations: a crashed operation
// returns at the end of time, and a crashed cas may find anything.
func plain(t *testing.T, h *history.History) bool {
	t.Helper()
	pairs, err := history.Pairs(h)
	if err != nil {
		t.Fatal(err)
	}
	var ops []porcupine.Operation
	for i, p := range pairs {
		crashed := p.Outcome() == history.Info
		if p.Outcome() == history.Fail || crashed && p.F() == "read" {
			continue
		}
		ret := int64(math.MaxInt64)
		if !crashed {
			ret = int64(p.Complete.Index)
		}
		ops = append(ops, porcupine.Operation{ClientId: i, Input: p, Call: int64(p.Invoke.Index), Return: ret})
	}
	return porcupine.CheckOperations(porcupine.Model{
		Init: func() any { return "null" },
		Step: func(state, input, _ any) (bool, any) {
			p := input.(history.Pair)
			next, ok := apply(p, state.(string))
			if !ok {
				return p.Outcome() == history.Info, state
			}
			return true, next
		},
	}, ops)
}

func shapes(rng *rand.Rand) shape {
	return shape{keys: 1, perKey: 10 + rng.IntN(60), clients: 1 + rng.IntN(5), info: .15 * rng.Float64(), cas: rng.IntN(2) == 0, stale: rng.IntN(2) == 0, values: 4 * rng.IntN(2)}
}

// unkeyed takes the only key off.
func unkeyed(h *history.History) *history.History { return history.SplitKeys(h)[0].History }

func TestAgainstPlainPorcupine(t *testing.T) {
	rounds := 300
	if testing.Short() {
		rounds = 50
	}
	bad := 0
	for seed := range rounds {
		rng := rand.New(rand.NewPCG(uint64(seed), 2))
		s := shapes(rng)
		h := unkeyed(realistic(uint64(seed), s))
		res := check(t, "cas-register", linear.Options{}, h)
		want := checker.Invalid
		if plain(t, h) {
			want = checker.Valid
		}
		if res.Verdict == checker.Unknown {
			continue
		}
		if res.Verdict != want {
			t.Fatalf("seed %d: got %s, want %s: %s\n%s", seed, res.Verdict, want, res.Reason, show(h))
		}
		if want == checker.Invalid {
			bad++
			testSmall(t, h, res, s.values == 0)
		}
	}
	t.Logf("%d of %d invalid", bad, rounds)
}

// testSmall wants the witness to be illegal, and no longer so without any one
// of its reads. A cas at the head of a chain, whose old value nothing in the
// witness sets, stands for a write of its new one; with repeated values that
// cannot be told from outside.
func testSmall(t *testing.T, h *history.History, res checker.Result, unique bool) {
	t.Helper()
	sub := &history.History{}
	made := map[string]bool{"null": true}
	for _, i := range res.Anomalies[0].Events {
		e := h.Events[i]
		if e.F == "write" {
			made[string(e.Value)] = true
		}
		if e.F == "cas" {
			made[strings.Trim(string(e.Value)[strings.Index(string(e.Value), ",")+1:], "]")] = true
		}
		sub.Events = append(sub.Events, e)
	}
	for i := range sub.Events {
		e := &sub.Events[i]
		if old, value, ok := strings.Cut(strings.Trim(string(e.Value), "[]"), ","); ok && !made[old] {
			e.F, e.Value = "write", raw(value)
		}
	}
	if plain(t, sub) {
		t.Fatalf("the witness is legal: %s\n%s", res.Reason, show(sub))
	}
	if n := len(sub.Events) / 2; n > 9 && unique || n > 20 {
		t.Errorf("the witness has %d operations: %s\n%s", n, res.Reason, show(sub))
	}
	if unique && strings.Contains(res.Reason, "no order of these") {
		t.Errorf("no sentence: %s", res.Reason)
	}
	pairs, _ := history.Pairs(sub)
	for _, p := range pairs {
		if last := sub.Events[len(sub.Events)-1]; p.F() != "read" || !unique || last.F != "read" {
			// An operation that was in flight at the contradiction says
			// more by its completion, which may make a read superfluous.
			continue
		}
		less := &history.History{}
		for _, e := range sub.Events {
			if e.Index != p.Invoke.Index && e.Index != p.Complete.Index {
				less.Events = append(less.Events, e)
			}
		}
		if len(less.Events) > 0 && !plain(t, less) {
			t.Errorf("the witness is not minimal, it stays illegal without event %d: %s\n%s", p.Invoke.Index, res.Reason, show(sub))
		}
	}
}

// TestMetamorphic changes what must not matter.
func TestMetamorphic(t *testing.T) {
	for seed := range 150 {
		rng := rand.New(rand.NewPCG(uint64(seed), 3))
		s := shapes(rng)
		s.keys = 3
		h := realistic(uint64(seed), s)
		want := check(t, "cas-register", linear.Options{}, h).Verdict
		for name, change := range map[string]func(*history.Event){
			"processes": func(e *history.Event) { e.Process = 100000 - e.Process },
			"nodes":     func(e *history.Event) { e.Node = "" },
			"times":     func(e *history.Event) { e.Time *= 3 },
			"keys":      func(e *history.Event) { e.Value = raw(`["k` + string(e.Value[1]) + `"` + string(e.Value[2:])) },
		} {
			other := &history.History{Events: append([]history.Event(nil), h.Events...)}
			for i := range other.Events {
				change(&other.Events[i])
			}
			if got := check(t, "cas-register", linear.Options{}, other).Verdict; got != want {
				t.Fatalf("seed %d: %s matter: %s instead of %s", seed, name, got, want)
			}
		}
		if got := check(t, "cas-register", linear.Options{}, crashOne(h, rng)).Verdict; got > want {
			t.Fatalf("seed %d: forgetting how one write ended made it %s", seed, got)
		}
		if got := check(t, "cas-register", linear.Options{}, crashAnother(h, rng)).Verdict; got > want {
			t.Fatalf("seed %d: a crashed write of a fresh value made it %s", seed, got)
		}
	}
}

// crashAnother adds a crashed write of a fresh value, which may not have
// happened.
func crashAnother(h *history.History, rng *rand.Rand) *history.History {
	at := rng.IntN(len(h.Events))
	out := &history.History{}
	for i, e := range h.Events {
		if i == at {
			value := raw(string(e.Value[:2]) + ",999999]")
			out.Events = append(out.Events, history.Event{Time: e.Time, Process: 2_000_000, F: "write", Value: value})
		}
		out.Events = append(out.Events, e)
	}
	for i := range out.Events {
		out.Events[i].Index = i
	}
	return out
}

// crashOne turns a random acknowledged write into one that nobody knows the
// end of; whatever was legal stays legal.
func crashOne(h *history.History, rng *rand.Rand) *history.History {
	out := &history.History{Events: append([]history.Event(nil), h.Events...)}
	at := rng.IntN(len(out.Events))
	for i := range out.Events {
		e := &out.Events[(at+i)%len(out.Events)]
		if e.Kind != history.OK || e.F == "read" {
			continue
		}
		old := e.Process
		e.Kind = history.Info
		for j := range out.Events {
			if x := &out.Events[j]; x.Process == old && x.Index > e.Index {
				x.Process = 1_000_000
			}
		}
		break
	}
	return out
}

var searchOnly = []string{linear.StepSpecial}

func TestBudgets(t *testing.T) {
	h := realistic(1, shape{keys: 2, perKey: 400, clients: 40})
	res := check(t, "register", linear.Options{Timeout: 50 * time.Millisecond, Without: searchOnly}, h)
	if res.Verdict != checker.Unknown || !strings.Contains(res.Reason, "not decided within 50ms on key") {
		t.Errorf("timeout: %s %s", res.Verdict, res.Reason)
	}
	res = check(t, "register", linear.Options{Memory: 4 << 20, Without: searchOnly}, h)
	if res.Verdict != checker.Unknown || !strings.Contains(res.Reason, "not decided within 4 MiB of memory on key") {
		t.Errorf("memory: %s %s", res.Verdict, res.Reason)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	c, err := linear.New("register", linear.Options{Without: searchOnly})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if res := checker.Run(ctx, c, h); res.Verdict != checker.Unknown {
		t.Errorf("context: %s", res.Verdict)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("obeyed its context after %v only", took)
	}
}

// TestWitnessSurvivesHardKey: one key beyond any budget does not hide another
// one's violation.
func TestWitnessSurvivesHardKey(t *testing.T) {
	h := realistic(1, shape{keys: 1, perKey: 400, clients: 40})
	for _, line := range []string{"invoke write [\"bad\",1]", "ok write [\"bad\",1]", "invoke read [\"bad\",null]", "ok read [\"bad\",2]"} {
		f := strings.Fields(line)
		e := history.Event{Index: len(h.Events), Time: h.Events[len(h.Events)-1].Time + 1, Process: 999_999, F: f[1], Value: raw(f[2])}
		if err := e.Kind.UnmarshalText([]byte(f[0])); err != nil {
			t.Fatal(err)
		}
		h.Events = append(h.Events, e)
	}
	res := check(t, "register", linear.Options{Memory: 4 << 20, Without: searchOnly}, h)
	if res.Verdict != checker.Invalid || !strings.Contains(res.Reason, `on key "bad" of 2`) || !strings.Contains(res.Reason, "Undecided on key 0 of 2") {
		t.Errorf("%s %s", res.Verdict, res.Reason)
	}
	var d struct {
		BadKeys       []string `json:"bad_keys"`
		UndecidedKeys []string `json:"undecided_keys"`
	}
	if err := json.Unmarshal(res.Data, &d); err != nil || len(d.BadKeys) != 1 || len(d.UndecidedKeys) != 1 {
		t.Errorf("%s", res.Data)
	}
}

func TestNew(t *testing.T) {
	for name, want := range map[string]string{
		"cas_register": `unknown model "cas_register" (did you mean "cas-register"?); there are: register, cas-register, `,
		"mutx":         `did you mean "mutex"?`,
		"":             `unknown model ""; there are`,
	} {
		if _, err := linear.New(name, linear.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", name, err, want)
		}
	}
	if _, err := linear.New("mutex", linear.Options{Init: raw("1")}); err == nil {
		t.Error("a mutex took an initial value")
	}
	if _, err := linear.New("register", linear.Options{Init: raw("{")}); err == nil {
		t.Error("took an initial value that is not JSON")
	}
}
