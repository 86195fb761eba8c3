package spanner

// Claim implements targets.System. "Strong reads are guaranteed to see the
// effects of all transactions that have committed before the start of the read",
// and transactions are externally consistent (TransactionOptions: "Strong";
// Spanner: "TrueTime and external consistency"). Of single registers that is
// linearizability. A stale read sees a consistent prefix of the history, of a
// moment before: no promise by these models, not even that a client sees its own
// writes.
func (s *service) Claim() string {
	if s.spec.Levels[levelRead] == readStrong {
		return "linearizable"
	}
	return ""
}

// Isolation implements targets.Isolation: external consistency is strict
// serializability. Of stale reads it is promised that they are "guaranteed to
// see a consistent prefix of the global transaction history" (TransactionOptions:
// "Exact staleness", and of bounded staleness that its timestamp is one of
// these): they have their place in the serial order, which is not that of real
// time.
func (s *service) Isolation() string {
	if s.spec.Levels[levelRead] == readStrong {
		return "strict-serializable"
	}
	return "serializable"
}
