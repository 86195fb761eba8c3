package txn

import (
	"github.com/capstan-dev/capstan/checker/txn/graph"
	"github.com/capstan-dev/capstan/checker/txn/log"
)

// processEdges lead from each ok transaction to the next ok one of its process,
// and to none that is unknown, as in Elle. A session is what a client knows that
// it did: a crash ends it, and what crashed may be carried out later and by
// others, a server's queue or a driver that tries again, so that no promise to
// the session need cover it. No order leads out of it either, for it may take
// effect at any time after its invocation. What it costs is the name and the
// models, not the finding: the real time of the same two transactions has the
// edge, so such a cycle is told as one of -realtime, unless the history has no
// invocations.
func processEdges(l *log.Log) []graph.Edge {
	last := map[int32]int32{}
	var edges []graph.Edge
	for t := range l.Txns {
		if l.Txns[t].Outcome != log.OK {
			continue
		}
		p := l.Txns[t].Process
		if before, there := last[p]; there {
			edges = append(edges, graph.NewEdge(before, int32(t), graph.Process))
		}
		last[p] = int32(t)
	}
	return edges
}

// realtimeEdges lead from each ok transaction to all that were invoked after its
// completion and did not fail. They go by way of barriers: each stands for a run
// of completions with no invocation between, comes after the barrier before it,
// and before what is invoked next. That is the whole order in three edges a
// transaction. They must not be followed beyond a barrier but by hops.
func realtimeEdges(l *log.Log) (edges []graph.Edge, barriers int) {
	events := make([]int32, l.Events) // what happens there: the transaction+1, negative if it is completed
	for t := range l.Txns {
		tx := &l.Txns[t]
		if tx.Outcome == log.Fail {
			continue
		}
		if tx.Invoke != log.Never {
			events[tx.Invoke] = int32(t) + 1
		}
		if tx.Complete != log.Never && tx.Outcome == log.OK {
			events[tx.Complete] = -int32(t) - 1
		}
	}
	edges = make([]graph.Edge, 0, 3*len(l.Txns))
	n, open := len(l.Txns), false
	for _, e := range events {
		switch {
		case e < 0:
			if !open {
				if barriers > 0 {
					edges = append(edges, graph.NewHop(int32(n+barriers-1), int32(n+barriers)))
				}
				barriers++
				open = true
			}
			edges = append(edges, graph.NewEdge(-e-1, int32(n+barriers-1), graph.Realtime))
		case e > 0:
			if barriers > 0 {
				edges = append(edges, graph.NewHop(int32(n+barriers-1), e-1))
			}
			open = false
		}
	}
	return edges, barriers
}
