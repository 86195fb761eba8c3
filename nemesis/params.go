package nemesis

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/capstan-dev/capstan/internal/nearest"
	"github.com/capstan-dev/capstan/plan"
)

// Param is one argument of a kind of fault.
type Param struct {
	Name string
	// What is to be given, like NODES or DURATION; Words are the values where
	// there are only these.
	What  string
	Words []string
	// Default is the text of the value if none is given; empty if the fault
	// draws one.
	Default string
	flag    bool
	// read gives the value and its canonical text.
	read func(text string) (value any, canonical string, err error)
}

// values are the arguments of a fault, by the names of the parameters.
type values map[string]any

func (v values) text(name string) string            { s, _ := v[name].(string); return s }
func (v values) number(name string) float64         { f, _ := v[name].(float64); return f }
func (v values) duration(name string) time.Duration { d, _ := v[name].(time.Duration); return d }
func (v values) whole(name string) int64            { n, _ := v[name].(int64); return n }
func (v values) flag(name string) bool              { b, _ := v[name].(bool); return b }
func (v values) nodes(name string) nodeSpec         { s, _ := v[name].(nodeSpec); return s }

func wordParam(name, def string, words ...string) Param {
	return Param{Name: name, What: "WORD", Words: words, Default: def, read: func(s string) (any, string, error) {
		if !slices.Contains(words, s) {
			return nil, "", fmt.Errorf("unknown %s %q%s; there are: %s", name, s, nearest.Hint(s, words), strings.Join(words, ", "))
		}
		return s, s, nil
	}}
}

func flagParam(name string) Param { return Param{Name: name, flag: true} }

func durationParam(name, def string) Param {
	return Param{Name: name, What: "DURATION", Default: def, read: func(s string) (any, string, error) {
		d, err := time.ParseDuration(s)
		if err != nil || d < 0 || d > 24*time.Hour {
			return nil, "", fmt.Errorf("%s: want a duration like 50ms, got %q", name, s)
		}
		return d, d.String(), nil
	}}
}

// signedParam is a duration of either sign.
func signedParam(name, def string) Param {
	return Param{Name: name, What: "DURATION", Default: def, read: func(s string) (any, string, error) {
		d, err := time.ParseDuration(s)
		if err != nil || d.Abs() > 10*365*24*time.Hour {
			return nil, "", fmt.Errorf("%s: want a duration like 5s or -5s, got %q", name, s)
		}
		return d, d.String(), nil
	}}
}

// numberParam takes numbers within bounds.
func numberParam(name, def string, low, high float64) Param {
	return Param{Name: name, What: "NUMBER", Default: def, read: func(s string) (any, string, error) {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil || math.IsNaN(v) || v < low || v > high {
			return nil, "", fmt.Errorf("%s: want a number from %g to %g, got %q", name, low, high, s)
		}
		return v, formatNumber(v), nil
	}}
}

// chanceParam is a probability, like 0.1 or 10%.
func chanceParam(name, def string) Param {
	return Param{Name: name, What: "PROBABILITY", Default: def, read: func(s string) (any, string, error) {
		digits, isPercent := strings.CutSuffix(s, "%")
		v, err := strconv.ParseFloat(digits, 64)
		if isPercent {
			v /= 100
		}
		if err != nil || math.IsNaN(v) || v < 0 || v > 1 {
			return nil, "", fmt.Errorf("%s: want a probability like 0.1 or 10%%, got %q", name, s)
		}
		return v, formatNumber(v), nil
	}}
}

func formatNumber(v float64) string {
	if v == 0 {
		v = 0 // not -0
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

func wholeParam(name, def string, low, high int64) Param {
	return Param{Name: name, What: "NUMBER", Default: def, read: func(s string) (any, string, error) {
		v, err := strconv.ParseInt(s, 10, 64)
		if err != nil || v < low || v > high {
			return nil, "", fmt.Errorf("%s: want a whole number from %d to %d, got %q", name, low, high, s)
		}
		return v, strconv.FormatInt(v, 10), nil
	}}
}

func sizeParam(name, def string) Param {
	return Param{Name: name, What: "SIZE", Default: def, read: func(s string) (any, string, error) {
		v, err := plan.ParseSize(s)
		if err != nil || v < 1 {
			return nil, "", fmt.Errorf("%s: want a size like 16MiB, got %q", name, s)
		}
		return v, plan.FormatSize(v), nil
	}}
}

// The units of rates, the largest first.
var rateUnits = []struct {
	name string
	bits float64
}{{"gbit", 1e9}, {"mbit", 1e6}, {"kbit", 1e3}, {"bit", 1}}

func rateParam(name, def string) Param {
	return Param{Name: name, What: "RATE", Default: def, read: func(s string) (any, string, error) {
		for _, u := range rateUnits {
			digits, ok := strings.CutSuffix(s, u.name)
			if !ok {
				continue
			}
			if v, err := strconv.ParseFloat(digits, 64); err == nil && v*u.bits >= 1 && v*u.bits <= 1e12 {
				bits := int64(math.Round(v * u.bits))
				return bits, formatRate(bits), nil
			}
			break
		}
		return nil, "", fmt.Errorf("%s: want bits a second like 500kbit or 10mbit, got %q", name, s)
	}}
}

func formatRate(bits int64) string {
	for _, u := range rateUnits {
		if bits%int64(u.bits) == 0 {
			return strconv.FormatInt(bits/int64(u.bits), 10) + u.name
		}
	}
	return ""
}

// textParam takes what needs no parentheses, commas or equals signs, like the
// name of an image or a pattern of files.
func textParam(name, what, def string) Param {
	return Param{Name: name, What: what, Default: def, read: func(s string) (any, string, error) {
		if s == "" || strings.ContainsAny(s, "(),= \t\r\n|+\"") {
			return nil, "", fmt.Errorf("%s: want a %s, got %q", name, strings.ToLower(what), s)
		}
		return s, s, nil
	}}
}

func nodesParam(name, def string) Param {
	return Param{Name: name, What: "NODES", Default: def, read: func(s string) (any, string, error) {
		spec, err := parseNodes(name, s)
		return spec, string(spec), err
	}}
}
