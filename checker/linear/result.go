package linear

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/linear/spec"
	"github.com/capstan-dev/capstan/history"
)

// data are the figures of a result.
type data struct {
	Model string `json:"model"`
	Keys  int    `json:"keys"`
	Ops   int    `json:"ops"`
	// Deciders counts the keys that each decided.
	Deciders map[string]int `json:"deciders"`
	// Certified counts the keys whose linearization was verified; Seconded
	// those on which porcupine came to the same verdict.
	Certified int `json:"certified"`
	Seconded  int `json:"seconded"`
	// Passed counts the keys that a special decider left to the search, by
	// why.
	Passed        map[string]int  `json:"passed,omitempty"`
	BadKeys       []string        `json:"bad_keys"`
	UndecidedKeys []string        `json:"undecided_keys"`
	Undecided     []undecidedData `json:"undecided"`
	Preprocessing []string        `json:"preprocessing"`
	Without       []string        `json:"without,omitempty"`
	Witnesses     []witnessData   `json:"witnesses"`
}

type undecidedData struct {
	Key    string `json:"key"`
	Ops    int    `json:"ops"`
	Reason string `json:"reason"`
}

func (l *linear) result(stop *atomic.Bool, h *history.History, t *history.Table, results []keyResult) (checker.Result, error) {
	d := data{
		Model: l.kind.name, Keys: len(results), Deciders: map[string]int{}, Passed: map[string]int{}, BadKeys: []string{}, UndecidedKeys: []string{},
		Undecided: []undecidedData{}, Preprocessing: []string{}, Without: l.o.Without, Witnesses: []witnessData{},
	}
	ws := l.explain(stop, h, t, results)
	var bad, open []keyResult
	var steps preSteps
	acknowledged := 0
	for _, r := range results {
		d.Ops += r.counts.calls
		acknowledged += r.counts.acknowledged
		steps.add(r.steps)
		if r.seconded {
			d.Seconded++
		}
		if r.before != "" {
			d.Passed[r.before]++
		}
		switch r.outcome {
		case spec.Legal:
			d.Certified++
			d.Deciders[r.decider]++
		case spec.Illegal:
			bad = append(bad, r)
			d.Deciders[r.decider]++
			d.BadKeys = append(d.BadKeys, r.name)
		default:
			open = append(open, r)
			d.UndecidedKeys = append(d.UndecidedKeys, r.name)
			d.Undecided = append(d.Undecided, undecidedData{r.name, r.counts.calls, r.reason})
		}
	}
	d.Preprocessing = steps.lines()
	var res checker.Result
	for _, w := range ws {
		res.Anomalies = append(res.Anomalies, w.anomaly())
		d.Witnesses = append(d.Witnesses, w.data())
	}
	switch {
	case len(bad) > 0:
		res.Verdict = checker.Invalid
		res.Reason = "not linearizable" + onKeys(bad, len(results)) + ": " + res.Anomalies[0].Text
		if len(open) > 0 {
			res.Reason += " Undecided" + onKeys(open, len(results)) + "."
		}
	case len(open) > 0:
		res.Verdict = checker.Unknown
		res.Reason = open[0].reason + onKeys(open, len(results)) + fmt.Sprintf(" (%s operations)", thousands(open[0].counts.calls))
	case acknowledged == 0:
		res.Verdict, res.Reason = checker.Unknown, "the history has no acknowledged (ok) operation"
	default:
		res.Reason = fmt.Sprintf("no violation found in %s operations", thousands(d.Ops))
		if len(results) > 1 || results[0].name != "" {
			res.Reason += fmt.Sprintf(" on %s %s", thousands(len(results)), map[bool]string{true: "key", false: "keys"}[len(results) == 1])
		}
		res.Reason += "; a linearization of each key was verified"
	}
	res.Notes = d.notes()
	var err error
	if res.Data, err = json.Marshal(d); err != nil {
		return res, errors.Join(errors.New("encode figures"), err)
	}
	return res, nil
}

// notes say how it was decided.
func (d data) notes() []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(d.Deciders)) {
		out = append(out, fmt.Sprintf("%s decided %s of %s keys", name, thousands(d.Deciders[name]), thousands(d.Keys)))
	}
	if d.Certified > 0 {
		out = append(out, fmt.Sprintf("verified the linearizations of %s keys", thousands(d.Certified)))
	}
	if d.Seconded > 0 {
		out = append(out, fmt.Sprintf("porcupine came to the same verdict on %s small keys", thousands(d.Seconded)))
	}
	out = append(out, d.Preprocessing...)
	const most = 5
	passed := slices.Sorted(maps.Keys(d.Passed))
	for _, why := range passed[:min(len(passed), most)] {
		out = append(out, fmt.Sprintf("%s (%s keys)", why, thousands(d.Passed[why])))
	}
	if len(d.Without) > 0 {
		out = append(out, "left out: "+strings.Join(d.Without, ", "))
	}
	return out
}

// onKeys names keys: " on keys 3, 5 and 7 more of 52"; nothing for a history
// without keys.
func onKeys(rs []keyResult, of int) string {
	if of == 1 && rs[0].name == "" {
		return ""
	}
	var names []string
	for _, r := range rs[:min(len(rs), maxWitnesses)] {
		names = append(names, r.name)
	}
	s := " on key " + names[0]
	if len(rs) > 1 {
		s = " on keys " + strings.Join(names, ", ")
	}
	if more := len(rs) - len(names); more > 0 {
		s += fmt.Sprintf(" and %s more", thousands(more))
	}
	return s + fmt.Sprintf(" of %s", thousands(of))
}

func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// explain finds the witnesses of the bad keys, the earliest first. A key whose
// witness porcupine calls legal is undecided: that is a defect of ours.
func (l *linear) explain(stop *atomic.Bool, h *history.History, t *history.Table, results []keyResult) []*witness {
	var all []*witness
	var sc *scene
	located := 0
	for i := range results {
		r := &results[i]
		if r.outcome != spec.Illegal {
			continue
		}
		if located++; located > maxLocated {
			break
		}
		if sc == nil {
			sc = newScene(h)
		}
		p, _, err := l.open(t, r.key)
		if err != nil {
			continue // it was decoded before
		}
		ws := p.witnesses(r.decision, sc, spec.Budget{Stop: stop, Bytes: l.o.Memory}, maxWitnesses)
		if slices.ContainsFunc(ws, func(w *witness) bool { return w.disputed }) {
			r.outcome, r.reason = spec.Undecided, "defect: porcupine finds an order of the witness: "+ws[0].text
			continue
		}
		all = append(all, ws...)
	}
	return choose(all)
}

// choose takes the earliest witnesses, no more than two of a key while there
// are others.
func choose(all []*witness) []*witness {
	slices.SortStableFunc(all, byTime)
	const each = 2
	count := map[string]int{}
	rank := map[*witness]int{}
	for _, w := range all {
		rank[w] = count[w.key] / each
		count[w.key]++
	}
	slices.SortStableFunc(all, func(a, b *witness) int { return cmp.Compare(rank[a], rank[b]) })
	all = all[:min(len(all), maxWitnesses)]
	slices.SortStableFunc(all, byTime)
	return all
}
