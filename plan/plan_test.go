package plan_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/plan"
)

func TestRoundTrip(t *testing.T) {
	p := plan.Default()
	p.Target, p.Nodes, p.Rate, p.Seed, p.OpsPerKey = "sim/raft", 5, 0.5, 1<<63, 500
	p.Level = map[string]string{"read": "local", "n": "3", "odd: name": "yes"}
	p.Title, p.Expect, p.Endpoint, p.NodeMemory, p.NodeCPUs = "likes: converge", "no violation", "https://db.example:8000", 512<<20, 0.5
	p.ClientPause = 3 * time.Second
	p.Faults = []plan.Fault{{Name: "partition:one"}, {Name: "kill", At: 3 * time.Second, Once: true, For: time.Second}}
	p.Fill()
	got, err := plan.Parse("p.yaml", p.YAML(), plan.Plan{})
	if err != nil {
		t.Fatalf("%v\n%s", err, p.YAML())
	}
	again := string(got.YAML())
	if again != string(p.YAML()) || !reflect.DeepEqual(got.Faults, p.Faults) || !reflect.DeepEqual(got.Level, p.Level) ||
		got.ClientPause != p.ClientPause || got.Title != p.Title || got.Expect != p.Expect || got.Endpoint != p.Endpoint || got.NodeMemory != p.NodeMemory || got.NodeCPUs != p.NodeCPUs {
		t.Errorf("got %+v\nwant %+v", got, p)
	}
}

func TestBlame(t *testing.T) {
	p, err := plan.Parse("p.yaml", []byte("target: smi\nlevel: {read: x}\nfaults:\n  - kil\n  - {for: 1s, fault: pasue}\n"), plan.Default())
	if err != nil {
		t.Fatal(err)
	}
	wrong := errors.New("wrong")
	for field, want := range map[string]string{
		"target": "p.yaml:1:9: target: wrong", "level.read": "p.yaml:2:15: level.read: wrong",
		"faults[0]": "p.yaml:4:5: faults[0]: wrong", "faults[1]": "p.yaml:5:22: faults[1]: wrong", "nodes": "wrong",
	} {
		if got := p.Blame(field, wrong); got.Error() != want {
			t.Errorf("%s: got %q, want %q", field, got, want)
		}
	}
	p.Override("faults")
	if got := p.Blame("faults[0]", wrong); got.Error() != "wrong" || p.Blame("target", nil) != nil {
		t.Errorf("got %q", got)
	}
}

func TestFieldsThatAreNotNamedKeepTheirValue(t *testing.T) {
	base := plan.Default()
	p, err := plan.Parse("p.yaml", []byte("nodes: 3\n"), base)
	if err != nil || p.Nodes != 3 || p.Target != base.Target || len(p.Faults) != 1 {
		t.Errorf("got %+v, %v", p, err)
	}
}

func TestMistakesNameTheirPlace(t *testing.T) {
	tests := map[string]string{
		"nodes: many\n":                               `p.yaml:1:8: nodes: want a whole number from 1 to 1000, got "many"`,
		"target: sim\ntime-limit: 60\n":               "p.yaml:2:13: time-limit: want a duration with a unit, got the number 60; write 60s",
		"wrkload: set\n":                              `p.yaml:1:1: unknown field "wrkload" (did you mean "workload"?)`,
		"faults:\n  - {fault: partition, evry: 1s}\n": `p.yaml:2:24: faults[0]: unknown field "evry" (did you mean "every"?)`,
		"faults: partition\n":                         "p.yaml:1:9: faults: want a list",
		"faults: [{every: 1s}]\n":                     "the field fault is missing",
		"faults: [{fault: kill, every: 1s, for: 2s}]": "must be shorter than every",
		"faults: [{fault: kill, every: 1s, at: 2s}]":  "exclude each other",
		"level: replica\n":                            "p.yaml:1:8: level: want a mapping",
		"level: {read: [a]}\n":                        "p.yaml:1:15: level.read: want a name, got a list",
		"rate: -1\n":                                  "p.yaml:1:7: rate: want operations a second",
		"seed: -1\n":                                  "p.yaml:1:7: seed: want a whole number",
		"check-memory: lots\n":                        "p.yaml:1:15: check-memory: want a size like 4GiB",
		"op-timeout: 0s\n":                            "op-timeout: want more than 0s",
		"nodes: 3\nnodes: 4\n":                        "p.yaml:2:1: nodes: the field is given twice",
		"target: [\n":                                 "p.yaml:",
		"":                                            "the plan is empty",
		"- a\n- b\n":                                  "p.yaml:1:1: want a mapping of fields, got a list",
		"target:\n":                                   "target: want a name, got nothing",
		"node-cpus: many\n":                           "p.yaml:1:12: node-cpus: want a number of CPUs like 0.5 or 2",
		"node-memory: 512\n":                          "node-memory: want a size like 4GiB",
		"expect: a surprise\n":                        `expect: "a surprise" is not one of them: violation, no violation`,
	}
	for text, want := range tests {
		_, err := plan.Parse("p.yaml", []byte(text), plan.Default())
		var e *plan.Error
		if err == nil || !errors.As(err, &e) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

func TestAllMistakesAreReported(t *testing.T) {
	_, err := plan.Parse("p.yaml", []byte("nodes: x\nrate: y\nseed: z\n"), plan.Default())
	if n := strings.Count(err.Error(), "p.yaml:"); n != 3 {
		t.Errorf("want 3 mistakes, got %d: %v", n, err)
	}
}

func TestReadFileThatIsMissing(t *testing.T) {
	_, err := plan.ReadFile(filepath.Join(t.TempDir(), "none.yaml"), plan.Default())
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestFaultTexts(t *testing.T) {
	for text, want := range map[string]plan.Fault{
		"kill":                                {Name: "kill"},
		"kill 2s":                             {Name: "kill", For: 2 * time.Second},
		"isolate(primary) 5s @12s":            {Name: "isolate(primary)", For: 5 * time.Second, At: 12 * time.Second, Once: true},
		"partition(n1 n2 | n3, how=hold) @0s": {Name: "partition(n1 n2 | n3, how=hold)", Once: true},
		"a + 2s b(x, y) 5s @op:7":             {Name: "a + 2s b(x, y)", For: 5 * time.Second, On: plan.Trigger{Event: "op", N: 7}},
		"a + 2s b":                            {Name: "a + 2s b"},
		"kill @info":                          {Name: "kill", On: plan.Trigger{Event: "info", N: 1}},
		"kill every 10s":                      {Name: "kill", Every: 10 * time.Second},
		"kill 1s every 4s jitter 0 from 5s until 1m0s": {Name: "kill", For: time.Second, Every: 4 * time.Second, Steady: true,
			From: 5 * time.Second, Until: time.Minute},
		"kill jitter 0.5": {Name: "kill", Jitter: 0.5},
	} {
		got, err := plan.ParseFault(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%q: got %+v, %v, text %q", text, got, err, got.String())
		}
		p := plan.Default()
		p.Faults = []plan.Fault{got}
		p.Fill()
		again, err := plan.Parse("p.yaml", p.YAML(), plan.Plan{})
		if err != nil || !reflect.DeepEqual(again.Faults, p.Faults) {
			t.Errorf("%q: %v\n%s", text, err, p.YAML())
		}
	}
}

func TestMistakesInFaultTexts(t *testing.T) {
	for text, want := range map[string]string{
		"":                       "want a fault",
		"kill @soon":             `unknown moment "soon"; want a duration like 12s, leader-change, op:NUMBER or info:NUMBER (at character 6)`,
		"kill @leader-change:2":  "takes no number",
		"kill @info:x":           "want info:NUMBER",
		"kill every 5":           "every: want a duration like 10s",
		"kill every 2s every 3s": "every is given twice",
		"kill 5s every 5s":       "must be shorter than every",
		"kill from 9s until 3s":  "must be later than from",
		"kill jitter 1":          "want a share",
		"kill from 2s @5s":       "exclude each other",
	} {
		if f, err := plan.ParseFault(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %+v, %v, want %s", text, f, err, want)
		}
	}
}

func FuzzFault(f *testing.F) {
	f.Add("isolate(primary) 5s @12s")
	f.Add("a + 2s b(x, y) 5s every 7s jitter 0.25 from 1s until 9s")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := plan.ParseFault(text)
		if err != nil {
			return
		}
		again, err := plan.ParseFault(got.String())
		if err != nil || again != got {
			t.Errorf("%q: %+v prints as %q, which is %+v, %v", text, got, got.String(), again, err)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("target: sim/raft\nfaults: [{fault: kill, at: 3s}]\n"))
	f.Add([]byte("a: &a [*a]\nlevel: *a\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := plan.Parse("p.yaml", text, plan.Default())
		if err != nil {
			return
		}
		p.Fill()
		if _, err := plan.Parse("again.yaml", p.YAML(), plan.Plan{}); err != nil {
			t.Errorf("a plan does not read back what it wrote: %v\n%s", err, p.YAML())
		}
	})
}

func TestSizes(t *testing.T) {
	for s, want := range map[string]int64{"4GiB": 4 << 30, "512MiB": 512 << 20, "1.5kB": 1500, "7B": 7} {
		if got, err := plan.ParseSize(s); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "4", "-1GiB", "NaNGiB", "1e300GiB", "GiB"} {
		if _, err := plan.ParseSize(s); err == nil {
			t.Errorf("ParseSize(%q) gave no error", s)
		}
	}
}
