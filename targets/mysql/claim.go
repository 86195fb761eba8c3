package mysql

import "github.com/capstan-dev/capstan/targets/tables"

// Claim implements targets.System. The primary is a single copy, and a commit
// that it acknowledged survives its crash if the log is flushed at each commit
// (InnoDB: innodb_flush_log_at_trx_commit=1 "is required for full ACID
// compliance"). That holds for the primary itself: of asynchronous replication
// the documentation says that a replica may be behind, and of a promotion that
// what was not received is lost: after a promotion that was forced nothing is
// claimed. Galera's promise is that a read waits for what
// was committed before on any node, if wsrep_sync_wait has it wait.
func (s *system) Claim() string {
	l := s.Spec.Levels
	switch {
	case s.wasForced():
		return ""
	case s.Spec.Topology == galera && l[levelSyncWait] == "0":
		return ""
	case s.Spec.Topology == galera:
		return "linearizable" // a commit is on all nodes, whatever the disk of one has
	case l[levelFlush] != "1" || l[levelRead] == readReplica || l[levelIsolation] == "read-uncommitted":
		return ""
	}
	return "linearizable"
}

// Isolation implements targets.Isolation. The levels have the names of the SQL
// standard, and InnoDB's documentation ("Transaction Isolation Levels") offers
// them as these. Between nodes of a Galera cluster it is snapshot isolation at
// most, by the rule that the first committer wins (Galera's documentation,
// "Isolation Levels": serializable is not for several nodes). Of what a replica
// shows nothing is promised but that it was committed. A client that appends by
// writing back what it read is promised nothing below repeatable read; nor is
// one that puts a row after those that it sees, where it sees rows that are not
// committed: two such lists may interleave, though no row is written twice.
func (s *system) Isolation() string {
	l := s.Spec.Levels
	level := l[levelIsolation]
	high := level == "repeatable-read" || level == "serializable"
	switch {
	case s.wasForced():
		return ""
	case !high && l[tables.LevelAppend] == "rmw":
		return ""
	case level == "read-uncommitted" && l[tables.LevelAppend] == "rows":
		return ""
	case high && l[levelRead] == readReplica:
		return "read-committed"
	case high && s.Spec.Topology == galera:
		return "snapshot-isolation"
	}
	return level
}

func (s *system) wasForced() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.forced
}
