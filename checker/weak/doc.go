// Package weak judges a history of registers by the consistency models below
// linearizability, over all keys at once: which are refuted, with a witness in
// words, and which are not.
//
// # What counts
//
// Values are written once a key (checked; where a value that was read has
// several writers its reads count for nothing, and what is not refuted then is
// undecided). A read therefore tells whose write it saw, or that it saw the
// initial value. Operations of one process are in program order as their
// intervals are; a failed operation did not happen; a crashed write happened if
// somebody saw it and comes after what its process did before, but before
// nothing that its process does later. A compare-and-set that succeeded is one
// operation that reads and writes; one that failed and tells what it saw is a
// read; one that does not is left out. What a crashed compare-and-set found
// counts in sequential only. A read of a value that nobody wrote refutes every
// model. Real time counts in none of them.
//
// # Definitions
//
// po is program order, rf leads from a write to its reads, co is the transitive
// closure of both. The initial value of a key is its first write.
//
// sequential (Lamport 1979): one order of all operations that contains po in
// which each read, compare-and-sets included, finds the latest write to its
// key.
//
// The causal family is that of Bouajjani, Enea, Guerraoui, Hamza (On verifying
// causal consistency, POPL 2017), decided by the bad patterns of its section 5:
//
//   - causal (their CC): co is acyclic, and each read by itself can be explained
//     by an order of its causal past. Bad: CyclicCO, ThinAirRead,
//     WriteCOInitRead, WriteCORead.
//   - causal-convergence (CCv): one order of all writes that contains co, and
//     each read finds the last in it of the writes in its causal past. Bad:
//     those of causal, and CyclicCF.
//   - causal-memory (CM): for each process one order of its causal past, which
//     contains co, and in which each of its own reads finds the latest write. Bad:
//     those of causal, and WriteHBInitRead, CyclicHB.
//
// pram (Lipton, Sandberg 1988): for each process one order of its operations
// and all writes, which contains po, and in which each of its reads finds the
// latest write.
//
// The session guarantees (Terry et al. 1994; Viotti, Vukolic 2016) are what one
// client sees: for each process there are, for each of its reads r, a set V(r)
// of visible writes and, for each key, one order A of the writes to it; r finds
// the last in A of those in V(r).
//
//   - read-your-writes: V(r) contains the process's own earlier writes, and A
//     has them in program order.
//   - monotonic-reads: V grows along the process.
//   - monotonic-writes: V grows; if it contains a write it contains the earlier
//     ones of that write's process, on all keys; A contains po.
//   - writes-follow-reads: V grows; if it contains a write it contains what the
//     writer had read before, transitively, and A has that first.
//
// Nobody can tell the last two from the answers if V need not grow. So that
// they are not blamed for reads that went back, the reads of a process
// are cut, for these two, where monotonic-reads fails, and each piece is judged by
// itself. The order A belongs to one process: agreement between processes is the
// matter of causal-convergence and sequential.
//
// # The lattice
//
// linearizable implies sequential; sequential implies causal-memory and
// causal-convergence; causal-memory implies causal, pram and
// writes-follow-reads; causal-convergence implies causal, monotonic-reads,
// monotonic-writes and writes-follow-reads; causal implies read-your-writes;
// pram implies read-your-writes, monotonic-reads and monotonic-writes. No other
// implication holds. (causal explains each read by itself, so that two reads of
// one process may disagree about concurrent writes: it does not imply
// monotonic-reads. causal-convergence does not imply pram.)
//
// # Exactness
//
// All are decided exactly, in O(n k) for n operations and k processes, but for
// these. sequential is exact for one key; for several it is NP-complete: it is
// refuted by saturation (Zennou, Bouajjani, Enea, Erradi, Gradual consistency
// checking, CAV 2019), confirmed by an order that is verified apart, searched
// within a number of steps, else undecided. causal-memory and pram are saturated
// process by process where a first guess does not explain what the process read,
// which takes O(n k) a process and round. Where the clocks (4 n k bytes) exceed
// the memory, or the work or the time runs out, the model is undecided.
//
// A witness is a way or a circle with few steps as they are told, where any
// number of steps along one process is one. Violations of writes-follow-reads
// are not counted to the end where reads go back so often that this takes long.
package weak
