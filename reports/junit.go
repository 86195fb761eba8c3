package reports

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/capstan-dev/capstan/checker"
)

type junitSuite struct {
	XMLName   xml.Name    `xml:"testsuite"`
	Name      string      `xml:"name,attr"`
	Tests     int         `xml:"tests,attr"`
	Failures  int         `xml:"failures,attr"`
	Errors    int         `xml:"errors,attr"`
	Skipped   int         `xml:"skipped,attr"`
	Time      string      `xml:"time,attr"`
	Timestamp string      `xml:"timestamp,attr"`
	Cases     []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name      string        `xml:"name,attr"`
	Classname string        `xml:"classname,attr"`
	File      string        `xml:"file,attr"`
	Time      string        `xml:"time,attr"`
	Failure   *junitMessage `xml:"failure"`
	Error     *junitMessage `xml:"error"`
	SystemOut string        `xml:"system-out,omitempty"`
}

type junitMessage struct {
	Type    string `xml:"type,attr"`
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// JUnit writes one testcase a check. A violation is a failure; unknown is an
// error, since a test that could not say anything must not look green.
func JUnit(w io.Writer, r Run) error {
	s := junitSuite{
		Name: "capstan " + r.Plan.Target, Tests: len(r.Results.Checks),
		Time:      fmt.Sprintf("%.3f", r.Info.Duration.Seconds()),
		Timestamp: r.Info.Started.UTC().Format(time.DateOnly + "T15:04:05"),
	}
	for _, c := range r.Results.Checks {
		jc := junitCase{
			Name:      fmt.Sprintf("%s/%s seed=%d", r.Plan.Workload, c.Name, r.Plan.Seed),
			Classname: "capstan." + strings.ReplaceAll(r.Plan.Target, "/", "."),
			File:      r.Dir.Plan(), Time: "0.000", SystemOut: "rerun: " + Rerun(r),
		}
		m := &junitMessage{Message: clean(firstLine(c.Reason)), Text: "\n" + anomalyText(c)}
		switch c.Verdict {
		case checker.Invalid:
			s.Failures++
			m.Type = c.Anomalies[0].Kind
			jc.Failure = m
		case checker.Unknown:
			s.Errors++
			m.Type = "unknown"
			jc.Error = m
		}
		s.Cases = append(s.Cases, jc)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return fmt.Errorf("write junit: %w", err)
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(s); err != nil {
		return fmt.Errorf("write junit: %w", err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// anomalyText is the reason and the anomalies of a check as plain text.
func anomalyText(c checker.Result) string {
	var b strings.Builder
	fmt.Fprintln(&b, clean(c.Reason))
	for _, a := range c.Anomalies {
		fmt.Fprintf(&b, "\n%s", clean(a.Kind))
		if a.Key != "" {
			fmt.Fprintf(&b, " on key %s", clean(a.Key))
		}
		fmt.Fprintf(&b, ":\n%s\n", clean(a.Text))
	}
	return b.String()
}
