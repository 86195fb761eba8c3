package weak

import "slices"

// The models, as in jepsen.io/consistency where they are there.
const (
	Linearizable      = "linearizable"
	Sequential        = "sequential"
	CausalMemory      = "causal-memory"
	CausalConvergence = "causal-convergence"
	Causal            = "causal"
	PRAM              = "pram"
	ReadYourWrites    = "read-your-writes"
	MonotonicReads    = "monotonic-reads"
	MonotonicWrites   = "monotonic-writes"
	WritesFollowReads = "writes-follow-reads"
)

// Models lists those that New knows, the strongest first: no model implies an
// earlier one.
func Models() []string {
	return []string{Sequential, CausalMemory, CausalConvergence, Causal, PRAM,
		WritesFollowReads, MonotonicWrites, MonotonicReads, ReadYourWrites}
}

// implied are the models that a model implies directly.
func implied(model string) []string {
	switch model {
	case Linearizable:
		return []string{Sequential}
	case Sequential:
		return []string{CausalMemory, CausalConvergence}
	case CausalMemory:
		return []string{Causal, PRAM, WritesFollowReads}
	case CausalConvergence:
		return []string{Causal, WritesFollowReads, MonotonicWrites, MonotonicReads}
	case Causal:
		return []string{ReadYourWrites}
	case PRAM:
		return []string{MonotonicWrites, MonotonicReads, ReadYourWrites}
	}
	return nil
}

// Implies says whether every history that the model strong allows is allowed
// by weak too.
func Implies(strong, weak string) bool {
	return strong == weak || slices.ContainsFunc(implied(strong), func(m string) bool { return Implies(m, weak) })
}
