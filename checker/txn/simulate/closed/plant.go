package closed

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/capstan-dev/capstan/checker/txn/simulate"
	"github.com/capstan-dev/capstan/history"
)

// unique is a value that nothing else has; planted predicates ask for it.
const unique = 1_000_003

const miss = "predicate-read-miss"

// recipe is the least history that has an anomaly: transactions that run at
// once, V being unique, A and B keys of their own.
type recipe struct {
	anomaly string
	txns    []string
}

func recipes() []recipe {
	const both = `ok [["insert",A,V],["insert",B,V]]`
	return []recipe{
		{"G1a", []string{`fail [["insert",A,V]]`, `ok [["rp",["=",V],{"A":V}]]`}},
		{"G1b", []string{`ok [["insert",A,V],["w",A,1]]`, `ok [["rp",["=",V],{"A":V}]]`}},
		{"G-single", []string{both, `ok [["r",A,V],["rp",["=",V],{"A":V}]]`}},
		{"G-nonadjacent", []string{`ok [["insert",A,V]]`, `ok [["insert",B,V]]`, `ok [["rp",["=",V],{"A":V}]]`, `ok [["rp",["=",V],{"B":V}]]`}},
		{"G2", []string{`ok [["rp",["=",V],{}],["insert",A,V]]`, `ok [["rp",["=",V],{}],["insert",B,V]]`}},
		{miss, []string{`ok [["rp",["=",V],{}]]`}},
	}
}

// Anomalies are the names of what can be planted.
func Anomalies() []string {
	var names []string
	for _, r := range recipes() {
		names = append(names, r.anomaly)
	}
	return names
}

func named(anomaly string) (recipe, bool) {
	all := recipes()
	at := slices.IndexFunc(all, func(r recipe) bool { return strings.EqualFold(r.anomaly, anomaly) })
	if at < 0 {
		return recipe{}, false
	}
	return all[at], true
}

// plant adds the recipes after all else, with keys and processes of their own.
func (s *simulation) plant() []simulate.Planted {
	var out []simulate.Planted
	for i, name := range s.Anomalies {
		r, _ := named(name)
		a, b := s.missed, s.missed
		if r.anomaly != miss {
			a, b = s.fresh(), s.fresh()
		}
		p := simulate.Planted{Anomaly: r.anomaly, Keys: slices.Compact([]int32{int32(a), int32(b)})}
		names := strings.NewReplacer("A", fmt.Sprint(a), "B", fmt.Sprint(b), "V", fmt.Sprint(unique+i*bump(r)))
		for n, x := range r.txns {
			_, value, _ := strings.Cut(x, " ")
			s.event(s.next+n, history.Invoke, "txn", json.RawMessage(names.Replace(value)))
		}
		for n, x := range r.txns {
			outcome, value, _ := strings.Cut(x, " ")
			kind := history.OK
			if outcome == "fail" {
				kind = history.Fail
			}
			p.Transactions = append(p.Transactions, s.event(s.next+n, kind, "txn", json.RawMessage(names.Replace(value))))
			p.Processes = append(p.Processes, s.next+n)
		}
		s.next += len(r.txns)
		out = append(out, p)
	}
	return out
}

// bump keeps the values of recipes apart, but that of init stays.
func bump(r recipe) int {
	if r.anomaly == miss {
		return 0
	}
	return 1
}
