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

// shape is what single anti-dependencies differ in: the dependencies back to who
// has it are reads only, or overwrites of the same key only; it is just one; it
// was there before the read that missed something.
type shape struct{ reads, cursor, pair, before bool }

// rule is a model that shapes refute.
type rule struct {
	model string
	by    func(shape) bool
}

func rules() []rule {
	return []rule{
		{"parallel-snapshot-isolation", func(shape) bool { return true }},
		{"causal-cerone", func(s shape) bool { return s.reads }},
		{"update-atomic", func(s shape) bool { return s.pair }},
		{"read-atomic", func(s shape) bool { return s.pair && s.reads }},
		{"monotonic-atomic-view", func(s shape) bool { return s.pair && s.reads && s.before }},
		{"monotonic-view", func(s shape) bool { return s.before }},
		{"cursor-stability", func(s shape) bool { return s.cursor }},
	}
}

// single are the models that one anti-dependency and the dependencies back to
// who has it refute.
func (f form) single(miss infer.Step, back []infer.Step) (models []string) {
	s := shape{
		reads:  !slices.ContainsFunc(back, func(s infer.Step) bool { return s.Class != graph.WR }),
		cursor: !slices.ContainsFunc(back, func(s infer.Step) bool { return s.Class != graph.WW || s.Key != miss.Key }),
		pair:   len(back) == 1,
		before: f.before(back[len(back)-1], miss),
	}
	for _, r := range rules() {
		if r.by(s) {
			models = append(models, r.model)
		}
	}
	return models
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
