package set_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/capstan-dev/capstan/checker/txn"
	"github.com/capstan-dev/capstan/checker/txn/infer/set"
	"github.com/capstan-dev/capstan/checker/txn/log"
)

// concurrent is a history of transactions that all run at once, each by a
// process of its own: its outcome and its micro-operations.
func concurrent(t testing.TB, txns ...string) *log.Log {
	t.Helper()
	var s strings.Builder
	for i, x := range txns {
		_, mops, _ := strings.Cut(x, " ")
		fmt.Fprintf(&s, "{:type :invoke, :process %d, :f :txn, :value %s}\n", i, mops)
	}
	for i, x := range txns {
		outcome, mops, _ := strings.Cut(x, " ")
		fmt.Fprintf(&s, "{:type :%s, :process %d, :f :txn, :value %s}\n", outcome, i, mops)
	}
	return open(t, s.String())
}

func open(t testing.TB, text string) *log.Log {
	t.Helper()
	path := filepath.Join(t.TempDir(), "history.edn")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := log.OpenSets(path)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func kinds(t testing.TB, l *log.Log) string {
	t.Helper()
	out, err := txn.Check(context.Background(), l, set.Infer)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(slices.Sorted(maps.Keys(out.Counts)), " ")
}

// TestAnomalies: each anomaly in its least history, and beside it the nearest
// history that does not have it.
func TestAnomalies(t *testing.T) {
	for _, c := range []struct {
		name, want string
		txns       []string
	}{
		{"garbage", "garbage-read", []string{`ok [[:r x #{1}]]`}},
		{"no garbage", "", []string{`ok [[:r x #{1}]]`, `info [[:add x 1]]`}},
		{"twice", "duplicate-elements", []string{`ok [[:r x [1 1]]]`, `ok [[:add x 1]]`}},
		{"aborted", "G1a", []string{`ok [[:r x #{1}]]`, `fail [[:add x 1]]`}},
		{"not seen after the abort", "", []string{`ok [[:r x #{}]]`, `fail [[:add x 1]]`}},
		{"intermediate", "G-single-item G1b", []string{`ok [[:r x #{1}]]`, `ok [[:add x 1] [:add x 2]]`}},
		{"both adds", "", []string{`ok [[:r x #{2 1}]]`, `ok [[:add x 1] [:add x 2]]`}},
		{"neither add", "", []string{`ok [[:r x nil]]`, `ok [[:add x 1] [:add x 2]]`}},
		{"own add not seen", "internal", []string{`ok [[:add x 1] [:r x #{}]]`}},
		{"own add seen", "", []string{`ok [[:add x 1] [:r x #{1}]]`}},
		{"lost between reads", "G-single-item internal", []string{`ok [[:r x #{1}] [:r x #{}]]`, `ok [[:add x 1]]`}},
		{"new between reads", "G-single-item internal", []string{`ok [[:r x #{}] [:r x #{1}]]`, `ok [[:add x 1]]`}},
		{"own between reads", "", []string{`ok [[:r x #{1}] [:add x 2] [:r x #{2 1}]]`, `ok [[:add x 1]]`}},
		{"seen before it was added", "future-read", []string{`ok [[:r x #{1}] [:add x 1]]`}},
		{"seen by each other", "G1c", []string{`ok [[:add x 1] [:r y #{1}]]`, `ok [[:add y 1] [:r x #{1}]]`}},
		{"seen by one", "", []string{`ok [[:add x 1] [:r y #{1}]]`, `ok [[:add y 1] [:r x #{}]]`}},
		{"fractured", "G-single-item", []string{`ok [[:r x #{1}] [:r y #{}]]`, `ok [[:add x 1] [:add y 1]]`}},
		{"whole", "", []string{`ok [[:r x #{1}] [:r y #{1}]]`, `ok [[:add x 1] [:add y 1]]`}},
		{"long fork", "G-nonadjacent-item", []string{`ok [[:r x #{1}]]`, `ok [[:r x #{2}]]`, `ok [[:add x 1]]`, `ok [[:add x 2]]`}},
		{"no fork", "", []string{`ok [[:r x #{1}]]`, `ok [[:r x #{2 1}]]`, `ok [[:add x 1]]`, `ok [[:add x 2]]`}},
		{"write skew", "G2-item", []string{`ok [[:r x #{}] [:add y 1]]`, `ok [[:r y #{}] [:add x 1]]`}},
		{"write skew in one set", "G2-item", []string{`ok [[:r x #{}] [:add x 1]]`, `ok [[:r x #{}] [:add x 2]]`}},
		{"one after the other", "", []string{`ok [[:r x #{}] [:add x 1]]`, `ok [[:r x #{1}] [:add x 2]]`}},
		{"who may not have been", "", []string{`ok [[:r x #{}] [:add y 1]]`, `info [[:r y nil] [:add x 1]]`}},
		{"who was, for it was seen", "G-single-item", []string{`ok [[:r x #{}] [:r y #{1}]]`, `info [[:add x 1] [:add y 1]]`}},
		{"adds alone have no order", "", []string{`ok [[:add x 1] [:add y 1]]`, `ok [[:add y 2] [:add x 2]]`, `ok [[:r x #{1 2}] [:r y #{1 2}]]`}},
		{"elements of all kinds", "", []string{`ok [[:r "x" #{"a b" -3 :c}]]`, `ok [[:add :x "a b"] [:add :x -3] [:add :x :c]]`}},
	} {
		if got := kinds(t, concurrent(t, c.txns...)); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestOrderOfTime: what a process or a clock knows makes a cycle of a stale read.
func TestOrderOfTime(t *testing.T) {
	const add = `{:type :invoke, :process 0, :f :txn, :value [[:add x 1]]}
{:type :ok, :process 0, :f :txn, :value [[:add x 1]]}
`
	const read = `{:type :invoke, :process %d, :f :txn, :value [[:r x nil]]}
{:type :ok, :process %d, :f :txn, :value [[:r x %s]]}
`
	for _, c := range []struct {
		process    int
		seen, want string
	}{
		{0, "#{}", "G-single-item-process"},
		{1, "#{}", "G-single-item-realtime"},
		{1, "#{1}", ""},
	} {
		if got := kinds(t, open(t, add+fmt.Sprintf(read, c.process, c.process, c.seen))); got != c.want {
			t.Errorf("process %d read %s: %q, want %q", c.process, c.seen, got, c.want)
		}
	}
}

// TestBad: what says nothing is an error, never a verdict.
func TestBad(t *testing.T) {
	for want, txns := range map[string][]string{
		"1 was added to key \"x\" twice, by T2 and T3": {`ok [[:add x 1]]`, `fail [[:add x 1]]`},
		"is not a transaction on sets":                 {`ok [[:append x 1]]`},
		"T1 is not a transaction on sets":              {`ok [[:w x 1]]`},
	} {
		if _, err := set.Infer(concurrent(t, txns...)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", txns, err, want)
		}
	}
}

// TestManyMissed: where reads miss more than there is room for, the rest is left
// open, and what was found stands.
func TestManyMissed(t *testing.T) {
	l := &log.Log{Keys: []string{"x"}, Longest: make([][]log.Value, 1), Sets: [][]log.Value{nil}, Nodes: []string{""}}
	const n = 2500
	for i := range int32(2 * n) {
		m := log.Mop{Fun: log.Set}
		if i%2 == 0 {
			m = log.Mop{Fun: log.Add, Value: log.Value(i)}
		}
		l.Mops = append(l.Mops, m)
		l.Txns = append(l.Txns, log.Txn{Process: i, Invoke: i, Complete: 2*n + i, InvokeIndex: i, CompleteIndex: 2*n + i, First: i, Last: i + 1})
	}
	l.Events = 4 * n
	in, err := set.Infer(l)
	if err != nil {
		t.Fatal(err)
	}
	if len(in.Open) != 1 || len(in.Edges) == 0 || len(in.Edges) >= n*n {
		t.Errorf("%d edges, open: %v", len(in.Edges), in.Open)
	}
}
