package sets_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/sets"
	"github.com/capstan-dev/capstan/checker/transcript"
	"github.com/capstan-dev/capstan/history"
)

func TestSet(t *testing.T) {
	for _, c := range []struct {
		name, text, verdict, kinds, reason string
		linearizable                       bool
	}{
		{
			name: "all there", text: "1 invoke add 1\n1 ok add 1\n2 invoke add 2\n2 info add 2\n3 invoke read\n3 ok read [2,1]",
			verdict: "valid", reason: "no element lost of 1 acknowledged, in 1 reads, 1 of them final",
		},
		{
			name: "lost", text: "1 invoke add 1\n1 ok add 1\n2 invoke add 2\n2 ok add 2\n3 invoke read\n3 ok read [2]",
			verdict: "invalid", kinds: "lost[0 1 4 5]",
			reason: "1 lost: element 1, acknowledged to process 1 on n1 at 0.001 s, is missing from the read of process 3 on n3 that began at 0.004 s, and from all later ones",
		},
		{
			name: "an element once read is lost too", text: "1 invoke add 1\n1 info add 1\n3 invoke read\n3 ok read [1]\n2 invoke add 2\n2 ok add 2\n3 invoke read\n3 ok read [2]",
			verdict: "invalid", kinds: "lost[0 1 6 7]", reason: "element 1, which process 3 on n3 had read at 0.003 s, is missing",
		},
		{
			name: "stale is only counted", text: "1 invoke add 1\n1 ok add 1\n3 invoke read\n3 ok read []\n3 invoke read\n3 ok read [1]",
			verdict: "valid", reason: "1 were missing from some read for up to 1ms",
		},
		{
			name: "stale", text: "1 invoke add 1\n1 ok add 1\n3 invoke read\n3 ok read []\n3 invoke read\n3 ok read [1]", linearizable: true,
			verdict: "invalid", kinds: "stale[0 1 2 3]", reason: "1 stale: element 1",
		},
		{
			name: "a read in flight may miss it", text: "3 invoke read\n1 invoke add 1\n1 ok add 1\n3 ok read []\n3 invoke read\n3 ok read [1]", linearizable: true,
			verdict: "valid", reason: "no element lost of 1",
		},
		{
			name: "out of nowhere", text: "1 invoke add 1\n1 ok add 1\n3 invoke read\n3 ok read [1,9]",
			verdict: "invalid", kinds: "phantom[2 3]", reason: "element 9 is in the read of process 3 on n3 at 0.003 s, but nobody ever added it",
		},
		{
			name: "resurrected", text: "1 invoke add 1\n1 fail add 1\n1 invoke add 2\n1 ok add 2\n3 invoke read\n3 ok read [1,2]",
			verdict: "invalid", kinds: "phantom[0 1 4 5]", reason: "its add by process 1 on n1 failed at 0.001 s",
		},
		{
			name: "from the future", text: "3 invoke read\n3 ok read [1]\n1 invoke add 1\n1 ok add 1\n3 invoke read\n3 ok read [1]",
			verdict: "invalid", kinds: "phantom[0 1 2 3]", reason: "began only at 0.002 s",
		},
		{
			name: "twice", text: "1 invoke add 1\n1 ok add 1\n3 invoke read\n3 ok read [1,1]",
			verdict: "invalid", kinds: "duplicated[2 3]", reason: "element 1 is more than once",
		},
		{
			name: "never read", text: "3 invoke read\n3 ok read []\n1 invoke add 1\n1 ok add 1",
			verdict: "unknown", reason: "1 acknowledged elements were never read",
		},
		{
			name: "missing while adds go on is not lost yet", text: "1 invoke add 1\n1 ok add 1\n3 invoke read\n3 ok read []\n1 invoke add 2\n1 ok add 2",
			verdict: "unknown", reason: "no read was invoked after the last add",
		},
		{
			name: "a read before the heal is not final", text: `1 invoke add 1
				1 ok add 1
				nemesis invoke start-partition {"id":1}
				nemesis info start-partition {"id":1,"proven":true}
				3 invoke read
				3 ok read []
				nemesis invoke stop-partition {"id":1}
				nemesis info stop-partition {"id":1,"proven":true}`,
			verdict: "unknown", reason: "the last fault was healed",
		},
		{name: "nothing acknowledged", text: "1 invoke add 1\n1 fail add 1\n3 invoke read\n3 ok read []", verdict: "unknown", reason: "no add was acknowledged"},
		{name: "empty", verdict: "unknown", reason: "no add was acknowledged"},
		{name: "not a set", text: "1 invoke write 1", verdict: "unknown", reason: "event 0 is a write, but a set knows add and read only"},
		{name: "not an array", text: "1 invoke read\n1 ok read 3", verdict: "unknown", reason: "event 1 read 3, want an array"},
		{
			name: "elements of any kind", text: "1 invoke add {\"a\":1,\"b\":2}\n1 ok add {\"a\":1,\"b\":2}\n1 invoke add \"x\"\n1 ok add \"x\"\n3 invoke read\n3 ok read [\"x\",{\"b\":2,\"a\":1}]",
			verdict: "valid", reason: "no element lost of 2",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := checker.Run(context.Background(), sets.New(sets.Options{Linearizable: c.linearizable}), transcript.Parse(t, c.text))
			if res.Verdict.String() != c.verdict || transcript.Kinds(res) != c.kinds || !strings.Contains(res.Reason, c.reason) {
				t.Errorf("got %s, %s: %s\nwant %s, %s: %s", res.Verdict, transcript.Kinds(res), res.Reason, c.verdict, c.kinds, c.reason)
			}
		})
	}
}

// twin counts lost, stale, phantom and duplicated elements the slow way.
func twin(t *testing.T, h *history.History) map[string]int {
	t.Helper()
	raw, err := history.Calls[int, json.RawMessage](h)
	if err != nil {
		t.Fatal(err)
	}
	var calls []history.Call[int, []int]
	for _, c := range raw {
		x := history.Call[int, []int]{F: c.F, In: c.In, Outcome: c.Outcome, Invoke: c.Invoke, Complete: c.Complete}
		if c.F == "read" && c.Outcome == history.OK {
			if err := json.Unmarshal(c.Out, &x.Out); err != nil {
				t.Fatal(err)
			}
		}
		calls = append(calls, x)
	}
	type fact struct {
		known, begun int
		maybe        bool
	}
	facts := map[int]*fact{}
	settled := -1
	var reads []history.Call[int, []int]
	for _, c := range calls {
		if c.F == "read" {
			if c.Outcome == history.OK {
				reads = append(reads, c)
			}
			continue
		}
		f := &fact{known: 1 << 30, begun: c.Invoke, maybe: c.Outcome != history.Fail}
		if c.Outcome == history.OK {
			f.known = c.Complete
			settled = max(settled, c.Complete)
		}
		facts[c.In] = f
	}
	found := map[string]int{}
	for x := range 200 {
		f := facts[x]
		phantom := false
		for _, r := range reads {
			if n := len(slices.DeleteFunc(slices.Clone(r.Out), func(y int) bool { return y != x })); n > 0 {
				found["duplicated"] += n - 1
				if !phantom && (f == nil || !f.maybe || f.begun > r.Complete) && !seenBefore(reads, r, x) {
					phantom = true
					found["phantom"]++
				}
				if f != nil {
					f.known = min(f.known, r.Complete)
				}
			}
		}
		if f == nil || !f.maybe {
			continue
		}
		for i := len(reads) - 1; i >= 0; i-- {
			r := reads[i]
			if slices.Contains(r.Out, x) {
				continue
			}
			if f.known < r.Invoke {
				again := slices.ContainsFunc(reads, func(q history.Call[int, []int]) bool { return slices.Contains(q.Out, x) && q.Complete > r.Invoke })
				if again {
					found["stale"]++
				} else if r.Invoke > settled {
					found["lost"]++
				}
			}
			break
		}
	}
	for k, n := range found {
		if n == 0 {
			delete(found, k)
		}
	}
	return found
}

func seenBefore(reads []history.Call[int, []int], r history.Call[int, []int], x int) bool {
	for _, q := range reads {
		if q.Invoke == r.Invoke {
			return false
		}
		if slices.Contains(q.Out, x) {
			return true
		}
	}
	return false
}

func TestAgainstTwin(t *testing.T) {
	invalid := 0
	for seed := range 3000 {
		h := random(rand.New(rand.NewPCG(uint64(seed), 1)))
		res := checker.Run(context.Background(), sets.New(sets.Options{}), h)
		var d struct{ Found map[string]int }
		if err := json.Unmarshal(res.Data, &d); err != nil {
			t.Fatal(err, res.Reason)
		}
		delete(d.Found, "never-read")
		if diff := cmp.Diff(twin(t, h), d.Found); diff != "" {
			for _, e := range h.Events {
				t.Log(e.Index, e.Process, e.Kind, e.F, string(e.Value))
			}
			t.Fatalf("seed %d: %s", seed, diff)
		}
		if res.Verdict == checker.Invalid {
			invalid++
		}
	}
	t.Logf("%d of 3000 invalid", invalid)
}

func random(rng *rand.Rand) *history.History {
	h := &history.History{}
	const procs = 3
	id := [procs]int{0, 1, 2}
	next, element := procs, 0
	var inflight [procs]*history.Event
	var present []int
	for range 4 + rng.IntN(40) {
		w := rng.IntN(procs)
		if inflight[w] == nil {
			e := history.Event{Process: id[w], Kind: history.Invoke, F: "read", Value: json.RawMessage("null")}
			if rng.IntN(2) == 0 {
				element++
				e.F, e.Value = "add", json.RawMessage(strconv.Itoa(element))
			}
			inflight[w] = &e
		} else {
			e := *inflight[w]
			e.Kind = []history.Kind{history.OK, history.OK, history.OK, history.Info, history.Fail}[rng.IntN(5)]
			n, _ := strconv.Atoi(string(e.Value))
			switch {
			case e.F == "add" && rng.IntN(10) < 8 && e.Kind != history.Fail || e.F == "add" && rng.IntN(12) == 0:
				present = append(present, n)
			case e.F == "read" && e.Kind == history.OK:
				seen := slices.DeleteFunc(slices.Clone(present), func(int) bool { return rng.IntN(15) == 0 })
				if rng.IntN(15) == 0 {
					seen = append(seen, 1+rng.IntN(element+2))
				}
				b, _ := json.Marshal(append([]int{}, seen...))
				e.Value = b
			}
			if e.Kind == history.Info {
				id[w] = next
				next++
			}
			inflight[w] = nil
			h.Events = append(h.Events, e)
			h.Events[len(h.Events)-1].Index = len(h.Events) - 1
			h.Events[len(h.Events)-1].Time = time.Duration(len(h.Events) / 2)
			continue
		}
		h.Events = append(h.Events, *inflight[w])
		h.Events[len(h.Events)-1].Index = len(h.Events) - 1
		h.Events[len(h.Events)-1].Time = time.Duration(len(h.Events) / 2)
	}
	return h
}

func BenchmarkSet(b *testing.B) {
	for _, n := range []int{1e3, 1e4, 1e5} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h := &history.History{}
			add := func(p int, k history.Kind, f, v string) {
				h.Events = append(h.Events, history.Event{Index: len(h.Events), Time: time.Duration(len(h.Events)), Process: p, Kind: k, F: f, Value: json.RawMessage(v)})
			}
			var all []byte
			for i := range n {
				v := strconv.Itoa(i)
				add(1, history.Invoke, "add", v)
				add(1, history.OK, "add", v)
				if i > 0 {
					all = append(all, ',')
				}
				all = append(all, v...)
				if i%(n/50) == 0 || i == n-1 { // 50 reads
					add(2, history.Invoke, "read", "null")
					add(2, history.OK, "read", "["+string(all)+"]")
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				if res := checker.Run(context.Background(), sets.New(sets.Options{}), h); res.Verdict != checker.Valid {
					b.Fatal(res.Reason)
				}
			}
		})
	}
}
