package plan

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/capstan-dev/capstan/internal/nearest"
	"gopkg.in/yaml.v3"
)

// Error is a mistake in a plan file. Line and Col count from 1; 0 means that
// the place is not known.
type Error struct {
	File      string
	Line, Col int
	Field     string
	Msg       string
}

// Error is FILE:LINE:COL: FIELD: MESSAGE.
func (e *Error) Error() string {
	s := fmt.Sprintf("%s:%d:%d: ", e.File, e.Line, e.Col)
	if e.Field != "" {
		s += e.Field + ": "
	}
	return s + e.Msg
}

// place is where a field stands in a plan file.
type place struct {
	file      string
	line, col int
}

// Blame says where in its file the field stands that err is about; an err
// about a field that came from elsewhere stays as it is. Fields are named by
// their path, like "level.read" or "faults[1]".
func (p Plan) Blame(field string, err error) error {
	at, ok := p.places[field]
	if !ok || err == nil {
		return err
	}
	return &Error{File: at.file, Line: at.line, Col: at.col, Field: field, Msg: err.Error()}
}

// Override says that a field no longer comes from the plan's file.
func (p *Plan) Override(field string) {
	for name := range p.places {
		if name == field || strings.HasPrefix(name, field+"[") || strings.HasPrefix(name, field+".") {
			delete(p.places, name)
		}
	}
}

// ReadFile reads a plan file on top of base: fields that the file does not
// name keep their value.
func ReadFile(path string, base Plan) (Plan, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return base, fmt.Errorf("read plan: %w", err)
	}
	return Parse(path, b, base)
}

// Parse reads a plan in YAML on top of base. It reports every mistake that it
// finds, joined, each an *Error; file is only used in them.
func Parse(file string, text []byte, base Plan) (Plan, error) {
	var doc, more yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(text))
	if err := dec.Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		return base, syntaxError(file, err)
	}
	if err := dec.Decode(&more); err == nil {
		return base, &Error{File: file, Line: more.Line, Col: more.Column, Msg: "a second document begins here; a plan file holds one plan"}
	}
	if len(doc.Content) == 0 {
		return base, &Error{File: file, Line: 1, Col: 1, Msg: "the plan is empty; want at least `target: NAME`"}
	}
	p := base
	p.places = map[string]place{}
	d := &decoder{file: file, places: p.places}
	p.Level = maps.Clone(base.Level)
	d.fields(doc.Content[0], "", map[string]func(*yaml.Node, string){
		"title":         func(n *yaml.Node, at string) { p.Title = d.str(n, at) },
		"expect":        func(n *yaml.Node, at string) { p.Expect = d.oneOf(n, at, Expectations()) },
		"target":        func(n *yaml.Node, at string) { p.Target = d.str(n, at) },
		"nodes":         func(n *yaml.Node, at string) { p.Nodes = d.integer(n, at, 1, 1000) },
		"workload":      func(n *yaml.Node, at string) { p.Workload = d.str(n, at) },
		"level":         func(n *yaml.Node, at string) { p.Level = d.strings(n, at) },
		"ops-per-key":   func(n *yaml.Node, at string) { p.OpsPerKey = d.integer(n, at, 1, 1e6) },
		"concurrency":   func(n *yaml.Node, at string) { p.Concurrency = d.integer(n, at, 1, 100000) },
		"rate":          func(n *yaml.Node, at string) { p.Rate = d.rate(n, at) },
		"time-limit":    func(n *yaml.Node, at string) { p.TimeLimit = d.duration(n, at) },
		"op-timeout":    func(n *yaml.Node, at string) { p.OpTimeout = d.duration(n, at) },
		"client-pause":  func(n *yaml.Node, at string) { p.ClientPause = d.durationOrZero(n, at) },
		"quiesce":       func(n *yaml.Node, at string) { p.Quiesce = d.durationOrZero(n, at) },
		"check-timeout": func(n *yaml.Node, at string) { p.CheckTimeout = d.duration(n, at) },
		"check-memory":  func(n *yaml.Node, at string) { p.CheckMemory = d.size(n, at) },
		"seed":          func(n *yaml.Node, at string) { p.Seed = d.seed(n, at) },
		"disk":          func(n *yaml.Node, at string) { p.Disk = d.oneOf(n, at, Disks()) },
		"node-memory":   func(n *yaml.Node, at string) { p.NodeMemory = d.size(n, at) },
		"node-cpus":     func(n *yaml.Node, at string) { p.NodeCPUs = d.cpus(n, at) },
		"endpoint":      func(n *yaml.Node, at string) { p.Endpoint = d.str(n, at) },
		"vary":          func(n *yaml.Node, at string) { p.Vary = d.axes(n, at) },
		"faults":        func(n *yaml.Node, at string) { p.Faults = d.faults(n, at) },
	})
	return p, errors.Join(d.errs...)
}

var lineInSyntaxError = regexp.MustCompile(`line (\d+)`)

func syntaxError(file string, err error) error {
	e := &Error{File: file, Line: 1, Col: 1, Msg: "not YAML: " + strings.TrimPrefix(err.Error(), "yaml: ")}
	if m := lineInSyntaxError.FindStringSubmatch(err.Error()); m != nil {
		e.Line, _ = strconv.Atoi(m[1])
	}
	return e
}

// decoder turns nodes into values and collects what is wrong with them.
type decoder struct {
	file   string
	places map[string]place
	errs   []error
}

// here notes where a field stands.
func (d *decoder) here(n *yaml.Node, at string) {
	d.places[at] = place{d.file, n.Line, n.Column}
}

func (d *decoder) errorf(n *yaml.Node, at, format string, args ...any) {
	d.errs = append(d.errs, &Error{File: d.file, Line: n.Line, Col: n.Column, Field: at,
		Msg: fmt.Sprintf(format, args...)})
}

// fields hands each field of a mapping to its reader.
func (d *decoder) fields(n *yaml.Node, at string, read map[string]func(*yaml.Node, string)) {
	n = follow(n)
	if n.Kind != yaml.MappingNode {
		d.errorf(n, at, "want a mapping of fields, got %s", kindOf(n))
		return
	}
	names := slices.Sorted(maps.Keys(read))
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		path := strings.TrimPrefix(at+"."+k.Value, ".")
		switch f := read[k.Value]; {
		case f == nil:
			d.errorf(k, at, "unknown field %q%s; there are: %s", k.Value,
				nearest.Hint(k.Value, names), strings.Join(names, ", "))
		case seen[k.Value]:
			d.errorf(k, path, "the field is given twice")
		default:
			seen[k.Value] = true
			d.here(v, path)
			f(v, path)
		}
	}
}

func (d *decoder) faults(n *yaml.Node, at string) []Fault {
	n = follow(n)
	if n.Kind != yaml.SequenceNode {
		d.errorf(n, at, "want a list like [{fault: partition, every: 10s, for: 5s}], got %s", kindOf(n))
		return nil
	}
	faults := []Fault{}
	if len(n.Content) == 1 && follow(n.Content[0]).Value == "none" {
		return faults
	}
	for i, item := range n.Content {
		path := fmt.Sprintf("%s[%d]", at, i)
		item = follow(item)
		d.here(item, path)
		if item.Kind == yaml.ScalarNode {
			faults = append(faults, d.faultText(item, path))
			continue
		}
		faults = append(faults, d.fault(item, path))
	}
	return faults
}

// faultText reads an entry that is a text, like "partition 5s @12s".
func (d *decoder) faultText(n *yaml.Node, at string) Fault {
	text := d.str(n, at)
	if text == "" {
		return Fault{}
	}
	f, err := ParseFault(text)
	if err != nil {
		d.errorf(n, at, "%v", err)
	}
	return f
}

func (d *decoder) fault(n *yaml.Node, at string) Fault {
	var f Fault
	d.fields(n, at, map[string]func(*yaml.Node, string){
		"fault": func(n *yaml.Node, field string) {
			f.Name = d.str(n, field)
			d.here(n, at) // a fault that cannot be had is blamed on its name
		},
		"every":  func(n *yaml.Node, at string) { f.Every = d.duration(n, at) },
		"for":    func(n *yaml.Node, at string) { f.For = d.duration(n, at) },
		"from":   func(n *yaml.Node, at string) { f.From = d.durationOrZero(n, at) },
		"until":  func(n *yaml.Node, at string) { f.Until = d.duration(n, at) },
		"at":     func(n *yaml.Node, at string) { d.blame(n, at, f.when(d.scalar(n))) },
		"jitter": func(n *yaml.Node, at string) { d.blame(n, at, f.setJitter(d.scalar(n))) },
	})
	if f.Name == "" && n.Kind == yaml.MappingNode {
		d.errorf(n, at, "the field fault is missing; want a name like partition")
		return f
	}
	d.blame(n, at, f.check())
	return f
}

// scalar is the text of a node; empty if it has none.
func (d *decoder) scalar(n *yaml.Node) string {
	if n = follow(n); n.Kind == yaml.ScalarNode {
		return n.Value
	}
	return ""
}

func (d *decoder) blame(n *yaml.Node, at string, err error) {
	if err != nil {
		d.errorf(n, at, "%v", err)
	}
}

func (d *decoder) str(n *yaml.Node, at string) string {
	n = follow(n)
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" || n.Value == "" {
		d.errorf(n, at, "want a name, got %s", kindOf(n))
		return ""
	}
	return n.Value
}

func (d *decoder) oneOf(n *yaml.Node, at string, values []string) string {
	v := d.str(n, at)
	if v != "" && !slices.Contains(values, v) {
		d.errorf(n, at, "%q is not one of them%s: %s", v, nearest.Hint(v, values), strings.Join(values, ", "))
	}
	return v
}

func (d *decoder) strings(n *yaml.Node, at string) map[string]string {
	n = follow(n)
	if n.Kind != yaml.MappingNode {
		d.errorf(n, at, "want a mapping like {read: replica}, got %s", kindOf(n))
		return nil
	}
	m := map[string]string{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i].Value, n.Content[i+1]
		if _, ok := m[k]; ok {
			d.errorf(n.Content[i], at+"."+k, "the level is given twice")
		}
		d.here(v, at+"."+k)
		m[k] = d.str(v, at+"."+k)
	}
	return m
}

func (d *decoder) integer(n *yaml.Node, at string, low, high int) int {
	n = follow(n)
	v, err := strconv.Atoi(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || v < low || v > high {
		d.errorf(n, at, "want a whole number from %d to %d, got %s", low, high, kindOf(n))
	}
	return v
}

func (d *decoder) seed(n *yaml.Node, at string) uint64 {
	n = follow(n)
	v, err := strconv.ParseUint(n.Value, 10, 64)
	if n.Kind != yaml.ScalarNode || err != nil {
		d.errorf(n, at, "want a whole number from 0 to %d, got %s", uint64(math.MaxUint64), kindOf(n))
	}
	return v
}

func (d *decoder) rate(n *yaml.Node, at string) float64 {
	n = follow(n)
	v, err := ParseRate(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil {
		d.errorf(n, at, "want operations a second like 200 or 200/s, or 0 for no limit, got %s", kindOf(n))
	}
	return v
}

// ParseRate reads operations a second: "200", "0.5" or "200/s".
func ParseRate(s string) (float64, error) {
	v, err := strconv.ParseFloat(strings.TrimSuffix(s, "/s"), 64)
	if err != nil || v < 0 || math.IsNaN(v) || v > 1e7 {
		return 0, fmt.Errorf("parse rate %q: want operations a second like 200, or 0 for no limit", s)
	}
	return v, nil
}

// axes reads a mapping from fields to lists of values, in the file's order.
func (d *decoder) axes(n *yaml.Node, at string) []Axis {
	n = follow(n)
	if n.Kind != yaml.MappingNode {
		d.errorf(n, at, "want a mapping from fields to lists of values, like level.read: [primary, replica], got %s", kindOf(n))
		return nil
	}
	var axes []Axis
	for i := 0; i+1 < len(n.Content); i += 2 {
		field, list := n.Content[i], follow(n.Content[i+1])
		here := at + "." + field.Value
		d.here(list, here)
		if list.Kind != yaml.SequenceNode || len(list.Content) == 0 {
			d.errorf(list, here, "want a list of values, got %s", kindOf(list))
			continue
		}
		a := Axis{Field: field.Value}
		for _, v := range list.Content {
			if v = follow(v); v.Kind != yaml.ScalarNode || v.Value == "" {
				d.errorf(v, here, "want a value, got %s", kindOf(v))
			}
			a.Values = append(a.Values, v.Value)
		}
		axes = append(axes, a)
	}
	return axes
}

func (d *decoder) cpus(n *yaml.Node, at string) float64 {
	n = follow(n)
	v, err := ParseCPUs(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil {
		d.errorf(n, at, "want a number of CPUs like 0.5 or 2, got %s", kindOf(n))
	}
	return v
}

// ParseCPUs reads how many CPUs a node may use: "0.5", "2".
func ParseCPUs(s string) (float64, error) {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v >= 0.01 && v <= 1024) {
		return 0, fmt.Errorf("parse CPUs %q: want a number like 0.5 or 2", s)
	}
	return v, nil
}

func (d *decoder) duration(n *yaml.Node, at string) time.Duration {
	v := d.durationOrZero(n, at)
	if v == 0 && len(d.errs) == 0 {
		d.errorf(n, at, "want more than 0s")
	}
	return v
}

func (d *decoder) durationOrZero(n *yaml.Node, at string) time.Duration {
	n = follow(n)
	v, err := time.ParseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || v < 0 {
		if _, bare := strconv.ParseFloat(n.Value, 64); bare == nil && n.Kind == yaml.ScalarNode && n.Value != "0" {
			d.errorf(n, at, "want a duration with a unit, got the number %s; write %ss", n.Value, n.Value)
			return 0
		}
		d.errorf(n, at, "want a duration like 60s, got %s", kindOf(n))
		return 0
	}
	return v
}

func (d *decoder) size(n *yaml.Node, at string) int64 {
	n = follow(n)
	v, err := ParseSize(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil {
		d.errorf(n, at, "want a size like 4GiB, got %s", kindOf(n))
	}
	return v
}

// follow resolves an alias to what it stands for.
func follow(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == "!!null" || n.Value == "":
		return "nothing"
	}
	return fmt.Sprintf("%q", n.Value)
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
