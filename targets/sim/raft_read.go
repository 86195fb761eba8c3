package sim

import (
	"bytes"
	"encoding/binary"
	"time"

	"go.etcd.io/raft/v3"
)

// readQueue batches linearizable reads: one question to the leader is under
// way, and what comes meanwhile waits for the next, because an answer counts
// for the reads only that began before it was asked.
type readQueue struct {
	waiting []pendingRead
	asked   []pendingRead
	token   []byte // of the question
	at      time.Duration
	seq     uint64
	ready   []readyRead
}

// readyRead may be answered once the log is applied up to index.
type readyRead struct {
	index uint64
	reads []pendingRead
}

// confirm takes the leader's answer.
func (q *readQueue) confirm(s raft.ReadState) {
	if len(q.asked) == 0 || !bytes.Equal(s.RequestCtx, q.token) {
		return
	}
	q.ready = append(q.ready, readyRead{s.Index, q.asked})
	q.asked = nil
}

// startReads asks for the reads that wait, unless a question is under way.
func (n *raftNode) startReads() {
	if len(n.reads.asked) == 0 && len(n.reads.waiting) > 0 {
		n.reads.asked, n.reads.waiting = n.reads.waiting, nil
		n.ask()
	}
}

// ask puts the question. Its token is never used again, not even by a later
// process: an old answer would allow an old read.
func (n *raftNode) ask() {
	q := &n.reads
	q.seq++
	q.at = n.env.Now()
	q.token = binary.BigEndian.AppendUint32(nil, n.env.Life())
	q.token = binary.BigEndian.AppendUint64(q.token, q.seq)
	n.raft.ReadIndex(q.token)
}

// retryReads asks again what got lost on the way.
func (n *raftNode) retryReads() {
	if len(n.reads.asked) > 0 && n.env.Now()-n.reads.at > readRetry {
		n.ask()
	}
}

// answerReads answers what may be.
func (n *raftNode) answerReads() {
	left := n.reads.ready[:0]
	for _, r := range n.reads.ready {
		if r.index > n.applied {
			left = append(left, r)
			continue
		}
		for _, read := range r.reads {
			n.desk.reply(read.id, n.store.read(read.op))
		}
	}
	n.reads.ready = left
	n.startReads()
}
