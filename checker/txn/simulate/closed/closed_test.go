package closed_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"slices"
	"testing"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/txn"
	"github.com/capstan-dev/capstan/checker/txn/adya"
	"github.com/capstan-dev/capstan/checker/txn/simulate"
	"github.com/capstan-dev/capstan/checker/txn/simulate/closed"
)

var valid = flag.Int("valid", 40, "histories to judge, of each level")

func options(level string, seed uint64) simulate.Options {
	o := simulate.Default()
	o.Isolation, o.Seed, o.Transactions, o.Keys = level, seed, 5+int(seed%20), 2+int(seed%5)
	o.Processes, o.Info, o.Fail = 1+int(seed%6), 0.05, 0.05
	return o
}

func judge(t *testing.T, o simulate.Options) (txn.Figures, []simulate.Planted) {
	t.Helper()
	h, planted, err := closed.Run(o)
	if err != nil {
		t.Fatal(err)
	}
	c, err := txn.NewClosedPredicate("")
	if err != nil {
		t.Fatal(err)
	}
	var f txn.Figures
	res := checker.Run(context.Background(), c, h)
	if err := json.Unmarshal(res.Data, &f); err != nil {
		t.Fatalf("%s: %s", res.Verdict, res.Reason)
	}
	return f, planted
}

// TestNoFalseAccusation: what a level implies is not refuted; and phantoms make
// the difference between repeatable read and serializable.
func TestNoFalseAccusation(t *testing.T) {
	for _, level := range closed.Levels() {
		refuted := map[string]int{}
		for seed := range uint64(*valid) {
			f, _ := judge(t, options(level, seed))
			for _, m := range slices.Concat(f.Refuted, f.AlsoRefuted) {
				refuted[m]++
			}
			for m := range adya.Weaker(level) {
				if slices.Contains(slices.Concat(f.Refuted, f.AlsoRefuted), adya.Friendly(m)) {
					t.Fatalf("%s, seed %d: %s is refuted by %v", level, seed, m, f.Counts)
				}
			}
		}
		t.Logf("%s: %v", level, refuted)
		if level == "repeatable-read" && refuted["serializable"] == 0 {
			t.Errorf("no phantom at %s", level)
		}
	}
}

// TestPlanted: each anomaly is found in a history that has nothing else.
func TestPlanted(t *testing.T) {
	for _, name := range closed.Anomalies() {
		for seed := range uint64(5) {
			o := options("strict-serializable", seed)
			o.Anomalies = []string{name}
			f, planted := judge(t, o)
			if f.Counts[name] != 1 || len(planted) != 1 {
				t.Errorf("%s, seed %d: found %v", name, seed, f.Counts)
			}
			if name != "G1b" && len(f.Counts) != 1 {
				t.Errorf("%s, seed %d: found %v besides", name, seed, f.Counts)
			}
		}
	}
}

// TestSameSeed: the same options give the same history.
func TestSameSeed(t *testing.T) {
	a, _, _ := closed.Run(options("repeatable-read", 3))
	b, _, _ := closed.Run(options("repeatable-read", 3))
	if fmt.Sprint(a) != fmt.Sprint(b) {
		t.Error("two runs differ")
	}
}

func TestBadOptions(t *testing.T) {
	for _, change := range []func(*simulate.Options){
		func(o *simulate.Options) { o.Isolation = "best" },
		func(o *simulate.Options) { o.Anomalies = []string{"G0"} },
		func(o *simulate.Options) { o.Keys = 0 },
	} {
		o := simulate.Default()
		change(&o)
		if _, _, err := closed.Run(o); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
}
