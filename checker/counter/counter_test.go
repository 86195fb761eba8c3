package counter_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/counter"
	"github.com/capstan-dev/capstan/checker/transcript"
	"github.com/capstan-dev/capstan/history"
)

func TestCounter(t *testing.T) {
	for _, c := range []struct {
		name, text, verdict, kinds, reason string
		linearizable                       bool
	}{
		{
			name: "right", text: "1 invoke add 2\n1 ok add 2\n2 invoke add 3\n2 info add 3\n3 invoke read\n3 ok read 5",
			verdict: "valid", reason: "no violation found in 2 adds and 1 reads: the final value 5 lies in [2, 5]",
		},
		{
			name: "lost", text: "1 invoke add 2\n1 ok add 2\n2 invoke add 3\n2 ok add 3\n3 invoke read\n3 ok read 3",
			verdict: "invalid", kinds: "lost[4 5]", reason: "final read of process 3 on n3 returned 3 at 0.005 s, but 5 was acknowledged: 2 lost",
		},
		{
			name: "counted twice", text: "1 invoke add 2\n1 ok add 2\n3 invoke read\n3 ok read 4",
			verdict: "invalid", kinds: "phantom[2 3]", reason: "returned 4 at 0.003 s, but only 2 could have been added by then",
		},
		{
			name: "a failed add was counted", text: "1 invoke add 2\n1 fail add 2\n1 invoke add 1\n1 ok add 1\n3 invoke read\n3 ok read 3",
			verdict: "invalid", kinds: "phantom[4 5]", reason: "only 1 could",
		},
		{
			name: "an add in flight may be counted", text: "1 invoke add 2\n3 invoke read\n3 ok read 2\n1 ok add 2\n3 invoke read\n3 ok read 2",
			verdict: "valid", reason: "no violation",
		},
		{
			name: "back", text: "1 invoke add 2\n1 ok add 2\n3 invoke read\n3 ok read 2\n3 invoke read\n3 ok read 0\n1 invoke add 1\n1 ok add 1\n3 invoke read\n3 ok read 3",
			verdict: "invalid", kinds: "nonmonotonic[2 3 4 5]", reason: "process 3 on n3 read 0 at 0.005 s, after it had read 2 at 0.003 s",
		},
		{
			name: "two processes may differ", text: "1 invoke add 2\n1 ok add 2\n3 invoke read\n3 ok read 2\n4 invoke read\n4 ok read 0\n1 invoke add 1\n1 ok add 1\n3 invoke read\n3 ok read 3",
			verdict: "valid", reason: "no violation",
		},
		{
			name: "not if linearizable", text: "1 invoke add 2\n1 ok add 2\n3 invoke read\n3 ok read 2\n4 invoke read\n4 ok read 0\n1 invoke add 1\n1 ok add 1\n3 invoke read\n3 ok read 3", linearizable: true,
			verdict: "invalid", kinds: "stale[4 5]", reason: "returned 0 at 0.005 s, but 2 had been acknowledged when it began at 0.004 s",
		},
		{name: "converged late", text: "1 invoke add 5\n1 ok add 5\n3 invoke read\n3 ok read 3\n3 invoke read\n3 ok read 5",
			verdict: "valid", reason: "the final value 5 lies in [5, 5]"},
		{name: "no final read", text: "3 invoke read\n3 ok read 0\n1 invoke add 2\n1 ok add 2", verdict: "unknown", reason: "nothing tells what was lost"},
		{name: "nothing added", text: "3 invoke read\n3 ok read 0", verdict: "unknown", reason: "nothing was added"},
		{name: "empty", verdict: "unknown", reason: "nothing was added"},
		{name: "negative", text: "1 invoke add -2", verdict: "unknown", reason: "event 0 adds -2, want a whole number above 0"},
		{name: "no number", text: "1 invoke read\n1 ok read", verdict: "unknown", reason: "event 1 read null, want a whole number"},
		{name: "not a counter", text: "1 invoke write 2", verdict: "unknown", reason: "event 0 is a write, but a counter knows add and read only"},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := checker.Run(context.Background(), counter.New(counter.Options{Linearizable: c.linearizable}), transcript.Parse(t, c.text))
			kinds := transcript.Kinds(res)
			if res.Verdict.String() != c.verdict || kinds != c.kinds || !strings.Contains(res.Reason, c.reason) {
				t.Errorf("got %s, %s: %s\nwant %s, %s: %s", res.Verdict, kinds, res.Reason, c.verdict, c.kinds, c.reason)
			}
		})
	}
}

func BenchmarkCounter(b *testing.B) {
	for _, n := range []int{1e3, 1e4, 1e5, 1e6} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h := &history.History{}
			for i := range n {
				e := history.Event{Index: i, Time: time.Duration(i), Process: 1, Kind: history.Kind(i % 2), F: "add", Value: json.RawMessage("1")}
				if i%4 >= 2 {
					e.F, e.Process, e.Value = "read", 2, json.RawMessage(strconv.Itoa(i/4+1))
				}
				h.Events = append(h.Events, e)
			}
			b.ReportAllocs()
			for b.Loop() {
				if res := checker.Run(context.Background(), counter.New(counter.Options{}), h); res.Verdict != checker.Valid {
					b.Fatal(res.Reason)
				}
			}
		})
	}
}
