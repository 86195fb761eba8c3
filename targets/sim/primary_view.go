package sim

// askVote asks for a vote for the next view, or with probe only whether the
// primary is silent for the other too.
type askVote struct {
	view     uint64
	probe    bool
	last     int
	lastView uint64
}

type voteMsg struct {
	view  uint64
	probe bool
	yes   bool
}

// ballot counts the votes that a node asked for.
type ballot struct {
	view  uint64
	probe bool
	yes   []bool
}

// askToMove asks the others whether they too miss the primary.
func (n *replica) askToMove() {
	n.primary = nobody
	n.hear()
	n.poll(n.view+1, true)
	n.count()
}

// poll sends out a ballot.
func (n *replica) poll(view uint64, probe bool) {
	n.ballot = &ballot{view: view, probe: probe, yes: make([]bool, n.env.Size())}
	n.ballot.yes[n.env.ID()] = true
	for peer := range n.env.Size() {
		n.env.Send(peer, askVote{view, probe, len(n.log), n.viewAt(len(n.log))})
	}
}

func (n *replica) onAskVote(from int, m askVote) {
	yes := m.view > n.view && n.upToDate(m)
	if m.probe {
		missed := n.lead == nil && (n.primary == nobody || n.env.Now()-n.heard > silence)
		n.env.Send(from, voteMsg{m.view, true, yes && missed})
		return
	}
	if m.view > n.view {
		n.follow(m.view, nobody)
	}
	if m.view < n.view || n.voted != nobody && n.voted != from || !n.upToDate(m) {
		n.env.Send(from, voteMsg{m.view, false, false})
		return
	}
	n.voted = from
	n.hear()
	n.env.Append(viewRecord{n.view, n.voted})
	n.disk.sync(func() { n.env.Send(from, voteMsg{m.view, false, true}) })
}

// upToDate tells whether a candidate has all that this node has.
func (n *replica) upToDate(m askVote) bool {
	last := n.viewAt(len(n.log))
	return m.lastView > last || m.lastView == last && m.last >= len(n.log)
}

func (n *replica) onVote(from int, m voteMsg) {
	b := n.ballot
	if b == nil || m.view != b.view || m.probe != b.probe || !m.yes {
		return
	}
	b.yes[from] = true
	n.count()
}

// count moves on when a majority says yes: from the question to the vote, and
// from the vote to being primary.
func (n *replica) count() {
	yes := 0
	for _, y := range n.ballot.yes {
		if y {
			yes++
		}
	}
	switch {
	case yes <= n.env.Size()/2:
	case n.ballot.probe:
		n.stand()
	default:
		n.takeOver()
	}
}

// stand votes for itself in the next view, durably, and asks for votes.
func (n *replica) stand() {
	view := n.ballot.view
	if view <= n.view {
		n.ballot = nil
		return
	}
	n.view, n.voted, n.ballot = view, n.env.ID(), nil
	n.env.Append(viewRecord{n.view, n.voted})
	n.env.Logf("view %d: the primary is silent, asks for votes with a log of %d", view, len(n.log))
	n.disk.sync(func() {
		if n.view == view && n.primary == nobody {
			n.poll(view, false)
			n.count()
		}
	})
}

// takeOver begins to be primary.
func (n *replica) takeOver() {
	n.ballot = nil
	n.primary = n.env.ID()
	if n.cfg.bug == bugLostTail && n.commit < len(n.log) {
		n.truncate(n.commit)
	}
	size := n.env.Size()
	l := &leadership{
		first: len(n.log) + 1,
		next:  make([]int, size),
		match: make([]int, size),
		moved: make([]bool, size),
		seen:  make([]uint64, size),
	}
	for peer := range size {
		l.next[peer] = len(n.log) + 1
		l.contact = append(l.contact, n.env.Now())
	}
	n.lead = l
	n.env.Logf("view %d: becomes primary with a log of %d", n.view, len(n.log))
	n.propose(entry{view: n.view, op: op{kind: opNone}})
}
