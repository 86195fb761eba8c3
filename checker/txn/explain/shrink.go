package explain

import (
	"context"
	"slices"

	"github.com/capstan-dev/capstan/checker/txn/infer"
	"github.com/capstan-dev/capstan/checker/txn/log"
)

// Shrink finds transactions of a log that show an anomaly by themselves, none of
// which can be left out (1-minimal), ascending. shows is asked about logs with
// fewer transactions. When the context is over it gives what it has, which may
// then not be minimal; nil if nothing was found that shows it.
func Shrink(ctx context.Context, l *log.Log, a infer.Anomaly, shows func(*log.Log) bool) (txns []int32, minimal bool) {
	s := &shrinker{ctx: ctx, log: l, shows: shows}
	for _, start := range []func() []int32{
		func() []int32 { return sorted(Txns(a)) },
		func() []int32 { return sorted(append(Txns(a), longest(l, keys(a))...)) },
		func() []int32 { return touching(l, keys(a)) },
		func() []int32 { return upTo(len(l.Txns)) },
	} {
		if txns := start(); s.show(txns) {
			s.txns = txns
			s.halve()
			return s.txns, s.single()
		}
	}
	return nil, false
}

func sorted(txns []int32) []int32 {
	slices.Sort(txns)
	return slices.Compact(txns)
}

func upTo(n int) []int32 {
	out := make([]int32, n)
	for i := range out {
		out[i] = int32(i)
	}
	return out
}

// keys are those that an anomaly is about.
func keys(a infer.Anomaly) map[int32]bool {
	out := map[int32]bool{}
	if a.Found != nil {
		out[a.Found.Key] = true
	}
	if a.Cycle != nil {
		for _, s := range a.Cycle.Steps {
			out[s.Key] = true
		}
	}
	return out
}

// longest are the first transactions that read the longest lists of the keys.
func longest(l *log.Log, keys map[int32]bool) []int32 {
	var out []int32
	found := map[int32]bool{}
	for t := range l.Txns {
		for _, m := range l.Of(int32(t)) {
			if m.Fun == log.List && keys[m.Key] && !found[m.Key] && int(m.Value) == len(l.Longest[m.Key]) && l.Txns[t].Outcome == log.OK {
				found[m.Key] = true
				out = append(out, int32(t))
			}
		}
	}
	return out
}

// touching are the transactions that do something to one of the keys.
func touching(l *log.Log, keys map[int32]bool) []int32 {
	var out []int32
	for t := range l.Txns {
		if slices.ContainsFunc(l.Of(int32(t)), func(m log.Mop) bool { return keys[m.Key] }) {
			out = append(out, int32(t))
		}
	}
	return out
}

type shrinker struct {
	ctx   context.Context
	log   *log.Log
	shows func(*log.Log) bool
	txns  []int32
}

func (s *shrinker) show(txns []int32) bool {
	return s.ctx.Err() == nil && len(txns) > 0 && s.shows(Subset(s.log, txns)) && s.ctx.Err() == nil
}

// without tries to leave out [from, to).
func (s *shrinker) without(from, to int) bool {
	rest := slices.Concat(s.txns[:from], s.txns[to:])
	if !s.show(rest) {
		return false
	}
	s.txns = rest
	return true
}

// halve leaves out large parts first, then smaller ones (Zeller and Hildebrandt,
// Simplifying and isolating failure-inducing input, 2002).
func (s *shrinker) halve() {
	for size := len(s.txns) / 2; size > 1; size /= 2 {
		for to := len(s.txns); to > 0; {
			from := max(0, to-size)
			s.without(from, to)
			to = from
		}
	}
}

// single leaves out one after the other until none can be; it is false if the
// time was over before.
func (s *shrinker) single() bool {
	for changed := true; changed; {
		changed = false
		for i := len(s.txns) - 1; i >= 0; i-- {
			if s.ctx.Err() != nil {
				return false
			}
			changed = s.without(i, i+1) || changed
		}
	}
	return s.ctx.Err() == nil
}

// Subset is the log of some transactions only, by ascending numbers: as if the
// others had not been recorded.
func Subset(l *log.Log, txns []int32) *log.Log {
	b := subset{from: l, keys: map[int32]int32{}, positions: positions(l, txns)}
	b.log = &log.Log{Texts: l.Texts, Nodes: l.Nodes, Sets: l.Sets, Events: len(b.positions)}
	for _, t := range txns {
		b.add(t)
	}
	b.lists()
	return b.log
}

// positions are those of the events that remain, ascending.
func positions(l *log.Log, txns []int32) []int32 {
	var out []int32
	for _, t := range txns {
		for _, p := range []int32{l.Txns[t].Invoke, l.Txns[t].Complete} {
			if p != log.Never {
				out = append(out, p)
			}
		}
	}
	slices.Sort(out)
	return out
}

type subset struct {
	from, log *log.Log
	keys      map[int32]int32 // the new number of each, plus one
	positions []int32
}

func (b *subset) add(t int32) {
	x := b.from.Txns[t]
	x.Invoke, x.Complete = b.position(x.Invoke), b.position(x.Complete)
	x.First = int32(len(b.log.Mops))
	for _, m := range b.from.Of(t) {
		if m.Fun != log.Predicate {
			m.Key = b.key(m.Key)
		}
		b.log.Mops = append(b.log.Mops, m)
	}
	x.Last = int32(len(b.log.Mops))
	b.log.Txns = append(b.log.Txns, x)
}

func (b *subset) position(p int32) int32 {
	if p == log.Never {
		return p
	}
	at, _ := slices.BinarySearch(b.positions, p)
	return int32(at)
}

func (b *subset) key(k int32) int32 {
	n, ok := b.keys[k]
	if !ok {
		b.log.Keys = append(b.log.Keys, b.from.Keys[k])
		b.log.Longest = append(b.log.Longest, nil)
		n = int32(len(b.log.Keys))
		b.keys[k] = n
	}
	return n - 1
}

// lists finds the longest list of each key that is read still, and which reads
// are no prefixes of it.
func (b *subset) lists() {
	olds := make([]int32, len(b.log.Keys))
	for old, n := range b.keys {
		olds[n-1] = old
	}
	elements := func(m log.Mop) []log.Value {
		m.Key = olds[m.Key]
		return b.from.Elements(m)
	}
	b.eachList(func(m *log.Mop, ok bool) {
		if e := elements(*m); ok && len(e) > len(b.log.Longest[m.Key]) {
			b.log.Longest[m.Key] = e
		}
	})
	b.eachList(func(m *log.Mop, ok bool) {
		e, all := elements(*m), b.log.Longest[m.Key]
		if len(e) <= len(all) && slices.Equal(e, all[:len(e)]) {
			m.Fun, m.Value = log.List, log.Value(len(e))
			return
		}
		m.Fun, m.Value = log.Odd, log.Value(len(b.log.Odd))
		b.log.Odd = append(b.log.Odd, e)
	})
}

func (b *subset) eachList(do func(m *log.Mop, ok bool)) {
	for t := range b.log.Txns {
		for i := b.log.Txns[t].First; i < b.log.Txns[t].Last; i++ {
			if m := &b.log.Mops[i]; m.Fun == log.List || m.Fun == log.Odd {
				do(m, b.log.Txns[t].Outcome == log.OK)
			}
		}
	}
}
