package log

import (
	"fmt"
	"math"
	"slices"

	"github.com/capstan-dev/capstan/history"
)

// FromHistory makes a log of a history: operations whose values are lists of
// micro-operations ["append", key, value], ["w", key, value] and ["r", key,
// what was read].
func FromHistory(h *history.History) (*Log, error) { return fromHistory(h, false) }

// SetsFromHistory is FromHistory for transactions of ["add", key, element] and
// ["r", key, elements], where what is read are sets and not lists.
func SetsFromHistory(h *history.History) (*Log, error) { return fromHistory(h, true) }

func fromHistory(h *history.History, sets bool) (*Log, error) {
	pairs, err := history.Pairs(h)
	if err != nil {
		return nil, err
	}
	places := make(map[int]int32, len(h.Events))
	for i := range h.Events {
		places[h.Events[i].Index] = int32(i)
	}
	b := newBuilder(sets)
	var crashed []Txn
	for _, p := range pairs {
		t, err := b.pair(p, places)
		if err != nil {
			return nil, err
		}
		if p.Complete == nil {
			crashed = append(crashed, t)
			continue
		}
		b.log.Txns = append(b.log.Txns, t)
	}
	slices.SortStableFunc(b.log.Txns, func(x, y Txn) int { return int(x.Complete) - int(y.Complete) })
	b.log.Txns = append(b.log.Txns, crashed...)
	b.log.Events, b.log.Nemesis = len(h.Events), NemesisOf(h)
	return b.finish(), nil
}

func (b *builder) pair(p history.Pair, places map[int]int32) (Txn, error) {
	t := Txn{Invoke: Never, InvokeIndex: Never, Complete: Never, CompleteIndex: Never, Outcome: Info}
	var value []byte
	take := func(e *history.Event) error {
		if e.Process > math.MaxInt32 || e.Index > math.MaxInt32 {
			return fmt.Errorf("event %d: its index or process is 2^31 or more", e.Index)
		}
		t.Process, t.End = int32(e.Process), e.Time
		if e.Node != "" {
			t.Node = b.node(e.Node)
		}
		if len(e.Value) > 0 && string(e.Value) != "null" {
			value = e.Value
		}
		return nil
	}
	at := p.Invoke
	if e := p.Invoke; e != nil {
		if err := take(e); err != nil {
			return t, err
		}
		t.Start, t.Invoke, t.InvokeIndex = e.Time, places[e.Index], int32(e.Index)
	}
	if e := p.Complete; e != nil {
		at = e
		if e.Kind == history.OK {
			value = nil
		}
		if err := take(e); err != nil {
			return t, err
		}
		if p.Invoke == nil {
			t.Start = e.Time
		}
		t.Complete, t.CompleteIndex = places[e.Index], int32(e.Index)
		switch e.Kind {
		case history.OK:
			t.Outcome = OK
		case history.Fail:
			t.Outcome = Fail
		}
	}
	t.First = int32(len(b.log.Mops))
	if value != nil || t.Outcome == OK {
		if err := b.mops(&scanner{b: value}, t.Outcome == OK); err != nil {
			return t, &ValueError{Position: int(places[at.Index]), Msg: fmt.Sprintf(
				`event %d (%s %s): the value is %.60q, want a list of micro-operations like %s`,
				at.Index, at.Kind, at.F, value, b.wanted())}
		}
	}
	t.Last = int32(len(b.log.Mops))
	return t, nil
}

// wanted are the micro-operations that can be read.
func (b *builder) wanted() string {
	if b.sets {
		return `["add",5,1] and ["r",5,[1,2]]`
	}
	return `["append",5,1], ["w",5,1] and ["r",5,...]`
}
