package plan

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Axis is a field of a plan and the values that a matrix tries for it.
type Axis struct {
	// Field is the name of a field, "level.KNOB", or "fault" for a plan with
	// that fault alone, or "none".
	Field  string
	Values []string
}

// Cell is one run of a matrix.
type Cell struct {
	// Name says what sets it apart, e.g. "level.read=ONE fault=none"; empty
	// without axes.
	Name string
	Plan Plan
}

// Cells are the plans of all combinations of the axes, the last one varying
// fastest.
func (p Plan) Cells() ([]Cell, error) {
	axes := p.Vary
	p.Vary = nil
	cells := []Cell{{Plan: p}}
	for _, a := range axes {
		var next []Cell
		for _, c := range cells {
			for _, v := range a.Values {
				varied, err := c.Plan.with(a.Field, v)
				if err != nil {
					return nil, fmt.Errorf("vary %s: %w", a.Field, p.Blame("vary."+a.Field, err))
				}
				next = append(next, Cell{strings.TrimSpace(c.Name + " " + a.Field + "=" + v), varied})
			}
		}
		cells = next
	}
	return cells, nil
}

// with sets one field from its text.
func (p Plan) with(field, value string) (Plan, error) {
	if knob, ok := strings.CutPrefix(field, "level."); ok {
		p.Level = maps.Clone(p.Level)
		p.Level[knob] = value
		return p, nil
	}
	switch field {
	case "fault":
		if value == "none" {
			p.Faults = []Fault{}
			return p, nil
		}
		f, err := ParseFault(value)
		p.Faults = []Fault{f}
		return p, err
	case "vary", "level", "faults":
		return p, fmt.Errorf("a matrix varies single fields, level.KNOB, and fault")
	}
	places := p.places
	p, err := Parse("vary", fmt.Appendf(nil, "%s: %s\n", field, scalar(value)), p)
	if err != nil {
		// A number or a duration must not be quoted.
		p, err = Parse("vary", fmt.Appendf(nil, "%s: %s\n", field, value), p)
	}
	p.places = places
	p.Override(field)
	if e := (*Error)(nil); errors.As(err, &e) {
		err = errors.New(e.Msg) // its place is that of a text that nobody wrote
	}
	return p, err
}

// ParseAxis reads "FIELD=VALUE,VALUE..."; commas in parentheses part nothing.
func ParseAxis(text string) (Axis, error) {
	field, list, ok := strings.Cut(text, "=")
	a := Axis{Field: strings.TrimSpace(field), Values: SplitOutside(list)}
	if !ok || a.Field == "" || slices.Contains(a.Values, "") {
		return a, fmt.Errorf("parse axis %q: want FIELD=VALUE,VALUE, like level.read=primary,replica", text)
	}
	return a, nil
}

// SplitOutside splits at commas that are not inside of parentheses.
func SplitOutside(s string) []string {
	var parts []string
	depth, from := 0, 0
	for i, c := range s {
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth <= 0:
			parts = append(parts, strings.TrimSpace(s[from:i]))
			from = i + 1
		}
	}
	return append(parts, strings.TrimSpace(s[from:]))
}
