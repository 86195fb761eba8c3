package reports

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/converge"
	"github.com/capstan-dev/capstan/checker/durable"
	"github.com/capstan-dev/capstan/checker/recovery"
	"github.com/capstan-dev/capstan/checker/stale"
	"github.com/capstan-dev/capstan/checker/weak"
)

// section is a measurement as both reports show it: a sentence and a table.
type section struct {
	ID, Title, Lead string
	Head            []string
	Rows            [][]string
	// Details are more rows, which a terminal does not show.
	Details [][]string
}

// add puts a group's row where it belongs.
func (s *section) add(by string, row []string) {
	if by == stale.ByNode || by == durable.ByFault {
		s.Details = append(s.Details, row)
	} else {
		s.Rows = append(s.Rows, row)
	}
}

// groupName names a group of reads or writes.
func groupName(by, name string) string {
	switch {
	case by == "":
		return "all"
	case by == durable.ByFault: // the name says so
		return clean(name)
	}
	return clean(by + " " + name)
}

// models are the models below linearizability: which fell, with what, and
// which did not.
func models(r weak.Report) section {
	s := section{ID: "models", Title: "Consistency models", Head: []string{"model", "verdict", "shown"}, Lead: modelsInShort(r)}
	said := map[string][]string{}
	for _, m := range r.NotRefuted {
		said[m] = []string{m, "not refuted", ""}
	}
	for _, u := range r.Undecided {
		said[u.Model] = []string{u.Model, "unknown", clean(u.Reason)}
	}
	for _, m := range r.AlsoRefuted {
		said[m] = []string{m, "refuted", "a weaker one is"}
	}
	for _, f := range r.Refuted {
		said[f.Model] = []string{f.Model, "refuted", "with a witness"}
		if f.Count > 1 {
			said[f.Model][2] = fmt.Sprintf("at %d operations", f.Count)
		}
	}
	for _, m := range append([]string{weak.Linearizable}, weak.Models()...) {
		if row, ok := said[m]; ok {
			s.Rows = append(s.Rows, row)
		}
	}
	return s
}

func modelsInShort(r weak.Report) string {
	var parts []string
	if len(r.Strongest) > 0 {
		parts = append(parts, "Strongest not refuted: "+strings.Join(r.Strongest, ", ")+".")
	} else {
		parts = append(parts, "No model was found to hold.")
	}
	if len(r.Refuted) > 0 {
		parts = append(parts, "Weakest refuted: "+r.Refuted[0].Model+".")
	}
	if len(r.Undecided) > 0 {
		parts = append(parts, fmt.Sprintf("Undecided: %d.", len(r.Undecided)))
	}
	return strings.Join(parts, " ")
}

// refutations are the witnesses of models, to be drawn like those of checks.
func refutations(r *weak.Report) []checker.Result {
	if r == nil || len(r.Refuted) == 0 {
		return nil
	}
	res := checker.Result{Name: "models", Verdict: checker.Invalid}
	for _, f := range r.Refuted {
		res.Anomalies = append(res.Anomalies, checker.Anomaly{Kind: f.Model, Events: f.Events, Text: f.Text})
	}
	return []checker.Result{res}
}

// sections are the measurements that a history gave.
func sections(r Results) []section {
	var out []section
	if r.Models != nil {
		out = append(out, models(*r.Models))
	}
	if r.Staleness != nil {
		out = append(out, staleness(*r.Staleness))
	}
	if r.Durability != nil {
		out = append(out, durability(*r.Durability))
	}
	if r.Convergence != nil {
		out = append(out, convergence(*r.Convergence))
	}
	if r.Recovery != nil {
		out = append(out, recoveries(*r.Recovery))
	}
	return out
}

// durability is what became of acknowledged writes, by where they were
// acknowledged.
func durability(r durable.Report) section {
	s := section{ID: "durability", Title: "Durability", Head: []string{"acknowledged", "writes", "lost", "resurrected", "duplicated", "forked", "possibly lost", "res.", "dup."}}
	a := r.All
	switch {
	case a.Lost+a.Resurrected+a.Duplicated+a.Forked > 0:
		s.Lead = fmt.Sprintf("Of %d acknowledged writes %d were certainly lost; %d came back, %d took effect twice, from %d two others went on.",
			a.Acknowledged, a.Lost, a.Resurrected, a.Duplicated, a.Forked)
	default:
		s.Lead = fmt.Sprintf("No acknowledged write of %d was certainly lost, resurrected or duplicated.", a.Acknowledged)
	}
	if p := a.Possible; p.Lost+p.Resurrected+p.Duplicated > 0 {
		s.Lead += " What is called possible may be due to lag."
	}
	if r.Unsettled > 0 {
		s.Lead += fmt.Sprintf(" Of %d keys of %d the final state is not known.", r.Unsettled, r.Keys)
	}
	for i, f := range r.Found {
		if i == 0 {
			s.Lead += " E.g. " + clean(f.Text)
		}
	}
	for _, g := range append([]durable.Group{r.All}, r.Groups...) {
		if g.Acknowledged == 0 {
			continue
		}
		row := []string{groupName(g.By, g.Name)}
		for _, n := range []int{g.Acknowledged, g.Lost, g.Resurrected, g.Duplicated, g.Forked, g.Possible.Lost, g.Possible.Resurrected, g.Possible.Duplicated} {
			row = append(row, fmt.Sprint(n))
		}
		s.add(g.By, row)
	}
	return s
}

// recoveries are the parts of the way back after each heal.
func recoveries(r recovery.Report) section {
	s := section{ID: "recovery", Title: "Recovery", Lead: "After each heal: what is absent could not be told.",
		Head: []string{"fault", "of", "first answer", "old connections", "new ones", "errors", "last error", "as fast as before", "replicas agree"}}
	for _, f := range r.Faults {
		name := clean(fmt.Sprintf("%d %s", f.Fault, f.Name))
		if f.Absent != "" {
			s.Rows = append(s.Rows, []string{name, clean(f.Absent), "", "", "", "", "", "", ""})
			continue
		}
		for _, row := range f.Rows {
			if row.By != recovery.All && row.By != recovery.BySide {
				continue
			}
			who, agreed := "all", moment(f.Replicas.Agreed)
			if row.By != recovery.All {
				who, agreed = clean("side "+row.Name), ""
			}
			s.Rows = append(s.Rows, []string{name, who, moment(row.First), moment(row.Pooled), moment(row.Fresh),
				fmt.Sprint(row.Errors), moment(row.LastError), moment(row.Latency), agreed})
			name = ""
		}
	}
	return s
}

func moment(m recovery.Moment) string {
	if m.After == nil {
		return "–"
	}
	return short(*m.After)
}

func staleness(r stale.Report) section {
	s := section{ID: "staleness", Title: "Staleness", Head: []string{"reads of", "reads", "stale", "age p50", "p99", "max", "versions p50", "p99", "max"}}
	switch {
	case r.All.Stale == 0:
		s.Lead = fmt.Sprintf("None of %d reads was certainly stale when it began.", r.All.Reads)
		return s
	case r.Timeless:
		s.Lead = fmt.Sprintf("%s of %d reads were certainly stale when they began, by up to %d versions (the history has no times).",
			percent(r.All.Stale, r.All.Reads), r.All.Reads, r.All.Versions.Max)
	default:
		s.Lead = fmt.Sprintf("%s of %d reads were certainly stale when they began: p99 %s, at most %s and %d versions behind. The history is not Δ-atomic for a Δ below %s.",
			percent(r.All.Stale, r.All.Reads), r.All.Reads, short(r.All.Age.P99), short(r.All.Age.Max), r.All.Versions.Max, short(r.Delta))
	}
	for _, g := range append([]stale.Group{r.All}, r.Groups...) {
		name := groupName(g.By, g.Name)
		if g.Stale == 0 {
			s.add(g.By, []string{name, fmt.Sprint(g.Reads), "0 %", "–", "–", "–", "–", "–", "–"})
			continue
		}
		s.add(g.By, []string{name, fmt.Sprint(g.Reads), percent(g.Stale, g.Reads),
			age(r, g.Age.P50), age(r, g.Age.P99), age(r, g.Age.Max), fmt.Sprint(g.Versions.P50), fmt.Sprint(g.Versions.P99), fmt.Sprint(g.Versions.Max)})
	}
	return s
}

func age(r stale.Report, d time.Duration) string {
	if r.Timeless {
		return "–"
	}
	return short(d)
}

func convergence(r converge.Report) section {
	s := section{ID: "convergence", Title: "Convergence", Head: []string{"key", "node", "last read", "event"}}
	s.Lead = fmt.Sprintf("After the last update and the last heal the nodes were seen to agree on %d of %d keys", r.Converged, r.Keys)
	if r.Converged > 0 {
		s.Lead += fmt.Sprintf(", the slowest %s after", short(r.Slowest))
	}
	s.Lead += "."
	if r.Unread > 0 {
		s.Lead += fmt.Sprintf(" %d keys were not read through every node then.", r.Unread)
	}
	if r.Diverged > 0 {
		s.Lead += fmt.Sprintf(" On %d keys their last reads differ.", r.Diverged)
	}
	for _, d := range r.Divergences {
		for _, n := range d.Nodes {
			s.Rows = append(s.Rows, []string{clean(d.Key), clean(n.Node), abridge(n.Value), fmt.Sprint(n.Event)})
		}
	}
	return s
}

// abridge cuts a long value.
func abridge(v string) string {
	if r := []rune(v); len(r) > 60 {
		v = string(r[:57]) + "…"
	}
	return clean(v)
}

func writeSections(b *strings.Builder, all []section) {
	for _, s := range all {
		fmt.Fprintf(b, "\n%s\n%s\n", s.Title, wrap(s.Lead, 2))
		if len(s.Rows) == 0 {
			continue
		}
		tw := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
		fmt.Fprintf(tw, "  %s\n", strings.Join(s.Head, "\t"))
		for _, row := range s.Rows {
			fmt.Fprintf(tw, "  %s\n", strings.Join(row, "\t"))
		}
		tw.Flush()
	}
}
