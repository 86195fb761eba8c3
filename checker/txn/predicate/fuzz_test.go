package predicate_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/capstan-dev/capstan/checker/txn"
	"github.com/capstan-dev/capstan/checker/txn/graph"
	"github.com/capstan-dev/capstan/checker/txn/infer"
	"github.com/capstan-dev/capstan/checker/txn/log"
	"github.com/capstan-dev/capstan/checker/txn/predicate"
	"github.com/capstan-dev/capstan/history"
)

// Whatever the file holds: no panic. What cannot be read is told with its place,
// what is found has its evidence, and the same file says the same again.
func FuzzRead(f *testing.F) {
	for _, text := range []string{
		`{"type":"ok","process":0,"f":"init","value":{"x":1,"y":2}}` + "\n" + `{"type":"ok","process":1,"f":"txn","value":[["rp",["=",1],{"x":1}],["w","x",3],["insert",5,"a"],["delete","y"],["r","z",null]]}`,
		`{"type":"invoke","process":0,"f":"txn","value":[["rp",["mod",2,1],null]]}` + "\n" + `{"type":"ok","process":0,"f":"txn","value":[["rp",["mod",2,1],{"5":3}],["r",5,3]]}` + "\n" + `{"type":"info","process":0,"f":"txn","value":[["insert",5,3]]}`,
		`{:process 1 :type :invoke :f :txn :value [[:rp :true nil] [:w :x 1]]}{:process 1 :type :ok :f :txn :value [[:rp :true {:x 2}] [:w :x 1]]}{:process 2 :type :fail :f :txn :value nil}`,
		`{"type":"ok","process":0,"f":"txn"}`,
		`{"type":"ok","process":0,"f":"init","value":{"x":null}}`,
		`{"type":"ok","process":4294967296,"f":"txn","value":[["w","x",1],["w","x",1],["delete","x"],["rp",[],{"x":[1]}]]}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "history")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		h, _, err := history.Open(path)
		if err != nil {
			return
		}
		u, err := predicate.Read(h)
		var wrong *log.ValueError
		var malformed *history.MalformedError
		switch {
		case errors.As(err, &wrong):
			if wrong.Position < 0 || wrong.Position >= len(h.Events) || wrong.Msg == "" {
				t.Errorf("%v is at position %d of %d", err, wrong.Position, len(h.Events))
			}
			return
		case errors.As(err, &malformed):
			return
		case err != nil:
			t.Fatalf("without a place: %v", err)
		}
		first, again := judged(t, u), judged(t, u)
		if first != again {
			t.Errorf("%s\nand then %s", first, again)
		}
	})
}

// judged is all that is found, with its evidence.
func judged(t *testing.T, u *predicate.Universe) string {
	in, err := u.Infer(u.Log)
	if err != nil {
		return err.Error()
	}
	for _, e := range in.Edges {
		to, class := e.Head.To(), e.Head.Class()
		why := in.Evidence(e.From, to, class)
		if e.From == to || why.Key == infer.None || why.FromMop == infer.None || why.ToMop == infer.None {
			t.Errorf("%s from %d to %d: %+v", class, e.From, to, why)
		}
		for txn, mop := range map[int32]int32{e.From: why.FromMop, to: why.ToMop} {
			if x := &u.Log.Txns[txn]; mop < x.First || mop >= x.Last {
				t.Errorf("%s from %d to %d: %d is not of %d", class, e.From, to, mop, txn)
			}
		}
		if x := &u.Log.Txns[e.From]; x.Outcome != log.OK && (class == graph.RW || class == graph.RWP) || x.Outcome == log.Fail {
			t.Errorf("%s from %d, which is %s", class, e.From, x.Outcome)
		}
	}
	out, err := txn.Check(context.Background(), u.Log, u.Infer)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(out.Counts, out.Open, out.Refuted)
}
