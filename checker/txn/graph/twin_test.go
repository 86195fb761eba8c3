package graph_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/capstan-dev/capstan/checker/txn/adya"
	"github.com/capstan-dev/capstan/checker/txn/graph"
	"github.com/google/go-cmp/cmp"
)

// classOf names a simple cycle by its edges, as the definitions have it; "" if
// it is of no class.
func classOf(classes []graph.Class) string {
	var anti, predicate, ww, wr, process, realtime int
	adjacent := false
	isAnti := func(c graph.Class) bool { return c == graph.RW || c == graph.RWP }
	for i, c := range classes {
		switch c {
		case graph.WW:
			ww++
		case graph.WR:
			wr++
		case graph.Process:
			process++
		case graph.Realtime:
			realtime++
		}
		if isAnti(c) {
			anti++
			adjacent = adjacent || isAnti(classes[(i+1)%len(classes)])
		}
		if c == graph.RWP {
			predicate++
		}
	}
	name := ""
	switch {
	case anti == 0 && wr > 0:
		name = "G1c"
	case anti == 0 && ww > 0:
		name = "G0"
	case anti == 0:
		return ""
	case anti == 1:
		name = "G-single"
	case adjacent:
		name = "G2"
	default:
		name = "G-nonadjacent"
	}
	if anti > 0 && predicate == 0 {
		name += "-item"
	}
	switch {
	case process > 0 && realtime > 0:
		return ""
	case process > 0:
		name += "-process"
	case realtime > 0:
		name += "-realtime"
	}
	return name
}

type edge struct {
	from, to int32
	class    graph.Class
}

// enumerate finds, of each strongly connected component and class, the length
// of the shortest simple cycle.
func enumerate(n int32, edges []edge) map[int32]map[string]int {
	reach := make([][]bool, n)
	for v := range reach {
		reach[v] = make([]bool, n)
		reach[v][v] = true
	}
	for range n {
		for _, e := range edges {
			for v := range n {
				reach[v][e.to] = reach[v][e.to] || reach[v][e.from]
			}
		}
	}
	component := func(v int32) int32 {
		for w := range n {
			if reach[v][w] && reach[w][v] {
				return w
			}
		}
		return v
	}
	found := map[int32]map[string]int{}
	var path []int32
	var classes []graph.Class
	var walk func(v int32)
	walk = func(v int32) {
		path = append(path, v)
		for _, e := range edges {
			if e.from != v || e.to < path[0] {
				continue
			}
			classes = append(classes, e.class)
			if e.to == path[0] {
				c := component(v)
				if found[c] == nil {
					found[c] = map[string]int{}
				}
				if name := classOf(classes); name != "" && (found[c][name] == 0 || len(classes) < found[c][name]) {
					found[c][name] = len(classes)
				}
			} else if !slices.Contains(path, e.to) {
				walk(e.to)
			}
			classes = classes[:len(classes)-1]
		}
		path = path[:len(path)-1]
	}
	for v := range n {
		walk(v)
	}
	return found
}

// wanted leaves out what is implied by another class of the component, and says
// what is left as the search does.
func wanted(found map[int32]map[string]int) (out []string) {
	for c, classes := range found {
		for name, length := range classes {
			implied := false
			for other := range classes {
				implied = implied || other != name && adya.Implied(other)[name]
			}
			if !implied {
				out = append(out, fmt.Sprintf("%d %s %d", c, name, length))
			}
		}
	}
	slices.Sort(out)
	return out
}

func TestSearchAgreesWithEnumeration(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	rounds := 30_000
	if testing.Short() {
		rounds = 2_000
	}
	for range rounds {
		n := int32(2 + rng.IntN(5))
		var edges []edge
		var list []graph.Edge
		for range rng.IntN(int(4 * n)) {
			e := edge{rng.Int32N(n), rng.Int32N(n), graph.Class(rng.IntN(6))}
			if rng.IntN(3) == 0 {
				e.class = graph.RW
			}
			if e.from != e.to {
				edges = append(edges, e)
				list = append(list, graph.NewEdge(e.from, e.to, e.class))
			}
		}
		found := enumerate(n, edges)
		cycles := graph.Search(graph.New(int(n), 0, list), graph.Options{Implied: adya.Implied})
		var got []string
		for _, c := range cycles.Found {
			var classes []graph.Class
			least := c.Steps[0].From
			for i, s := range c.Steps {
				if !slices.Contains(edges, edge{s.From, s.To, s.Class}) || s.To != c.Steps[(i+1)%len(c.Steps)].From {
					t.Fatalf("%v: no cycle: %v", edges, c)
				}
				classes = append(classes, s.Class)
				least = min(least, s.From)
			}
			if classOf(classes) != c.Kind {
				t.Fatalf("%v: %v is a %s", edges, c, classOf(classes))
			}
			got = append(got, fmt.Sprintf("%d %s %d", componentOf(n, edges, least), c.Kind, len(c.Steps)))
		}
		slices.Sort(got)
		if diff := cmp.Diff(wanted(found), got); diff != "" {
			t.Fatalf("%v: %s", edges, diff)
		}
	}
}

// componentOf is the least vertex of the component of one.
func componentOf(n int32, edges []edge, v int32) int32 {
	forth, back := reachable(n, edges, v, false), reachable(n, edges, v, true)
	for w := range n {
		if forth[w] && back[w] {
			return w
		}
	}
	return v
}

func reachable(n int32, edges []edge, v int32, back bool) []bool {
	seen := make([]bool, n)
	seen[v] = true
	for range n {
		for _, e := range edges {
			if back {
				e.from, e.to = e.to, e.from
			}
			seen[e.to] = seen[e.to] || seen[e.from]
		}
	}
	return seen
}

// After the time is over, the models that cycles refute are still known.
func TestExistenceWithoutTime(t *testing.T) {
	edges := []graph.Edge{graph.NewEdge(0, 1, graph.RW), graph.NewEdge(1, 2, graph.RW), graph.NewEdge(2, 0, graph.RW)}
	c := graph.Search(graph.New(3, 0, edges), graph.Options{Implied: adya.Implied, Stop: func() bool { return true }})
	if len(c.Found) != 0 || strings.Join(c.Exists, " ") != "repeatable-read" {
		t.Errorf("got %+v", c)
	}
}
