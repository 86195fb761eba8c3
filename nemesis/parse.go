package nemesis

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/capstan-dev/capstan/internal/nearest"
)

// Parse makes the fault that a text describes:
//
//	NAME                          partition
//	NAME:VALUE                    kill:primary
//	NAME(VALUE, KEY=VALUE, FLAG)  partition(halves, how=reject, reset)
//	FAULT + [AFTER] FAULT         isolate(primary) + 2s kill(same)
//
// In the last form the second fault joins the first one, that long after it
// was in force, and both are healed together. An error names the position.
func Parse(kinds []Kind, text string) (Fault, error) {
	p := &parser{kinds: kinds, text: text}
	f, err := p.sequence()
	if err == nil && p.at < len(text) {
		err = p.errorf(p.at, "unexpected %q after the fault", p.rest())
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Uses lists the names of the kinds that a fault is made of.
func Uses(f Fault) []string {
	switch f := f.(type) {
	case sequence:
		var all []string
		for _, p := range f {
			all = append(all, Uses(p.Fault)...)
		}
		return all
	case mix:
		var all []string
		for _, x := range f.faults {
			all = append(all, Uses(x)...)
		}
		return all
	}
	name := f.Name()
	if i := strings.IndexAny(name, ":("); i >= 0 {
		name = name[:i]
	}
	return []string{name}
}

type parser struct {
	kinds []Kind
	text  string
	at    int
	depth int
	// follows is true while a step is read that has one before it.
	follows bool
}

// maxDepth of faults inside of faults.
const maxDepth = 8

func (p *parser) rest() string { return p.text[p.at:] }

func (p *parser) errorf(at int, format string, args ...any) error {
	msg := fmt.Sprintf(format, args...)
	if at == 0 {
		return fmt.Errorf("%s", msg)
	}
	return fmt.Errorf("%s (at character %d of %q)", msg, utf8.RuneCountInString(p.text[:at])+1, p.text)
}

func (p *parser) spaces() {
	for p.at < len(p.text) && strings.ContainsRune(" \t", rune(p.text[p.at])) {
		p.at++
	}
}

// take consumes one character if it is next.
func (p *parser) take(c byte) bool {
	if p.at < len(p.text) && p.text[p.at] == c {
		p.at++
		return true
	}
	return false
}

// until consumes up to the first of some characters.
func (p *parser) until(chars string) string {
	i := strings.IndexAny(p.rest(), chars)
	if i < 0 {
		i = len(p.rest())
	}
	s := p.text[p.at : p.at+i]
	p.at += i
	return s
}

// sequence is FAULT {+ [AFTER] FAULT}.
func (p *parser) sequence() (Fault, error) {
	outer := p.follows
	defer func() { p.follows = outer }()
	p.spaces()
	f, err := p.fault()
	if err != nil {
		return nil, err
	}
	parts := sequence{{Fault: f}}
	for p.plus() {
		p.follows = true
		after, err := p.after()
		if err != nil {
			return nil, err
		}
		f, err := p.fault()
		if err != nil {
			return nil, err
		}
		parts = append(parts, Part{After: after, Fault: f})
	}
	p.spaces()
	if len(parts) == 1 {
		return f, nil
	}
	return parts, nil
}

// plus consumes " +", if that is next.
func (p *parser) plus() bool {
	at := p.at
	p.spaces()
	if p.take('+') {
		return true
	}
	p.at = at
	return false
}

// after is the duration before a second fault; none means at once.
func (p *parser) after() (time.Duration, error) {
	p.spaces()
	at := p.at
	if at == len(p.text) || p.text[at] < '0' || p.text[at] > '9' {
		return 0, nil
	}
	word := p.until(" \t")
	d, err := time.ParseDuration(word)
	if err != nil || d > 24*time.Hour {
		return 0, p.errorf(at, "want a duration like 2s after +, got %q", word)
	}
	p.spaces()
	return d, nil
}

// fault is NAME, NAME:VALUE or NAME(...).
func (p *parser) fault() (Fault, error) {
	at := p.at
	name := p.until(":( \t,)+")
	i := slices.IndexFunc(p.kinds, func(k Kind) bool { return k.Name == name })
	if i < 0 {
		var names []string
		for _, k := range p.kinds {
			names = append(names, k.Name)
		}
		return nil, p.errorf(at, "unknown fault %q%s; there are: %s", name, nearest.Hint(name, names), strings.Join(names, ", "))
	}
	k := p.kinds[i]
	switch {
	case p.take(':'):
		at := p.at
		return p.build(k, []argument{{p.until(" \t,)(+"), at}})
	case p.take('('):
		if k.list != nil {
			return p.list(k)
		}
		args, err := p.arguments()
		if err != nil {
			return nil, err
		}
		return p.build(k, args)
	}
	return p.build(k, nil)
}

// argument is a text and where it begins.
type argument struct {
	text string
	at   int
}

// arguments are separated by commas and end with a parenthesis.
func (p *parser) arguments() ([]argument, error) {
	open := p.at - 1
	var args []argument
	for {
		p.spaces()
		at := p.at
		args = append(args, argument{strings.TrimRight(p.until(",()"), " \t"), at})
		switch {
		case p.take(','):
		case p.take(')'):
			return args, nil
		case p.at < len(p.text):
			return nil, p.errorf(p.at, "unexpected %q in an argument", p.text[p.at:p.at+1])
		default:
			return nil, p.errorf(open, "the parenthesis is not closed; want )")
		}
	}
}

// list is FAULT, FAULT, ...).
func (p *parser) list(k Kind) (Fault, error) {
	open := p.at - 1
	if p.depth++; p.depth > maxDepth {
		return nil, p.errorf(open, "faults are nested too deep")
	}
	defer func() { p.depth-- }()
	var faults []Fault
	for {
		f, err := p.sequence()
		if err != nil {
			return nil, err
		}
		faults = append(faults, f)
		switch {
		case p.take(','):
		case p.take(')'):
			var names []string
			for _, f := range faults {
				names = append(names, f.Name())
			}
			return k.list(k.Name+"("+strings.Join(names, ", ")+")", faults), nil
		case p.at < len(p.text):
			return nil, p.errorf(p.at, "unexpected %q between faults; want , or )", p.text[p.at:p.at+1])
		default:
			return nil, p.errorf(open, "the parenthesis is not closed; want )")
		}
	}
}

// build reads the arguments of a kind and makes the fault.
func (p *parser) build(k Kind, args []argument) (Fault, error) {
	if k.list != nil {
		return nil, p.errorf(p.at, "%s wants faults in parentheses, like %s(partition, kill)", k.Name, k.Name)
	}
	v := values{}
	texts := map[string]string{}
	for i, a := range args {
		par, text, err := k.param(i, a.text)
		if err != nil {
			return nil, p.errorf(a.at, "%v", err)
		}
		if _, twice := v[par.Name]; twice {
			return nil, p.errorf(a.at, "%s is given twice", par.Name)
		}
		if par.flag {
			v[par.Name], texts[par.Name] = true, par.Name
			continue
		}
		value, canonical, err := par.read(text)
		if err != nil {
			return nil, p.errorf(a.at, "%v", err)
		}
		if !p.follows && aimsAtSame(value) {
			return nil, p.errorf(a.at, "same: there is no step before, as in pause:one + 2s kill:same")
		}
		v[par.Name], texts[par.Name] = value, canonical
	}
	for _, par := range k.Params {
		if _, given := v[par.Name]; !given && par.Default != "" {
			value, _, err := par.read(par.Default)
			if err != nil {
				return nil, fmt.Errorf("default of %s: %w", k.Name, err)
			}
			v[par.Name] = value
		}
	}
	f, err := k.make(k.canonical(texts), v)
	if err != nil {
		return nil, p.errorf(p.at, "%s: %v", k.Name, err)
	}
	return f, nil
}

// param finds which parameter an argument is for, and its text.
func (k Kind) param(i int, text string) (Param, string, error) {
	var names []string
	for _, par := range k.Params {
		names = append(names, par.Name)
		if par.flag && text == par.Name {
			return par, "", nil
		}
	}
	key, value, named := strings.Cut(text, "=")
	key = strings.TrimSpace(key)
	if named {
		for _, par := range k.Params {
			if par.Name == key && !par.flag {
				return par, strings.TrimSpace(value), nil
			}
		}
		return Param{}, "", fmt.Errorf("unknown argument %q of %s%s; %s", key, k.Name, nearest.Hint(key, names), k.takes())
	}
	if i > 0 || len(k.Params) == 0 || k.Params[0].flag {
		return Param{}, "", fmt.Errorf("unknown argument %q of %s%s; %s", text, k.Name, nearest.Hint(text, names), k.takes())
	}
	return k.Params[0], text, nil
}

// aimsAtSame tells an argument that means the nodes of the step before.
func aimsAtSame(value any) bool {
	if spec, ok := value.(nodeSpec); ok {
		return spec == "same"
	}
	text, ok := value.(string)
	a, b, between := strings.Cut(text, "..")
	return ok && between && (a == "same" || b == "same")
}

func (k Kind) takes() string {
	if len(k.Params) == 0 {
		return "it takes none"
	}
	return "want " + k.Usage()
}

// canonical is the text of the arguments that were given: NAME, NAME:VALUE where
// one plain value is all, else NAME(...).
func (k Kind) canonical(texts map[string]string) string {
	var args []string
	plain := true
	for i, par := range k.Params {
		text, given := texts[par.Name]
		if !given {
			continue
		}
		switch {
		case i == 0 && !par.flag:
			plain = !strings.ContainsAny(text, " |")
			args = append(args, text)
		case par.flag:
			plain = false
			args = append(args, text)
		default:
			plain = false
			args = append(args, par.Name+"="+text)
		}
	}
	switch {
	case len(args) == 0:
		return k.Name
	case len(args) == 1 && plain:
		return k.Name + ":" + args[0]
	}
	return k.Name + "(" + strings.Join(args, ", ") + ")"
}
