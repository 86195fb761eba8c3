package wr_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capstan-dev/capstan/checker/txn/infer"
	"github.com/capstan-dev/capstan/checker/txn/infer/wr"
	"github.com/capstan-dev/capstan/checker/txn/log"
)

// Whatever the file holds and is assumed: no panic. What is no history of
// registers is told with a transaction, and each dependency has its evidence.
func FuzzInfer(f *testing.F) {
	for _, text := range []string{
		`{"type":"ok","process":0,"f":"txn","value":[["w","x",1],["r","y",null],["w","x",2],["r","x",2]]}` + "\n" + `{"type":"ok","process":1,"f":"txn","value":[["r","x",2],["w","x","a"]]}` + "\n" + `{"type":"info","process":1,"f":"txn","value":[["w","x",7]]}`,
		`{:process 0 :type :invoke :f :txn :value [[:w 1 1] [:r 2 nil]]}{:process 1 :type :invoke :f :txn :value [[:r 1 nil]]}{:process 1 :type :ok :f :txn :value [[:r 1 1]]}{:process 0 :type :fail :f :txn :value nil}{:process 1 :type :invoke :f :txn :value [[:w 1 9000000000]]}`,
		`{"type":"ok","process":0,"f":"txn","value":[["r","x",2],["w","x",1]]}` + "\n" + `{"type":"ok","process":0,"f":"txn","value":[["r","x",1],["w","x",2]]}`,
		`{"type":"ok","process":0,"f":"txn","value":[["append","x",1],["r","x",[1]],["w","x",null]]}`,
	} {
		f.Add([]byte(text), uint8(7), "2 1")
	}
	f.Fuzz(func(t *testing.T, text []byte, assume uint8, order string) {
		path := filepath.Join(t.TempDir(), "history")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := log.Open(path)
		if err != nil {
			return
		}
		o := wr.Options{WritesFollowReads: assume&1 > 0, Sequential: assume&2 > 0, Linearizable: assume&4 > 0}
		if assume&8 > 0 {
			o.Orders = map[string][]string{`"x"`: strings.Fields(order), "1": strings.Fields(order)}
		}
		in, err := wr.Infer(l, o)
		if err != nil {
			if !strings.Contains(err.Error(), "T") {
				t.Errorf("without a transaction: %v", err)
			}
			return
		}
		for _, e := range in.Edges {
			from, to, class := e.From, e.Head.To(), e.Head.Class()
			if why := in.Evidence(from, to, class); from == to || why.Key == infer.None || why.FromMop == infer.None || why.ToMop == infer.None {
				t.Errorf("%s from %d to %d: %+v", class, from, to, why)
			}
			if l.Txns[from].Outcome == log.Fail || l.Txns[to].Outcome == log.Fail {
				t.Errorf("%s from %d to %d: one of them failed", class, from, to)
			}
		}
		for _, x := range in.Found.All {
			if len(x.Txns) == 0 || len(x.Txns) != len(x.Mops) {
				t.Errorf("%s has the transactions %v and micro-operations %v", x.Kind, x.Txns, x.Mops)
			}
		}
	})
}
