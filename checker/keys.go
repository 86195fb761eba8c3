package checker

import (
	"context"
	"fmt"
	"strings"

	"github.com/capstan-dev/capstan/history"
)

// PerKey judges each independent key of a history by itself. A history
// without keys is judged as it is.
func PerKey(c Checker) Checker { return perKey{c} }

type perKey struct{ Checker }

// maxKeyAnomalies are kept over all keys.
const maxKeyAnomalies = 20

// Check merges what the checker says about the keys: the worst verdict, and
// the anomalies with their keys.
func (p perKey) Check(ctx context.Context, h *history.History) (Result, error) {
	if err := history.CheckKeys(h); err != nil {
		return Result{}, err
	}
	if !history.Keyed(h) {
		return p.Checker.Check(ctx, h)
	}
	keys := history.SplitKeys(h)
	var faults []history.Event
	for _, e := range h.Events {
		if e.Process == history.Nemesis {
			faults = append(faults, e)
		}
	}
	res := Result{}
	first, count := map[Verdict]string{}, map[Verdict]int{}
	for _, k := range keys {
		k.History.Events = append(k.History.Events, faults...)
		k.History.Sort()
		r := Run(ctx, p.Checker, k.History)
		if count[r.Verdict]++; count[r.Verdict] == 1 {
			first[r.Verdict] = fmt.Sprintf("key %s: %s", k.Key, r.Reason)
		}
		res.Verdict = max(res.Verdict, r.Verdict)
		for _, a := range r.Anomalies[:min(len(r.Anomalies), maxKeyAnomalies-len(res.Anomalies))] {
			a.Key = k.Key
			res.Anomalies = append(res.Anomalies, a)
		}
	}
	var parts []string
	for _, v := range []Verdict{Invalid, Unknown} {
		if count[v] > 0 {
			parts = append(parts, fmt.Sprintf("%d of %d keys %s, %s", count[v], len(keys), v, first[v]))
		}
	}
	if len(parts) == 0 {
		parts = []string{fmt.Sprintf("no violation found on %d keys; %s", len(keys), first[Valid])}
	}
	res.Reason = strings.Join(parts, "; ")
	return res, nil
}
