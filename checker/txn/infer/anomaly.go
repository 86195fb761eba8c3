package infer

import "github.com/capstan-dev/capstan/checker/txn/graph"

// Anomaly is one anomaly with its witness: a cycle, or what was found without
// one. If both are missing, it is a class of cycles which exists, but of which
// no cycle was found in time.
type Anomaly struct {
	Kind  string
	Cycle *Cycle
	Found *Found
}

// Cycle is a cycle of dependencies with its evidence.
type Cycle struct {
	Steps []Step
	// Refutes are the models that it refutes besides those that any cycle of
	// its kind does, by their friendly names.
	Refutes []string
}

// Step is one dependency with its evidence.
type Step struct {
	graph.Step
	Evidence
}

// Txns are the transactions of the cycle, in its order.
func (c *Cycle) Txns() []int32 {
	var out []int32
	for _, s := range c.Steps {
		out = append(out, s.From)
	}
	return out
}
