package txn_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/txn"
	"github.com/capstan-dev/capstan/checker/txn/adya"
	lists "github.com/capstan-dev/capstan/checker/txn/infer/append"
	"github.com/capstan-dev/capstan/checker/txn/log"
	"github.com/capstan-dev/capstan/checker/txn/simulate"
)

// parse reads events like "0 ok x+1 y[1,2] z?": a process, a type, and appends,
// reads, and reads of nil. Events are separated by semicolons or newlines.
func parse(t testing.TB, events string) *log.Log {
	t.Helper()
	var out strings.Builder
	for _, line := range strings.FieldsFunc(events, func(r rune) bool { return r == ';' || r == '\n' }) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		var mops []string
		for _, w := range words[2:] {
			at := strings.IndexAny(w, "+[?")
			switch w[at] {
			case '+':
				mops = append(mops, fmt.Sprintf(`["append",%q,%s]`, w[:at], w[at+1:]))
			case '[':
				mops = append(mops, fmt.Sprintf(`["r",%q,%s]`, w[:at], w[at:]))
			default:
				mops = append(mops, fmt.Sprintf(`["r",%q,null]`, w[:at]))
			}
		}
		value := "null"
		if len(mops) > 0 {
			value = "[" + strings.Join(mops, ",") + "]"
		}
		fmt.Fprintf(&out, "{\"process\":%s,\"type\":%q,\"f\":\"txn\",\"value\":%s}\n", words[0], words[1], value)
	}
	path := filepath.Join(t.TempDir(), "history.jsonl")
	if err := os.WriteFile(path, []byte(out.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := log.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// found are the kinds of anomalies, sorted.
func found(t testing.TB, l *log.Log) (string, *txn.Outcome) {
	t.Helper()
	o, err := txn.Check(context.Background(), l, lists.Infer)
	if err != nil {
		return "error: " + err.Error(), nil
	}
	return strings.Join(slices.Sorted(maps.Keys(o.Counts)), " "), o
}

func TestAnomaliesOfLists(t *testing.T) {
	for _, c := range []struct{ title, history, want string }{
		{"appends and reads", "0 ok x+1 x+2; 1 ok x[1,2]; 1 ok x+3 x[1,2,3]", ""},
		{"reads of nothing", "0 ok x?; 1 ok y?", ""},
		{"a crashed append that took effect", "0 info x+1; 1 ok x[1]", ""},
		{"and one that did not", "0 info x+1; 1 ok x[]", ""},
		{"internal: its own append is missing", "0 ok x+1 x[]", "internal"},
		{"internal: another read", "0 ok x+1; 1 ok x[1] x[]", "G-single-item internal"},
		{"internal: more than its own", "0 ok x+1; 1 ok x? x+2 x[1,2]", "G-single-item internal"},
		{"internal: its own, but not last", "0 ok x+1 x[1,2]; 1 ok x+2", "G1c internal"},
		{"not internal: what was there before", "0 ok x+1; 1 ok x+2 x[1,2]", ""},
		{"G1a", "0 fail x+1; 1 ok x[1]", "G1a"},
		{"G1a, further in front", "0 fail x+1; 2 info x+2; 1 ok x[1,2]", "G1a"},
		{"G1a without a value of the completion", "0 invoke x+1; 0 fail; 1 invoke x?; 1 ok x[1]", "G1a"},
		{"not G1a: unseen", "0 fail x+1; 1 ok x[]", ""},
		{"G1b", "0 ok x+1 x+2; 1 ok x[1]", "G-single-item G1b"},
		{"not G1b: its own", "0 ok x+1 x[1] x+2; 1 ok x[1,2]", ""},
		{"dirty update", "0 fail x+1; 1 ok x+2; 2 ok x[1,2]", "G1a dirty-update"},
		{"dirty update behind an unknown one", "0 fail x+1; 1 info x+2; 2 ok x+3; 3 ok x[1,2,3]", "G1a dirty-update"},
		{"not a dirty update: before it", "1 ok x+2; 0 fail x+1; 2 ok x[2]", ""},
		{"duplicate elements", "0 ok x+1; 1 ok x[1,1]", "duplicate-elements"},
		{"incompatible order", "0 ok x+1; 1 ok x+2; 2 ok x[1,2]; 3 ok x[2,1]", "incompatible-order"},
		{"not incompatible: one is longer", "0 ok x+1; 1 ok x+2; 2 ok x[1,2]; 3 ok x[1]", ""},
		{"future read", "0 ok x[1] x+1", "future-read"},
		{"not a future read", "0 ok x[] x+1", ""},
		{"garbage", "0 ok x[7]", "garbage-read"},
		{"garbage beside others", "0 ok x+1; 1 ok x[1,7]", "garbage-read"},
		{"lost update", "0 ok x[] x+1; 1 ok x[] x+2; 2 ok x[1,2]", "G-single-item lost-update"},
		{"not a lost update: blind", "0 ok x+1; 1 ok x[] x+2; 2 ok x[2,1]", ""},
		{"not a lost update: one failed", "0 ok x[] x+1; 1 fail x[] x+2", ""},
		{"G0", "0 ok x+1 y+1; 1 ok x+2 y+2; 2 ok x[1,2]; 2 ok y[2,1]", "G0"},
		{"not G0", "0 ok x+1 y+1; 1 ok x+2 y+2; 2 ok x[1,2]; 2 ok y[1,2]", ""},
		{"G1c", "0 ok x+1 y[1]; 1 ok y+1 x[1]", "G1c"},
		{"not G1c", "0 ok x+1; 1 ok y+1 x[1]", ""},
		{"G-single: read skew", "0 ok x+1 y+1; 1 ok x[1] y[]", "G-single-item"},
		{"G-nonadjacent: long fork", "0 ok x+1; 1 ok y+1; 2 ok x[1] y[]; 3 ok x[] y[1]", "G-nonadjacent-item"},
		{"G2: write skew", "0 ok x[] y+1; 1 ok y[] x+1; 2 ok x[1] y[1]", "G2-item"},
		{"unseen appends come last", "0 ok x[] y+1; 1 ok y[] x+1", "G2-item"},
		{"G0-process", "0 ok x+1; 0 ok x+2; 1 ok x[2,1]", "G0-process"},
		{"G1c-process", "0 ok x[1]; 0 ok x+1", "G1c-process"},
		{"G-single-process", "0 ok x+1; 0 ok x[]", "G-single-item-process"},
		{"not of the same process", "0 ok x+1; 1 ok x[]", ""},
		{"G0-realtime", "0 invoke x+1; 0 ok x+1; 1 invoke x+2; 1 ok x+2; 2 invoke x?; 2 ok x[2,1]", "G0-realtime"},
		{"not in the order of time", "0 invoke x+1; 1 invoke x+2; 0 ok x+1; 1 ok x+2; 2 invoke x?; 2 ok x[2,1]", ""},
		{"G1c-realtime", "0 invoke x?; 0 ok x[1]; 1 invoke x+1; 1 ok x+1", "G1c-realtime"},
		{"G-single-realtime: a stale read", "0 invoke x+1; 0 ok x+1; 1 invoke x?; 1 ok x[]", "G-single-item-realtime"},
		{"a crashed one has no end", "0 invoke x+1; 0 info x+1; 1 invoke x?; 1 ok x[]", ""},
		{"a crashed one has a beginning", "1 invoke x?; 1 ok x[1]; 0 invoke x+1", "G1c-realtime"},
		{"the same of a crashed one with an end", "1 invoke x?; 1 ok x[1]; 0 invoke x+1; 0 info x+1", "G1c-realtime"},
		{"appended twice", "0 ok x+1; 1 ok x+1", "error: 1 was appended to key \"x\" twice, at events 0 and 1: nothing follows from reading it"},
		{"none was acknowledged", "0 info x+1", "error: no transaction of 1 was acknowledged (ok): nothing was shown"},
	} {
		if got, _ := found(t, parse(t, c.history)); got != c.want {
			t.Errorf("%s: got %q, want %q", c.title, got, c.want)
		}
	}
}

// A verdict is invalid if and only if the model forbids an anomaly, and then
// the first one has a witness.
func TestVerdictByModel(t *testing.T) {
	skew := "0 ok x[] y+1; 1 ok y[] x+1; 2 ok x[1] y[1]"
	for model, want := range map[string]checker.Verdict{
		"": checker.Invalid, "serializable": checker.Invalid, "repeatable-read": checker.Invalid, "PL-3": checker.Invalid,
		"snapshot-isolation": checker.Valid, "read-committed": checker.Valid, "PL-SI": checker.Valid,
	} {
		c, err := txn.NewListAppend(model)
		if err != nil {
			t.Fatal(err)
		}
		res, err := c.Judge(context.Background(), parse(t, skew))
		if err != nil || res.Verdict != want || len(res.Anomalies) != 1 {
			t.Errorf("%s: %v %v %v", model, res.Verdict, err, res.Anomalies)
		}
		if len(res.Anomalies) > 0 && (res.Anomalies[0].Text == "" || len(res.Anomalies[0].Events) != 2) {
			t.Errorf("%s: %+v", model, res.Anomalies[0])
		}
		if !strings.Contains(string(res.Data), `"refuted":["repeatable-read"]`) {
			t.Errorf("%s: %s", model, res.Data)
		}
	}
	if _, err := txn.NewListAppend("snapshot-isolatoin"); err == nil || !strings.Contains(err.Error(), `did you mean "snapshot-isolation"`) {
		t.Errorf("got %v", err)
	}
}

// What a cycle refutes by its form, at the smallest size, and what not.
func TestForm(t *testing.T) {
	for _, c := range []struct{ title, history, besides string }{
		{"write skew", "0 ok x[] y+1; 1 ok y[] x+1", "update-serializable"},
		{"long fork", "0 ok x+1; 1 ok y+1; 2 ok x[1] y[]; 3 ok x[] y[1]", "prefix"},
		{"long fork of one who writes", "0 ok x+1; 1 ok y+1; 2 ok x[1] y[] z+1; 3 ok x[] y[1]", "prefix update-serializable"},
		{"seen, and then not", "0 ok x+1 y+1; 1 ok x[1] y[]", "monotonic-atomic-view monotonic-view"},
		{"not seen, and then seen", "0 ok x+1 y+1; 1 ok y[] x[1]", "read-atomic"},
		{"causality", "0 ok x+1; 1 ok x[1] y+1; 2 ok x[] y[1]", "causal-cerone"},
		{"causality, the cause last", "0 ok x+1; 1 ok x[1] y+1; 2 ok y[1] x[]", "causal-cerone monotonic-view"},
		{"overwritten, and read before that", "0 ok x+1 y+1; 1 ok y[] x+2; 2 ok x[1,2]", "update-atomic"},
		{"overwritten, and read after that", "0 ok x+1 y+1; 1 ok x+2 y[]; 2 ok x[1,2]", "monotonic-view update-atomic"},
		{"a part of what was written came after", "0 ok x+1 y+1; 1 ok x+2 y[] x+3; 2 ok x[1,2,3]", "update-atomic"},
		{"read, overwritten, overwritten: a cursor", "0 ok x+1; 1 ok x[] x+2; 2 ok x[1,2]", "cursor-stability update-atomic"},
		{"another one of the component", "0 ok x+1 y+1 z+1; 1 ok y[] x+2; 2 ok x[1,2]; 3 ok z[] y[1]", "read-atomic"},
	} {
		_, o := found(t, parse(t, c.history))
		if got := strings.Join(o.Besides, " "); got != c.besides {
			t.Errorf("%s: %q, want %q; refuted %v; %v", c.title, got, c.besides, o.Refuted, o.Counts)
		}
	}
	for model, want := range map[string]checker.Verdict{"read-atomic": checker.Invalid, "monotonic-atomic-view": checker.Valid} {
		c, err := txn.NewListAppend(model)
		if err != nil {
			t.Fatal(err)
		}
		res, err := c.Judge(context.Background(), parse(t, "0 ok x+1 y+1; 1 ok y[] x[1]"))
		if err != nil || res.Verdict != want {
			t.Errorf("%s: %v %v", model, res.Verdict, err)
		}
		if named := strings.Contains(res.Reason, model); !named {
			t.Errorf("%s: %s", model, res.Reason)
		}
	}
}

// The reason of every refutation is an anomaly that the model forbids.
func TestOutcomeAgreesWithTheLattice(t *testing.T) {
	_, o := found(t, parse(t, "0 ok x+1 y+1; 1 ok x[1] y[]; 2 fail z+1; 2 ok z[1]"))
	for _, m := range slices.Concat(o.Refuted, o.AlsoRefuted) {
		if len(adya.Proscribed(m, slices.Collect(maps.Keys(o.Counts)))) == 0 {
			t.Errorf("%s is refuted by nothing", m)
		}
	}
	if strings.Join(o.Refuted, " ") != "read-committed" {
		t.Errorf("refuted: %v", o.Refuted)
	}
}

// The same file gives the same bytes, however often it is judged.
func TestDeterministic(t *testing.T) {
	o := simulate.Default()
	o.Isolation, o.Transactions, o.Seed = "read-uncommitted", 3000, 5
	path := workload{"random", o}.file(t)
	c, err := txn.NewListAppend("")
	if err != nil {
		t.Fatal(err)
	}
	var first []byte
	for range 4 {
		l, err := log.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		res, err := c.Judge(context.Background(), l)
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(res)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = b
		}
		if !bytes.Equal(first, b) {
			t.Fatal("another result")
		}
	}
}
