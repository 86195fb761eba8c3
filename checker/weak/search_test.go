package weak

import (
	"math/rand/v2"
	"testing"
)

// TestPath compares the number of told steps with the least of all ways, with
// and without clocks, of the causal order of random histories.
func TestPath(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	found := 0
	for range 2000 {
		ops, init := random(r)
		tr, err := newTrace(ops, init)
		if err != nil {
			t.Fatal(err)
		}
		c, err := judgeCausal(t.Context(), tr, make([]int32, len(tr.ops)*len(tr.chains)))
		if err != nil || len(tr.ops) == 0 {
			continue
		}
		a, b := int32(r.IntN(len(tr.ops))), int32(r.IntN(len(tr.ops)))
		for _, q := range []quest{{a: a, b: b}, {a: a, b: b, reads: true}, {a: a, b: b, limit: 3}, {a: a, b: b, below: int32(r.IntN(len(c.g.edges) + 1))}} {
			want := leastSteps(c.g, q)
			plain := &graph{t: tr, edges: c.g.edges, first: c.g.first, next: c.g.next}
			for _, g := range []*graph{c.g, plain} {
				way := g.path(q)
				if len(way) != want {
					t.Fatalf("%+v: %d steps, want %d: %v\n%s", q, len(way), want, way, show(ops))
				}
				for i, e := range way {
					if i > 0 && way[i-1].to != e.from {
						t.Fatalf("%+v: %v is no way", q, way)
					}
				}
			}
			if want > 1 {
				found++
			}
		}
	}
	if found < 100 {
		t.Errorf("only %d ways of several steps", found)
	}
}

// leastSteps tries all ways; 0: there is none.
func leastSteps(g *graph, q quest) int {
	best := 0
	on := make([]bool, len(g.t.ops))
	var walk func(i int32, way []edge)
	walk = func(i int32, way []edge) {
		if len(way) > 0 && i == q.b {
			if n := len(shorten(append([]edge(nil), way...))); (best == 0 || n < best) && (q.limit == 0 || n < q.limit) {
				best = n
			}
			return
		}
		if on[i] {
			return
		}
		on[i] = true
		for _, e := range g.out(i) {
			if d := g.edges[e]; (q.below == 0 || e < q.below) && (len(way) > 0 || !q.reads || d.kind == readFrom) {
				walk(d.to, append(way, d))
			}
		}
		on[i] = false
	}
	walk(q.a, nil)
	return best
}
