package linear_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/counter"
	"github.com/capstan-dev/capstan/checker/linear"
	"github.com/capstan-dev/capstan/checker/sets"
	"github.com/capstan-dev/capstan/history"
)

// FuzzCheck: no history makes a checker panic, be it ever so odd.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{
		"{:process 0 :type :invoke :f :write :value 1}{:process 0 :type :ok :f :write :value 1}{:process 1 :type :invoke :f :read}{:process 1 :type :ok :f :read :value 2}",
		"{:process 0 :type :invoke :f :cas :value [1 [nil 2]]}{:process 0 :type :info :f :cas}{:process :nemesis :type :info :f :start}",
		"{:process 0 :type :invoke :f :acquire}{:process 1 :type :invoke :f :acquire}{:process 0 :type :ok :f :acquire}{:process 1 :type :ok :f :acquire}",
		"{:process 0 :type :invoke :f :add :value 1}{:process 0 :type :ok :f :add}{:process 1 :type :invoke :f :read}{:process 1 :type :ok :f :read :value #{}}",
		"{:process 0 :type :invoke :f :enqueue :value 1}{:process 0 :type :ok :f :enqueue :value 1}{:process 1 :type :invoke :f :dequeue}{:process 1 :type :ok :f :dequeue :value 2}",
		"{:process 0 :type :invoke :f :append :value 1}{:process 0 :type :info :f :append :value 1}{:process 1 :type :invoke :f :read}{:process 1 :type :ok :f :read :value [2 1]}",
		"{:process 0 :type :invoke :f :txn :value [[:w x 1][:r y nil]]}{:process 0 :type :ok :f :txn :value [[:w x 1][:r y 3]]}",
		"{:process 0 :type :invoke :f :put :value [a 1]}{:process 0 :type :ok :f :put :value [a 1]}{:process 1 :type :invoke :f :get :value a}{:process 1 :type :ok :f :get}",
	} {
		f.Add([]byte(s))
	}
	var checks []checker.Checker
	for _, m := range linear.Models() {
		c, err := linear.New(m, linear.Options{Memory: 1 << 20})
		if err != nil {
			f.Fatal(err)
		}
		checks = append(checks, c)
	}
	checks = append(checks, sets.New(sets.Options{Linearizable: true}), counter.New(counter.Options{Linearizable: true}))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, _ := history.ReadEDN(bytes.NewReader(b))
		for _, c := range checks {
			res := checker.Run(context.Background(), c, h)
			if strings.Contains(res.Reason, "panicked") || strings.Contains(res.Reason, "defect") || strings.Contains(res.Reason, "gave no") || strings.Contains(res.Reason, "could not be narrowed") {
				t.Fatal(res.Reason)
			}
		}
	})
}
