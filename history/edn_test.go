package history_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/capstan-dev/capstan/history"
)

func ednValue(t *testing.T, form string) string {
	t.Helper()
	h, err := history.ReadEDN(strings.NewReader("{:process 0 :type :ok :f :x :value " + form + "}"))
	if err != nil {
		t.Fatalf("%s: %v", form, err)
	}
	return string(h.Events[0].Value)
}

func TestEDNValues(t *testing.T) {
	for form, want := range map[string]string{
		"nil": "null", "true": "true", "17": "17", "-3": "-3", "+4": "4", "12345678901234567890N": "12345678901234567890",
		"1.5M": "1.5", "1.": "1.0", "1e5": "1e5", "0x1F": "31", "2r101": "5", "1/3": `"1/3"`,
		":a": `"a"`, ":a.b/c-d": `"a.b/c-d"`, "sym": `"sym"`, "-": `"-"`, `"q\"\n\u00e9\ud83d\ude00"`: `"q\"\né😀"`,
		`\a`: `"a"`, `\newline`: `"\n"`, `\u0041`: `"A"`, `\(`: `"("`,
		"[1 2,3]": "[1,2,3]", "(1 [2] nil)": "[1,[2],null]", "#{3}": "[3]", "#{:b [2 1] 3 :a}": `["a","b",3,[2,1]]`, "#{}": "[]",
		`{:a 1, "b" 2 3 [4] nil 5 [1 "x"] 6}`: `{"a":1,"b":2,"3":[4],"null":5,"[1,\"x\"]":6}`,
		`#inst "2020-01-01"`:                  `"2020-01-01"`, "#jepsen.independent.Tuple[1 2]": "[1,2]", "#jepsen.independent.Tuple{:key 3, :value nil}": "[3,null]",
		"[1 #_2 #_ #_ 3 4 5] ": "[1,5]", "[1 ; two\n 3]": "[1,3]", "^{:m 1} [7]": "[7]", "##Inf": `"Inf"`, `#"re.*"`: `"re.*"`,
		"[[:r 3 nil] [:append 3 2]]": `[["r",3,null],["append",3,2]]`,
	} {
		if got := ednValue(t, form); got != want {
			t.Errorf("%s is %s, want %s", form, got, want)
		}
	}
}

func TestReadEDNShapes(t *testing.T) {
	const invoke, ok = `{:type :invoke, :f :read, :value nil, :process 0, :time 5, :index 320}`, `{:type :ok :f :read :value 3 :process 0 :time 7 :index 322}`
	want := []history.Event{
		{Index: 320, Time: 5, Kind: history.Invoke, F: "read", Value: raw("null")},
		{Index: 322, Time: 7, Kind: history.OK, F: "read", Value: raw("3")},
	}
	for _, s := range []string{
		"[" + invoke + ok + "]", "(" + invoke + "\n,, " + ok + ")", invoke + ok, "; c\n[" + invoke + " #_{:a 1} " + ok + "] ; end",
		"#jepsen.history.Op" + invoke + "\n#jepsen.history.Op" + ok,
		"\ufeff" + invoke + ok, "'(" + invoke + ok + ")", "^{:n 1} [^:x " + invoke + ok + "]",
		`{"type" "invoke" "f" "read" "process" 0 "time" 5 "index" 320}` + ok,
	} {
		h, err := history.ReadEDN(strings.NewReader(s))
		if err != nil {
			t.Errorf("%s: %v", s, err)
		} else if diff := cmp.Diff(want, h.Events); diff != "" {
			t.Errorf("%s:\n%s", s, diff)
		}
	}
	h, err := history.ReadEDN(strings.NewReader(`{:process :nemesis :type :info :f :start :value #{:n1} :error [:x 1]}{:process "1" :type "fail" :f jepsen/x}`))
	if err != nil {
		t.Fatal(err)
	}
	want = []history.Event{
		{Index: 0, Time: 0, Process: history.Nemesis, Kind: history.Info, F: "start", Value: raw(`["n1"]`), Err: `["x",1]`},
		{Index: 1, Time: 1, Process: 1, Kind: history.Fail, F: "jepsen/x", Value: raw("null")},
	}
	if diff := cmp.Diff(want, h.Events); diff != "" {
		t.Error(diff)
	}
}

func TestReadEDNErrors(t *testing.T) {
	const good = "{:process 0 :type :ok :f :x}\n"
	for _, c := range []struct {
		in, want  string
		truncated bool
	}{
		{"{:process 0 :type :ok :f", "history:2:25: the input ends inside", true},
		{"{:process 0 :type", "ends inside", true},
		{`{:process 0 :f "abc`, "ends inside a string", true},
		{"{:process 0 :type :done :f :x}", `history:2:24: type: unknown type "done"`, false},
		{"{:process 0 :f :x}", "history:2:1: the operation has no :type", false},
		{"{:process 0 :type :ok}", "has no :f", false},
		{"{:type :invoke :f :x}", "has no :process", false},
		{"{:process :bob :type :invoke :f :x}", `process: got "bob"`, false},
		{"{:process 0 :type}", "last key has no value", false},
		{"17", `history:2:1: got "1", want an operation`, false},
		{"]", `got "]"`, false},
		{"{:value 12x}", `got "12x", want a number`, false},
		{"{:value " + strings.Repeat("[", 1e6), "nested deeper", false},
		{strings.Repeat("#_", 1e6), "nested deeper", false},
	} {
		h, err := history.ReadEDN(strings.NewReader(good + c.in))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.50s: got %v, want %s", c.in, err, c.want)
		}
		if errors.Is(err, history.ErrTruncated) != c.truncated {
			t.Errorf("%.50s: truncated is %v", c.in, !c.truncated)
		}
		if len(h.Events) != 1 {
			t.Errorf("%.50s: %d events", c.in, len(h.Events))
		}
	}
}

func TestRoundTripEDN(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawEvents(t)
		for i := range want {
			want[i].Value = raw(strings.ReplaceAll(string(want[i].Value), `"a\"\\\u0000\n é\ud83d\ude00"`, `"a\"\\\u0000\n é😀"`))
			if want[i].Process == history.Nemesis {
				want[i].Kind = history.Info
			}
		}
		var buf bytes.Buffer
		if err := history.WriteEDN(&buf, &history.History{Events: want}); err != nil {
			t.Fatal(err)
		}
		text := buf.String()
		got, err := history.ReadEDN(&buf)
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if len(want) > 0 && !cmp.Equal(want, got.Events) {
			t.Fatal(text, cmp.Diff(want, got.Events))
		}
	})
}

func FuzzReadEDN(f *testing.F) {
	f.Add([]byte(`[{:type :invoke, :f :txn, :value [[:r 3 nil] [:append 3 2]], :time 3291485317, :process 0, :index 0}]`))
	f.Add([]byte(`{:process :nemesis :type :info :f :x :value #{"n1" #_:n2 \a 1/2 2r11 "\ud83d\ude00"}} #t{:process 0 :type :ok :f "y" :value {nil ##NaN}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, _ := history.ReadEDN(bytes.NewReader(b))
		var buf bytes.Buffer
		if err := history.Write(&buf, h); err != nil {
			t.Fatalf("what was read cannot be written as JSON: %v", err)
		}
		if err := history.WriteEDN(&buf, h); err != nil {
			t.Fatalf("what was read cannot be written as EDN: %v", err)
		}
	})
}
