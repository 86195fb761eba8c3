package explain

import (
	"fmt"
	"strings"

	"github.com/capstan-dev/capstan/checker/txn/adya"
	"github.com/capstan-dev/capstan/checker/txn/infer"
	"github.com/capstan-dev/capstan/checker/txn/log"
)

// found tells an anomaly that needs no cycle.
func (t *Teller) found(f *infer.Found) string {
	w := wording{t: t, f: f}
	switch f.Kind {
	case adya.Internal:
		return fmt.Sprintf("%s contradicts itself: after its own %s it read key %s as %s, as if that had not been.",
			w.txn(0), w.did(1), w.key(), w.read(0, 1))
	case adya.G1a:
		return fmt.Sprintf("%s read key %s as %s, seeing %s%s: but that transaction failed, so it must not be seen by anyone (aborted read).",
			w.txn(0), w.key(), w.read(0, 0), w.writer(1), w.written(0))
	case adya.G1b:
		if m, ok := w.mop(1); ok && m.Fun == log.Add {
			return fmt.Sprintf("%s read key %s as %s, with one element that %s added to it, but without its %s (intermediate read).",
				w.txn(0), w.key(), w.read(0, 0), w.txn(1), w.written(0))
		}
		return fmt.Sprintf("%s read key %s as %s, seeing %s%s, which that transaction itself overwrote before it committed (intermediate read).",
			w.txn(0), w.key(), w.read(0, 0), w.writer(1), w.written(0))
	case adya.DirtyUpdate:
		return fmt.Sprintf("%s of key %s was built on %s of %s, which failed (dirty update).", w.its(1, 0), w.key(), w.value(0), w.txn(1))
	case adya.DuplicateElements:
		return fmt.Sprintf("%s read key %s as %s, which has %s more than once, though it was put there once only.", w.txn(0), w.key(), w.read(0, 0), w.value(0))
	case adya.IncompatibleOrder:
		return w.incompatible()
	case adya.FutureRead:
		return fmt.Sprintf("%s read key %s as %s, with %s, which it only wrote afterwards.", w.txn(0), w.key(), w.read(0, 0), w.value(0))
	case adya.LostUpdate:
		return fmt.Sprintf("%s all read key %s at the same version, %s, and then wrote to it: at most one of these updates can have built on what was there, the others are lost.",
			w.all(), w.key(), w.read(0, 0))
	case adya.CyclicVersions:
		return w.cyclic()
	case adya.PredicateReadMiss:
		return fmt.Sprintf("%s ran %s, which does not have key %s, though every version of that key matches.", w.txn(0), w.read(0, 0), w.key())
	case adya.GarbageRead:
		return fmt.Sprintf("%s read key %s as %s, with %s, which nobody wrote.", w.txn(0), w.key(), w.read(0, 0), w.value(0))
	}
	return fmt.Sprintf("%s on key %s: %s.", f.Kind, w.key(), w.all())
}

// wording looks up what a Found says.
type wording struct {
	t *Teller
	f *infer.Found
}

func (w wording) txn(i int) string {
	if i < len(w.f.Txns) {
		return w.t.name(w.f.Txns[i])
	}
	return "a transaction"
}

// all names the transactions.
func (w wording) all() string {
	var names []string
	for _, x := range shown(Txns(infer.Anomaly{Found: w.f})) {
		names = append(names, w.t.name(x))
	}
	return strings.Join(names, ", ")
}

func (w wording) key() string {
	if w.f.Key == infer.None {
		return "?"
	}
	return w.t.log.Keys[w.f.Key]
}

func (w wording) value(i int) string {
	if i < len(w.f.Values) {
		return w.t.value(w.f.Values[i])
	}
	return "?"
}

// mop is the micro-operation of the ith transaction, if there is one.
func (w wording) mop(i int) (log.Mop, bool) {
	if i < len(w.f.Mops) && w.f.Mops[i] != infer.None {
		return w.t.log.Mops[w.f.Mops[i]], true
	}
	return log.Mop{}, false
}

// read is what the ith transaction read; if that is not known, the value.
func (w wording) read(i, value int) string {
	m, ok := w.mop(i)
	switch {
	case ok && (m.Fun == log.List || m.Fun == log.Odd || m.Fun == log.Set):
		return w.t.collection(m)
	case ok && m.Fun == log.Predicate:
		return w.t.log.Text(m.Value)
	case ok && m.Fun == log.Read:
		return w.t.value(m.Value)
	}
	return w.value(value)
}

// did is the ith micro-operation.
func (w wording) did(i int) string {
	if m, ok := w.mop(i); ok {
		return "\"" + w.t.mop(m) + "\""
	}
	return "operations"
}

func (w wording) writer(i int) string { return w.txn(i) + "'s " }

// written is "append of 3", "add of 3" or "write of 3".
func (w wording) written(value int) string {
	m, ok := w.mop(1)
	switch {
	case ok && m.Fun == log.Append:
		return "append of " + w.value(value)
	case ok && m.Fun == log.Add:
		return "add of " + w.value(value)
	}
	return "write of " + w.value(value)
}

func (w wording) its(value, txn int) string { return w.txn(txn) + "'s version " + w.value(value) }

func (w wording) incompatible() string {
	first := fmt.Sprintf("%s read key %s as %s", w.txn(0), w.key(), w.read(0, 0))
	if m, ok := w.mop(1); ok && m.Fun == log.Append {
		return fmt.Sprintf("%s, with %s before %s, but %s appended %s first.", first, w.value(0), w.value(1), w.txn(1), w.value(1))
	}
	second := fmt.Sprintf("%s read it as %s", w.txn(1), w.read(1, 1))
	return first + ", but " + second + ": neither is the beginning of the other, so there is no order of the appends that both can have seen."
}

func (w wording) cyclic() string {
	var versions []string
	for _, v := range w.f.Values {
		versions = append(versions, w.t.value(v))
	}
	if len(versions) > 0 {
		versions = append(versions, versions[0])
	}
	text := fmt.Sprintf("the versions of key %s cannot be ordered: %s", w.key(), strings.Join(versions, " < "))
	if w.f.Why != "" {
		text += " (by " + w.f.Why + ")"
	}
	return text + "."
}
