package reports

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/plan"
)

// WriteAll writes results.json, junit.xml and report.html into the run
// directory. Each file is replaced in one step.
func WriteAll(r Run) error {
	b, err := r.Results.JSON()
	if err != nil {
		return err
	}
	if err := replace(r.Dir.Results(), b); err != nil {
		return err
	}
	for path, render := range map[string]func(io.Writer, Run) error{
		r.Dir.JUnit(): JUnit, r.Dir.Report(): HTML,
	} {
		var buf bytes.Buffer
		if err := render(&buf, r); err != nil {
			return err
		}
		if err := replace(path, buf.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

func replace(path string, b []byte) error {
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, b, 0o644); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// Headline is the verdict in words. It never claims a model: what was found is
// an absence of violations.
func Headline(v checker.Verdict) string {
	switch v {
	case checker.Valid:
		return "✓ NO VIOLATION FOUND"
	case checker.Invalid:
		return "✗ VIOLATION"
	}
	return "? UNKNOWN"
}

// Rerun is the command that repeats a run.
func Rerun(r Run) string {
	p, d := r.Plan, plan.Default()
	args := []string{"capstan run", p.Target}
	add := func(cond bool, format string, v ...any) {
		if cond {
			args = append(args, fmt.Sprintf(format, v...))
		}
	}
	add(p.Workload != d.Workload, "--workload %s", p.Workload)
	var levels []string
	for k, v := range p.Level {
		levels = append(levels, fmt.Sprintf("--level %s", quote(k+"="+v)))
	}
	slices.Sort(levels)
	args = append(args, levels...)
	exact := false
	for _, f := range p.Faults {
		exact = exact || f.Once
	}
	if exact || p.Quiesce != d.Quiesce {
		return fmt.Sprintf("capstan run --plan %s", quote(r.Dir.Plan()))
	}
	var names []string
	for _, f := range p.Faults {
		names = append(names, f.Name)
	}
	add(len(names) > 0, "--fault %s", strings.Join(names, ","))
	add(len(names) == 0, "--fault none")
	add(p.Nodes > 0, "--nodes %d", p.Nodes)
	add(p.Concurrency != d.Concurrency, "--concurrency %d", p.Concurrency)
	add(p.OpsPerKey > 0, "--ops-per-key %d", p.OpsPerKey)
	add(p.Rate != d.Rate, "--rate %g", p.Rate)
	add(p.TimeLimit != d.TimeLimit, "--time-limit %v", p.TimeLimit)
	add(p.ClientPause > 0, "--client-pause %v", p.ClientPause)
	add(p.OpTimeout != d.OpTimeout, "--op-timeout %v", p.OpTimeout)
	add(true, "--seed %d", p.Seed)
	return strings.Join(args, " ")
}

// quote makes a word safe for a POSIX shell.
func quote(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("=-_./:,", r))
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
