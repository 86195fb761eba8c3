package reports

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/txn/adya"
	"github.com/capstan-dev/capstan/history"
)

//go:embed report.tmpl.html
var reportTemplate string

//go:embed report.css
var reportStyle string

// page is what the template sees. All text in it that came from outside went
// through clean; the template escapes it.
type page struct {
	Run                           Run
	Style                         template.CSS
	Headline, Verdict, Why, Claim string
	Intent                        string
	Rerun, Started                string
	Levels, Facts                 []fact
	Broken                        bool
	Witnesses                     []witness
	MoreAnomalies                 string
	Timeline                      timeline
	Windows                       []windowRow
	Availability                  *availability
	Sections                      []section
	Errors                        []errorRow
	MoreErrors                    string
	PlanText                      string
}

type fact struct{ Name, Value string }

type windowRow struct {
	ID              int
	Fault, From, To string
	Nodes           string
	Proven, Healed  bool
	Proof, HealErr  string
	// Measured is what was seen before, in force, and after, as far as the
	// history has it.
	Measured []fact
	Links    []linkRow
}

// linkRow is what canaries measured on one link: when the fault came into
// force, right before its heal, and after it.
type linkRow struct{ Link, Want, First, Last, After string }

type errorRow struct {
	Outcome     history.Kind
	Text        string
	Count       int
	First, Last string
	at          time.Duration
}

// HTML writes the report: one file without script that needs no network.
func HTML(w io.Writer, r Run) error {
	t, err := template.New("report").Funcs(template.FuncMap{
		"add":      func(a, b float64) float64 { return round(a + b) },
		"subtract": func(a, b float64) float64 { return round(a - b) },
		"inc":      func(i int) int { return i + 1 },
		"clean":    clean, "seconds": seconds, "glyph": glyph, "events": eventNumbers,
	}).Parse(reportTemplate)
	if err != nil {
		return fmt.Errorf("parse report template: %w", err)
	}
	if err := t.Execute(w, makePage(r)); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

func makePage(r Run) page {
	ops, windows := operations(r.History), history.Windows(r.History)
	p := page{
		Run: r, Style: template.CSS(reportStyle), Headline: Headline(r.Results.Verdict),
		Verdict: r.Results.Verdict.String(), Why: why(r, windows), Claim: claim(r), Intent: intent(r), Rerun: clean(Rerun(r)),
		Started:   r.Info.Started.UTC().Format("2006-01-02 15:04:05 UTC"),
		Broken:    r.Results.Verdict == checker.Invalid,
		Witnesses: witnesses(slices.Concat(r.Results.Checks, refutations(r.Results.Models)), windows, ops),
		PlanText:  clean(string(r.Plan.YAML())),
	}
	for _, k := range slices.Sorted(maps.Keys(r.Plan.Level)) {
		p.Levels = append(p.Levels, fact{clean(k), clean(r.Plan.Level[k])})
	}
	p.MoreAnomalies = moreAnomalies(r.Results.Checks)
	p.Timeline = makeTimeline(r.History, ops, windows, anomalyMarks(r.Results.Checks))
	for _, w := range windows {
		p.Windows = append(p.Windows, makeWindowRow(w))
	}
	if r.Results.Availability != nil {
		p.Availability = makeAvailability(*r.Results.Availability, r.Info.Nodes)
	}
	p.Sections = sections(r.Results)
	p.Errors, p.MoreErrors = groupErrors(ops)
	p.Facts = facts(r)
	return p
}

// why is the reason of the verdict in one sentence, led by the scale of what
// was tried.
func why(r Run, windows []history.Window) string {
	c := r.Results.Operations
	return fmt.Sprintf("%s. %d operations: %d ok, %d fail, %d unknown; %s.",
		strings.TrimSuffix(clean(r.Results.Reason), "."), c.Total, c.OK, c.Fail, c.Info, faultCount(windows))
}

func faultCount(windows []history.Window) string {
	proven := 0
	for _, w := range windows {
		if w.Proven {
			proven++
		}
	}
	switch len(windows) {
	case 0:
		return "no faults"
	case 1:
		return fmt.Sprintf("1 fault window, %d proven in force", proven)
	}
	return fmt.Sprintf("%d fault windows, %d proven in force", len(windows), proven)
}

// claim sets the verdict against what the system's documentation promises. A
// refuted promise is a finding, a refuted non-promise is what the design
// allows.
func claim(r Run) string {
	c := clean(r.Info.Claim)
	switch {
	case c == "" && r.Results.Verdict == checker.Invalid:
		return "The system promises no more for this topology and level: the violation is what its design allows."
	case c == "":
		return "The system makes no promise for this topology and level."
	case RefutesClaim(r):
		return fmt.Sprintf("The system claims to be %s for this topology and level: a finding.", c)
	case r.Results.Verdict == checker.Invalid:
		return fmt.Sprintf("The system claims no more than to be %s for this topology and level.", c)
	}
	return fmt.Sprintf("The system claims to be %s for this topology and level.", c)
}

// intent is what the plan is to show, and whether the run did; empty if the
// plan does not say.
func intent(r Run) string {
	text := clean(r.Plan.Title)
	if text != "" {
		text = "The plan: " + strings.TrimSuffix(text, ".") + "."
	}
	if e := expected(r); e != "" {
		text = strings.TrimSpace(fmt.Sprintf("%s It expects %s: %s.", text, map[string]string{"violation": "a violation", "no violation": "none"}[r.Plan.Expect], e))
	}
	return text
}

// RefutesClaim is true if the violations speak against what the system claims.
func RefutesClaim(r Run) bool {
	claim := r.Info.Claim
	return claim != "" && slices.ContainsFunc(r.Results.Checks, func(c checker.Result) bool {
		return c.Verdict == checker.Invalid && refutes(c, claim)
	})
}

// refutes says whether the violations of a check speak against a claim. All do,
// but those of linearizability against something weaker, those that need more
// isolation than is claimed, and those of a lock whose lease ends: no model of
// single operations promises that nobody goes on after it.
func refutes(c checker.Result, claim string) bool {
	forbids := func(anomaly string) bool {
		return !adya.Known(claim) || len(adya.Proscribed(claim, []string{anomaly})) > 0
	}
	switch c.Name {
	case "linearizable":
		return claim == "linearizable"
	case "bank": // a read of half a transfer, or a transfer that was overwritten
		return forbids(adya.GSingleItem)
	case "long-fork":
		return forbids(adya.GNonadjacentItem)
	case "write-skew":
		return forbids(adya.G2)
	case "mutual-exclusion", "protected-lists":
		return slices.ContainsFunc(c.Anomalies, func(a checker.Anomaly) bool { return a.Kind != "held-twice" && a.Kind != "lost-update" })
	}
	return true
}

func glyph(v checker.Verdict) string {
	return map[checker.Verdict]string{checker.Valid: "✓", checker.Unknown: "?", checker.Invalid: "✗"}[v]
}

func eventNumbers(o operation) string {
	var s []string
	for _, i := range []int{o.Invoke, o.Complete} {
		if i >= 0 {
			s = append(s, fmt.Sprint(i))
		}
	}
	return strings.Join(s, ", ")
}

func moreAnomalies(checks []checker.Result) string {
	var parts []string
	for _, c := range checks {
		if n := len(c.Anomalies) - maxAnomalies; n > 0 {
			parts = append(parts, fmt.Sprintf("Showing %d of %d anomalies of %s; results.json has all.", maxAnomalies, len(c.Anomalies), c.Name))
		}
	}
	return strings.Join(parts, " ")
}

// anomalyMarks names the first anomaly that each event belongs to.
func anomalyMarks(checks []checker.Result) map[int]string {
	marks := map[int]string{}
	for _, c := range checks {
		for n, a := range c.Anomalies {
			if n == maxAnomalies {
				break
			}
			for _, e := range a.Events {
				if _, ok := marks[e]; !ok {
					marks[e] = fmt.Sprintf("event %d: %s (%s)", e, clean(a.Kind), c.Name)
				}
			}
		}
	}
	return marks
}

func makeWindowRow(w history.Window) windowRow {
	proof := w.Proof
	if w.StartErr != "" {
		proof = strings.TrimPrefix(proof+"; "+w.StartErr, "; ")
	}
	r := windowRow{ID: w.ID, Fault: clean(w.Fault), From: seconds(w.Start), To: seconds(w.Stop), Nodes: clean(strings.Join(w.Nodes, " ")),
		Proven: w.Proven, Healed: w.Healed, Proof: clean(proof), HealErr: clean(w.StopErr), Links: linkRows(w)}
	for _, m := range []struct {
		when string
		d    history.FaultDetail
	}{{"in force", w.FaultDetail}, {"before the heal", w.Last}, {"after the heal", w.After}} {
		if m.d.Proof != "" && m.d.State != "" {
			r.Measured = append(r.Measured, fact{m.when, clean(m.d.Proof)})
		}
	}
	if w.Before != "" {
		r.Measured = slices.Insert(r.Measured, 0, fact{"before", clean(w.Before)})
	}
	return r
}

// linkRows puts the three measurements of each link side by side.
func linkRows(w history.Window) []linkRow {
	type link struct{ from, to string }
	rows := map[link]*linkRow{}
	var order []link
	for i, d := range []history.FaultDetail{w.FaultDetail, w.Last, w.After} {
		for _, l := range d.Links {
			k := link{l.From, l.To}
			r := rows[k]
			if r == nil {
				r = &linkRow{Link: clean(l.From + " → " + l.To), Want: clean(l.Want)}
				rows[k] = r
				order = append(order, k)
			}
			*[]*string{&r.First, &r.Last, &r.After}[i] = quality(l)
		}
	}
	out := make([]linkRow, len(order))
	for i, k := range order {
		out[i] = *rows[k]
	}
	return out
}

// quality is what canaries measured on a link, in a few words.
func quality(l history.LinkProof) string {
	switch {
	case !l.Open && l.Sent > 0:
		return fmt.Sprintf("none of %d arrived", l.Sent)
	case !l.Open:
		return "nothing arrived"
	case l.Sent == 0:
		return "open"
	}
	s := fmt.Sprintf("p50 %s, p99 %s", short(l.P50), short(l.P99))
	if lost := l.Sent - l.Arrived; lost > 0 {
		s += fmt.Sprintf(", %.1f %% lost", 100*float64(lost)/float64(l.Sent))
	}
	for _, n := range []struct {
		count int
		what  string
	}{{l.Duplicates, "twice"}, {l.Reordered, "out of order"}, {l.Corrupted, "corrupted"}} {
		if n.count > 0 {
			s += fmt.Sprintf(", %.1f %% %s", 100*float64(n.count)/float64(l.Sent), n.what)
		}
	}
	return fmt.Sprintf("%s (%d sent)", s, l.Sent)
}

// digits make otherwise equal errors differ: ports, processes, values.
var digits = regexp.MustCompile(`[0-9]+`)

const maxErrors = 20

// groupErrors counts errors by outcome and text, numbers aside.
func groupErrors(ops []operation) ([]errorRow, string) {
	groups := map[string]*errorRow{}
	for _, o := range ops {
		if o.Err == "" {
			continue
		}
		key := o.Outcome.String() + digits.ReplaceAllString(o.Err, "#")
		g := groups[key]
		if g == nil {
			g = &errorRow{Outcome: o.Outcome, Text: show([]byte(o.Err)), First: seconds(o.Start), at: o.Start}
			groups[key] = g
		}
		g.Count++
		g.Last = seconds(o.Start)
	}
	all := make([]errorRow, 0, len(groups))
	for _, g := range groups {
		all = append(all, *g)
	}
	slices.SortFunc(all, func(a, b errorRow) int {
		if a.Count != b.Count {
			return b.Count - a.Count
		}
		if a.at != b.at {
			return int(a.at - b.at)
		}
		return strings.Compare(a.Text, b.Text)
	})
	if n := len(all); n > maxErrors {
		return all[:maxErrors], fmt.Sprintf("Showing %d of %d kinds of errors, the most frequent first; history.jsonl has all.", maxErrors, n)
	}
	return all, ""
}

func facts(r Run) []fact {
	boot := short(r.Info.Boot)
	clock := "real"
	if r.Info.Virtual {
		clock = "virtual: the same seed gives the same history, byte by byte"
	}
	fs := []fact{
		{"Nodes", clean(strings.Join(r.Info.Nodes, " "))},
		{"Clients", fmt.Sprintf("%d at a time, pinned to their nodes", r.Plan.Concurrency)},
		{"Length", short(r.Info.Duration)},
		{"Time", clock},
		{"Command to ready cluster", boot},
		{"Checks took", short(r.Results.Checked)},
		{"capstan", clean(r.Info.Capstan)},
	}
	for _, k := range slices.Sorted(maps.Keys(r.Info.Versions)) {
		fs = append(fs, fact{clean(k), clean(r.Info.Versions[k])})
	}
	for _, p := range r.Info.Problems {
		fs = append(fs, fact{"Problem", clean(p)})
	}
	if r.Info.Interrupted {
		fs = append(fs, fact{"Interrupted", "yes, before its time limit"})
	}
	return fs
}
