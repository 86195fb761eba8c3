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
	bugAckBeforeBackup = "ack-before-backup"
	bugLostTail        = "lost-tail-at-failover"
	bugAckOnForward    = "ack-on-forward"
	bugSloppyRead      = "sloppy-read"
	bugAckBeforeSend   = "ack-before-send"
	bugDropOnMerge     = "drop-on-merge"
	bugNonmonotonic    = "nonmonotonic-merge"
	bugDoubleMerge     = "double-merge"
	bugForgetSlot      = "forget-slot"
)

// How the bugs show.
const (
	resendAfter = 8 * time.Millisecond  // double-apply: an impatient node sends again
	giveUpAfter = 8 * time.Millisecond  // phantom-fail: a node gives up
	sendEvery   = 50 * time.Millisecond // ack-before-send: a node sends late
	skipEvery   = 50                    // skip-entry: one in so many
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
		{bugAckBeforeBackup, "sync", "set", "partition:primary", "a write is acknowledged when only the primary has it"},
		{bugStaleRead, "sync", "register", "partition:primary", "the primary answers reads without asking whether it still is the primary"},
		{bugLostTail, "sync", "set", "partition:primary", "a new primary drops what it does not know to be acknowledged"},
		{bugDoubleApply, "sync", "counter", "none", "a backup forwards again what the primary is slow to answer, and it is applied twice"},
		{bugPhantomFail, "sync", "register", "none", "a node that waits for long says that a write has failed, though it may be applied"},
		{bugSkipEntry, "sync", "set", "partition:primary", "a backup leaves out every 50th entry when it applies its log"},
		{bugNoFsync, "sync", "set", "kill:all", "a node acknowledges what is not on its disk yet"},
		{bugStaleRead, "raft", "register", "partition:primary", "a leader answers reads from its own state, and stays leader while it is cut off"},
		{bugAckBeforeQuorum, "raft", "set", "partition:primary", "the leader acknowledges a write before a majority has it"},
		{bugCASOnStale, "raft", "register", "none", "a node compares with what it has applied, and proposes a plain write"},
		{bugSkipEntry, "raft", "register", "none", "a follower leaves out every 50th entry when it applies its log"},
		{bugDoubleApply, "raft", "counter", "none", "a node proposes again what is slow to be applied, and it is applied twice"},
		{bugPhantomFail, "raft", "register", "none", "a node that waits for long says that a write has failed, though it may be applied"},
		{bugNoFsync, "raft", "set", "kill:all", "a node acknowledges log entries and votes that are not on its disk yet"},
		{bugSloppyRead, "quorum", "set", "partition:halves", "a node answers a read from what it has itself, whatever r says"},
		{bugAckBeforeSend, "quorum", "set", "kill:one", "a node acknowledges a write before it sends it to any replica"},
		{bugNoFsync, "quorum", "set", "kill:all", "a replica acknowledges what is not on its disk yet"},
		{bugNonmonotonic, "crdt", "counter", "none", "a merge takes what it last heard of each slot, not the greatest"},
		{bugDoubleMerge, "crdt", "counter", "none", "a merge adds a slot that has grown to what it was"},
		{bugDropOnMerge, "crdt", "set", "none", "a merge takes the greater set, not the union"},
		{bugForgetSlot, "crdt", "counter", "kill:one", "a node begins to count its own slot from 0 when it restarts"},
		{bugNoFsync, "crdt", "set", "kill:all", "a node acknowledges what is not on its disk yet"},
	}
}
