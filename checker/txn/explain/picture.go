package explain

import (
	"fmt"

	"github.com/capstan-dev/capstan/checker/phase"
	"github.com/capstan-dev/capstan/checker/txn/graph"
	"github.com/capstan-dev/capstan/checker/txn/infer"
	"github.com/capstan-dev/capstan/checker/txn/log"
)

// Picture is a cycle for drawing.
type Picture struct {
	// Anomaly is the position of the anomaly among those of its result.
	Anomaly int    `json:"anomaly"`
	Nodes   []Node `json:"nodes"`
	// Edges lead from each node to the next, the last to the first.
	Edges []Edge `json:"edges"`
}

// Node is a transaction of a cycle.
type Node struct {
	Name    string `json:"name"`
	Process int    `json:"process"`
	Node    string `json:"node,omitempty"`
	// Side of the node when the transaction began, if a fault was in force.
	Side    string   `json:"side,omitempty"`
	Outcome string   `json:"outcome"`
	Time    string   `json:"time,omitempty"` // from and to
	Mops    []string `json:"mops"`
}

// Edge is a dependency of a cycle.
type Edge struct {
	// Class is ww, wr, rw, rwp, process or rt.
	Class string `json:"class"`
	// Label has the key and the values, or the time between.
	Label string `json:"label,omitempty"`
}

// maxPictures of one result are drawn, maxNodes the longest of them.
const maxPictures, maxNodes = 16, 24

// Pictures are those of the cycles among the anomalies of a result.
func (t *Teller) Pictures(anomalies []infer.Anomaly) []Picture {
	out := []Picture{}
	for i, a := range anomalies {
		if a.Cycle == nil || len(a.Cycle.Steps) > maxNodes || len(out) == maxPictures {
			continue
		}
		p := Picture{Anomaly: i}
		for _, s := range turned(a.Cycle) {
			p.Nodes = append(p.Nodes, t.drawn(s.From))
			p.Edges = append(p.Edges, t.edge(s))
		}
		out = append(out, p)
	}
	return out
}

func (t *Teller) drawn(i int32) Node {
	x := &t.log.Txns[i]
	n := Node{Name: t.name(i), Process: int(x.Process), Side: t.side(x), Outcome: x.Outcome.String(), Time: t.span(x), Mops: t.mops(i)}
	if int(x.Node) < len(t.log.Nodes) {
		n.Node = t.log.Nodes[x.Node]
	}
	return n
}

func (t *Teller) edge(s infer.Step) Edge {
	e := Edge{Class: s.Class.String()}
	switch {
	case s.Class == graph.Realtime:
		e.Class = "rt"
		if a, b := &t.log.Txns[s.From], &t.log.Txns[s.To]; !t.timeless && b.Start >= a.End {
			e.Label = phase.Span(b.Start - a.End)
		}
	case s.Key == infer.None:
	case s.Class == graph.WR:
		e.Label = fmt.Sprintf("%s: %s", t.log.Keys[s.Key], t.value(s.Value))
	case t.adds(s.ToMop):
		e.Label = fmt.Sprintf("%s: without %s", t.log.Keys[s.Key], t.value(s.Next))
	default:
		e.Label = fmt.Sprintf("%s: %s → %s", t.log.Keys[s.Key], t.value(s.Value), t.next(s))
	}
	return e
}

// next is the version that came after.
func (t *Teller) next(s infer.Step) string {
	if s.ToMop != infer.None && t.log.Mops[s.ToMop].Fun == log.Delete {
		return "deleted"
	}
	return t.value(s.Next)
}
