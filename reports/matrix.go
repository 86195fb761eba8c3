package reports

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/avail"
	"github.com/capstan-dev/capstan/checker/phase"
	"github.com/capstan-dev/capstan/history"
)

// Cell is one run of a matrix.
type Cell struct {
	// Name says what the run is, Err why there is none.
	Name string
	Run  Run
	Err  error
}

// Row is what a matrix tells of one run. Figures that were not measured are
// empty.
type Row struct {
	Name    string `json:"name"`
	Verdict string `json:"verdict"`
	// Found are the kinds of anomalies, and how many of each were reported.
	Found string `json:"found,omitempty"`
	Claim string `json:"claim,omitempty"`
	// Expected is AsExpected or NotAsExpected, or empty if nothing was.
	Expected string `json:"expected,omitempty"`
	// Ready is the time from the command to a ready cluster, Memory the mean
	// of its nodes in bytes, Rate the ok operations a second.
	Ready  time.Duration `json:"ready_ns"`
	Memory int64         `json:"memory,omitempty"`
	Rate   float64       `json:"rate"`
	// Answered is the share of the calls that were answered during faults, by
	// side.
	Answered map[string]float64 `json:"answered,omitempty"`
	// Read and Write are latencies of ok calls: during faults if there were
	// any.
	Read  *avail.Quantiles `json:"read,omitempty"`
	Write *avail.Quantiles `json:"write,omitempty"`
	// Gap is the longest time in which no call that may write was ok, on any
	// node.
	Gap time.Duration `json:"gap_ns"`
	Dir string        `json:"dir,omitempty"`
}

// How a run ended, seen from its plan.
const (
	AsExpected    = "as expected"
	NotAsExpected = "not as expected"
)

// Tabulate reads the rows of a matrix from its runs.
func Tabulate(cells []Cell) []Row {
	var rows []Row
	for _, c := range cells {
		if c.Run.History == nil {
			reason := ""
			if c.Err != nil {
				reason, _, _ = strings.Cut(c.Err.Error(), "\n")
			}
			rows = append(rows, Row{Name: c.Name, Verdict: "no run", Found: reason})
			continue
		}
		rows = append(rows, tabulate(c.Name, c.Run))
	}
	return rows
}

func tabulate(name string, r Run) Row {
	row := Row{
		Name: name, Verdict: r.Results.Verdict.String(), Found: found(r.Results), Claim: r.Info.Claim,
		Expected: expected(r), Ready: r.Info.Boot, Memory: meanMemory(r.Info.Memory), Dir: string(r.Dir),
	}
	if r.Results.Verdict == checker.Unknown {
		row.Found = strings.TrimPrefix(row.Found+"; "+r.Results.Reason, "; ")
	}
	if s := r.Plan.TimeLimit.Seconds(); s > 0 {
		row.Rate = float64(r.Results.Operations.OK) / s
	}
	if a := r.Results.Availability; a != nil {
		row.Answered = answered(a)
		row.Read, row.Write = latencies(a)
	}
	row.Gap = writeGap(r.History)
	return row
}

// found counts anomalies by kind, in order of their names.
func found(res Results) string {
	counts := map[string]int{}
	for _, c := range res.Checks {
		for _, a := range c.Anomalies {
			if c.Verdict == checker.Invalid {
				counts[a.Kind]++
			}
		}
	}
	var words []string
	for kind, n := range counts {
		words = append(words, fmt.Sprintf("%s (%d)", kind, n))
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}

func expected(r Run) string {
	want := map[string]checker.Verdict{"violation": checker.Invalid, "no violation": checker.Valid}
	v, ok := want[r.Plan.Expect]
	switch {
	case !ok:
		return ""
	case v == r.Results.Verdict:
		return AsExpected
	}
	return NotAsExpected
}

func meanMemory(nodes map[string]int64) int64 {
	sum := int64(0)
	for _, m := range nodes {
		sum += m
	}
	return sum / max(1, int64(len(nodes)))
}

func answered(a *avail.Report) map[string]float64 {
	asked, got := map[string]int{}, map[string]int{}
	for _, r := range a.Totals {
		if r.Phase == phase.During {
			asked[r.Side] += r.Total()
			got[r.Side] += r.Answered()
		}
	}
	shares := map[string]float64{}
	for side, n := range asked {
		shares[side] = float64(got[side]) / float64(max(1, n))
	}
	return shares
}

// latencies are those of the commonest operation that reads and of the
// commonest that may write, on the side where most were answered.
func latencies(a *avail.Report) (read, write *avail.Quantiles) {
	stage := phase.Whole
	for _, l := range a.LatencyTotals {
		if l.Phase == phase.During {
			stage = phase.During
		}
	}
	most := map[bool]int{}
	for _, l := range a.LatencyTotals {
		r := reads(l.F)
		if l.Phase != stage || l.N <= most[r] {
			continue
		}
		most[r] = l.N
		if q := l.Quantiles; r {
			read = &q
		} else {
			write = &q
		}
	}
	return read, write
}

func reads(f string) bool { return f == "read" || f == "load" || f == "watch" }

// writeGap is the longest time, between the first invocation and the last,
// without the end of an ok call that may write.
func writeGap(h *history.History) time.Duration {
	var ends []time.Duration
	first, last := time.Duration(-1), time.Duration(0)
	for _, e := range h.Events {
		if e.Process < 0 || reads(e.F) {
			continue
		}
		switch e.Kind {
		case history.Invoke:
			if first < 0 {
				first = e.Time
			}
			last = max(last, e.Time)
		case history.OK:
			ends = append(ends, e.Time)
		}
	}
	if first < 0 {
		return 0
	}
	slices.Sort(ends)
	gap, before := time.Duration(0), first
	for _, t := range append(ends, last) {
		gap = max(gap, t-before)
		before = max(before, t)
	}
	return gap
}

// Matrix writes the rows as a table in Markdown.
func Matrix(w io.Writer, rows []Row) error {
	var b strings.Builder
	fmt.Fprintln(&b, "| run | verdict | found | claim | ready | MiB a node | ok/s | answered in faults | read p50 / p99 | write p50 / p99 | longest without a write |")
	fmt.Fprintln(&b, "|---|---|---|---|---|---|---|---|---|---|---|")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(columns(r), " | "))
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write matrix: %w", err)
	}
	return nil
}

func columns(r Row) []string {
	verdict := map[string]string{"valid": "✓ none found", "invalid": "✗ violation", "unknown": "? unknown"}[r.Verdict]
	verdict = cmp.Or(verdict, r.Verdict)
	if r.Expected != "" {
		verdict += ", " + r.Expected
	}
	memory := ""
	if r.Memory > 0 {
		memory = fmt.Sprintf("%.0f", float64(r.Memory)/(1<<20))
	}
	rate, gap, ready := "", "", ""
	if r.Dir != "" {
		rate, gap = fmt.Sprintf("%.0f", r.Rate), fmt.Sprintf("%.1f s", r.Gap.Seconds())
		ready = fmt.Sprintf("%.1f s", r.Ready.Seconds())
	}
	cells := []string{r.Name, verdict, r.Found, r.Claim, ready, memory, rate, shares(r.Answered), both(r.Read), both(r.Write), gap}
	for i, c := range cells {
		cells[i] = strings.ReplaceAll(clean(strings.ReplaceAll(c, "\n", " ")), "|", "\\|")
	}
	return cells
}

// shares are percentages by side, the majority first.
func shares(answered map[string]float64) string {
	var words []string
	for side, x := range answered {
		words = append(words, fmt.Sprintf("%s %.0f %%", side, 100*x))
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}

func both(q *avail.Quantiles) string {
	if q == nil {
		return ""
	}
	ms := func(d time.Duration) string { return fmt.Sprintf("%.3g", float64(d)/1e6) }
	return ms(q.P50) + " / " + ms(q.P99) + " ms"
}
