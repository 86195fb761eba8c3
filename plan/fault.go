package plan

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/capstan-dev/capstan/internal/nearest"
)

// Fault is an entry of a plan's schedule. It happens once, At a time or On a
// trigger, or else every Every.
type Fault struct {
	// Name is the fault's text, like partition:primary; the catalog knows
	// which there are.
	Name string
	// For is how long it is in force.
	For time.Duration
	// Every is the mean time from one start to the next.
	Every time.Duration
	// Jitter is the share by which starts and lengths of recurring faults
	// vary; 0 is a fifth, unless Steady.
	Jitter float64
	Steady bool
	// From and Until bound the phase of the run in which it recurs; Until 0 is
	// the time limit.
	From, Until time.Duration
	// At is the time of the only start.
	At time.Duration
	// Once is true if At was given.
	Once bool
	// On is what the only start waits for.
	On Trigger
}

// Trigger is an event that a fault waits for. The zero value is none.
type Trigger struct {
	// Event is leader-change, op (the N-th operation begins) or info (the N-th
	// operation with an unknown outcome).
	Event string
	N     int
}

// The events of triggers.
const (
	LeaderChange = "leader-change"
	NthOp        = "op"
	NthInfo      = "info"
)

// ParseTrigger reads leader-change, op:1000, info or info:5.
func ParseTrigger(s string) (Trigger, error) {
	event, number, counted := strings.Cut(s, ":")
	events := []string{LeaderChange, NthOp, NthInfo}
	n := 1
	switch event {
	case LeaderChange:
		if counted {
			return Trigger{}, fmt.Errorf("%s takes no number, got %q", event, s)
		}
	case NthOp, NthInfo:
		var err error
		if counted {
			n, err = strconv.Atoi(number)
		}
		if err != nil || n < 1 || n > math.MaxInt32 || event == NthOp && !counted {
			return Trigger{}, fmt.Errorf("want %s:NUMBER, like %s:1000, got %q", event, event, s)
		}
	default:
		return Trigger{}, fmt.Errorf("unknown moment %q%s; want a duration like 12s, leader-change, op:NUMBER or info:NUMBER", s, nearest.Hint(event, events))
	}
	return Trigger{event, n}, nil
}

// String parses back.
func (t Trigger) String() string {
	switch {
	case t.Event == NthOp, t.Event == NthInfo && t.N > 1:
		return fmt.Sprintf("%s:%d", t.Event, t.N)
	}
	return t.Event
}

// ParseFault reads an entry of a schedule:
//
//	NAME [FOR]                       kill:one 2s
//	NAME [FOR] @WHEN                 isolate(primary) 5s @12s
//	NAME [FOR] every D [jitter SHARE] [from D] [until D]
//
// WHEN is a time since the start of the run, or a trigger.
func ParseFault(text string) (Fault, error) {
	words := fields(text)
	var f Fault
	words, err := f.tail(words)
	if err != nil {
		return f, err
	}
	if n := len(words); n > 1 && words[n-2].text != "+" {
		if d, err := time.ParseDuration(words[n-1].text); err == nil {
			if d <= 0 {
				return f, fmt.Errorf("want to be in force for more than 0s, got %v", d)
			}
			f.For, words = d, words[:n-1]
		}
	}
	if len(words) == 0 {
		return f, errors.New("want a fault like partition, or partition 5s @12s")
	}
	last := words[len(words)-1]
	f.Name = text[words[0].at : last.at+len(last.text)]
	return f, f.check()
}

// word is a part of a text between spaces outside of parentheses.
type word struct {
	text string
	at   int
}

func fields(text string) []word {
	var words []word
	depth, from := 0, -1
	for i, c := range text {
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		}
		space := unicode.IsSpace(c) && depth <= 0
		if !space && from < 0 {
			from = i
		}
		if space && from >= 0 {
			words = append(words, word{text[from:i], from})
			from = -1
		}
	}
	if from >= 0 {
		words = append(words, word{text[from:], from})
	}
	return words
}

// tail takes what says when off the end of the words.
func (f *Fault) tail(words []word) ([]word, error) {
	given := map[string]bool{}
	for len(words) > 1 {
		last := words[len(words)-1]
		if when, ok := strings.CutPrefix(last.text, "@"); ok {
			if f.Once || f.On != (Trigger{}) {
				return nil, errors.New("want one @ only")
			}
			if err := f.when(when); err != nil {
				return nil, fmt.Errorf("%w (at character %d)", err, last.at+1)
			}
			words = words[:len(words)-1]
			continue
		}
		key := words[len(words)-2].text
		set := f.setter(key)
		if set == nil || len(words) < 3 {
			break
		}
		if given[key] {
			return nil, fmt.Errorf("%s is given twice", key)
		}
		given[key] = true
		if err := set(last.text); err != nil {
			return nil, fmt.Errorf("%s: %w (at character %d)", key, err, last.at+1)
		}
		words = words[:len(words)-2]
	}
	return words, nil
}

// setter reads the value of a word of the tail.
func (f *Fault) setter(key string) func(string) error {
	duration := func(d *time.Duration) func(string) error {
		return func(s string) error {
			v, err := time.ParseDuration(s)
			if err != nil || v <= 0 {
				return fmt.Errorf("want a duration like 10s, got %q", s)
			}
			*d = v
			return nil
		}
	}
	switch key {
	case "every":
		return duration(&f.Every)
	case "from":
		return duration(&f.From)
	case "until":
		return duration(&f.Until)
	case "jitter":
		return f.setJitter
	}
	return nil
}

func (f *Fault) setJitter(s string) error {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(v) || v < 0 || v >= 1 {
		return fmt.Errorf("want a share of at least 0 and less than 1, like 0.2, got %q", s)
	}
	f.Jitter, f.Steady = v, v == 0
	if v == 0 {
		f.Jitter = 0 // not -0
	}
	return nil
}

// when reads a time or a trigger.
func (f *Fault) when(s string) error {
	d, err := time.ParseDuration(s)
	if err == nil && d >= 0 {
		f.At, f.Once = d, true
		return nil
	}
	if err == nil {
		return fmt.Errorf("want a time of at least 0s, got %q", s)
	}
	if _, bare := strconv.ParseFloat(s, 64); bare == nil {
		return fmt.Errorf("want a time with its unit, got the number %s; write @%ss", s, s)
	}
	f.On, err = ParseTrigger(s)
	return err
}

// check finds what does not go together.
func (f *Fault) check() error {
	once := f.Once || f.On != (Trigger{})
	recurs := f.Every > 0 || f.From > 0 || f.Until > 0 || f.Steady || f.Jitter > 0
	switch {
	case once && recurs:
		return errors.New("at and every exclude each other: a fault happens once, or it recurs")
	case f.Every > 0 && f.For >= f.Every:
		return fmt.Errorf("for (%v) must be shorter than every (%v), or the fault would never be healed", f.For, f.Every)
	case f.Until > 0 && f.Until <= f.From:
		return fmt.Errorf("until (%v) must be later than from (%v)", f.Until, f.From)
	}
	return nil
}

// String is the entry's text, which parses back to it.
func (f Fault) String() string {
	s := f.Name
	if f.For > 0 {
		s += " " + f.For.String()
	}
	switch {
	case f.Once:
		return s + " @" + f.At.String()
	case f.On != Trigger{}:
		return s + " @" + f.On.String()
	}
	if f.Every > 0 {
		s += " every " + f.Every.String()
	}
	if f.Jitter > 0 || f.Steady {
		s += " jitter " + formatShare(f.Jitter)
	}
	if f.From > 0 {
		s += " from " + f.From.String()
	}
	if f.Until > 0 {
		s += " until " + f.Until.String()
	}
	return s
}

func formatShare(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// fields are the entry's fields in YAML.
func (f Fault) fields() []string {
	all := []string{"fault: " + inFlow(f.Name)}
	add := func(is bool, key, value string) {
		if is {
			all = append(all, key+": "+value)
		}
	}
	add(f.Once, "at", f.At.String())
	add(f.On != Trigger{}, "at", inFlow(f.On.String()))
	add(!f.Once && f.On == Trigger{}, "every", f.Every.String())
	add(true, "for", f.For.String())
	add(f.Jitter > 0 || f.Steady, "jitter", formatShare(f.Jitter))
	add(f.From > 0, "from", f.From.String())
	add(f.Until > 0, "until", f.Until.String())
	return all
}
