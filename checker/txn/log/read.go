package log

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"sync"

	"github.com/capstan-dev/capstan/history"
)

// Open reads the transactions of a file: Jepsen's EDN, JSON lines or a JSON
// array of operations with Jepsen's fields, or a run directory. Large files are
// read in parts, side by side, and never held in memory as a whole. What is
// written in an unusual way is read by history.Open instead, which also tells
// what is wrong, and where. With an error comes the log of what was before it,
// if any.
func Open(path string) (*Log, error) { return open(path, false) }

// OpenSets is Open for transactions of [add key element] and [r key elements],
// where what is read are sets and not lists.
func OpenSets(path string) (*Log, error) { return open(path, true) }

func open(path string, sets bool) (*Log, error) {
	l, err := readParts(path, sets, runtime.GOMAXPROCS(0))
	if err == nil {
		return l, nil
	}
	h, _, readErr := history.Open(path)
	if readErr != nil && (h == nil || len(h.Events) == 0) {
		return nil, readErr
	}
	l, err = fromHistory(h, sets)
	if err != nil {
		return nil, errors.Join(readErr, InFile(path, len(h.Events), err))
	}
	return l, readErr
}

// leastPart is the least size of a part.
const leastPart = 1 << 20

func readParts(path string, sets bool, most int) (*Log, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return nil, errOdd
	}
	return parts(f, st.Size(), sets, int(min(int64(most), st.Size()/leastPart+1)))
}

func parts(f io.ReaderAt, size int64, sets bool, n int) (*Log, error) {
	cuts := []int64{0}
	for i := 1; i < n; i++ {
		at, err := cut(f, size*int64(i)/int64(n), size)
		if err != nil {
			return nil, err
		}
		cuts = append(cuts, at)
	}
	cuts = slices.Compact(append(cuts, size))
	ps := make([]*part, max(len(cuts)-1, 0))
	errs := make([]error, len(ps))
	var wg sync.WaitGroup
	for i := range ps {
		wg.Go(func() {
			defer func() {
				if recover() != nil { // ours; the general reader goes on
					errs[i] = errOdd
				}
			}()
			ps[i] = &part{b: newBuilder(sets)}
			room := cuts[i+1] - cuts[i]
			if i == 0 {
				room = size // all others are joined to it
			}
			errs[i] = ps[i].read(f, cuts[i], cuts[i+1], room)
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil || len(ps) == 0 {
		return nil, errOdd
	}
	return join(ps)
}

// cut is the first boundary after a place of the file; its end if there is none
// in reach.
func cut(f io.ReaderAt, from, size int64) (int64, error) {
	buf := make([]byte, min(chunk, size-from))
	n, err := f.ReadAt(buf, from)
	if err != nil && err != io.EOF {
		return 0, errOdd
	}
	at := boundary(buf[:n], 0)
	if at == n {
		return size, nil
	}
	return from + int64(at), nil
}

// join makes one log of the parts.
func join(ps []*part) (*Log, error) {
	invoked, indexed, unindexed := false, false, false
	last := int32(Never)
	for _, p := range ps {
		if p.indexed && p.events > 0 {
			if p.firstIndex <= last {
				return nil, errOdd
			}
			last = p.lastIndex
		}
		invoked = invoked || p.invoked
		indexed = indexed || p.indexed
		unindexed = unindexed || p.unindexed
	}
	if indexed && unindexed {
		return nil, errOdd
	}
	j := joiner{b: ps[0].b, open: map[int32]*call{}, invoked: invoked}
	for i, p := range ps {
		if err := j.add(p, i > 0); err != nil {
			return nil, err
		}
		ps[i] = nil
	}
	if err := j.crashed(); err != nil {
		return nil, err
	}
	l := j.b.finish()
	l.Events = int(j.events)
	if !indexed {
		for i := range l.Txns {
			l.Txns[i].InvokeIndex, l.Txns[i].CompleteIndex = l.Txns[i].Invoke, l.Txns[i].Complete
		}
	}
	return l, nil
}

// joiner joins parts, the first of which its builder has.
type joiner struct {
	b       *builder
	open    map[int32]*call // by process
	events  int32
	invoked bool
}

func (j *joiner) add(p *part, other bool) error {
	if p.loose && j.invoked || int64(j.events)+int64(p.events) > math.MaxInt32 {
		return errOdd
	}
	if err := j.disturbed(p); err != nil {
		return err
	}
	base := int32(0)
	var r *renaming
	if other {
		base = int32(len(j.b.log.Txns))
		r = j.b.absorb(p.b, j.events)
	}
	for _, o := range p.first {
		c, there := j.open[o.process]
		if !there {
			if j.invoked {
				return errOdd
			}
			continue
		}
		delete(j.open, o.process)
		t := &j.b.log.Txns[base+o.txn]
		t.invokedAt(c)
		if o.bare && len(c.value) > 0 {
			if err := j.b.late(t, c.value); err != nil {
				return err
			}
		}
	}
	for i := range p.states {
		st := &p.states[i]
		if _, there := j.open[st.number]; there && st.opened {
			return errOdd
		}
		if st.pending {
			c := st.call
			c.pos += j.events
			if r != nil {
				c.node = r.nodes[c.node]
			}
			j.open[st.number] = &c
		}
	}
	j.events += p.events
	return nil
}

// late adds micro-operations to a transaction that has none, behind all others.
func (b *builder) late(t *Txn, value []byte) error {
	t.First = int32(len(b.log.Mops))
	err := b.mops(&scanner{b: value}, false)
	t.Last = int32(len(b.log.Mops))
	return err
}

// crashed adds the transactions without completions.
func (j *joiner) crashed() error {
	type left struct {
		process int32
		*call
	}
	var all []left
	for p, c := range j.open {
		all = append(all, left{p, c})
	}
	slices.SortFunc(all, func(a, b left) int { return int(a.pos) - int(b.pos) })
	for _, c := range all {
		t := Txn{Complete: Never, CompleteIndex: Never, Process: c.process, Outcome: Info, Start: c.time, End: c.time}
		t.invokedAt(c.call)
		if len(c.value) > 0 {
			if err := j.b.late(&t, c.value); err != nil {
				return err
			}
		}
		j.b.log.Txns = append(j.b.log.Txns, t)
	}
	return nil
}
