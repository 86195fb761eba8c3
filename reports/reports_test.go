package reports_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/avail"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/plan"
	"github.com/capstan-dev/capstan/reports"
)

const hostile = `<script>document.title="owned"</script><img src=x onerror="document.title='owned'">` + "\x1b[31m\x00\xff]]>&\u202e"

// example is a run with a violation whose values, keys and errors come from
// somebody with bad intentions.
func example(t *testing.T) reports.Run {
	t.Helper()
	p := plan.Default()
	p.Nodes, p.Level = 3, map[string]string{"read": "replica"}
	p.Fill()
	h := &history.History{}
	add := func(at time.Duration, process int, k history.Kind, f, value, errText string) {
		node := fmt.Sprintf("n%d", max(process, 0)%3+1)
		if process < 0 {
			node = ""
		}
		h.Events = append(h.Events, history.Event{Index: len(h.Events), Time: at, Process: process, Kind: k,
			F: f, Node: node, Value: json.RawMessage(value), Err: errText})
	}
	text, _ := json.Marshal(hostile)
	for i := range 50 {
		at := time.Duration(i) * 100 * time.Millisecond
		add(at, 0, history.Invoke, "write", fmt.Sprintf("[1,%d]", i), "")
		add(at+3*time.Millisecond, 1, history.Invoke, "read", "[1,null]", "")
		add(at+5*time.Millisecond, 0, history.OK, "write", fmt.Sprintf("[1,%d]", i), "")
		add(at+9*time.Millisecond, 1, history.OK, "read", fmt.Sprintf("[1,%s]", text), "")
	}
	add(5*time.Second, 2, history.Invoke, "cas", "[1,[2,3]]", "")
	add(6*time.Second, 2, history.Info, "cas", "[1,[2,3]]", hostile)
	d, _ := json.Marshal(history.FaultDetail{ID: 1, Fault: "partition:one", Nodes: []string{"n1"}, Proven: true, Proof: hostile,
		Sides: map[string]string{"n1": "minority", "n2": "majority", "n3": "majority"}})
	for i, f := range []string{"start-partition", "stop-partition"} {
		at := time.Duration(6+2*i) * time.Second
		add(at, history.Nemesis, history.Invoke, f, string(d), "")
		add(at+time.Millisecond, history.Nemesis, history.Info, f, string(d), "")
		if i == 0 {
			add(at+time.Second, 3, history.Invoke, "read", "[1,null]", "")
			add(at+2*time.Second-time.Millisecond, 3, history.Info, "read", "[1,null]", "timeout")
		}
	}
	add(9*time.Second, 0, history.Invoke, "read", "[1,null]", "")
	add(9*time.Second+time.Millisecond, 0, history.OK, "read", "[1,49]", "")
	results := reports.Summarize([]checker.Result{
		{Name: "linearizable", Verdict: checker.Invalid, Reason: "not linearizable on key " + hostile,
			Anomalies: []checker.Anomaly{{Kind: "nonlinearizable", Key: hostile, Events: []int{0, 2, 5, 7, 200, 201}, Text: "write 0 was acknowledged, yet " + hostile}}},
		{Name: "faults", Verdict: checker.Valid, Reason: "all 1 faults were proven", Anomalies: []checker.Anomaly{}},
		{Name: "strength", Verdict: checker.Unknown, Reason: "too weak", Anomalies: []checker.Anomaly{}},
	}, h)
	a, err := avail.Measure(h)
	if err != nil {
		t.Fatal(err)
	}
	results.Availability = &a
	dir := plan.Dir(t.TempDir())
	info := plan.Info{Capstan: "v0", Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Nodes: []string{"n1", "n2", "n3"},
		Duration: 9 * time.Second, Versions: map[string]string{"postgres": hostile}, Claim: "linearizable"}
	return reports.Run{Dir: dir, Plan: p, Info: info, History: h, Results: results}
}

func TestHTMLEscapesAndIsDeterministic(t *testing.T) {
	r := example(t)
	var a, b bytes.Buffer
	if err := reports.HTML(&a, r); err != nil {
		t.Fatal(err)
	}
	if err := reports.HTML(&b, r); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("the same run gave other bytes")
	}
	html := a.String()
	for _, bad := range []string{"<script", "<img", "\x00", "\x1b", "\u202e", "http://", "https://", "NaN", "Inf", "%!"} {
		if strings.Contains(html, bad) {
			t.Errorf("the report contains %q", bad)
		}
	}
	for _, want := range []string{"✗ VIOLATION", "Content-Security-Policy", "capstan run sim/async", "--seed 1", "&lt;script&gt;", "minority"} {
		if !strings.Contains(html, want) {
			t.Errorf("the report does not contain %q", want)
		}
	}
}

func TestWriteAllAndLoad(t *testing.T) {
	r := example(t)
	if err := os.WriteFile(r.Dir.Plan(), r.Plan.YAML(), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := r.Dir.WriteInfo(r.Info); err != nil {
		t.Fatal(err)
	}
	j, err := history.Create(r.Dir.History())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range r.History.Events {
		if err := j.Append(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := reports.WriteAll(r); err != nil {
		t.Fatal(err)
	}
	got, err := reports.Load(string(r.Dir))
	if err != nil {
		t.Fatal(err)
	}
	if got.Results.Verdict != checker.Invalid || len(got.Results.Checks) != 3 || got.Results.Operations != r.Results.Operations {
		t.Errorf("loaded %+v", got.Results)
	}
	var first, second bytes.Buffer
	if err := reports.Text(&first, r); err != nil {
		t.Fatal(err)
	}
	if err := reports.Text(&second, got); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(first.String(), "\x1b\x00") || first.Len() == 0 {
		t.Error("the text lets control characters through to the terminal")
	}
}

func TestResultsSchema(t *testing.T) {
	b, err := example(t).Results.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Version int
		Verdict string
		Checks  []struct {
			Name, Verdict, Reason string
			Anomalies             []struct {
				Kind, Text string
				Events     []int
			}
		}
	}
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if got.Version != 1 || got.Verdict != "invalid" || got.Checks[0].Anomalies[0].Events[1] != 2 || got.Checks[1].Anomalies == nil {
		t.Errorf("results %+v", got)
	}
}

func TestJUnit(t *testing.T) {
	var b bytes.Buffer
	if err := reports.JUnit(&b, example(t)); err != nil {
		t.Fatal(err)
	}
	var s struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Errors   int `xml:"errors,attr"`
		Cases    []struct {
			Name    string `xml:"name,attr"`
			Failure *struct {
				Type string `xml:"type,attr"`
			} `xml:"failure"`
		} `xml:"testcase"`
	}
	if err := xml.Unmarshal(b.Bytes(), &s); err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	if s.Tests != 3 || s.Failures != 1 || s.Errors != 1 || len(s.Cases) != 3 || s.Cases[0].Failure.Type != "nonlinearizable" {
		t.Errorf("junit %+v", s)
	}
}

func TestEmptyAndMalformedHistoriesGetAReport(t *testing.T) {
	for name, h := range map[string]*history.History{
		"empty":       {},
		"one event":   {Events: []history.Event{{Process: 1, Kind: history.OK, F: "read"}}},
		"two at once": {Events: []history.Event{{Process: 1, Kind: history.Invoke, F: "a"}, {Process: 1, Kind: history.Invoke, F: "b"}}},
	} {
		r := reports.Run{Plan: plan.Default(), History: h, Results: reports.Summarize(nil, h)}
		var b bytes.Buffer
		if err := reports.HTML(&b, r); err != nil || !strings.Contains(b.String(), "? UNKNOWN") || strings.Contains(b.String(), "NaN") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func BenchmarkHTML(b *testing.B) {
	for _, n := range []int{1e3, 1e4, 1e5, 1e6} {
		h := &history.History{}
		for i := range n {
			h.Events = append(h.Events, history.Event{Index: i, Time: time.Duration(i) * time.Millisecond, Process: i / 2 % 10,
				Kind: history.Kind(i % 2), F: "read", Node: "n1", Value: json.RawMessage("[1,2]")})
		}
		r := reports.Run{Plan: plan.Default(), History: h, Results: reports.Summarize(nil, h)}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				var out bytes.Buffer
				if err := reports.HTML(&out, r); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(out.Len()), "bytes")
			}
		})
	}
}
