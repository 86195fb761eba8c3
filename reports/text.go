package reports

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/history"
)

// Text writes the result of a run for a terminal: verdict, why, witness in
// words, availability by side, and where the report is.
func Text(w io.Writer, r Run) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s  %s, workload %s, seed %d\n", Headline(r.Results.Verdict), r.Plan.Target, r.Plan.Workload, r.Plan.Seed)
	fmt.Fprintf(&b, "%s\n%s\n", wrap(why(r, history.Windows(r.History)), 0), wrap(claim(r), 0))
	if text := intent(r); text != "" {
		fmt.Fprintln(&b, wrap(text, 0))
	}
	writeWitnesses(&b, r.Results)
	fmt.Fprintln(&b, "\nChecks")
	for _, c := range r.Results.Checks {
		line := fmt.Sprintf("%s %s: %s", glyph(c.Verdict), c.Name, clean(c.Reason))
		if len(c.Anomalies) > 0 && c.Verdict == r.Results.Verdict {
			line = fmt.Sprintf("%s %s: see above", glyph(c.Verdict), c.Name)
		}
		fmt.Fprintln(&b, wrap(line, 2))
	}
	if r.Results.Availability != nil {
		writeAvailability(&b, makeAvailability(*r.Results.Availability, r.Info.Nodes))
	}
	writeSections(&b, sections(r.Results))
	fmt.Fprintf(&b, "\nReport  %s\nRerun   %s\n", r.Dir.Report(), Rerun(r))
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write text: %w", err)
	}
	return nil
}

// Witnesses writes the anomalies of results as text.
func Witnesses(w io.Writer, r Results) error {
	var b strings.Builder
	writeWitnesses(&b, r)
	if r.Models != nil {
		writeSections(&b, []section{models(*r.Models)})
		writeWitnesses(&b, Results{Checks: refutations(r.Models)})
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write text: %w", err)
	}
	return nil
}

// maxTold bounds the anomalies of a check that are told on a terminal.
const maxTold = 3

func writeWitnesses(b *strings.Builder, r Results) {
	for _, c := range r.Checks {
		for i, a := range c.Anomalies {
			if i == maxTold {
				fmt.Fprintf(b, "\n... and %d more; the report draws them\n", len(c.Anomalies)-maxTold)
				break
			}
			key := ""
			if a.Key != "" {
				key = " on key " + clean(a.Key)
			}
			title := "Witness"
			if c.Verdict != checker.Invalid {
				title = "Noticed"
			}
			if a.Cascade {
				key += " (may follow from an earlier one)"
			}
			fmt.Fprintf(b, "\n%s: %s%s\n%s\n", title, clean(a.Kind), key, wrap(clean(a.Text), 2))
		}
	}
}

func writeAvailability(b *strings.Builder, a *availability) {
	fmt.Fprintf(b, "\nAvailability\n%s\n", wrap(a.Summary, 2))
	tw := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "  phase\tside\toperation\tasked\tanswered\trefused\tunknown")
	for _, r := range a.Rows {
		fmt.Fprintf(tw, "  %s\t%s\t%s\t%d\t%s\t%s\t%s\n", r.Phase, r.Side, r.F, r.Total, r.Answered, r.Refused, r.Unknown)
	}
	tw.Flush()
}

const textWidth = 96

// wrap breaks lines at spaces and indents them.
func wrap(s string, indent int) string {
	pad := strings.Repeat(" ", indent)
	var out []string
	for line := range strings.SplitSeq(s, "\n") {
		own := len(line) - len(strings.TrimLeft(line, " "))
		prefix := pad + line[:own]
		cur := prefix
		for i, word := range strings.Fields(line) {
			if i > 0 && len(cur)+1+len(word) > textWidth {
				out = append(out, cur)
				cur = prefix
			}
			if strings.TrimSpace(cur) != "" {
				cur += " "
			}
			cur += word
		}
		out = append(out, cur)
	}
	return strings.Join(out, "\n")
}
