package lock_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/lock"
	"github.com/capstan-dev/capstan/checker/transcript"
	"github.com/capstan-dev/capstan/history"
)

// kept is a lock that two use one after the other.
const kept = `
	0 invoke acquire [3,"a"]
	0 ok acquire [3,1]
	1 invoke acquire [3,"b"]
	1 fail acquire [3,"b"]
	0 invoke save [3,{"list":[1],"token":1}]
	0 ok save [3,{"list":[1],"token":1}]
	0 invoke release [3,"a"]
	0 ok release [3,"a"]
	1 invoke acquire [3,"b"]
	1 ok acquire [3,2]
	1 invoke load [3,null]
	1 ok load [3,[1]]
	1 invoke save [3,{"list":[1,2],"token":2}]
	1 ok save [3,{"list":[1,2],"token":2}]
	2 invoke look [3,null]
	2 ok look [3,[1,2]]`

// twice is one that two hold at a time.
const twice = `
	0 invoke acquire [3,"a"]
	0 ok acquire [3,1]
	0 invoke load [3,null]
	0 ok load [3,[]]
	1 invoke acquire [3,"b"]
	1 ok acquire [3,2]
	1 invoke load [3,null]
	1 ok load [3,[]]
	1 invoke save [3,{"list":[2],"token":2}]
	1 ok save [3,{"list":[2],"token":2}]
	0 invoke save [3,{"list":[1],"token":1}]
	0 ok save [3,{"list":[1],"token":1}]
	2 invoke look [3,null]
	2 ok look [3,[1]]`

func TestExclusion(t *testing.T) {
	fenced := lock.Options{Fenced: true}
	for _, c := range []struct {
		name, history string
		o             lock.Options
		verdict       checker.Verdict
		kinds         string
	}{
		{"one after the other", kept, lock.Options{}, checker.Valid, ""},
		{"with tokens", kept, fenced, checker.Valid, ""},
		{"two at a time", twice, lock.Options{}, checker.Invalid, "held-twice[0 1 4 5 8 10]"},
		{"an old token", twice, fenced, checker.Invalid, "stale-token[8 9 10 11]"},
		{"an old token that is refused", strings.ReplaceAll(twice, "0 ok save", "0 fail save"), fenced, checker.Unknown, ""},
		{"a holder whose last call certainly failed did nothing then", strings.ReplaceAll(twice, "0 ok save", "0 fail save"), lock.Options{}, checker.Unknown, ""},
		{"a holder whose last call has no answer believed to hold it", strings.ReplaceAll(twice, "0 ok save", "0 info save"), lock.Options{}, checker.Invalid, "held-twice[0 1 4 5 8 10]"},
		{"a crashed holder's lease ends by right", `
			0 invoke acquire [3,"a"]
			0 ok acquire [3,0]
			0 invoke load [3,null]
			1 invoke acquire [3,"b"]
			1 fail acquire [3,"b"]
			0 info load [3,null]
			1 invoke acquire [3,"b"]
			1 ok acquire [3,0]
			2 invoke acquire [3,"c"]
			2 fail acquire [3,"c"]
			1 invoke load [3,null]
			1 ok load [3,[]]`, lock.Options{}, checker.Valid, ""},
		{"who did nothing under it did no harm", `
			0 invoke acquire [3,"a"]
			0 ok acquire [3,0]
			1 invoke acquire [3,"b"]
			1 ok acquire [3,0]
			1 invoke load [3,null]
			1 ok load [3,[]]
			0 invoke release [3,"a"]
			0 ok release [3,"a"]`, lock.Options{}, checker.Valid, ""},
		{"locks of different keys", strings.ReplaceAll(strings.ReplaceAll(twice, "1 invoke acquire [3", "1 invoke acquire [4"), "1 ok acquire [3", "1 ok acquire [4"), lock.Options{}, checker.Unknown, ""},
		{"a token that does not grow", strings.ReplaceAll(kept, "ok acquire [3,1]", "ok acquire [3,7]"), fenced, checker.Invalid, "token-order[0 1 8 9]"},
		{"a token twice", strings.ReplaceAll(kept, "ok acquire [3,1]", "ok acquire [3,2]"), fenced, checker.Invalid, "token-twice[0 1 8 9]"},
		{"no token", strings.ReplaceAll(kept, "ok acquire [3,1]", "ok acquire [3,0]"), fenced, checker.Unknown, ""},
		{"nobody else wanted it", `
			0 invoke acquire [3,"a"]
			0 ok acquire [3,0]
			0 invoke load [3,null]
			0 ok load [3,[]]`, lock.Options{}, checker.Unknown, ""},
		{"never granted", `
			0 invoke acquire [3,"a"]
			0 fail acquire [3,"a"]`, lock.Options{}, checker.Unknown, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := transcript.Parse(t, c.history)
			if c.name == "locks of different keys" { // then the others are strays
				h.Events = h.Events[:6]
			}
			res := checker.Run(t.Context(), lock.NewExclusion(c.o), h)
			if got := transcript.Kinds(res); res.Verdict != c.verdict || got != c.kinds {
				t.Errorf("%v %s: %s", res.Verdict, got, res.Reason)
			}
		})
	}
}

func TestProtected(t *testing.T) {
	for _, c := range []struct {
		name, history string
		verdict       checker.Verdict
		kinds, says   string
	}{
		{"kept", kept, checker.Valid, "", ""},
		{"overwritten", twice, checker.Invalid, "lost-update[2 8 9 10 11 12 13]", "process 0 on n0 wrote the list without it"},
		{"seen by one look only", twice + `
			3 invoke look [3,null]
			3 ok look [3,[2]]`, checker.Valid, "", ""},
		{"gone in the store", strings.ReplaceAll(strings.ReplaceAll(kept, "[3,[1]]", "[3,[]]"), "[1,2]", "[2]"),
			checker.Invalid, "lost[4 5 10 12 13 14 15]", "the store lost it, or answered with an old list"},
		{"gone and not overwritten", strings.ReplaceAll(kept, "look [3,[1,2]]", "look [3,[1]]"), checker.Invalid, "lost[12 13 14 15]", "no save is known"},
		{"from a save that failed", strings.ReplaceAll(kept, "1 ok save", "1 fail save"), checker.Invalid, "phantom[14 15]", "its save failed"},
		{"of unknown outcome", strings.ReplaceAll(kept, "1 ok save", "1 info save"), checker.Valid, "", ""},
		{"not looked at", strings.Join(strings.Split(kept, "\n")[:15], "\n"), checker.Unknown, "", "1 of 1 lists"},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := checker.Run(t.Context(), lock.NewProtected(), transcript.Parse(t, c.history))
			if got := transcript.Kinds(res); res.Verdict != c.verdict || got != c.kinds || !strings.Contains(res.Reason, c.says) {
				t.Errorf("%v %s: %s", res.Verdict, got, res.Reason)
			}
		})
	}
}

// TestWitness: who, when, the pause, the lease, and the fault.
func TestWitness(t *testing.T) {
	at := func(s float64) time.Duration { return time.Duration(s * 1e9) }
	h := &history.History{}
	add := func(s float64, p int, k history.Kind, f, v string) {
		h.Events = append(h.Events, history.Event{Index: len(h.Events), Time: at(s), Process: p, Node: fmt.Sprint("n", p), Kind: k, F: f, Value: json.RawMessage(v)})
	}
	add(1, 0, history.Invoke, "acquire", `[3,"a"]`)
	add(1.1, 0, history.OK, "acquire", `[3,0]`)
	add(1.2, 0, history.Invoke, "load", `[3,null]`)
	add(1.3, 0, history.OK, "load", `[3,[]]`)
	add(2, history.Nemesis, history.Info, "start-pause", `{"id":1,"fault":"pause","state":"in-force","proven":true}`)
	add(4, 1, history.Invoke, "acquire", `[3,"b"]`)
	add(4.1, 1, history.OK, "acquire", `[3,0]`)
	add(4.15, 1, history.Invoke, "load", `[3,null]`)
	add(4.2, 1, history.OK, "load", `[3,[]]`)
	add(4.3, 0, history.Invoke, "save", `[3,{"list":[1]}]`)
	add(4.4, 0, history.OK, "save", `[3,{"list":[1]}]`)
	res := checker.Run(t.Context(), lock.NewExclusion(lock.Options{Lease: 2 * time.Second}), h)
	for _, want := range []string{"process 0 on n0 acquired it at 1.100 s", "still acted on it at 4.300 s (save)", "process 1 on n1 acquired it at 4.100 s",
		"lease of 2s had run out by 3.100 s", "from 1.300 s on it had done nothing for 3.000 s", "there was pause"} {
		if !strings.Contains(res.Reason, want) {
			t.Errorf("the witness does not say %q: %s", want, res.Reason)
		}
	}
}

// TestTwin compares with the definitions, on random calls.
func TestTwin(t *testing.T) {
	for seed := range uint64(3000) {
		h := random(rand.New(rand.NewPCG(seed, 0)))
		var d struct {
			Overlaps int            `json:"overlaps"`
			Found    map[string]int `json:"found"`
		}
		res := checker.Run(t.Context(), lock.NewExclusion(lock.Options{Fenced: true}), h)
		if err := json.Unmarshal(res.Data, &d); err != nil {
			t.Fatalf("%v: %s", err, res.Reason)
		}
		overlaps, order, same, stale := brute(t, h)
		if d.Overlaps != overlaps || d.Found["token-order"]+d.Found["token-twice"] > 0 != (order || same) || d.Found["token-twice"] > 0 != same || d.Found["stale-token"] > 0 != stale {
			t.Fatalf("seed %d: %d overlaps and %v; by the definitions %d, %v, %v, %v", seed, d.Overlaps, d.Found, overlaps, order, same, stale)
		}
	}
}

// random is what three processes do with a lock that grants whatever it likes.
func random(rng *rand.Rand) *history.History {
	h := &history.History{}
	open := map[int]history.Event{}
	next := map[int]string{}
	for range 40 {
		p := rng.IntN(3)
		e, busy := open[p]
		if !busy {
			f := next[p]
			if f == "" {
				f = "acquire"
			}
			e = history.Event{Process: p, Kind: history.Invoke, F: f, Value: json.RawMessage(`[0,null]`)}
			if f == "save" {
				e.Value = fmt.Appendf(nil, `[0,{"list":[],"token":%d}]`, 1+rng.IntN(6))
			}
			open[p] = e
		} else {
			delete(open, p)
			e.Kind = []history.Kind{history.OK, history.OK, history.OK, history.Fail, history.Info}[rng.IntN(5)]
			next[p] = "acquire"
			if e.Kind == history.OK {
				next[p] = map[string]string{"acquire": "load", "load": "save", "save": []string{"release", "save"}[rng.IntN(2)]}[e.F]
				if e.F == "acquire" {
					e.Value = fmt.Appendf(nil, `[0,%d]`, 1+rng.IntN(6))
				}
			}
		}
		e.Index, e.Time = len(h.Events), time.Duration(len(h.Events))
		h.Events = append(h.Events, e)
	}
	return h
}

// brute follows the definitions, pair by pair.
func brute(t *testing.T, h *history.History) (overlaps int, order, same, stale bool) {
	pairs, err := history.Pairs(h)
	if err != nil {
		t.Fatal(err)
	}
	type grant struct {
		invoke, begin, end int
		token              int
		acted              bool
	}
	var grants []grant
	var saves [][3]int // invocation, completion, token
	for i, p := range pairs {
		if p.Outcome() != history.OK {
			continue
		}
		var pair [2]json.RawMessage
		if err := json.Unmarshal(p.Complete.Value, &pair); err != nil {
			t.Fatal(err)
		}
		if p.F() == "save" {
			var s lock.Saved
			if err := json.Unmarshal(pair[1], &s); err != nil {
				t.Fatal(err)
			}
			saves = append(saves, [3]int{p.Invoke.Index, p.Complete.Index, int(s.Token)})
		}
		if p.F() != "acquire" {
			continue
		}
		g := grant{invoke: p.Invoke.Index, begin: p.Complete.Index, end: p.Complete.Index}
		if err := json.Unmarshal(pair[1], &g.token); err != nil {
			t.Fatal(err)
		}
		for _, q := range pairs[i+1:] {
			if q.Process() != p.Process() {
				continue
			}
			if q.F() == "acquire" || q.Outcome() == history.Fail {
				break
			}
			g.end = q.Invoke.Index
			if q.F() == "release" {
				break
			}
			g.acted = g.acted || q.Outcome() == history.OK
		}
		grants = append(grants, g)
	}
	for i, a := range grants {
		for _, b := range grants[i+1:] {
			if a.acted && b.acted && max(a.begin, b.begin) < min(a.end, b.end) {
				overlaps++
			}
			same = same || a.token == b.token
		}
		for _, b := range grants {
			order = order || a.begin < b.invoke && a.token > b.token
		}
	}
	for _, a := range saves {
		for _, b := range saves {
			stale = stale || a[1] < b[0] && a[2] > b[2]
		}
	}
	return overlaps, order, same, stale
}
