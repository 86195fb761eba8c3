package reports

import (
	"fmt"
	"strings"
	"time"

	"github.com/capstan-dev/capstan/checker/avail"
)

// availability is avail.Report as reports show it.
type availability struct {
	Summary  string
	Rows     []rateRow
	Details  []rateRow
	Nodes    []string
	Recovery []recoveryRow
	Silences []silenceRow
	Latency  []latencyRow
	Due      bool // latencies count from when the calls were due
}

type rateRow struct {
	Phase, Side, F             string
	Total                      int
	Answered, Refused, Unknown string
}

type recoveryRow struct {
	Fault string
	Times []string
}

type silenceRow struct{ Who, From, Length string }

type latencyRow struct {
	Phase, F                 string
	N                        int
	P50, P90, P99, P999, Max string
	Service                  string // p99 from the invocation
}

func makeAvailability(r avail.Report, nodes []string) *availability {
	a := &availability{Nodes: nodes, Summary: summarize(r), Rows: rateRows(r.Totals), Details: rateRows(r.Rates)}
	for _, rec := range r.Recovery {
		row := recoveryRow{Fault: clean(fmt.Sprintf("%d %s", rec.Fault, rec.Name))}
		for _, n := range nodes {
			row.Times = append(row.Times, afterHeal(rec.Nodes[n]))
		}
		a.Recovery = append(a.Recovery, row)
	}
	for _, s := range r.Silences {
		if s.Length > 0 {
			a.Silences = append(a.Silences, silenceRow{clean(s.Phase + ", " + s.Side), seconds(s.From), short(s.Length)})
		}
	}
	for _, l := range r.Latency {
		a.Latency = append(a.Latency, latencyRow{clean(l.Phase), clean(l.F), l.N,
			short(l.P50), short(l.P90), short(l.P99), short(l.P999), short(l.Max), short(l.Service.P99)})
		a.Due = a.Due || l.Quantiles != l.Service
	}
	return a
}

func rateRows(rates []avail.Rate) []rateRow {
	var rows []rateRow
	for _, r := range rates {
		rows = append(rows, rateRow{clean(r.Phase), clean(r.Side), clean(r.F), r.Total(),
			percent(r.Answered(), r.Total()), percent(r.Refused(), r.Total()), percent(r.Info, r.Total())})
	}
	return rows
}

func afterHeal(d time.Duration) string {
	if d < 0 {
		return "never"
	}
	return short(d)
}

// percent never rounds to all or nothing what is not.
func percent(n, of int) string {
	switch p := 100 * float64(n) / float64(max(of, 1)); {
	case n == 0:
		return "0 %"
	case n == of:
		return "100 %"
	case p < 0.1:
		return "<0.1 %"
	case p > 99.9:
		return ">99.9 %"
	default:
		return fmt.Sprintf("%.1f %%", p)
	}
}

// summarize says the share of answered calls of each side while faults were in
// force, over all operations, and the longest silence there.
func summarize(r avail.Report) string {
	answered, total := map[string]int{}, map[string]int{}
	var sides []string
	for _, t := range r.Totals {
		if t.Phase != avail.During {
			continue
		}
		if total[t.Side] == 0 {
			sides = append(sides, t.Side)
		}
		answered[t.Side] += t.Answered()
		total[t.Side] += t.Total()
	}
	if len(sides) == 0 {
		return "No fault was in force."
	}
	var parts []string
	for _, s := range sides {
		parts = append(parts, fmt.Sprintf("%s %s of %d", clean(s), percent(answered[s], total[s]), total[s]))
	}
	text := "Answered during faults: " + strings.Join(parts, ", ") + "."
	var worst avail.Silence
	for _, s := range r.Silences {
		if strings.HasPrefix(s.Phase, "fault ") && s.Length > worst.Length {
			worst = s
		}
	}
	if worst.Length > 0 {
		text += fmt.Sprintf(" Longest silence: %s on side %s in %s.", short(worst.Length), clean(worst.Side), clean(worst.Phase))
	}
	return text
}
