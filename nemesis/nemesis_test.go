package nemesis_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/nemesis"
)

// fakeNet remembers the state and measures it; lie adds links that stay open
// whatever is applied.
type fakeNet struct {
	nodes []string
	state cluster.LinkState
	lie   map[cluster.Link]bool
	err   error
}

func (f *fakeNet) Apply(_ context.Context, s cluster.LinkState) error {
	f.state = s
	return f.err
}

func (f *fakeNet) Probe(context.Context) (cluster.Reach, error) {
	r := cluster.Reach{}
	for _, a := range f.nodes {
		for _, b := range f.nodes {
			if l := (cluster.Link{From: a, To: b}); a != b {
				r[l] = !f.state.Cut[l] || f.lie[l]
			}
		}
	}
	return r, nil
}

func fake(n int) (*cluster.Cluster, *fakeNet) {
	var nodes []string
	for i := range n {
		nodes = append(nodes, fmt.Sprintf("n%d", i+1))
	}
	net := &fakeNet{nodes: nodes}
	return &cluster.Cluster{Nodes: nodes, Net: net,
		Primaries: func(context.Context) ([]string, error) { return nodes[1:2], nil }}, net
}

func kinds() []nemesis.Kind {
	return []nemesis.Kind{nemesis.Partition(), nemesis.Kill(), nemesis.Pause(), nemesis.Clock()}
}

func parse(t *testing.T, s string) nemesis.Fault {
	t.Helper()
	f, err := nemesis.Parse(kinds(), s)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestGrudges(t *testing.T) {
	tests := map[string]struct {
		nodes, cut int
		sides      map[string]int
	}{
		"partition:one":      {5, 8, map[string]int{"majority": 4, "minority": 1}},
		"partition:halves":   {5, 12, map[string]int{"majority": 3, "minority": 2}},
		"partition:majority": {5, 12, map[string]int{"majority": 3, "minority": 2}},
		"partition:primary":  {5, 8, map[string]int{"majority": 4, "minority": 1}},
		"partition:ring":     {5, 10, map[string]int{"majority": 5}},
		"partition:bridge":   {5, 8, map[string]int{"majority": 4, "bridge": 1}},
		"partition:one-way":  {5, 4, map[string]int{"majority": 4, "minority": 1}},
	}
	for name, tt := range tests {
		for seed := range uint64(20) {
			c, net := fake(tt.nodes)
			d, undo, err := parse(t, name).Inject(context.Background(), c, rand.New(rand.NewPCG(seed, 0)))
			if err != nil || !d.Proven {
				t.Fatalf("%s: not proven: %v, %s", name, err, d.Proof)
			}
			sides := map[string]int{}
			for _, s := range d.Sides {
				sides[s]++
			}
			if len(d.Cut) != tt.cut || fmt.Sprint(sides) != fmt.Sprint(tt.sides) {
				t.Errorf("%s: %d links cut, sides %v; want %d, %v", name, len(d.Cut), sides, tt.cut, tt.sides)
			}
			if strings.HasSuffix(name, "primary") && !slices.Equal(d.Nodes, []string{"n2"}) {
				t.Errorf("%s aimed at %v, the primary is n2", name, d.Nodes)
			}
			if h, err := undo(context.Background()); err != nil || !h.Proven || len(net.state.Cut) != 0 {
				t.Errorf("%s: heal: %v, proven %v, %d links still cut", name, err, h.Proven, len(net.state.Cut))
			}
		}
	}
}

func TestEvenHalvesHaveNoMajority(t *testing.T) {
	c, _ := fake(4)
	d, _, err := parse(t, "partition:halves").Inject(context.Background(), c, rand.New(rand.NewPCG(1, 0)))
	if err != nil {
		t.Fatal(err)
	}
	for n, s := range d.Sides {
		if s != nemesis.Minority {
			t.Errorf("%s is on side %s of an even split", n, s)
		}
	}
}

func TestCutThatDoesNotBiteIsNotProven(t *testing.T) {
	c, net := fake(3)
	net.lie = map[cluster.Link]bool{{From: "n1", To: "n2"}: true, {From: "n1", To: "n3"}: true,
		{From: "n2", To: "n3"}: true, {From: "n3", To: "n2"}: true, {From: "n2", To: "n1"}: true, {From: "n3", To: "n1"}: true}
	d, _, err := parse(t, "partition:one").Inject(context.Background(), c, rand.New(rand.NewPCG(1, 0)))
	if err != nil || d.Proven || !strings.Contains(d.Proof, "is open and should be cut") {
		t.Errorf("err %v, proven %v, proof %q", err, d.Proven, d.Proof)
	}
}

func TestUndoIsThereEvenIfTheInjectionFailed(t *testing.T) {
	c, net := fake(3)
	net.err = errors.New("engine is gone")
	_, undo, err := parse(t, "partition:one").Inject(context.Background(), c, rand.New(rand.NewPCG(1, 0)))
	if err == nil || undo == nil {
		t.Fatalf("err %v, undo nil: %v", err, undo == nil)
	}
	net.err = nil
	if d, err := undo(context.Background()); err != nil || !d.Proven {
		t.Errorf("undo: %v, proven %v", err, d.Proven)
	}
}

func TestApplicable(t *testing.T) {
	single, _ := fake(1)
	if err := parse(t, "partition").Applicable(single); err == nil {
		t.Error("partition of one node is applicable")
	}
	three, _ := fake(3)
	if err := parse(t, "partition:ring").Applicable(three); err == nil || !strings.Contains(err.Error(), "at least 4") {
		t.Errorf("ring of three: %v", err)
	}
	three.Primaries = nil
	if err := parse(t, "partition:primary").Applicable(three); err == nil {
		t.Error("partition:primary without a notion of primary is applicable")
	}
	three.Why = map[string]string{"Procs": "it is a cloud service"}
	if err := parse(t, "kill").Applicable(three); err == nil || !strings.Contains(err.Error(), "cloud service") {
		t.Errorf("kill: %v", err)
	}
}

func TestParse(t *testing.T) {
	for _, ok := range []string{"partition", "partition:one-way", "kill:primary", "pause", "clock:all"} {
		if f := parse(t, ok); f.Name() != ok {
			t.Errorf("%q parses to %q", ok, f.Name())
		}
	}
	for bad, want := range map[string]string{
		"partitoin": `did you mean "partition"`, "partition:on": `did you mean "one"`, "": "unknown fault", "kill:": "unknown kill",
	} {
		if _, err := nemesis.Parse(kinds(), bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q): %v, want %s", bad, err, want)
		}
	}
}

func TestPeriodic(t *testing.T) {
	for _, limit := range []time.Duration{5 * time.Second, 20 * time.Second, 60 * time.Second, 10 * time.Minute} {
		every := min(10*time.Second, limit/2)
		for seed := range uint64(50) {
			draw := func() nemesis.Schedule {
				return nemesis.Periodic(rand.New(rand.NewPCG(seed, 1)), []nemesis.Fault{parse(t, "partition"), parse(t, "kill")}, every, every/2, limit)
			}
			s := draw()
			if len(s) == 0 || s.Check() != nil || s[0].At < every/4 || s[len(s)-1].At+s[len(s)-1].For > limit-every/4 {
				t.Fatalf("limit %v, seed %d: %v\n%v", limit, seed, s.Check(), s)
			}
			if s.String() != draw().String() {
				t.Fatal("the same seed drew another schedule")
			}
		}
	}
}

func TestOverlapIsAnError(t *testing.T) {
	s := nemesis.Schedule{{At: 1, For: 5, Fault: parse(t, "kill")}, {At: 3, For: 1, Fault: parse(t, "pause")}}
	if err := s.Check(); err == nil || !strings.Contains(err.Error(), "overlap") {
		t.Errorf("got %v", err)
	}
}
