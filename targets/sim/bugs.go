package sim

import "time"

// The names of the planted bugs.
const (
	noBug              = "none"
	bugStaleRead       = "stale-read"
	bugAckBeforeQuorum = "ack-before-quorum"
	bugCASOnStale      = "cas-on-stale"
	bugSkipEntry       = "skip-entry"
	bugDoubleApply     = "double-apply"
	bugPhantomFail     = "phantom-fail"
	bugNoFsync         = "no-fsync"
	bugLostVote        = "lost-vote"
	bugAckBeforeBackup = "ack-before-backup"
	bugLostTail        = "lost-tail-at-failover"
	bugAckOnForward    = "ack-on-forward"
	bugSloppyRead      = "sloppy-read"
	bugSloppyWrite     = "sloppy-write"
	bugSetOverwrite    = "set-overwrite"
	bugFutureTimestamp = "future-timestamp"
	bugDropOnMerge     = "drop-on-merge"
	bugNonmonotonic    = "nonmonotonic-merge"
	bugDoubleMerge     = "double-merge"
	bugForgetSlot      = "forget-slot"
)

// How the bugs show.
const (
	resendAfter = 8 * time.Millisecond // double-apply: an impatient node sends again
	skipEvery   = 50                   // skip-entry: one in so many
)

// Bug is a planted bug, and the run that shows it.
type Bug struct {
	Name, Topology string
	// Workload and Fault expose it; with the same two and without the bug the
	// topology is clean. Fault "none" means that it shows without any.
	Workload, Fault string
	Doc             string
}

// Bugs lists the planted bugs.
func Bugs() []Bug {
	return []Bug{
		{bugAckOnForward, "async", "register", "none", "a backup acknowledges a write when it has forwarded it to the primary"},
		{bugDoubleApply, "async", "counter", "none", "a backup forwards again what the primary is slow to answer, and it is applied twice"},
		{bugAckBeforeBackup, "sync", "register", "partition:primary", "a write is acknowledged when only the primary has it"},
		{bugStaleRead, "sync", "register", "partition:primary", "the primary answers reads without asking whether it still is the primary"},
		{bugLostTail, "sync", "set", "partition:primary", "nodes vote for a primary whose log is behind theirs"},
		{bugDoubleApply, "sync", "counter", "none", "a backup forwards again what the primary is slow to answer, and it is applied twice"},
		{bugPhantomFail, "sync", "register", "partition:primary", "when the primary changes, all that is open is said to have failed, though it may be applied"},
		{bugSkipEntry, "sync", "set", "partition:primary", "a backup leaves out every 50th entry when it applies its log"},
		{bugNoFsync, "sync", "set", "kill:all", "a node acknowledges what is not on its disk yet"},
		{bugStaleRead, "raft", "register", "partition:primary", "a leader answers reads from its own state, and stays leader while it is cut off"},
		{bugAckBeforeQuorum, "raft", "set", "partition:primary", "the leader acknowledges a write before a majority has it"},
		{bugCASOnStale, "raft", "register", "none", "a node compares with what it has applied, and proposes a plain write"},
		{bugSkipEntry, "raft", "set", "none", "a follower leaves out every 50th entry when it applies its log"},
		{bugDoubleApply, "raft", "counter", "none", "a node proposes again what is slow to be applied, and it is applied twice"},
		{bugPhantomFail, "raft", "register", "partition:primary", "when the leader changes, all that is open is said to have failed, though it may be applied"},
		{bugNoFsync, "raft", "set", "kill:all", "a node acknowledges log entries and votes that are not on its disk yet"},
	}
}
