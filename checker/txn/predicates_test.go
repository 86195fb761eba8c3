package txn_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/txn"
	"github.com/capstan-dev/capstan/history"
)

// TestPredicates: each line is a transaction, all at the same time, but for init,
// which comes first.
func TestPredicates(t *testing.T) {
	for _, c := range []struct {
		name, init string
		txns       []string
		want       string
	}{
		{"seen by each other", "", []string{`ok [["w","x",1],["rp","true",{"y":2}]]`, `ok [["w","y",2],["rp","true",{"x":1}]]`}, "G1c"},
		{"seen in turn", "", []string{`ok [["w","x",1],["rp","true",{"x":1}]]`, `ok [["w","y",2],["rp","true",{"x":1,"y":2}]]`}, ""},
		{"both see nothing", "", []string{`ok [["w","x",1],["rp","true",{}]]`, `ok [["w","y",2],["rp","true",{}]]`}, "G2"},
		{"both see the deletes", `{"x":0,"y":0}`, []string{`ok [["delete","x"],["rp","true",{}]]`, `ok [["delete","y"],["rp","true",{}]]`}, "G1c"},
		{"what is not seen was changed", `{"x":0,"y":0}`, []string{`ok [["rp",["=",0],{"x":0}],["w","x",1]]`, `ok [["rp",["=",0],{"y":0}],["w","y",1]]`}, "G1c"},
		{"phantoms", `{"x":0,"y":0}`, []string{`ok [["rp",["=",1],{}],["w","x",1]]`, `ok [["rp",["=",1],{}],["w","y",1]]`}, "G2"},
		{"phantoms in turn", `{"x":0,"y":0}`, []string{`ok [["rp",["=",1],{}],["w","x",1]]`, `ok [["rp",["=",1],{"x":1}],["w","y",1]]`}, ""},
		{"phantoms that do not match", `{"x":0,"y":0}`, []string{`ok [["rp",["=",7],{}],["w","x",1]]`, `ok [["rp",["=",7],{}],["w","y",1]]`}, ""},
		{"of a crashed insert", "", []string{`ok [["rp","true",{"x":1}]]`, `info [["insert","x",1]]`}, ""},
		{"fractured by a predicate", "", []string{`ok [["insert","x",1],["insert","y",1]]`, `ok [["r","x",1],["rp",["=",1],{"x":1}]]`}, "G-single"},
		{"a delete by key", `{"x":0,"z":0}`, []string{`ok [["r","z",3],["delete","x"]]`, `ok [["r","x",null],["insert","y",2]]`, `ok [["r","y",2],["w","z",3]]`}, "G1c"},
		{"before init", `{"x":0,"z":0}`, []string{`ok [["delete","x"],["insert","y",1]]`, `ok [["r","y",1],["r","z",null]]`}, "G-single-item"},
		{"looked and did not see", `{"7":1}`, []string{`ok [["rp",["mod",2,0],{}],["r",7,null]]`}, "G-single-item"},
		{"missed", `{"5":3}`, []string{`ok [["rp",["mod",2,1],{}]]`}, "predicate-read-miss"},
		{"not missed, for it may be deleted", `{"5":3}`, []string{`ok [["rp",["mod",2,1],{}]]`, `info [["delete",5]]`}, ""},
		{"missed, for the delete failed", `{"5":3}`, []string{`ok [["rp",["mod",2,1],{}]]`, `fail [["delete",5]]`}, "predicate-read-miss"},
		{"of a failed insert", "", []string{`fail [["insert","x",1]]`, `ok [["rp","true",{"x":1}]]`}, "G1a"},
		{"of an inner write", "", []string{`ok [["insert","x",1],["w","x",2]]`, `ok [["rp",["=",1],{"x":1}]]`}, "G1b"},
		{"of nobody", "", []string{`ok [["rp","true",{"x":1}]]`}, "garbage-read"},
		{"inner", "", []string{`ok [["insert","x",1],["r","x",null]]`}, "internal"},
		{"inner delete", "", []string{`ok [["insert","x",1],["delete","x"],["r","x",null]]`}, ""},
	} {
		res := closed(t, predicates(c.init, c.txns))
		var f txn.Figures
		if err := json.Unmarshal(res.Data, &f); err != nil {
			t.Fatalf("%s: %v: %s", c.name, err, res.Reason)
		}
		if got := strings.Join(f.AnomalyTypes, " "); got != c.want {
			t.Errorf("%s: %q, want %q: %+v", c.name, got, c.want, res.Anomalies)
		}
	}
}

func TestPredicatesThatSayNothing(t *testing.T) {
	for want, txns := range map[string][]string{
		"both T2 and T3 write 1":       {`ok [["w","x",1]]`, `ok [["w","x",1]]`},
		"want true, [= v] or [mod m r": {`ok [["rp",["<",1],{}]]`},
		"want a modulus above 0":       {`ok [["rp",["mod",0,1],{}]]`},
		"no transaction":               {`info [["w","x",1]]`},
		"want [insert k v]":            {`ok [["append","x",1]]`},
	} {
		if res := closed(t, predicates("", txns)); res.Verdict != checker.Unknown || !strings.Contains(res.Reason, want) {
			t.Errorf("%q: %s: %s, want %s", txns, res.Verdict, res.Reason, want)
		}
	}
}

func closed(t *testing.T, h *history.History) checker.Result {
	t.Helper()
	c, err := txn.NewClosedPredicate("")
	if err != nil {
		t.Fatal(err)
	}
	return checker.Run(context.Background(), c, h)
}

func predicates(init string, txns []string) *history.History {
	h := &history.History{}
	add := func(process int, k history.Kind, f, value string) {
		h.Events = append(h.Events, history.Event{Index: len(h.Events), Process: process, Kind: k, F: f, Value: json.RawMessage(value)})
	}
	if init != "" {
		add(0, history.Invoke, "init", init)
		add(0, history.OK, "init", init)
	}
	for i, x := range txns {
		_, value, _ := strings.Cut(x, " ")
		add(i, history.Invoke, "txn", value)
	}
	for i, x := range txns {
		kind, value, _ := strings.Cut(x, " ")
		add(i, map[string]history.Kind{"ok": history.OK, "info": history.Info, "fail": history.Fail}[kind], "txn", value)
	}
	return h
}

func ExampleNewClosedPredicate() {
	c, _ := txn.NewClosedPredicate("serializable")
	fmt.Println(c.Name())
	// Output: closed-predicate
}

// TestShrinking: the text of the first anomaly names what is needed to show it.
func TestShrinking(t *testing.T) {
	c, err := txn.NewListAppend("")
	if err != nil {
		t.Fatal(err)
	}
	h := predicates("", []string{`ok [["append",9,1]]`, `ok [["append",1,1],["append",2,1]]`, `ok [["r",1,[1]],["r",2,[]]]`, `ok [["r",9,[1]]]`})
	res := checker.Run(context.Background(), c.Shrinking(), h)
	if res.Verdict != checker.Invalid || !strings.Contains(res.Anomalies[0].Text, "2 of 4 transactions show it by themselves, and none of them can be left out") {
		t.Errorf("%s: %+v", res.Verdict, res.Anomalies)
	}
}
