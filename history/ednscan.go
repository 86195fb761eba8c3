package history

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// ednScanner reads EDN form by form and writes each as JSON: keywords and
// symbols become strings, sets become arrays, tags and metadata are dropped,
// maps become objects whose keys are the text of the EDN keys. It never holds
// more than one form.
type ednScanner struct {
	r         io.Reader
	buf       []byte
	pos, end  int
	err       error // the reader's, io.EOF included
	base      int   // offset of buf[0] in the input
	line      int
	lineStart int // offset of the line's first byte
	tok       []byte
}

func newEDNScanner(r io.Reader) *ednScanner {
	return &ednScanner{r: r, buf: make([]byte, 256<<10), line: 1}
}

// peek is the next byte; false at the end of the input.
func (s *ednScanner) peek() (byte, bool) {
	for s.pos == s.end {
		if s.err != nil {
			return 0, false
		}
		s.base += s.end
		s.pos = 0
		s.end, s.err = s.r.Read(s.buf)
	}
	return s.buf[s.pos], true
}

// skip steps over the byte that peek gave.
func (s *ednScanner) skip() {
	s.pos++
	if s.buf[s.pos-1] == '\n' {
		s.line++
		s.lineStart = s.base + s.pos
	}
}

func (s *ednScanner) fail(format string, args ...any) error {
	return &ParseError{Line: s.line, Col: s.base + s.pos - s.lineStart + 1, Msg: fmt.Sprintf(format, args...)}
}

// cut is the error for an input that ends too early, or that cannot be read.
func (s *ednScanner) cut(what string) error {
	if s.err != nil && s.err != io.EOF {
		return fmt.Errorf("read history, line %d: %w", s.line, s.err)
	}
	e := s.fail("the input ends inside %s", what).(*ParseError)
	e.Truncated = true
	return e
}

// mark skips the byte order mark that some editors put first.
func (s *ednScanner) mark() {
	const bom = "\xef\xbb\xbf"
	for s.end < len(bom) && s.err == nil {
		var n int
		n, s.err = s.r.Read(s.buf[s.end:])
		s.end += n
	}
	if strings.HasPrefix(string(s.buf[:min(s.end, len(bom))]), bom) {
		s.pos, s.lineStart = len(bom), len(bom)
	}
}

func ednSpace(c byte) bool {
	return c == ' ' || c == ',' || c == '\n' || c == '\t' || c == '\r' || c == '\f' || c == '\v'
}

func ednDelimiter(c byte) bool {
	return ednSpace(c) || strings.IndexByte("()[]{}\";", c) >= 0
}

// gap skips white space, comments and discarded forms, and peeks.
func (s *ednScanner) gap(depth int) (byte, bool, error) {
	for {
		c, ok := s.peek()
		switch {
		case !ok:
			return 0, false, nil
		case ednSpace(c):
			s.skip()
		case c == ';':
			for ok && c != '\n' {
				s.skip()
				c, ok = s.peek()
			}
		case c == '#' && s.second() == '_':
			s.skip()
			s.skip()
			if _, err := s.form(nil, depth+1); err != nil {
				return 0, false, err
			}
		default:
			return c, true, nil
		}
	}
}

// second is the byte after the next one, 0 at the end.
func (s *ednScanner) second() byte {
	if s.pos+1 < s.end {
		return s.buf[s.pos+1]
	}
	if s.err != nil {
		return 0
	}
	s.base += s.pos
	s.end = copy(s.buf, s.buf[s.pos:s.end])
	s.pos = 0
	for s.end < 2 && s.err == nil {
		var n int
		n, s.err = s.r.Read(s.buf[s.end:])
		s.end += n
	}
	if s.end < 2 {
		return 0
	}
	return s.buf[1]
}

// form reads one form and appends it to b as JSON.
func (s *ednScanner) form(b []byte, depth int) ([]byte, error) {
	if depth > maxDepth {
		return b, s.fail("nested deeper than %d", maxDepth)
	}
	c, ok, err := s.gap(depth)
	switch {
	case err != nil:
		return b, err
	case !ok:
		return b, s.cut("a form")
	case len(b) > MaxLine:
		return b, s.fail("the form is longer than %d MiB", MaxLine>>20)
	}
	switch c {
	case '(':
		return s.list(b, ')', depth)
	case '[':
		return s.list(b, ']', depth)
	case '{':
		return s.object(b, depth)
	case '"':
		if s.tok, err = s.str(s.tok[:0]); err != nil {
			return b, err
		}
		return appendQuoted(b, s.tok), nil
	case ')', ']', '}':
		return b, s.fail("%q closes nothing", string(c))
	case '\\':
		return s.char(b)
	case '#':
		return s.dispatch(b, depth)
	case '^':
		s.skip()
		if _, err := s.form(nil, depth+1); err != nil {
			return b, err
		}
		return s.form(b, depth+1)
	}
	return s.atom(b)
}

// list reads up to the closing bracket, as an array.
func (s *ednScanner) list(b []byte, closing byte, depth int) ([]byte, error) {
	s.skip()
	start := len(b)
	b = append(b, '[')
	for n := 0; ; n++ {
		c, ok, err := s.gap(depth)
		switch {
		case err != nil:
			return b, err
		case !ok:
			return b, s.cut("a list that wants a " + string(closing))
		case c == closing:
			s.skip()
			b = append(b, ']')
			if closing == '}' && n > 1 && n <= maxSorted {
				sortArray(b[start:])
			}
			return b, nil
		}
		if n > 0 {
			b = append(b, ',')
		}
		if b, err = s.form(b, depth+1); err != nil {
			return b, err
		}
	}
}

// maxSorted is the size up to which a set counts as a value that is compared
// as a whole; larger ones are what a read of a set saw.
const maxSorted = 256

// sortArray sorts the elements of a JSON array in place.
func sortArray(b []byte) {
	var parts [][]byte
	for i := 1; i < len(b)-1; i++ {
		end, ok := skipValue(b, i)
		if !ok {
			return
		}
		parts = append(parts, b[i:end])
		i = end
	}
	if slices.IsSortedFunc(parts, bytes.Compare) {
		return
	}
	slices.SortFunc(parts, bytes.Compare)
	copy(b[1:], bytes.Join(parts, []byte{','}))
}

// object reads a map.
func (s *ednScanner) object(b []byte, depth int) ([]byte, error) {
	s.skip()
	b = append(b, '{')
	for n := 0; ; n++ {
		more, err := s.entry(depth)
		switch {
		case err != nil:
			return b, err
		case !more:
			return append(b, '}'), nil
		case n > 0:
			b = append(b, ',')
		}
		at := len(b)
		if b, err = s.form(b, depth+1); err != nil {
			return b, err
		}
		if b[at] != '"' { // a key that is no string becomes its text
			text := string(b[at:])
			b = appendString(b[:at], text)
		}
		b = append(b, ':')
		if b, err = s.mapValue(b, depth); err != nil {
			return b, err
		}
	}
}

// entry is true if the map has one more key; otherwise its bracket is skipped.
func (s *ednScanner) entry(depth int) (bool, error) {
	c, ok, err := s.gap(depth)
	switch {
	case err != nil:
		return false, err
	case !ok:
		return false, s.cut("a map that wants a }")
	case c == '}':
		s.skip()
		return false, nil
	}
	return true, nil
}

func (s *ednScanner) mapValue(b []byte, depth int) ([]byte, error) {
	c, _, err := s.gap(depth)
	if err != nil {
		return b, err
	}
	if c == '}' {
		return b, s.fail("a map's last key has no value")
	}
	return s.form(b, depth+1)
}

// dispatch reads what begins with #: a set, a tag, a symbolic number.
func (s *ednScanner) dispatch(b []byte, depth int) ([]byte, error) {
	s.skip()
	c, ok := s.peek()
	switch {
	case !ok:
		return b, s.cut("a tag")
	case c == '{':
		return s.list(b, '}', depth)
	case c == '"' || c == '(': // a regular expression, a function
		return s.form(b, depth+1)
	case c == '#':
		s.skip()
		if err := s.token(); err != nil {
			return b, err
		}
		return appendString(b, string(s.tok)), nil
	}
	if err := s.token(); err != nil {
		return b, err
	}
	if len(s.tok) == 0 {
		return b, s.fail("got %q after #, want a tag or a set", string(c))
	}
	tuple := string(s.tok) == "jepsen.independent.Tuple"
	start := len(b)
	b, err := s.form(b, depth+1)
	if tuple && err == nil {
		b = asPair(b, start)
	}
	return b, err
}

// asPair turns the map {"key": k, "value": v} that begins at start into the
// pair [k,v], which is the other way that Jepsen writes a tuple.
func asPair(b []byte, start int) []byte {
	var t map[string]json.RawMessage
	if json.Unmarshal(b[start:], &t) != nil || len(t) != 2 || t["key"] == nil || t["value"] == nil {
		return b
	}
	pair, err := json.Marshal([]json.RawMessage{t["key"], t["value"]})
	if err != nil {
		return b
	}
	return append(b[:start], pair...)
}

// token reads up to the next delimiter into s.tok.
func (s *ednScanner) token() error {
	s.tok = s.tok[:0]
	for {
		c, ok := s.peek()
		if !ok && s.err != io.EOF {
			return s.cut("a word")
		}
		if !ok || ednDelimiter(c) {
			return nil
		}
		if s.tok = append(s.tok, c); len(s.tok) > MaxLine {
			return s.fail("the word is longer than %d MiB", MaxLine>>20)
		}
		s.skip()
	}
}

// str reads a string literal and appends its content to b.
func (s *ednScanner) str(b []byte) ([]byte, error) {
	s.skip()
	for {
		c, ok := s.peek()
		switch {
		case !ok:
			return b, s.cut("a string")
		case len(b) > MaxLine:
			return b, s.fail("the string is longer than %d MiB", MaxLine>>20)
		case c == '"':
			s.skip()
			return b, nil
		case c != '\\':
			b = append(b, c)
			s.skip()
			continue
		}
		s.skip()
		if c, ok = s.peek(); !ok {
			return b, s.cut("a string")
		}
		i := strings.IndexByte(`trnbf"\/'`, c)
		if i < 0 && c != 'u' {
			return b, s.fail(`got \%c in a string, want one of \t \r \n \b \f \" \\ \uXXXX`, c)
		}
		s.skip()
		if i >= 0 {
			b = append(b, "\t\r\n\b\f\"\\/'"[i])
			continue
		}
		var err error
		if b, err = s.unicode(b); err != nil {
			return b, err
		}
	}
}

// unicode reads the digits of \uXXXX, and a second such escape where the two
// are a surrogate pair.
func (s *ednScanner) unicode(b []byte) ([]byte, error) {
	first, err := s.hex4()
	if err != nil || !utf16.IsSurrogate(first) {
		return utf8.AppendRune(b, first), err
	}
	if c, ok := s.peek(); !ok || c != '\\' || s.second() != 'u' {
		return utf8.AppendRune(b, utf8.RuneError), nil
	}
	s.skip()
	s.skip()
	second, err := s.hex4()
	if r := utf16.DecodeRune(first, second); r != utf8.RuneError {
		return utf8.AppendRune(b, r), err
	}
	b = utf8.AppendRune(b, utf8.RuneError)
	return utf8.AppendRune(b, second), err // which replaces a surrogate
}

func (s *ednScanner) hex4() (n rune, err error) {
	for range 4 {
		c, ok := s.peek()
		if !ok {
			return 0, s.cut("a string")
		}
		digit, err := strconv.ParseUint(string(c), 16, 8)
		if err != nil {
			return 0, s.fail(`got %q in \uXXXX, want four hexadecimal digits`, string(c))
		}
		n = n<<4 | rune(digit)
		s.skip()
	}
	return n, nil
}

func (s *ednScanner) char(b []byte) ([]byte, error) {
	s.skip()
	c, ok := s.peek()
	if !ok {
		return b, s.cut("a character")
	}
	s.skip()
	if err := s.token(); err != nil {
		return b, err
	}
	name := string(c) + string(s.tok)
	for _, known := range [...][2]string{{"newline", "\n"}, {"space", " "}, {"tab", "\t"}, {"return", "\r"}, {"backspace", "\b"}, {"formfeed", "\f"}} {
		if name == known[0] {
			return appendString(b, known[1]), nil
		}
	}
	if name[0] == 'u' && len(name) == 5 {
		if n, err := strconv.ParseUint(name[1:], 16, 32); err == nil {
			return appendString(b, string(rune(n))), nil
		}
	}
	return appendString(b, string(append([]byte{c}, s.tok...))), nil
}

// atom reads nil, a boolean, a number, a keyword or a symbol.
func (s *ednScanner) atom(b []byte) ([]byte, error) {
	if err := s.token(); err != nil {
		return b, err
	}
	switch t := s.tok; {
	case string(t) == "nil":
		return append(b, "null"...), nil
	case string(t) == "true", string(t) == "false":
		return append(b, t...), nil
	case t[0] == ':':
		if len(t) == 1 {
			return b, s.fail("a keyword has no name")
		}
		return appendQuoted(b, t[1:]), nil
	case t[0] >= '0' && t[0] <= '9', len(t) > 1 && (t[0] == '-' || t[0] == '+') && t[1] >= '0' && t[1] <= '9':
		if end, ok := skipNumber(t, 0); ok && end == len(t) {
			return append(b, t...), nil
		}
		return s.number(b, string(t))
	}
	return appendString(b, string(s.tok)), nil
}

// number writes a number that JSON would not take as it is. A ratio becomes a
// string: a float would not be exact.
func (s *ednScanner) number(b []byte, t string) ([]byte, error) {
	if num, den, ok := strings.Cut(t, "/"); ok {
		_, ok1 := new(big.Int).SetString(num, 10)
		if _, ok2 := new(big.Int).SetString(den, 10); ok1 && ok2 {
			return appendString(b, t), nil
		}
		return b, s.fail("got %.40q, want a number", t)
	}
	digits := strings.TrimPrefix(strings.TrimRight(t, "NM"), "+")
	if len(t) > 10000 {
		return b, s.fail("the number has %d digits", len(t))
	}
	if n, ok := new(big.Int).SetString(digits, 0); ok { // 0x1f, 017
		return n.Append(b, 10), nil
	}
	if radix, rest, ok := strings.Cut(strings.ToLower(digits), "r"); ok { // 2r101
		base, err := strconv.Atoi(strings.TrimPrefix(radix, "-"))
		if err != nil || base < 2 || base > 36 {
			return b, s.fail("got %.40q, want a radix from 2 to 36", t)
		}
		if n, ok := new(big.Int).SetString(rest, base); ok {
			if radix[0] == '-' {
				n.Neg(n)
			}
			return n.Append(b, 10), nil
		}
	}
	if strings.HasSuffix(digits, ".") {
		digits += "0"
	}
	if end, ok := skipNumber([]byte(digits), 0); ok && end == len(digits) {
		return append(b, digits...), nil
	}
	return b, s.fail("got %.40q, want a number", t)
}
