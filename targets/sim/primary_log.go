package sim

import "slices"

// propose puts a write into the primary's log and sends it on.
func (n *replica) propose(e entry) {
	prev := len(n.log)
	n.extend(prev, []entry{e}, func() {})
	for peer := range n.env.Size() {
		if peer != n.env.ID() && n.lead.next[peer] == prev+1 {
			n.sendLog(peer)
		}
	}
}

// extend writes entries after prev, dropping what was there, and calls safe
// when they are on disk.
func (n *replica) extend(prev int, entries []entry, safe func()) {
	if prev < len(n.log) {
		n.truncate(prev)
	}
	n.log = append(n.log, entries...)
	n.env.Append(tailRecord{prev, entries})
	end, cuts := len(n.log), n.cuts
	n.disk.sync(func() {
		if cuts == n.cuts {
			n.durable = max(n.durable, end)
			n.advance()
		}
		safe()
	})
}

// truncate drops the tail that the primary does not have.
func (n *replica) truncate(to int) {
	n.env.Logf("view %d: drops %d entries from %d on", n.view, len(n.log)-to, to+1)
	n.log = slices.Clip(n.log[:to])
	n.cuts++
	n.durable = min(n.durable, to)
	if n.applied > to {
		n.commit, n.applied = 0, 0
		n.store = newStore()
		n.commitTo(to)
	}
}

// sendLog streams what the peer lacks, or a heartbeat.
func (n *replica) sendLog(peer int) {
	l := n.lead
	prev := l.next[peer] - 1
	end := min(len(n.log), prev+batchLimit)
	n.env.Send(peer, appendMsg{
		view:     n.view,
		prev:     prev,
		prevView: n.viewAt(prev),
		entries:  n.log[prev:end:end],
		commit:   n.commit,
		round:    l.round,
	})
	l.next[peer] = end + 1
}

// viewAt is the view of the entry at an index, 0 before the first.
func (n *replica) viewAt(index int) uint64 {
	if index == 0 {
		return 0
	}
	return n.log[index-1].view
}

// onAppend takes the log of the primary.
func (n *replica) onAppend(from int, m appendMsg) {
	if m.view < n.view {
		n.env.Send(from, appendedMsg{view: n.view})
		return
	}
	n.follow(m.view, from)
	n.hear()
	if m.prev > len(n.log) || n.viewAt(m.prev) != m.prevView {
		n.env.Send(from, appendedMsg{view: n.view, match: n.hint(m.prev), round: m.round})
		return
	}
	end := m.prev + len(m.entries)
	ack := func() {
		if n.view == m.view {
			n.env.Send(from, appendedMsg{view: m.view, ok: true, match: end, round: m.round})
		}
	}
	fresh := n.firstNew(m)
	switch {
	case fresh < end:
		n.extend(fresh, m.entries[fresh-m.prev:], ack)
	case end <= n.durable:
		ack()
	default:
		n.disk.sync(ack)
	}
	if n.cfg.sync {
		n.commitTo(min(m.commit, end))
	} else {
		n.commitTo(end)
	}
}

// firstNew is the index before the first entry that is not in the log.
func (n *replica) firstNew(m appendMsg) int {
	at := m.prev
	for _, e := range m.entries {
		if at >= len(n.log) || n.log[at].view != e.view {
			break
		}
		at++
	}
	return at
}

// hint is where the logs may agree, below a place where they do not: the end
// of this log, or the entry before the view that differs.
func (n *replica) hint(prev int) int {
	if prev > len(n.log) {
		return len(n.log)
	}
	view := n.viewAt(prev)
	for prev > 0 && n.viewAt(prev) == view {
		prev--
	}
	return prev
}

// onAppended hears from a backup.
func (n *replica) onAppended(from int, m appendedMsg) {
	if m.view > n.view {
		n.follow(m.view, nobody)
		n.hear()
		return
	}
	if m.view < n.view || n.lead == nil {
		return
	}
	l := n.lead
	l.moved[from] = true
	l.contact[from] = n.env.Now()
	l.seen[from] = max(l.seen[from], m.round)
	switch {
	case m.ok:
		l.match[from] = max(l.match[from], m.match)
		l.next[from] = max(l.next[from], l.match[from]+1)
		n.advance()
	case m.match >= l.match[from]:
		l.next[from] = min(m.match+1, len(n.log)+1)
	}
	n.confirmed()
	if l.next[from] <= len(n.log) {
		n.sendLog(from)
	}
}

// advance commits what is safe enough.
func (n *replica) advance() {
	if n.lead == nil {
		return
	}
	to := n.durable
	if n.cfg.sync && n.cfg.bug != bugAckBeforeBackup {
		match := slices.Clone(n.lead.match)
		match[n.env.ID()] = n.durable
		slices.Sort(match)
		to = match[(len(match)-1)/2]
		// Only an entry of its own view tells a primary that those before it
		// cannot be replaced by a later one any more.
		if n.viewAt(to) != n.view {
			return
		}
	}
	n.commitTo(to)
}

// commitTo applies the log up to there.
func (n *replica) commitTo(to int) {
	n.commit = max(n.commit, min(to, len(n.log)))
	for n.applied < n.commit {
		n.applied++
		e := n.log[n.applied-1]
		if n.cfg.bug == bugSkipEntry && n.lead == nil && n.applied%skipEvery == 0 {
			continue
		}
		res := n.store.apply(e.op)
		if n.lead != nil && e.op.kind != opNone && e.view == n.view {
			n.finish(e.id, res)
		}
	}
}

// beatPrimary keeps the backups quiet, and sends again what got lost.
func (n *replica) beatPrimary() {
	l := n.lead
	for peer := range n.env.Size() {
		if peer == n.env.ID() {
			continue
		}
		if !l.moved[peer] {
			l.next[peer] = l.match[peer] + 1
		}
		l.moved[peer] = false
		n.sendLog(peer)
	}
	if n.cfg.sync && n.cfg.bug != bugStaleRead && n.contacts() <= n.env.Size()/2 {
		n.env.Logf("view %d: hears from no majority", n.view)
		n.primary = nobody
		n.hear()
		n.retire()
	}
}

// contacts counts the nodes that a primary heard of lately, itself included.
func (n *replica) contacts() int {
	count := 1
	for peer, at := range n.lead.contact {
		if peer != n.env.ID() && n.env.Now()-at <= silence {
			count++
		}
	}
	return count
}

// confirm begins a round of asking the backups whether they know a later
// view, for all reads that wait, unless one is under way.
func (n *replica) confirm() {
	l := n.lead
	if len(l.asked) > 0 || len(l.waiting) == 0 {
		return
	}
	l.asked, l.waiting = l.waiting, nil
	l.round++
	l.seen[n.env.ID()] = l.round
	for peer := range n.env.Size() {
		if peer != n.env.ID() {
			n.sendLog(peer)
		}
	}
	n.confirmed()
}

// confirmed answers the reads of the round once a majority has, and once the
// primary's own entry is committed: before, its log may hold writes of others
// that it does not know to be acknowledged.
func (n *replica) confirmed() {
	l := n.lead
	count := 0
	for _, seen := range l.seen {
		if seen >= l.round {
			count++
		}
	}
	if len(l.asked) == 0 || count <= n.env.Size()/2 || n.commit < l.first {
		return
	}
	reads := l.asked
	l.asked = nil
	for _, r := range reads {
		n.finish(r.id, n.store.read(r.op))
	}
	n.confirm()
}
