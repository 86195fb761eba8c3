package nemesis

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/capstan-dev/capstan/cluster"
)

// The sides that a node can be on while the network is cut.
const (
	Majority = "majority"
	Minority = "minority"
	Bridge   = "bridge"
)

// Grudge is the set of links that a partition cuts, and the nodes that it was
// aimed at.
type Grudge struct {
	Cut   []cluster.Link
	Nodes []string
}

// grudgeShape makes a grudge. nodes come in random order, except that a shape
// about the primary finds it in front.
type grudgeShape struct {
	name, doc string
	min       int
	make      func(nodes []string, rng *rand.Rand) Grudge
	// primaries is true if the system must say who is primary, drawn if a
	// partition without a shape may take this one.
	primaries, drawn bool
}

func grudgeShapes() []grudgeShape {
	return []grudgeShape{
		{"one", "isolate one node at random", 2, isolateFirst, false, true},
		{"halves", "split into two halves at random", 2, halves, false, true},
		{"majority", "split into a majority and the largest minority at random", 3, majorityMinority, false, true},
		{"primary", "isolate the node that believes to be primary", 2, isolateFirst, true, true},
		{"ring", "each node sees a majority, no two see the same one", 4, majoritiesRing, false, true},
		{"bridge", "two halves that only one node can see both of", 3, bridge, false, true},
		{"one-way", "one node hears nobody, or nobody hears it", 2, oneWayAtRandom, false, true},
		{"random", "split into two groups of random sizes", 2, randomHalves, false, false},
		{"minority-third", "cut off at most a third of the nodes", 4, minorityThird, false, false},
		{"primaries", "isolate each node that believes to be primary", 2, nil, true, false},
		{"roles", "cut nodes of different roles from each other", 2, nil, false, false},
	}
}

// complete cuts every link between the two groups, in both directions.
func complete(a, b []string) []cluster.Link {
	var cut []cluster.Link
	for _, x := range a {
		for _, y := range b {
			cut = append(cut, cluster.Link{From: x, To: y}, cluster.Link{From: y, To: x})
		}
	}
	return cut
}

func isolateFirst(nodes []string, _ *rand.Rand) Grudge {
	return Grudge{complete(nodes[:1], nodes[1:]), nodes[:1]}
}

func halves(nodes []string, _ *rand.Rand) Grudge {
	h := len(nodes) / 2
	return Grudge{complete(nodes[:h], nodes[h:]), nodes[:h]}
}

func majorityMinority(nodes []string, _ *rand.Rand) Grudge {
	m := (len(nodes) - 1) / 2
	return Grudge{complete(nodes[:m], nodes[m:]), nodes[:m]}
}

func randomHalves(nodes []string, rng *rand.Rand) Grudge {
	h := 1 + rng.IntN(len(nodes)-1)
	return Grudge{complete(nodes[:h], nodes[h:]), nodes[:h]}
}

func minorityThird(nodes []string, _ *rand.Rand) Grudge {
	m := max(1, (len(nodes)-1)/3)
	return Grudge{complete(nodes[:m], nodes[m:]), nodes[:m]}
}

// apart cuts groups from each other. The nodes aimed at are the smallest one.
func apart(groups [][]string) Grudge {
	var g Grudge
	for i, a := range groups {
		for _, b := range groups[i+1:] {
			g.Cut = append(g.Cut, complete(a, b)...)
		}
		if g.Nodes == nil || len(a) < len(g.Nodes) {
			g.Nodes = a
		}
	}
	return g
}

// isolateEach cuts each of some nodes from all others.
func isolateEach(chosen, nodes []string) Grudge {
	g := Grudge{Nodes: chosen}
	for i, x := range chosen {
		g.Cut = append(g.Cut, complete([]string{x}, others(nodes, chosen[:i+1]))...)
	}
	return g
}

// majoritiesRing lets each node see a majority, and no two the same one.
func majoritiesRing(nodes []string, rng *rand.Rand) Grudge {
	if len(nodes) <= 5 {
		return exactRing(nodes)
	}
	return stochasticRing(nodes, rng)
}

// stochasticRing starts with no links, and joins the nodes with the fewest
// neighbours at random until each one sees a majority: on more than five nodes
// an exact ring joins far more than needed. What is joined beyond a majority
// is little, and differs from node to node.
func stochasticRing(nodes []string, rng *rand.Rand) Grudge {
	n := len(nodes)
	need := n/2 + 1
	joined := make([]map[int]bool, n)
	for i := range joined {
		joined[i] = map[int]bool{i: true}
	}
	poorest := func(not map[int]bool) int {
		best := -1
		for _, i := range rng.Perm(n) {
			if !not[i] && (best < 0 || len(joined[i]) < len(joined[best])) {
				best = i
			}
		}
		return best
	}
	for {
		a := poorest(nil)
		if len(joined[a]) >= need {
			break
		}
		b := poorest(joined[a])
		joined[a][b], joined[b][a] = true, true
	}
	var cut []cluster.Link
	for i, x := range nodes {
		for j, y := range nodes {
			if !joined[i][j] {
				cut = append(cut, cluster.Link{From: x, To: y})
			}
		}
	}
	return Grudge{Cut: cut}
}

// exactRing lays the nodes on a ring where each one sees as many neighbours to
// both sides as it needs for a majority. On up to five nodes no two majorities
// are equal and none is larger than needed.
func exactRing(nodes []string) Grudge {
	n := len(nodes)
	reach := (n/2 + 1) / 2
	var cut []cluster.Link
	for i, x := range nodes {
		for j, y := range nodes {
			d := (j - i + n) % n
			if i != j && min(d, n-d) > reach {
				cut = append(cut, cluster.Link{From: x, To: y})
			}
		}
	}
	return Grudge{Cut: cut}
}

func bridge(nodes []string, _ *rand.Rand) Grudge {
	rest := nodes[1:]
	h := len(rest) / 2
	return Grudge{complete(rest[:h], rest[h:]), nodes[:1]}
}

func oneWayAtRandom(nodes []string, rng *rand.Rand) Grudge {
	return oneWay(nodes, rng.IntN(2) == 0)
}

// oneWay cuts what comes to the first node, or what leaves it.
func oneWay(nodes []string, inbound bool) Grudge {
	var cut []cluster.Link
	for _, x := range nodes[1:] {
		l := cluster.Link{From: x, To: nodes[0]}
		if !inbound {
			l.From, l.To = l.To, l.From
		}
		cut = append(cut, l)
	}
	return Grudge{cut, nodes[:1]}
}

// Sides says which side each node is on under a cut. Two nodes are joined if
// both links between them are open. Where being joined is transitive, the
// component with more than half of the nodes is the majority, all others are
// minorities (both halves of an even split are). Where it is not, a node
// joined to all others is a bridge, and any other node counts as majority if
// it is joined to enough nodes to make one together with itself.
func Sides(nodes []string, cut []cluster.Link) map[string]string {
	joined := neighbours(nodes, cut)
	sides := map[string]string{}
	for _, n := range nodes {
		switch {
		case len(joined[n]) == len(nodes) && !transitive(nodes, joined):
			sides[n] = Bridge
		case 2*len(joined[n]) > len(nodes):
			sides[n] = Majority
		default:
			sides[n] = Minority
		}
	}
	return sides
}

// neighbours lists for each node the nodes it is joined to, itself included,
// in the order of nodes.
func neighbours(nodes []string, cut []cluster.Link) map[string][]string {
	closed := map[cluster.Link]bool{}
	for _, l := range cut {
		closed[l] = true
	}
	joined := map[string][]string{}
	for _, x := range nodes {
		for _, y := range nodes {
			if !closed[cluster.Link{From: x, To: y}] && !closed[cluster.Link{From: y, To: x}] {
				joined[x] = append(joined[x], y)
			}
		}
	}
	return joined
}

func transitive(nodes []string, joined map[string][]string) bool {
	for _, n := range nodes {
		for _, m := range joined[n] {
			if !slices.Equal(joined[n], joined[m]) {
				return false
			}
		}
	}
	return true
}

// describe tells a cut in words: the groups if it splits the nodes, else the
// links.
func describe(nodes []string, cut []cluster.Link) string {
	joined := neighbours(nodes, cut)
	if transitive(nodes, joined) && len(cut) == len(complement(nodes, joined)) {
		var groups []string
		for _, n := range nodes {
			if joined[n][0] == n {
				groups = append(groups, strings.Join(joined[n], " "))
			}
		}
		return "{" + strings.Join(groups, " | ") + "}"
	}
	var links []string
	for _, l := range cut {
		links = append(links, l.From+"→"+l.To)
	}
	slices.Sort(links)
	return fmt.Sprintf("{%s cut}", strings.Join(links, " "))
}

// complement lists the links between nodes that are not joined.
func complement(nodes []string, joined map[string][]string) []cluster.Link {
	var links []cluster.Link
	for _, x := range nodes {
		for _, y := range nodes {
			if x != y && !slices.Contains(joined[x], y) {
				links = append(links, cluster.Link{From: x, To: y})
			}
		}
	}
	return links
}
