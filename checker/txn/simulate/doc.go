// Package simulate makes histories of transactions whose verdict is known: an
// in-memory database that keeps one isolation level and no stronger one, driven
// by concurrent clients on a virtual clock, with planted anomalies. The same
// options give the same events.
//
// The levels and what makes them so (a view is the set of committed
// transactions that a read sees):
//
//	strict-serializable              multiversion timestamp ordering, timestamps by time
//	strong-session-serializable      the same, timestamps lag, but not within a process
//	serializable                     the same, timestamps lag
//	repeatable-read                  serializable, as long as there are no predicates
//	strong-snapshot-isolation        the view is all that is committed at the start; first committer wins
//	strong-session-snapshot-isolation  the view lags, but not within a process
//	snapshot-isolation               the view is any recent prefix of the commits
//	parallel-snapshot-isolation      the view is any causally closed set; first committer wins
//	prefix                           a prefix, without conflicts
//	causal-cerone                    a causally closed set, without conflicts
//	update-atomic                    any set of whole transactions; first committer wins
//	read-atomic                      any set of whole transactions, without conflicts
//	monotonic-atomic-view            the same, and it grows from read to read
//	read-committed                   each read has a prefix of its own
//	read-uncommitted                 writes in place under locks, reads take none
//
// Timestamp ordering is that of Bernstein, Hadzilacos and Goodman, Concurrency
// Control and Recovery in Database Systems, 5.5; views are those of Cerone,
// Bernardi and Gotsman, A Framework for Transactional Consistency Models with
// Atomic Visibility, CONCUR 2015.
//
// Appends to a list do not depend on what was there. Where a level has no
// conflicts, a transaction that has read its own append conflicts all the same:
// it has told where the append stands.
package simulate
