package plan_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/plan"
)

func TestCells(t *testing.T) {
	p, err := plan.Parse("p.yaml", []byte("level: {a: x}\nvary:\n  level.b: [1, y]\n  fault: [none, 'isolate(n1, how=drop) 5s @1s']\n  time-limit: [10s]\n  nodes: [3]\n"), plan.Default())
	if err != nil {
		t.Fatal(err)
	}
	p.Fill()
	again, err := plan.Parse("p.yaml", p.YAML(), plan.Plan{})
	if err != nil || !reflect.DeepEqual(again.Vary, p.Vary) {
		t.Fatalf("%v\n%s", err, p.YAML())
	}
	cells, err := p.Cells()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range cells {
		names = append(names, c.Name)
		if c.Plan.TimeLimit != 10*time.Second || c.Plan.Nodes != 3 || c.Plan.Level["a"] != "x" || len(c.Plan.Vary) != 0 {
			t.Errorf("%s: %+v", c.Name, c.Plan)
		}
	}
	want := "level.b=1 fault=none time-limit=10s nodes=3|level.b=1 fault=isolate(n1, how=drop) 5s @1s time-limit=10s nodes=3|" +
		"level.b=y fault=none time-limit=10s nodes=3|level.b=y fault=isolate(n1, how=drop) 5s @1s time-limit=10s nodes=3"
	if got := strings.Join(names, "|"); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if f := cells[1].Plan.Faults; len(f) != 1 || f[0].Name != "isolate(n1, how=drop)" || len(cells[2].Plan.Faults) != 0 {
		t.Errorf("faults %+v, %+v", f, cells[2].Plan.Faults)
	}
	if cells[0].Plan.Level["b"] != "1" || cells[3].Plan.Level["b"] != "y" || p.Level["b"] != "" {
		t.Errorf("levels %v, %v, %v", cells[0].Plan.Level, cells[3].Plan.Level, p.Level)
	}
}

func TestAxisMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"vary: [a]\n":           "p.yaml:1:7: vary: want a mapping",
		"vary: {seed: 3}\n":     "p.yaml:1:14: vary.seed: want a list of values",
		"vary: {seed: [[1]]}\n": "vary.seed: want a value, got a list",
		"vary: {sed: [1]}\n":    `unknown field "sed"`,
		"vary: {seed: [x]}\n":   "p.yaml:1:14: vary.seed:",
		"vary: {level: [x]}\n":  "level.KNOB",
	} {
		p, err := plan.Parse("p.yaml", []byte(text), plan.Default())
		if err == nil {
			_, err = p.Cells()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
	for _, text := range []string{"", "seed", "=1", "seed=", "seed=1,,2"} {
		if a, err := plan.ParseAxis(text); err == nil {
			t.Errorf("%q: %+v", text, a)
		}
	}
}
