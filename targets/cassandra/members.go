package cassandra

import "github.com/capstan-dev/capstan/cluster"

// members are what an operator does to a ring here. Nodes are not taken out: of
// three nodes that hold everything none can leave.
func (s *system) members() *cluster.Members {
	return &cluster.Members{Upgrade: s.Upgrade}
}
