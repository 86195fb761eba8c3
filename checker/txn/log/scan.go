package log

import (
	"bytes"
	"errors"

	"github.com/capstan-dev/capstan/history"
)

// errOdd says that a text is not written in one of the usual ways. The reader
// of package history then reads it, or tells what is wrong with it.
var errOdd = errors.New("unusual")

// scanner walks over the text of operations. EDN and JSON differ only in how
// they write words: what separates is blank in both, and a word is a keyword or
// a string.
type scanner struct {
	b []byte
	i int
}

// What a byte is.
const (
	blank = 1 << iota
	opens
	closes
	digit
	plain // of a keyword, symbol or number
)

var kinds = func() (k [256]byte) {
	for _, c := range " ,\t\r\n" {
		k[c] = blank
	}
	for _, c := range "[({" {
		k[c] = opens
	}
	for _, c := range "])}" {
		k[c] = closes
	}
	for c := range 256 {
		switch {
		case c >= '0' && c <= '9':
			k[c] = digit | plain
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', bytes.IndexByte([]byte("+-*/_.!?<>=&%$|'#:"), byte(c)) >= 0, c >= 0x80:
			k[c] = plain
		}
	}
	return k
}()

// gap skips what separates, and returns the next byte; 0 at the end.
func (s *scanner) gap() byte {
	for s.i < len(s.b) {
		c := s.b[s.i]
		if kinds[c]&blank == 0 {
			return c
		}
		s.i++
	}
	return 0
}

// take skips what separates and the byte after it, if it is that one.
func (s *scanner) take(c byte) bool {
	if s.gap() != c {
		return false
	}
	s.i++
	return true
}

// word reads a keyword, a string without escapes or a symbol, without what
// marks it.
func (s *scanner) word() ([]byte, bool) {
	switch c := s.gap(); {
	case c == '"':
		end := bytes.IndexByte(s.b[s.i+1:], '"')
		if end < 0 {
			return nil, false
		}
		w := s.b[s.i+1 : s.i+1+end]
		s.i += end + 2
		return w, bytes.IndexByte(w, '\\') < 0
	case c == ':':
		s.i++
	}
	start := s.i
	for s.i < len(s.b) && kinds[s.b[s.i]]&plain != 0 {
		s.i++
	}
	return s.b[start:s.i], s.i > start
}

// field reads the name of a field: a keyword, or a string and its colon. The
// namespace of a keyword is left out.
func (s *scanner) field() ([]byte, bool) {
	quoted := s.gap() == '"'
	w, ok := s.word()
	if quoted {
		return w, ok && s.take(':')
	}
	if at := bytes.LastIndexByte(w, '/'); at >= 0 {
		w = w[at+1:]
	}
	return w, ok
}

// integer reads a natural number of at most 18 digits that nothing else
// follows.
func (s *scanner) integer() (n int64, ok bool) {
	s.gap()
	start := s.i
	for s.i < len(s.b) && kinds[s.b[s.i]]&digit != 0 {
		n = n*10 + int64(s.b[s.i]-'0')
		s.i++
	}
	digits := s.i - start
	if digits == 0 || digits > 18 || digits > 1 && s.b[start] == '0' || s.i < len(s.b) && kinds[s.b[s.i]]&plain != 0 {
		s.i = start
		return 0, false
	}
	return n, true
}

// null skips a nil.
func (s *scanner) null() bool {
	c := s.gap()
	if c != 'n' {
		return false
	}
	at := *s
	w, ok := s.word()
	if ok && (string(w) == "nil" || string(w) == "null") {
		return true
	}
	*s = at
	return false
}

// skip skips one form and returns its text. It answers false at the end of the
// text, and for what needs more than brackets and strings to be skipped.
func (s *scanner) skip() ([]byte, bool) {
	c := s.gap()
	start, depth := s.i, 0
	if c == '#' && !s.tag() || c == '\\' || c == ';' || c == '^' {
		return nil, false
	}
	for s.i < len(s.b) {
		c := s.b[s.i]
		switch k := kinds[c]; {
		case k&opens != 0:
			depth++
			s.i++
		case k&closes != 0:
			if depth == 0 {
				return nil, false
			}
			depth--
			s.i++
		case c == '"':
			if !s.quoted() {
				return nil, false
			}
		case c == '\\' || c == ';':
			return nil, false
		case depth == 0:
			for s.i < len(s.b) && kinds[s.b[s.i]]&plain != 0 {
				s.i++
			}
			if s.i == start {
				return nil, false
			}
		default:
			s.i++
			continue
		}
		if depth == 0 {
			return s.b[start:s.i], true
		}
	}
	return nil, false
}

// tag skips the tag of a literal, up to its form.
func (s *scanner) tag() bool {
	s.i++
	if s.i >= len(s.b) || s.b[s.i] == '_' || s.b[s.i] == '"' {
		return false
	}
	if s.b[s.i] == '{' { // a set
		return true
	}
	_, ok := s.word()
	return ok && s.gap() != 0
}

// quoted skips a string.
func (s *scanner) quoted() bool {
	for s.i++; s.i < len(s.b); s.i++ {
		switch s.b[s.i] {
		case '\\':
			s.i++
		case '"':
			s.i++
			return true
		}
	}
	return false
}

// text is a form as JSON, as package history has it.
func text(form []byte) (string, error) {
	v, err := history.ValueOfEDN(string(form))
	if err != nil {
		return "", errOdd
	}
	return string(v), nil
}
