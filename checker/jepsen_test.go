package checker_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/bank"
	"github.com/capstan-dev/capstan/checker/causalreverse"
	"github.com/capstan-dev/capstan/checker/ids"
	"github.com/capstan-dev/capstan/checker/longfork"
	"github.com/capstan-dev/capstan/checker/queue"
	"github.com/capstan-dev/capstan/checker/transcript"
	"github.com/capstan-dev/capstan/history"
)

// Each case is a history and what the check says: the verdict, what it found
// with the events, and a part of the reason.
func TestJepsensOtherChecks(t *testing.T) {
	total := int64(20)
	for _, c := range []struct {
		title, history string
		check          checker.Checker
		want, reason   string
	}{
		{"all came out", `0 invoke enqueue 1
0 ok enqueue 1
1 invoke dequeue
1 ok dequeue 1`, queue.New(), "valid", "1 elements"},
		{"lost", `0 invoke enqueue 1
0 ok enqueue 1
0 invoke enqueue 2
0 ok enqueue 2
1 invoke drain
1 ok drain [2]`, queue.New(), "invalid lost[0 1]", "never came out"},
		{"a crashed dequeue may have taken it", `0 invoke enqueue 1
0 ok enqueue 1
1 invoke dequeue
1 info dequeue
2 invoke drain
2 ok drain []`, queue.New(), "unknown", "may have taken"},
		{"enqueued again, and that crashed", `0 invoke enqueue 1
0 ok enqueue 1
1 invoke enqueue 1
1 info enqueue 1
2 invoke drain
2 ok drain []`, queue.New(), "invalid lost[0 1]", "acknowledged to process 0"},
		{"but not both", `0 invoke enqueue 1
0 ok enqueue 1
0 invoke enqueue 2
0 ok enqueue 2
1 invoke dequeue
1 info dequeue`, queue.New(), "invalid lost[0 1] lost[2 3]", "only 1 dequeues"},
		{"a crashed drain took who knows what", `0 invoke enqueue 1
0 ok enqueue 1
0 invoke enqueue 2
0 ok enqueue 2
1 invoke drain
1 info drain`, queue.New(), "unknown", "may have taken"},
		{"nobody enqueued it", `1 invoke dequeue
1 ok dequeue 9`, queue.New(), "invalid unexpected[0 1]", "nobody enqueued"},
		{"its enqueue failed", `0 invoke enqueue 9
0 fail enqueue 9
1 invoke dequeue
1 ok dequeue 9`, queue.New(), "invalid unexpected[0 1 2 3]", "failed at event 1"},
		{"twice is allowed, and recovered too", `0 invoke enqueue 1
0 info enqueue 1
1 invoke dequeue
1 ok dequeue 1
1 invoke dequeue
1 ok dequeue 1
2 invoke enqueue 5
2 ok enqueue 5
2 invoke dequeue
2 ok dequeue 5`, queue.New(), "valid", ""},
		{"a dequeue that failed says nothing", `1 invoke dequeue
1 fail dequeue`, queue.New(), "unknown", "nothing was enqueued"},
		{"not a queue", `1 invoke push 3
1 ok push 3`, queue.New(), "unknown", "knows enqueue"},

		{"unique", `0 invoke generate
0 ok generate 1
1 invoke generate
1 ok generate 2
1 invoke generate
1 info generate`, ids.New(), "valid", "2 identifiers"},
		{"twice", `0 invoke generate
0 ok generate "a"
1 invoke generate
1 ok generate "a"`, ids.New(), "invalid duplicated[1 2 3]", "again for process 1 on n1"},
		{"none", `0 invoke generate
0 fail generate`, ids.New(), "unknown", "no identifier"},

		{"the total stays", `0 invoke read
0 ok read {"0":10,"1":10}
1 invoke transfer {"from":0,"to":1,"amount":3}
1 ok transfer {"from":0,"to":1,"amount":3}
0 invoke read
0 ok read {"0":7,"1":13}`, bank.New(bank.Options{}), "valid", "each sums up to 20"},
		{"half a transfer", `0 invoke read
0 ok read {"0":10,"1":10}
0 invoke read
0 ok read {"0":7,"1":10}
0 invoke read
0 ok read {"0":7,"1":13}`, bank.New(bank.Options{}), "invalid wrong-total[0 1 2 3]", "sums up to 17, -3 off the 20 of most reads"},
		{"the total is given", `0 invoke read
0 ok read [10,9]`, bank.New(bank.Options{Total: &total}), "invalid wrong-total[0 1]", "-1 off the total of 20: {0: 10, 1: 9}"},
		{"one read alone says little", `0 invoke read
0 ok read [10,9]`, bank.New(bank.Options{}), "unknown", "one read only"},
		{"debt", `0 invoke read
0 ok read {"0":-1,"1":21}`, bank.New(bank.Options{Total: &total}), "invalid negative-value[0 1]", "has -1 in account 0"},
		{"debt is allowed", `0 invoke read
0 ok read {"0":-1,"1":21}`, bank.New(bank.Options{Total: &total, NegativeBalances: true}), "valid", ""},
		{"no balance", `0 invoke read
0 ok read {"0":null,"1":20}`, bank.New(bank.Options{Total: &total}), "invalid nil-balance[0 1]", "no balance in account 0"},
		{"no such account", `0 invoke read
0 ok read {"7":20}`, bank.New(bank.Options{Total: &total, Accounts: []string{"0", "1"}}), "invalid unexpected-key[0 1]", "account 7, which does not exist"},
		{"not a balance", `0 invoke read
0 ok read {"7":"x"}`, bank.New(bank.Options{}), "unknown", `account 7 has the balance "x", want a whole number`},

		{"one order", `0 invoke txn [["w",1,1]]
0 ok txn [["w",1,1]]
1 invoke txn [["r",1,null],["r",2,null]]
1 ok txn [["r",1,1],["r",2,null]]
0 invoke txn [["w",2,1]]
0 ok txn [["w",2,1]]
1 invoke txn [["r",2,null],["r",1,null]]
1 ok txn [["r",2,1],["r",1,1]]`, longfork.New(), "valid", "2 reads of 1 groups"},
		{"a fork", `0 invoke txn [["w",1,1]]
0 ok txn [["w",1,1]]
2 invoke txn [["w",2,1]]
2 ok txn [["w",2,1]]
1 invoke txn [["r",1,null],["r",2,null]]
3 invoke txn [["r",1,null],["r",2,null]]
1 ok txn [["r",1,1],["r",2,null]]
3 ok txn [["r",1,null],["r",2,1]]`, longfork.New(), "invalid long-fork[1 3 4 5 6 7]", "saw the write of 1 and not that of 2"},
		{"written twice", `0 invoke txn [["w",1,1]]
0 ok txn [["w",1,1]]
2 invoke txn [["w",1,2]]
2 ok txn [["w",1,2]]`, longfork.New(), "unknown", "needs one write a key"},
		{"not transactions", `0 invoke read
0 ok read 5`, longfork.New(), "unknown", "want a list of"},

		{"in order", `0 invoke write 1
0 ok write 1
0 invoke write 2
1 invoke read
1 ok read [1]
0 ok write 2`, causalreverse.New(), "valid", "2 writes and 1 reads"},
		{"in reverse", `0 invoke write 1
0 ok write 1
0 invoke write 2
1 invoke read
1 ok read [2]
0 ok write 2`, causalreverse.New(), "invalid causal-reverse[0 1 2 3 4 5]", "sees 2, but not 1"},
		{"concurrent ones have no order", `0 invoke write 1
2 invoke write 2
0 ok write 1
1 invoke read
1 ok read [2]`, causalreverse.New(), "valid", ""},
		{"a failed write does not count", `0 invoke write 1
0 fail write 1
0 invoke write 2
0 ok write 2
1 invoke read
1 ok read [2]`, causalreverse.New(), "valid", ""},
	} {
		res := checker.Run(t.Context(), c.check, transcript.Parse(t, c.history))
		got := strings.TrimSpace(fmt.Sprint(res.Verdict, " ", transcript.Kinds(res)))
		if got != c.want || !strings.Contains(res.Reason, c.reason) {
			t.Errorf("%s: got %s: %s\nwant %s: %s", c.title, got, res.Reason, c.want, c.reason)
		}
	}
}

// Whatever is thrown at them: a verdict, and no panic.
func FuzzJepsensOtherChecks(f *testing.F) {
	for _, s := range []string{`[["w",1,1]]`, `{"0":1}`, `[1,2]`, `null`, `[[":r",1,null],["r",null,2]]`, `"x"`, `[[[]]]`} {
		f.Add("txn", s, s)
		f.Add("read", "null", s)
		f.Add("drain", "null", s)
	}
	f.Fuzz(func(t *testing.T, op, in, out string) {
		h := &history.History{Events: []history.Event{
			{Index: 0, F: op, Value: []byte(in)}, {Index: 1, F: op, Kind: history.OK, Value: []byte(out)},
			{Index: 2, F: op, Value: []byte(out)}, {Index: 3, F: op, Kind: history.OK, Value: []byte(in)},
		}}
		for _, c := range []checker.Checker{queue.New(), ids.New(), bank.New(bank.Options{}), longfork.New(), causalreverse.New()} {
			if res := checker.Run(t.Context(), c, h); strings.Contains(res.Reason, "panicked") {
				t.Error(res.Reason)
			}
		}
	})
}
