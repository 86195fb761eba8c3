package order

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// defaultSums bound the search for sums.
const defaultSums = 2_000_000

// maxProof operations make a conflict of a search that found nothing.
const maxProof = 200

// sums searches which crashed adds, of different amounts, fill the gaps. This
// is subset sum, so the steps are bounded; mostly the first try does.
type sums struct {
	*addGet
	gaps    []int32   // levels
	amounts []int64   // descending, without sign
	pools   [][]int32 // by amount: the crashed adds of it, by call
	used    []int32   // by amount: how many are used; those called first
	chosen  [][]int32 // by gap
	dead    map[string]bool
	steps   int64
	why     string // the search was given up
}

// different fills gaps with adds of different amounts.
func (d *addGet) different(gaps []int32) {
	s := &sums{addGet: d, gaps: gaps, chosen: make([][]int32, len(gaps)), dead: map[string]bool{}, steps: d.b.Steps}
	if s.steps == 0 {
		s.steps = defaultSums
	}
	pools := map[int64][]int32{}
	for _, i := range d.crashed {
		a := d.sign * d.ops[i].In.Delta
		if pools[a] == nil {
			s.amounts = append(s.amounts, a)
		}
		pools[a] = append(pools[a], i)
	}
	slices.SortFunc(s.amounts, func(a, b int64) int { return cmp.Compare(b, a) })
	for _, a := range s.amounts {
		s.pools = append(s.pools, pools[a])
	}
	s.used = make([]int32, len(s.amounts))
	switch {
	case s.fillFrom(0):
		for g, ops := range s.chosen {
			for _, i := range ops {
				d.group[i] = 3 * gaps[g]
			}
		}
	case s.why != "":
		d.why = s.why
	default:
		d.noSum(gaps)
	}
}

// fillFrom fills the g-th gap and all after it.
func (s *sums) fillFrom(g int) bool {
	if g == len(s.gaps) {
		return true
	}
	key := make([]byte, 0, 4*len(s.used)+4)
	key = binary.LittleEndian.AppendUint32(key, uint32(g))
	for _, n := range s.used {
		key = binary.LittleEndian.AppendUint32(key, uint32(n))
	}
	if s.dead[string(key)] {
		return false
	}
	if s.sum(g, 0, s.levels[s.gaps[g]].gap) {
		return true
	}
	if s.why == "" {
		s.dead[string(key)] = true
	}
	return false
}

// sum makes up what is left of the g-th gap of the amounts from a on, as many
// of the larger as there are first.
func (s *sums) sum(g, a int, left int64) bool {
	if left == 0 {
		return s.fillFrom(g + 1)
	}
	if s.steps--; s.steps < 0 || s.b.Stopped() {
		if s.why = "which adds without an answer took effect: " + spec.OutOfSteps; s.b.Stopped() {
			s.why = spec.OutOfTime
		}
		return false
	}
	for a < len(s.amounts) && s.amounts[a] > left {
		a++
	}
	if a == len(s.amounts) {
		return false
	}
	deadline := s.ops[s.levels[s.gaps[g]].deadline].Return
	pool, before, chosen := s.pools[a], s.used[a], len(s.chosen[g])
	n := before
	for int(n) < len(pool) && s.ops[pool[n]].Call <= deadline && left >= s.amounts[a] {
		s.chosen[g] = append(s.chosen[g], pool[n])
		n++
		left -= s.amounts[a]
	}
	for ; n >= before; n-- {
		s.used[a] = n
		if s.sum(g, a+1, left) {
			return true
		}
		if s.why != "" || n == before {
			break
		}
		left += s.amounts[a]
		s.chosen[g] = s.chosen[g][:chosen+int(n-before)-1]
	}
	s.used[a], s.chosen[g] = before, s.chosen[g][:chosen]
	return false
}

// noSum: no choice of adds fills all gaps.
func (d *addGet) noSum(gaps []int32) {
	last := gaps[len(gaps)-1]
	var of []int32
	for _, l := range d.levels[:last+1] {
		of = append(of, l.add)
		if l.gap > 0 {
			of = append(of, l.known(), l.deadline)
		}
	}
	deadline := d.ops[d.levels[last].deadline].Return
	for _, i := range d.crashed {
		if d.ops[i].Call <= deadline {
			of = append(of, i)
		}
	}
	if len(of) > maxProof {
		d.why = "adds without an answer, of different amounts, cannot explain all values, but it takes too many operations to show it"
		return
	}
	x := d.levels[last].known()
	d.add(d.ops[x].Return, func() spec.Conflict {
		return conflict(d.ops, sayNoSum(len(gaps), x), of...)
	})
}

func sayNoSum(gaps int, x int32) string {
	return fmt.Sprintf("some of the values up to that of {%d} need adds without an answer before them, at %d places, but no choice of those that had begun makes up the right sum at each", x, gaps)
}
