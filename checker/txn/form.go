package txn

import (
	"slices"

	"github.com/capstan-dev/capstan/checker/txn/graph"
	"github.com/capstan-dev/capstan/checker/txn/infer"
	"github.com/capstan-dev/capstan/checker/txn/log"
)

// form is a cycle with its evidence. By the kinds of its dependencies alone it
// has a name and refutes what all cycles of the name do. Where they are of
// certain keys, micro-operations or transactions, it refutes more:
//
//   - cursor-stability: one anti-dependency and overwrites, all of one key
//     (G-cursor, Adya's thesis, section 4.2.1);
//   - monotonic-view: one anti-dependency, and by that read its transaction
//     already depended on who closes the cycle (G-monotonic, section 4.2.2);
//   - update-serializable: at most one transaction that writes nothing
//     (G-update, section 4.3.2);
//   - monotonic-atomic-view: a transaction is seen, and then it is not (OTV;
//     Bailis et al., VLDB 2013);
//   - the models of Cerone, Bernardi and Gotsman (CONCUR 2015), by what must be
//     visible: whom a transaction reads from (read-atomic), and whom it
//     overwrites (update-atomic), and whom that one sees (causal-cerone, and with
//     overwrites parallel-snapshot-isolation), and all that came before it
//     (prefix).
type form struct {
	log   *log.Log
	steps []infer.Step
}

// refutes are the models, by their friendly names.
func (f form) refutes() []string {
	if f.has(graph.Process) || f.has(graph.Realtime) || !f.has(graph.RW) && !f.has(graph.RWP) {
		return nil
	}
	var out []string
	if f.readers() <= 1 {
		out = append(out, "update-serializable")
	}
	if f.has(graph.RWP) || slices.ContainsFunc(f.steps, f.unclear) {
		return out
	}
	if f.prefix() {
		out = append(out, "prefix")
	}
	anti := slices.IndexFunc(f.steps, func(s infer.Step) bool { return s.Class == graph.RW })
	rest := slices.Concat(f.steps[anti+1:], f.steps[:anti])
	if !(form{f.log, rest}).has(graph.RW) {
		out = append(out, f.single(f.steps[anti], rest)...)
	}
	return out
}

// byForm are the models that single may give.
func byForm() []string {
	return []string{
		"parallel-snapshot-isolation", "causal-cerone", "update-atomic", "read-atomic",
		"monotonic-atomic-view", "monotonic-view", "cursor-stability",
	}
}

// single are the models that one anti-dependency and the dependencies back to
// who has it refute.
func (f form) single(miss infer.Step, back []infer.Step) []string {
	reads := !slices.ContainsFunc(back, func(s infer.Step) bool { return s.Class != graph.WR })
	cursor := !slices.ContainsFunc(back, func(s infer.Step) bool { return s.Class != graph.WW || s.Key != miss.Key })
	before, pair := f.before(back[len(back)-1], miss), len(back) == 1
	out := []string{"parallel-snapshot-isolation"}
	for _, c := range []struct {
		refuted bool
		model   string
	}{
		{reads, "causal-cerone"}, {pair, "update-atomic"}, {pair && reads, "read-atomic"},
		{pair && reads && before, "monotonic-atomic-view"}, {before, "monotonic-view"}, {cursor, "cursor-stability"},
	} {
		if c.refuted {
			out = append(out, c.model)
		}
	}
	return out
}

// before says whether a transaction depended on another before a read of its
// own. What it overwrote it did by its last write of the key.
func (f form) before(on, read infer.Step) bool {
	last := on.ToMop
	if on.Class == graph.WW {
		for at := on.ToMop + 1; at < f.log.Txns[on.To].Last; at++ {
			if m := f.log.Mops[at]; m.Key == on.Key && m.Fun.Writes() {
				last = at
			}
		}
	}
	return last < read.FromMop
}

func (f form) has(c graph.Class) bool {
	return slices.ContainsFunc(f.steps, func(s infer.Step) bool { return s.Class == c })
}

// readers counts the transactions that write nothing.
func (f form) readers() int {
	n := 0
	for _, s := range f.steps {
		if !slices.ContainsFunc(f.log.Of(s.From), func(m log.Mop) bool { return m.Fun.Writes() }) {
			n++
		}
	}
	return n
}

// unclear says whether a dependency is not of one micro-operation upon another,
// or of a predicate read.
func (f form) unclear(s infer.Step) bool {
	return slices.ContainsFunc([]int32{s.FromMop, s.ToMop}, func(mop int32) bool {
		return mop == infer.None || f.log.Mops[mop].Fun == log.Predicate
	})
}

// prefix says whether each who misses a write has read from somebody who came
// after the write that the one before missed, or is that one. What came before
// whom one reads from is visible; so each of those writes came before the next.
func (f form) prefix() bool {
	for i, s := range f.steps {
		if s.Class == graph.RW && f.steps[(i+len(f.steps)-1)%len(f.steps)].Class != graph.WR {
			return false
		}
	}
	return true
}
