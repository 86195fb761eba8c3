package postgres_test

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/conform"
	"github.com/capstan-dev/capstan/targets/postgres"
	"github.com/capstan-dev/capstan/workloads/txn"
)

func r(k int) txn.Mop      { return txn.Mop{F: "r", Key: k} }
func app(k, v int) txn.Mop { return txn.Mop{F: "append", Key: k, Value: v} }
func wr(k, v int) txn.Mop  { return txn.Mop{F: "w", Key: k, Value: v} }
func want(vs ...int) []int { return append([]int{}, vs...) }

// TestTransactions runs transactions in every way that they can be run.
func TestTransactions(t *testing.T) {
	s := start(t, "single")
	c := open(t, s, "n1")
	key := 0
	for _, how := range []string{"concat", "rows", "rmw"} {
		for _, by := range []string{"primary", "secondary", "none"} {
			for _, lock := range []string{"plain", "for-update"} {
				key += 2
				a, b := key, key+1
				l := conform.Request(t, postgres.Target{}, "single", "append="+how, "index="+by, "select="+lock).Levels
				got, err := c.At(l).AppendTxn(t.Context(), []txn.Mop{r(a), app(a, 1), app(a, 2), r(a), app(b, 7)})
				if err != nil || !slices.Equal(got[0].List, want()) || !slices.Equal(got[3].List, want(1, 2)) {
					t.Fatalf("%s by %s, %s: %+v, %v", how, by, lock, got, err)
				}
				got, err = c.At(l).AppendTxn(t.Context(), []txn.Mop{app(a, 3), r(b), r(a)})
				if err != nil || !slices.Equal(got[1].List, want(7)) || !slices.Equal(got[2].List, want(1, 2, 3)) {
					t.Errorf("%s by %s, %s: %+v, %v", how, by, lock, got, err)
				}
				got, err = c.At(l).WriteTxn(t.Context(), []txn.Mop{r(a), wr(a, 4), r(a), wr(a, 5), r(a)})
				if err != nil || got[0].Known || got[2].Value != 4 || got[4].Value != 5 || !got[4].Known {
					t.Errorf("registers by %s, %s: %+v, %v", by, lock, got, err)
				}
			}
		}
	}
}

// TestFailedTransactionsHaveNoEffect lets many transactions meet: what was
// acknowledged is there once, what failed is not there.
func TestFailedTransactionsHaveNoEffect(t *testing.T) {
	s := start(t, "single", "isolation=serializable")
	for i, how := range []string{"concat", "rows", "rmw"} {
		t.Run(how, func(t *testing.T) { meet(t, s, how, 1000*(i+1)) })
	}
}

func meet(t *testing.T, s targets.System, how string, base int) {
	l := conform.Request(t, postgres.Target{}, "single", "append="+how, "isolation=serializable").Levels
	const workers, each = 8, 40
	var mu sync.Mutex
	acked, failed := map[int]bool{}, map[int]bool{}
	var wg sync.WaitGroup
	for w := range workers {
		var c *postgres.Conn = open(t, s, "n1").At(l)
		wg.Go(func() {
			for i := range each {
				v := w*each + i
				_, err := c.AppendTxn(t.Context(), []txn.Mop{r(base), app(base+1, v), r(base + 1), app(base, v)})
				mu.Lock()
				switch {
				case err == nil:
					acked[v] = true
				case errors.Is(err, history.ErrNotApplied):
					failed[v] = true
				default:
					t.Errorf("unknown though the server answered: %v", err)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	got, err := open(t, s, "n1").At(l).AppendTxn(t.Context(), []txn.Mop{r(base), r(base + 1)})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got[0].List, got[1].List) {
		t.Errorf("serializable transactions appended in different orders:\n%v\n%v", got[0].List, got[1].List)
	}
	seen := map[int]int{}
	for _, v := range got[0].List {
		seen[v]++
	}
	for v := range workers * each {
		if wanted := map[bool]int{true: 1}[acked[v]]; seen[v] != wanted {
			t.Errorf("element %d: acknowledged %v, failed %v, there %d times", v, acked[v], failed[v], seen[v])
		}
	}
	if len(acked) == 0 || len(failed) == 0 {
		t.Errorf("%d acknowledged, %d failed: they did not meet", len(acked), len(failed))
	}
	t.Logf("%d acknowledged, %d failed", len(acked), len(failed))
}
