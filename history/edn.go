package history

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// ReadEDN reads a history as Jepsen writes it: operation maps in one vector or
// list, or one after another. Values become JSON: keywords and symbols are
// strings, sets are arrays (small ones sorted, so that equal sets are equal
// values), maps have their keys as strings, ratios are strings, tags are dropped. A missing :index (or a negative one) is the
// position. Times and order are as in Read, and so is what comes back with an
// error.
func ReadEDN(r io.Reader) (*History, error) { return readEDNSized(r, 0) }

func readEDNSized(r io.Reader, size int64) (*History, error) {
	s := settler{size: size}
	in := ednReader{s: newEDNScanner(&counted{r, &s.read})}
	in.s.mark()
	err := in.all(func(e Event, h has) {
		if !h.index {
			e.Index = len(s.events)
		}
		s.add(e, h)
	})
	return s.history(), err
}

// ValueOfEDN is one EDN form as JSON, as ReadEDN has it in values.
func ValueOfEDN(text string) (json.RawMessage, error) {
	s := newEDNScanner(strings.NewReader(text))
	v, err := s.form(nil, 1)
	if err != nil {
		return nil, err
	}
	if _, more, err := s.gap(1); more || err != nil {
		return nil, s.fail("want one value")
	}
	return v, nil
}

type ednReader struct {
	s   *ednScanner
	d   decoder
	key []byte
	val []byte
}

// all reads the top level.
func (r *ednReader) all(emit func(Event, has)) error {
	var closing []byte // the brackets that are open
	for {
		c, ok, err := r.s.gap(0)
		switch {
		case err != nil:
			return err
		case !ok && (len(closing) > 0 || r.s.err != io.EOF):
			return r.s.cut("the list of operations")
		case !ok:
			return nil
		case len(closing) > 0 && c == closing[len(closing)-1]:
			r.s.skip()
			closing = closing[:len(closing)-1]
		case c == '[' && len(closing) == 0:
			r.s.skip()
			closing = append(closing, ']')
		case c == '(' && len(closing) == 0:
			r.s.skip()
			closing = append(closing, ')')
		case c == '#' && r.s.second() != '{':
			r.s.skip()
			if err := r.s.token(); err != nil {
				return err
			}
		case c == '\'': // a quoted list
			r.s.skip()
		case c == '^':
			r.s.skip()
			if r.val, err = r.s.form(r.val[:0], 1); err != nil {
				return err
			}
		case c == '{':
			e, h, err := r.event()
			if err != nil {
				return err
			}
			emit(e, h)
		default:
			return r.s.fail("got %q, want an operation {:type :invoke, :f :read, :process 0, ...}", string(c))
		}
	}
}

// event reads one operation map.
func (r *ednReader) event() (e Event, h has, err error) {
	at := *r.s // for the position of errors
	r.s.skip()
	e.Value = jsonNull
	var hasType, hasProcess bool
	for {
		more, err := r.s.entry(1)
		if err != nil {
			return e, h, err
		}
		if !more {
			break
		}
		if r.key, err = r.s.form(r.key[:0], 1); err != nil {
			return e, h, err
		}
		if r.val, err = r.s.mapValue(r.val[:0], 1); err != nil {
			return e, h, err
		}
		switch string(r.key) {
		case `"type"`:
			hasType = true
			name := text(r.val)
			var known bool
			if e.Kind, known = kindOf(name); !known {
				err = e.Kind.UnmarshalText([]byte(name))
			}
		case `"process"`:
			hasProcess = !isNull(r.val)
			if hasProcess {
				e.Process, err = process(r.val)
			}
		case `"f"`:
			e.F = r.text(r.val, ":")
		case `"node"`:
			e.Node = r.text(r.val, "")
		case `"error"`:
			e.Err = r.text(r.val, "")
		case `"value"`:
			e.Value = r.d.keep(r.val)
		case `"index"`:
			e.Index, h.index = ednIndex(r.val)
		case `"time"`:
			if !isNull(r.val) {
				var n int64
				n, err = number(r.val)
				e.Time, h.time = time.Duration(n), true
			}
		case `"due"`:
			if !isNull(r.val) {
				var n int64
				n, err = number(r.val)
				e.Due = time.Duration(n)
			}
		}
		if err != nil {
			return e, h, r.s.fail("%s: %v", strings.Trim(string(r.key), `"`), err)
		}
	}
	switch {
	case !hasType:
		err = at.fail("the operation has no :type, want :invoke, :ok, :fail or :info")
	case e.F == "":
		err = at.fail("the operation has no :f, want its name, e.g. :f :read")
	case !hasProcess && e.Kind == Invoke:
		err = at.fail("the operation has no :process, want a number or :nemesis")
	}
	return e, h, err
}

// text is the interned text of a value, without a prefix.
func (r *ednReader) text(v json.RawMessage, prefix string) string {
	if len(v) > 2 && v[0] == '"' && bytes.IndexByte(v, '\\') < 0 {
		return r.d.intern(bytes.TrimPrefix(v[1:len(v)-1], []byte(prefix)))
	}
	return r.d.intern([]byte(strings.TrimPrefix(text(v), prefix)))
}

func ednIndex(raw json.RawMessage) (int, bool) {
	n, err := number(raw)
	return int(n), err == nil
}

// WriteEDN writes the history as Jepsen does, one map a line. The nemesis'
// operations are :info at both ends. ReadEDN reads it back; only the nemesis'
// Invoke events come back as Info.
func WriteEDN(w io.Writer, h *History) error {
	out := bufio.NewWriterSize(w, 256<<10)
	var b []byte
	for i := range h.Events {
		var err error
		if b, err = appendEDN(b[:0], &h.Events[i]); err != nil {
			return err
		}
		if _, err := out.Write(append(b, '\n')); err != nil {
			return fmt.Errorf("write EDN: %w", err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write EDN: %w", err)
	}
	return nil
}

func appendEDN(b []byte, e *Event) ([]byte, error) {
	kind := e.Kind
	if e.Process == Nemesis {
		kind = Info
	}
	b = append(b, "{:type :"...)
	b = append(b, kind.String()...)
	b = append(b, ", :f "...)
	if keywordable(e.F) {
		b = append(append(b, ':'), e.F...)
	} else {
		b = appendEDNString(b, e.F)
	}
	b = append(b, ", :value "...)
	b, err := appendEDNValue(b, e.Value)
	if err != nil {
		return b, fmt.Errorf("write event %d as EDN: %w", e.Index, err)
	}
	b = append(b, ", :time "...)
	b = strconv.AppendInt(b, int64(e.Time), 10)
	if e.Due > 0 {
		b = strconv.AppendInt(append(b, ", :due "...), int64(e.Due), 10)
	}
	b = append(b, ", :process "...)
	if e.Process == Nemesis {
		b = append(b, ":nemesis"...)
	} else {
		b = strconv.AppendInt(b, int64(e.Process), 10)
	}
	b = append(b, ", :index "...)
	b = strconv.AppendInt(b, int64(e.Index), 10)
	if e.Node != "" {
		b = appendEDNString(append(b, ", :node "...), e.Node)
	}
	if e.Err != "" {
		b = appendEDNString(append(b, ", :error "...), e.Err)
	}
	return append(b, '}'), nil
}

// keywordable is true for what can stand behind a colon.
func keywordable(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || !(c >= '0' && c <= '9') && strings.IndexByte("-_.*+!?<>=", c) < 0) {
			return false
		}
	}
	return s != ""
}

func appendEDNString(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, '\\', 'n')
		case r < 0x20 || r == 0x7f:
			b = append(b, '\\', 'u', '0', '0', hexDigits[r>>4], hexDigits[r&15])
		default:
			b = append(b, string(r)...)
		}
	}
	return append(b, '"')
}

// appendEDNValue rewrites JSON as EDN, token by token.
func appendEDNValue(b []byte, v json.RawMessage) ([]byte, error) {
	if isNull(v) {
		return append(b, "nil"...), nil
	}
	if !json.Valid(v) {
		return b, errors.New("value is not JSON")
	}
	for i := 0; i < len(v); {
		switch c := v[i]; {
		case c == '"':
			end, ok := skipString(v, i)
			var s string
			if !ok || json.Unmarshal(v[i:end], &s) != nil {
				return b, errors.New("value has a broken string")
			}
			b = appendEDNString(b, s)
			i = end
		case c == 'n':
			b = append(b, "nil"...)
			i += len("null")
		case c == '-' || c >= '0' && c <= '9':
			end, _ := skipNumber(v, i)
			b = append(b, v[i:end]...)
			if _, err := strconv.ParseInt(string(v[i:end]), 10, 64); errors.Is(err, strconv.ErrRange) {
				b = append(b, 'N')
			}
			i = end
		case c == ':' || c == ',':
			b = append(b, ' ')
			i++
		default:
			b = append(b, c)
			i++
		}
	}
	return b, nil
}
