package log_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capstan-dev/capstan/checker/txn/log"
	"github.com/capstan-dev/capstan/history"
	"github.com/google/go-cmp/cmp"
)

// show is a log, a transaction a line.
func show(l *log.Log) string {
	var out strings.Builder
	for i, t := range l.Txns {
		fmt.Fprintf(&out, "%d: %s process %d events %d %d", i, t.Outcome, t.Process, t.InvokeIndex, t.CompleteIndex)
		for _, m := range l.Of(int32(i)) {
			fmt.Fprintf(&out, ", %s of %s", [...]string{"append", "write", "read", "list", "odd list", "blind", "insert", "delete", "add", "set"}[m.Fun], l.Keys[m.Key])
			switch m.Fun {
			case log.Append, log.Write, log.Read, log.Add:
				fmt.Fprintf(&out, " %s", l.Text(m.Value))
			case log.List, log.Odd, log.Set:
				for _, e := range l.Elements(m) {
					fmt.Fprintf(&out, " %s", l.Text(e))
				}
			}
		}
		out.WriteString("\n")
	}
	for _, e := range l.Nemesis {
		fmt.Fprintf(&out, "nemesis: event %d %s %s\n", e.Index, e.Kind, e.F)
	}
	return out.String()
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "history")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const sample = `0: ok process 0 events 0 2, append of 5 1, list of "x"
1: ok process 1 events 1 3, list of 5 1, append of "x" -3
2: fail process 0 events 5 6, append of 5 2
3: ok process 1 events 7 8, odd list of 5 1 3, list of "x" -3
4: info process 0 events 9 11, append of 5 4, blind of 5
5: ok process 1 events 10 12, list of 5 1 4 "a b"
6: info process 1 events 13 -1, append of 5 9, blind of "x"
nemesis: event 4 info start
`

// forms are the sample, as it may be written.
var forms = map[string]string{
	"EDN": `{:index 0 :type :invoke, :process 0, :f :txn, :value [[:append 5 1] [:r :x nil]], :time 10}
{:index 1 :type :invoke, :process 1, :f :txn, :value [[:r 5 nil] [:append :x -3]], :time 20}
{:index 2 :type :ok, :process 0, :f :txn, :value [[:append 5 1] [:r :x nil]], :time 10}
{:index 3 :type :ok, :process 1, :f :txn, :value [[:r 5 [1]] [:append :x -3]], :time 20}
{:index 4, :type :info, :process :nemesis, :f :start, :value [:isolated {"n1" #{"n2"}}]}
{:index 5 :type :invoke, :process 0, :f :txn, :value [[:append 5 2]], :time 10}
{:index 6 :type :fail, :process 0, :f :txn, :value [[:append 5 2]], :time 10, :error [:timeout "a } b"]}
{:index 7 :type :invoke, :process 1, :f :txn, :value [[:r 5 nil] [:r :x nil]], :time 20}
{:index 8 :type :ok, :process 1, :f :txn, :value [[:r 5 [1 3]] [:r :x [-3]]], :time 20}
{:index 9 :type :invoke, :process 0, :f :txn, :value [[:append 5 4] [:r 5 nil]], :time 10}
{:index 10 :type :invoke, :process 1, :f :txn, :value [[:r 5 nil]], :time 20}
{:index 11 :type :info, :process 0, :f :txn, :value [[:append 5 4] [:r 5 nil]], :time 10}
{:index 12 :type :ok, :process 1, :f :txn, :value [[:r 5 [1 4 "a b"]]], :time 20}
{:index 13 :type :invoke, :process 1, :f :txn, :value [[:append 5 9] [:r :x nil]], :time 20}`,
	"EDN in other clothes": `[{:value [[:append, 5, 1] (:r :x nil)], :type :invoke, :elle/extra {:a [1]}, :process 0, :f :txn}
 #jepsen.history.Op{:type :invoke, :process 1, :f :txn, :value ([:r 5 nil] [:append :x -3])}
{:type :ok, :process 0, :f :txn, :value [[:append 5 1] [:r :x []]]}  {:type :ok,
 :process 1, :f :txn, :value [[:r 5 (1)] [:append :x -3]]}
{:type :info, :process :nemesis, :f :start, :value nil} {:type :invoke, :process 0, :f :txn, :value [[:append 5 2]]}
{:type :fail, :process 0, :f :txn, :value nil}
{:type :invoke, :process 1, :f :txn, :value [[:r 5] [:r :x]]}
{:type :ok, :process 1, :f :txn, :value [[:r 5 [1, 3]] [:r :x [-3]]]}
{:type :invoke, :process 0, :f :txn, :value [[:append 5 4] [:r 5 nil]]}
{:type :invoke, :process 1, :f :txn, :value [[:r 5 nil]]}
{:value nil, :type :info, :process 0, :f :txn, :exception {:via [#inst "2020-01-01"]}}
{:value [[:r 5 [1 4 "a b"]]] :type :ok, :process 1, :f :txn }
{:type :invoke, :process 1, :f :txn, :value [[:append 5 9] [:r :x nil]]}
]`,
	"JSON lines": `{"index":0,"type":"invoke","process":0,"f":"txn","value":[["append",5,1],["r","x",null]],"time":1}
{"index":1,"type":"invoke","process":1,"f":"txn","value":[["r",5,null],["append","x",-3]],"time":1}
{"index":2,"type":"ok","process":0,"f":"txn","value":[["append",5,1],["r","x",null]],"time":1}
{"index":3,"type":"ok","process":1,"f":"txn","value":[["r",5,[1]],["append","x",-3]],"time":1}
{"index":4,"type":"info","process":"nemesis","f":"start","value":{"a":[1,"}"]},"time":1}
{"index":5,"type":"invoke","process":0,"f":"txn","value":[["append",5,2]],"time":1}
{"index":6,"type":"fail","process":0,"f":"txn","value":[["append",5,2]],"time":1,"error":"x"}
{"index":7,"type":"invoke","process":1,"f":"txn","value":[["r",5,null],["r","x",null]],"time":1}
{"index":8,"type":"ok","process":1,"f":"txn","value":[["r",5,[1,3]],["r","x",[-3]]],"time":1}
{"index":9,"type":"invoke","process":0,"f":"txn","value":[["append",5,4],["r",5,null]],"time":1}
{"index":10,"type":"invoke","process":1,"f":"txn","value":[["r",5,null]],"time":1}
{"index":11,"type":"info","process":0,"f":"txn","value":[["append",5,4],["r",5,null]],"time":1}
{"index":12,"type":"ok","process":1,"f":"txn","value":[["r",5,[1,4,"a b"]]],"time":1}
{"index":13,"type":"invoke","process":1,"f":"txn","value":[["append",5,9],["r","x",null]],"time":1}`,
}

func TestForms(t *testing.T) {
	for name, text := range forms {
		for parts := 1; parts < 6; parts++ {
			l, err := log.Parts(bytes.NewReader([]byte(text)), int64(len(text)), parts)
			if err != nil {
				t.Errorf("%s in %d parts: %v", name, parts, err)
				continue
			}
			if diff := cmp.Diff(sample, show(l)); diff != "" {
				t.Errorf("%s in %d parts: %s", name, parts, diff)
			}
		}
		h, _, err := history.Open(write(t, text))
		if err != nil {
			t.Fatal(err)
		}
		l, err := log.FromHistory(h)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(sample, show(l)); diff != "" {
			t.Errorf("%s as a history: %s", name, diff)
		}
	}
}

func TestErrorsTellThePlace(t *testing.T) {
	for text, want := range map[string]string{
		"{:type :ok, :process 0, :f :txn, :value [[:append 1 2]]}\n\n{:type :ok, :process 0, :f :txn, :value [[:inc 1 2]]}": `:3: event 1 (ok txn): the value is "[[\"inc\",1,2]]", want a list of micro-operations`,
		"{:type :ok, :process 0, :f :txn, :value nil}":                                       `:1: event 0 (ok txn)`,
		"{:type :ok, :process 0, :f :txn, :value 5} {:type :ok, :process 0, :f :txn}":        `history: event 0 (ok txn)`,
		"{:type :ok, :process 0, :f :txn, :value [[:r 1 2]":                                  `:1:`,
		"{:type :invoke, :process 0, :f :txn}\n{:type :invoke, :process 0, :f :txn}":         "invokes again",
		"{:type :ok, :process 0, :f :txn, :value [[:r 1 [1]]]}\n\x00{:type :ok, :process 0}": ":2:",
	} {
		_, err := log.Open(write(t, text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

const setSample = `0: ok process 0 events 0 1, add of 5 1, set of "x"
1: ok process 1 events 2 3, set of 5 1 "a b" -3, set of "x"
2: info process 1 events 4 5, add of "x" "a b", blind of 5
3: ok process 2 events 6 7, set of "x" "a b", set of 5 1
`

// TestSets: sets are read alike as EDN and JSON, in any number of parts, and by
// the general reader.
func TestSets(t *testing.T) {
	for name, text := range map[string]string{
		"EDN": `{:type :invoke, :process 0, :f :txn, :value [[:add 5 1] [:r :x nil]]}
{:type :ok, :process 0, :f :txn, :value [[:add 5 1] [:r :x nil]]}
{:type :invoke, :process 1, :f :txn, :value [[:r 5 nil] [:r :x nil]]}
{:type :ok, :process 1, :f :txn, :value [[:r 5 #{1 "a b" -3}] [:r :x #{}]]}
{:type :invoke, :process 1, :f :txn, :value [[:add :x "a b"] [:r 5 nil]]}
{:type :info, :process 1, :f :txn, :value [[:add :x "a b"] [:r 5 nil]]}
{:type :invoke, :process 2, :f :txn, :value [[:r :x nil] [:r 5 nil]]}
{:type :ok, :process 2, :f :txn, :value [[:r :x #{"a b"}] [:r 5 [1]]]}`,
		"JSON": `{"type":"invoke","process":0,"f":"txn","value":[["add",5,1],["r","x",null]]}
{"type":"ok","process":0,"f":"txn","value":[["add",5,1],["r","x",null]]}
{"type":"invoke","process":1,"f":"txn","value":[["r",5,null],["r","x",null]]}
{"type":"ok","process":1,"f":"txn","value":[["r",5,[1,"a b",-3]],["r","x",[]]]}
{"type":"invoke","process":1,"f":"txn","value":[["add","x","a b"],["r",5,null]]}
{"type":"info","process":1,"f":"txn","value":[["add","x","a b"],["r",5,null]]}
{"type":"invoke","process":2,"f":"txn","value":[["r","x",null],["r",5,null]]}
{"type":"ok","process":2,"f":"txn","value":[["r","x",["a b"]],["r",5,[1]]]}`,
	} {
		for parts := 1; parts < 6; parts++ {
			l, err := log.SetParts(bytes.NewReader([]byte(text)), int64(len(text)), parts)
			if err != nil {
				t.Errorf("%s in %d parts: %v", name, parts, err)
				continue
			}
			if diff := cmp.Diff(setSample, show(l)); diff != "" {
				t.Errorf("%s in %d parts: %s", name, parts, diff)
			}
		}
		h, _, err := history.Open(write(t, text))
		if err != nil {
			t.Fatal(err)
		}
		l, err := log.SetsFromHistory(h)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(show(l), "\n"); got != 4 || len(l.Sets) != 4 {
			t.Errorf("%s as a history: %s", name, show(l))
		}
		for cut := range len(text) { // whatever is missing: no panic
			_, _ = log.SetParts(bytes.NewReader([]byte(text[:cut])), int64(cut), 1)
			_, _ = log.OpenSets(write(t, text[cut:]))
		}
	}
}
