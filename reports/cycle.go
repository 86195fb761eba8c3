package reports

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/txn/explain"
)

const (
	cycleWidth = 980.0
	nodeWidth  = 210.0
	nodeHeight = 46.0
)

// cycle is a cycle of transactions as it is drawn: boxes on an ellipse, in the
// order of the cycle, and an arrow from each to the next.
type cycle struct {
	Height float64
	Title  string
	Nodes  []cycleNode
	Edges  []cycleEdge
}

type cycleNode struct {
	X, Y                    float64 // its middle
	Left, Top               float64
	Name, Who, When, Detail string
	Outcome                 string
}

type cycleEdge struct {
	Path, Head           string // of the line, and of its tip
	X, Y                 float64
	Class, Label, Detail string
}

// pictures are the cycles of a result, by the position of the anomaly.
func pictures(r checker.Result) map[int]*cycle {
	var data struct {
		Pictures []explain.Picture `json:"pictures"`
	}
	if len(r.Data) == 0 || json.Unmarshal(r.Data, &data) != nil {
		return nil
	}
	out := map[int]*cycle{}
	for _, p := range data.Pictures {
		if len(p.Nodes) > 1 && len(p.Nodes) == len(p.Edges) {
			out[p.Anomaly] = drawCycle(p)
		}
	}
	return out
}

func drawCycle(p explain.Picture) *cycle {
	n := len(p.Nodes)
	rx := (cycleWidth-nodeWidth)/2 - 60
	ry := 30 + 38*float64(n)
	margin := 24.0
	if n == 2 { // side by side, the arrows above and below
		ry, margin = 0, 90
	}
	c := &cycle{Height: round(2*ry + nodeHeight + margin), Title: "Cycle of transactions, each before the next:"}
	for i, x := range p.Nodes {
		angle := math.Pi + 2*math.Pi*float64(i)/float64(n)
		c.Nodes = append(c.Nodes, makeNode(x, round(cycleWidth/2+rx*math.Cos(angle)), round(c.Height/2+ry*math.Sin(angle))))
	}
	for i, e := range p.Edges {
		from, to := c.Nodes[i], c.Nodes[(i+1)%n]
		bend := 0.0
		if n == 2 {
			bend = -70 // the two arrows part
		}
		c.Edges = append(c.Edges, makeEdge(e, from, to, bend))
		c.Title += fmt.Sprintf(" %s to %s by %s.", from.Name, to.Name, clean(e.Class+" "+e.Label))
	}
	return c
}

func makeNode(x explain.Node, at, y float64) cycleNode {
	n := cycleNode{X: at, Y: y, Left: round(at - nodeWidth/2), Top: round(y - nodeHeight/2), Name: clean(x.Name), Who: fmt.Sprintf("process %d", x.Process), When: clean(x.Time), Outcome: clean(x.Outcome)}
	if x.Node != "" {
		n.Who += " on " + clean(x.Node)
	}
	if x.Side != "" {
		n.Who += ", " + clean(x.Side)
	}
	n.Detail = n.Name + ", " + n.Who + ", " + n.Outcome
	for _, m := range x.Mops {
		n.Detail += "\n" + clean(m)
	}
	return n
}

// makeEdge leads from the border of one box to that of another, bent aside.
func makeEdge(e explain.Edge, from, to cycleNode, bend float64) cycleEdge {
	dx, dy := to.X-from.X, to.Y-from.Y
	length := math.Hypot(dx, dy)
	mx, my := (from.X+to.X)/2-dy/length*bend, (from.Y+to.Y)/2+dx/length*bend
	ax, ay := border(from, mx, my)
	bx, by := border(to, mx, my)
	out := cycleEdge{Class: clean(e.Class), Label: clean(e.Label), X: round((ax + 2*mx + bx) / 4), Y: round((ay+2*my+by)/4 - 5)}
	out.Path = fmt.Sprintf("M%.1f %.1f Q%.1f %.1f %.1f %.1f", ax, ay, mx, my, bx, by)
	out.Head = tip(mx, my, bx, by)
	out.Detail = fmt.Sprintf("%s before %s: %s %s", from.Name, to.Name, out.Class, out.Label)
	return out
}

// border is where the way from the middle of a box to a point leaves it.
func border(n cycleNode, x, y float64) (float64, float64) {
	dx, dy := x-n.X, y-n.Y
	scale := math.Min(nodeWidth/2/math.Max(math.Abs(dx), 1e-9), nodeHeight/2/math.Max(math.Abs(dy), 1e-9))
	return n.X + dx*scale, n.Y + dy*scale
}

// tip is an arrow's head that points from one place to another, at that.
func tip(fromX, fromY, x, y float64) string {
	const length, half = 10, 4.5
	d := math.Max(math.Hypot(x-fromX, y-fromY), 1e-9)
	ux, uy := (x-fromX)/d, (y-fromY)/d
	return fmt.Sprintf("%.1f,%.1f %.1f,%.1f %.1f,%.1f", x, y,
		x-length*ux+half*uy, y-length*uy-half*ux, x-length*ux-half*uy, y-length*uy+half*ux)
}
