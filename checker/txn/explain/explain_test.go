package explain_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capstan-dev/capstan/checker/txn"
	"github.com/capstan-dev/capstan/checker/txn/explain"
	"github.com/capstan-dev/capstan/checker/txn/infer"
	lists "github.com/capstan-dev/capstan/checker/txn/infer/append"
	"github.com/capstan-dev/capstan/checker/txn/infer/wr"
	"github.com/capstan-dev/capstan/checker/txn/log"
)

// read makes a log of lines "PROCESS TYPE VALUE".
func read(t *testing.T, text string) *log.Log {
	t.Helper()
	var s strings.Builder
	for line := range strings.Lines(text) {
		f := strings.SplitN(strings.TrimSpace(line), " ", 3)
		s.WriteString("{:process " + f[0] + ", :type :" + f[1] + ", :f :txn, :value " + f[2] + "}\n")
	}
	file := filepath.Join(t.TempDir(), "h.edn")
	if err := os.WriteFile(file, []byte(s.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := log.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func registers(l *log.Log) (*infer.Inference, error) {
	return wr.Infer(l, wr.Options{WritesFollowReads: true})
}

func TestText(t *testing.T) {
	for _, c := range []struct {
		name, history string
		infer         txn.Infer
		want          []string // what the first anomaly's text has
	}{
		{"write skew", "0 invoke [[:r 1 nil] [:append 2 1]]\n1 invoke [[:r 2 nil] [:append 1 5]]\n0 ok [[:r 1 []] [:append 2 1]]\n1 ok [[:r 2 []] [:append 1 5]]", lists.Infer,
			[]string{"T3 read key 2 as [], not seeing T2's append of 1, so T3 < T2; but T2 read key 1 as [], not seeing T3's append of 5, so T2 < T3: a contradiction.", "write skew", "\n  T2 (process 0, ok, events 0 to 2): r 1 [], append 2 1"}},
		{"fractured", "0 ok [[:append 1 1] [:append 2 2]]\n1 ok [[:r 1 [1]] [:r 2 []]]", lists.Infer,
			[]string{"T1 read key 1 as [1], seeing T0's append of 1, so T0 < T1; but T1 read key 2 as [], not seeing T0's append of 2, so T1 < T0: a contradiction.", "fractured read"}},
		{"stale", "0 invoke [[:append 1 1]]\n0 ok [[:append 1 1]]\n1 invoke [[:r 1 nil]]\n1 ok [[:r 1 []]]", lists.Infer, []string{"so T3 < T1; but T1 was completed before T3 was invoked, so T1 < T3", "stale read"}},
		{"G1a", "0 fail [[:append 1 1]]\n1 ok [[:r 1 [1]]]", lists.Infer, []string{"T1 read key 1 as [1], seeing T0's append of 1: but that transaction failed"}},
		{"G1b", "0 ok [[:append 1 1] [:append 1 2]]\n1 ok [[:r 1 [1]]]", lists.Infer, []string{"which that transaction itself overwrote"}},
		{"internal", "0 ok [[:append 1 1] [:r 1 []]]", lists.Infer, []string{`T0 contradicts itself: after its own "append 1 1" it read key 1 as []`}},
		{"incompatible", "0 ok [[:append 1 1]]\n0 ok [[:append 1 2]]\n1 ok [[:r 1 [1 2]]]\n2 ok [[:r 1 [2]]]", lists.Infer, []string{"as [2]", "as [1 2]", "neither is the beginning"}},
		{"duplicates", "0 ok [[:append 1 1]]\n1 ok [[:r 1 [1 1]]]", lists.Infer, []string{"has 1 more than once"}},
		{"garbage", "1 ok [[:r 1 [9]]]", lists.Infer, []string{"with 9, which nobody wrote"}},
		{"lost update", "0 ok [[:r 1 nil] [:w 1 1]]\n1 ok [[:r 1 nil] [:w 1 2]]", registers, []string{"T0, T1 all read key 1 at the same version, nil"}},
		{"register", "0 ok [[:w 1 1] [:w 2 1]]\n1 ok [[:r 1 1] [:r 2 nil]]", registers, []string{"T1 read key 1 as 1, which T0 wrote, so T0 < T1; but T1 read key 2 as nil, and T0 overwrote that: it set key 2 to 1, so T1 < T0"}},
		{"cyclic versions", "0 ok [[:r 1 2] [:w 1 1]]\n1 ok [[:r 1 1] [:w 1 2]]", registers, []string{"the versions of key 1 cannot be ordered: 2 < 1 < 2 (by wfr-keys: T0 read 2 before it wrote 1;"}},
	} {
		l := read(t, c.history)
		o, err := txn.Check(context.Background(), l, c.infer)
		if err != nil {
			t.Fatal(err)
		}
		if len(o.Anomalies) == 0 {
			t.Errorf("%s: nothing found", c.name)
			continue
		}
		text := explain.New(l, nil).Text(o.Anomalies[0])
		for _, want := range c.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in\n%s", c.name, want, text)
			}
		}
	}
}

// TestShrink hides an anomaly among others' transactions; what is left shows it,
// and no part of that does.
func TestShrink(t *testing.T) {
	var s strings.Builder
	for i := range 50 {
		s.WriteString("0 ok [[:append 7 " + strings.Repeat("1", i%5+1) + string(rune('0'+i%10)) + string(rune('0'+i/10)) + "]]\n")
	}
	s.WriteString("1 ok [[:append 1 1]]\n1 ok [[:append 2 1]]\n2 ok [[:r 1 [1]] [:r 2 []]]\n3 ok [[:r 1 []] [:r 2 [1]]]\n")
	l := read(t, s.String())
	o, err := txn.Check(context.Background(), l, lists.Infer)
	if err != nil {
		t.Fatal(err)
	}
	a := o.Anomalies[0]
	shows := func(l *log.Log) bool {
		o, err := txn.Check(context.Background(), l, lists.Infer)
		return err == nil && o.Counts[a.Kind] > 0
	}
	for _, start := range []infer.Anomaly{a, {Kind: a.Kind}} { // with and without a hint where to look
		txns, minimal := explain.Shrink(context.Background(), l, start, shows)
		if !minimal || len(txns) == 0 || len(txns) > 4 || !shows(explain.Subset(l, txns)) {
			t.Fatalf("%s: %v, minimal %v", a.Kind, txns, minimal)
		}
		for i := range txns {
			rest := append(append([]int32{}, txns[:i]...), txns[i+1:]...)
			if len(rest) > 0 && shows(explain.Subset(l, rest)) {
				t.Errorf("%v shows it without %d", txns, txns[i])
			}
		}
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	if txns, minimal := explain.Shrink(over, l, a, shows); len(txns) > 0 || minimal {
		t.Errorf("without time: %v, minimal %v", txns, minimal)
	}
}
