package history_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/capstan-dev/capstan/history"
)

func read(t *testing.T, s string) []history.Event {
	t.Helper()
	h, err := history.Read(strings.NewReader(s))
	if err != nil {
		t.Fatal(err)
	}
	return h.Events
}

func TestReadForeignLines(t *testing.T) {
	want := history.Event{Index: 0, Time: 0, Process: 3, Kind: history.OK, F: "cas", Value: raw(`[1,{"a":[null]}]`), Err: "late"}
	for _, line := range []string{
		`{"index":0,"time":0,"process":3,"type":"ok","f":"cas","value":[1,{"a":[null]}],"error":"late"}`,
		`{"type":":ok","f":":cas","process":"3","error":"late","value":[1, {"a" : [null]}]}`,
		"\xef\xbb\xbf \t {\"f\":\"cas\",\"extra\":{},\"type\":\"ok\",\"process\":3.0,\"time\":0e3,\"value\":[1,{\"a\":[null]}],\"error\":\"late\"}\r\n\n\n",
	} {
		if diff := cmp.Diff([]history.Event{want}, read(t, line)); diff != "" {
			t.Errorf("%s:\n%s", line, diff)
		}
	}
	for process, want := range map[string]int{`"nemesis"`: -1, `":nemesis"`: -1, `-1`: -1, `7`: 7, `"7"`: 7} {
		if got := read(t, `{"type":"info","f":"x","process":`+process+`}`)[0].Process; got != want {
			t.Errorf("process %s is %d, want %d", process, got, want)
		}
	}
	for text, want := range map[string]string{`["duplicate-key", 3]`: `["duplicate-key",3]`, `null`: "", `"a\"b"`: `a"b`, `{"k":1}`: `{"k":1}`, `5`: "5"} {
		if got := read(t, `{"type":"info","f":"x","process":1,"error":`+text+`}`)[0].Err; got != want {
			t.Errorf("error %s is %q, want %q", text, got, want)
		}
	}
}

func TestReadKeepsOrderWithoutTimes(t *testing.T) {
	events := read(t, `{"type":"invoke","f":"x","process":1}
{"type":"ok","f":"x","process":1}
`)
	if events[1].Time != 1 || events[1].Index != 1 {
		t.Errorf("got %+v", events)
	}
	events = read(t, `{"type":"invoke","f":"x","process":1,"time":50}
{"type":"invoke","f":"x","process":2,"time":40}
{"type":"ok","f":"x","process":2}
`)
	var order []string
	for _, e := range events {
		order = append(order, fmt.Sprint(e.Index, " ", int64(e.Time)))
	}
	if got := strings.Join(order, ", "); got != "0 50, 1 50, 2 50" {
		t.Errorf("the order of the file is that of the history: got %s", got)
	}
}

func TestReadOrder(t *testing.T) {
	const line = `{"type":%q,"f":"x","process":%d,"time":%d,"index":%d}`
	for name, tt := range map[string]struct {
		lines []string
		want  string
	}{
		"by index where all have one": {
			[]string{fmt.Sprintf(line, "ok", 1, 9, 7), fmt.Sprintf(line, "invoke", 1, 3, 2)}, "2@3 7@9"},
		"the file's where indexes repeat": {
			[]string{fmt.Sprintf(line, "invoke", 1, 3, 5), fmt.Sprintf(line, "ok", 1, 9, 5)}, "0@3 1@9"},
		"times that go back are pulled along": {
			[]string{fmt.Sprintf(line, "invoke", 1, 5, 0), fmt.Sprintf(line, "ok", 1, 9, 1), fmt.Sprintf(line, "invoke", 2, 8, 2)},
			"0@5 1@9 2@9"},
		"by time where calls do not pair up otherwise": {
			[]string{`{"type":"ok","f":"x","process":1,"time":9}`, `{"type":"invoke","f":"x","process":2,"time":4}`,
				`{"type":"invoke","f":"x","process":1,"time":3}`}, "2@3 1@4 0@9"},
	} {
		var got []string
		for _, e := range read(t, strings.Join(tt.lines, "\n")+"\n") {
			got = append(got, fmt.Sprintf("%d@%d", e.Index, e.Time))
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: got %v, want %s", name, got, tt.want)
		}
	}
}

func TestSortKeepsCallsWhole(t *testing.T) {
	h := history.History{Events: []history.Event{
		{Index: 0, Time: 9, Process: 1}, {Index: 1, Time: 3, Process: 1, Kind: history.OK}, {Index: 2, Time: 5, Process: 2},
	}}
	h.Sort()
	var got []int
	for _, e := range h.Events {
		got = append(got, e.Index)
	}
	if diff := cmp.Diff([]int{2, 0, 1}, got); diff != "" {
		t.Error(diff)
	}
}

func TestReadErrors(t *testing.T) {
	good := `{"index":0,"time":0,"process":0,"type":"invoke","f":"read","value":null}` + "\n"
	for _, c := range []struct {
		line, want string
		truncated  bool
	}{
		{`{"index":1,"time":5,"proc`, "history:2:25: the last line is cut off: not JSON", true},
		{"{]\n", "history:2:2: not JSON", false},
		{`{"type":"done","f":"x","process":1}` + "\n", `history:2:2: unknown type "done", want invoke, ok, fail or info`, false},
		{`{"f":"x","process":1}` + "\n", `unknown type "", want`, false},
		{`{"type":"ok","process":1}` + "\n", "f: missing", false},
		{`{"type":"ok","f":"x"}` + "\n", "process: missing", false},
		{`{"type":"ok","f":"x","process":"bob"}` + "\n", `history:2:22: process: got "bob", want a number below 2^31 or "nemesis"`, false},
		{`{"type":"ok","f":"x","process":1,"time":-4}` + "\n", "history:2:34: time: got -4", false},
		{`{"type":"ok","f":"x","process":1,"time":1.5}` + "\n", "time: got 1.5, want a whole number", false},
		{"17\n", "history:2:1: got a JSON number, want an object", false},
		{"\x00\x00\x00\x00", "cut off", true},
	} {
		h, err := history.Read(strings.NewReader(good + c.line))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %s", c.line, err, c.want)
		}
		if errors.Is(err, history.ErrTruncated) != c.truncated {
			t.Errorf("%q: truncated is %v", c.line, !c.truncated)
		}
		if len(h.Events) != 1 {
			t.Errorf("%q: %d events before the error, want 1", c.line, len(h.Events))
		}
	}
}

func TestReadRefusesEndlessLine(t *testing.T) {
	_, err := history.Read(endless{})
	var p *history.ParseError
	if !errors.As(err, &p) || !strings.Contains(p.Msg, "longer than 64 MiB") {
		t.Errorf("got %v", err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '['
	}
	return len(p), nil
}

// events draws histories that need not make sense.
func drawEvents(t *rapid.T) []history.Event {
	value := rapid.SampledFrom([]string{"null", "1", `"a\"\\\u0000\n é\ud83d\ude00"`, "[1,[2,null]]", `{"k":[true,false]}`, "-1.5e10", "[]", "{}", "123456789012345678901234567890"})
	text := rapid.OneOf(rapid.SampledFrom([]string{"", "n1", "timeout"}), rapid.String())
	n := rapid.IntRange(0, 8).Draw(t, "n")
	events := make([]history.Event, n)
	at := 0
	for i := range events {
		at += rapid.IntRange(0, 5).Draw(t, "dt")
		events[i] = history.Event{
			Index: i, Time: time.Duration(at), Due: time.Duration(rapid.IntRange(0, 2).Draw(t, "due")), Process: rapid.IntRange(-1, 3).Draw(t, "process"),
			Kind: history.Kind(rapid.IntRange(0, 3).Draw(t, "kind")),
			F:    rapid.OneOf(rapid.SampledFrom([]string{"read", "start-partition", "a b"}), rapid.StringMatching(`[^:].*`)).Draw(t, "f"),
			Node: text.Draw(t, "node"), Err: text.Draw(t, "err"), Value: raw(value.Draw(t, "value")),
		}
		for _, s := range []*string{&events[i].F, &events[i].Node, &events[i].Err} {
			*s = strings.ToValidUTF8(*s, "?")
		}
	}
	return events
}

func TestRoundTripJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawEvents(t)
		var buf bytes.Buffer
		if err := history.Write(&buf, &history.History{Events: want}); err != nil {
			t.Fatal(err)
		}
		got, err := history.Read(&buf)
		if err != nil {
			t.Fatal(err)
		}
		if len(want) > 0 && !cmp.Equal(want, got.Events) {
			t.Fatal(cmp.Diff(want, got.Events))
		}
	})
}

// An index names one event: where two events share one, all get new ones.
func TestIndexesAreUnique(t *testing.T) {
	h, err := history.Read(strings.NewReader(`{"index":0,"time":1,"process":0,"type":"invoke","f":"write","value":1}
{"index":0,"time":2,"process":0,"type":"ok","f":"write","value":1}
{"index":0,"time":3,"process":0,"type":"invoke","f":"read","value":null}
{"index":7,"time":4,"process":0,"type":"ok","f":"read","value":1}
`))
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range h.Events {
		if e.Index != i {
			t.Errorf("event %d has index %d", i, e.Index)
		}
	}
}

func TestEventJSONIsTheLine(t *testing.T) {
	e := history.Event{Index: 4, Time: 9, Process: -1, Kind: history.Info, F: "start-partition", Value: raw("[ 1,\n2 ]")}
	b, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"index":4,"time":9,"process":"nemesis","type":"info","f":"start-partition","value":[1,2]}`
	if string(b) != want {
		t.Errorf("got %s", b)
	}
	var back history.Event
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	e.Value = raw("[1,2]")
	if diff := cmp.Diff(e, back); diff != "" {
		t.Error(diff)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"index":0,"time":12,"process":"nemesis","type":"info","f":"x","node":"n","value":[1,{"a":"é"}],"error":"e"}`))
	f.Add([]byte(`{"type":":ok","f":":cas","process":"3","error":[1],"value":[1, {"a" : [null]}]}`))
	f.Add([]byte("{\"type\":\"ok\",\"f\":\"\\u0041\",\"process\":0}\n{"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, _ := history.Read(bytes.NewReader(b))
		var buf bytes.Buffer
		if err := history.Write(&buf, h); err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		again, err := history.Read(&buf)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if len(h.Events) > 0 && !cmp.Equal(h, again) {
			t.Fatal(cmp.Diff(h, again))
		}
		history.Windows(h)
		_, _ = history.Pairs(h)
		history.SplitKeys(h)
	})
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const line = `{"type":"invoke","f":"read","process":1}`
	const op = `{:type :invoke, :f :read, :process 1}`
	for _, c := range []struct {
		content string
		format  history.Format
		n       int
	}{
		{line + "\n" + line, history.JSONLines, 2},
		{"[" + line + ",\n" + line + "]", history.JSONArray, 2},
		{" [ ]", history.JSONArray, 0},
		{"", history.JSONLines, 0},
		{op + op, history.EDN, 2},
		{"[" + op + "\n" + op + "]", history.EDN, 2},
		{"; hello\n(" + op + ")", history.EDN, 1},
		{`{"type" :invoke "f" "read" "process" 0}`, history.EDN, 1},
		{"#jepsen.history.Op" + op, history.EDN, 1},
	} {
		h, format, err := history.Open(write("any", c.content))
		if err != nil || format != c.format || len(h.Events) != c.n {
			t.Errorf("%s: %d events, %v, %v", c.content, len(h.Events), format, err)
		}
	}
	write("run/history.jsonl", line)
	if h, _, err := history.Open(filepath.Join(dir, "run")); err != nil || len(h.Events) != 1 {
		t.Errorf("run directory: %v", err)
	}
	for _, c := range []struct{ content, want string }{
		{"hello", ":1:1: not a history"},
		{"[" + line + ",\n  {\"type\":\"ok\",\"f\":\"x\",\"process\":[]}]", "any:2:24: process"},
		{"[" + line + ",\n", "the input ends inside the array"},
		{"[" + op + "\n{:type :invok :f :read :process 1}]", `any:2:14: type: unknown type "invok"`},
	} {
		if _, _, err := history.Open(write("any", c.content)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.content, err, c.want)
		}
	}
	if _, _, err := history.Open(dir); err == nil {
		t.Error("a folder without a history was opened")
	}
	if _, _, err := history.Open(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func lines(n int) []byte {
	var b []byte
	for i := range n {
		e := history.Event{
			Index: i, Time: time.Duration(i) * 37000, Process: i / 2 % 10, Kind: history.Kind(i % 2),
			F: "write", Node: "n" + string(rune('1'+i/2%5)), Value: raw(fmt.Sprintf("[%d,%d]", i/500, i)),
		}
		b, _ = history.AppendJSON(b, e)
		b = append(b, '\n')
	}
	return b
}

func BenchmarkRead(b *testing.B) {
	for _, n := range []int{1e3, 1e4, 1e5, 1e6} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			in := lines(n)
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				if h, err := history.Read(bytes.NewReader(in)); err != nil || len(h.Events) != n {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReadEDN(b *testing.B) {
	for _, n := range []int{1e3, 1e4, 1e5, 1e6} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h, _ := history.Read(bytes.NewReader(lines(n)))
			var buf bytes.Buffer
			if err := history.WriteEDN(&buf, h); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(buf.Len()))
			b.ReportAllocs()
			for b.Loop() {
				if h, err := history.ReadEDN(bytes.NewReader(buf.Bytes())); err != nil || len(h.Events) != n {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPairs(b *testing.B) {
	h, _ := history.Read(bytes.NewReader(lines(1e6)))
	b.ReportAllocs()
	for b.Loop() {
		if p, err := history.Pairs(h); err != nil || len(p) != 5e5 {
			b.Fatal(err)
		}
	}
}
