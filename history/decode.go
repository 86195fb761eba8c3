package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// decoder turns lines into events. It interns what repeats (f, node, errors)
// and copies values into large chunks, so that an event costs no allocation of
// its own.
type decoder struct {
	strings map[string]string
	chunk   []byte
}

// has says which of the fields that may be missing were there.
type has struct{ index, time bool }

var jsonNull = json.RawMessage("null")

const (
	chunkSize   = 64 << 10
	maxInterned = 64
)

// intern returns b as a string, short ones always the same.
func (d *decoder) intern(b []byte) string {
	if s, ok := d.strings[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(b) > maxInterned || len(d.strings) >= 1<<16 {
		return s
	}
	if d.strings == nil {
		d.strings = map[string]string{}
	}
	d.strings[s] = s
	return s
}

// keep copies b to where it may stay.
func (d *decoder) keep(b []byte) json.RawMessage {
	if string(b) == "null" {
		return jsonNull
	}
	if len(b) > chunkSize/8 {
		return bytes.Clone(b)
	}
	if cap(d.chunk)-len(d.chunk) < len(b) {
		d.chunk = make([]byte, 0, chunkSize)
	}
	start := len(d.chunk)
	d.chunk = append(d.chunk, b...)
	return json.RawMessage(d.chunk[start:len(d.chunk):len(d.chunk)])
}

// line decodes one event from b, which holds no newline.
func (d *decoder) line(b []byte) (Event, has, *ParseError) {
	if e, ok := d.canonical(b); ok {
		return e, has{true, true}, nil
	}
	return d.foreign(b)
}

// canonical decodes what AppendJSON writes and answers false for all else.
func (d *decoder) canonical(b []byte) (e Event, ok bool) {
	c := cursor{b: b, ok: true}
	c.word(`{"index":`)
	index := c.integer()
	c.word(`,"time":`)
	nanos := c.integer()
	if c.try(`,"due":`) {
		e.Due = time.Duration(c.integer())
	}
	c.word(`,"process":`)
	e.Process = Nemesis
	if !c.try(`"nemesis"`) {
		e.Process = int(c.integer())
	}
	c.word(`,"type":`)
	kind, known := kindOf(string(c.plain()))
	c.word(`,"f":`)
	f := c.plain()
	var node, text []byte
	if c.try(`,"node":`) {
		node = c.plain()
	}
	c.word(`,"value":`)
	value := c.value()
	if c.try(`,"error":`) {
		text = c.plain()
	}
	c.word(`}`)
	if !c.ok || c.i != len(b) || !known || len(f) == 0 || f[0] == ':' {
		return Event{}, false
	}
	e.Index, e.Time, e.Kind = int(index), time.Duration(nanos), kind
	e.F, e.Node, e.Err, e.Value = d.intern(f), d.intern(node), d.intern(text), d.keep(value)
	return e, true
}

// cursor walks over a canonical line; ok turns false at the first surprise.
type cursor struct {
	b  []byte
	i  int
	ok bool
}

func (c *cursor) try(word string) bool {
	if c.ok && len(c.b)-c.i >= len(word) && string(c.b[c.i:c.i+len(word)]) == word {
		c.i += len(word)
		return true
	}
	return false
}

func (c *cursor) word(word string) { c.ok = c.try(word) }

// integer reads a natural number of at most 18 digits.
func (c *cursor) integer() (n int64) {
	start := c.i
	for c.i < len(c.b) && c.b[c.i] >= '0' && c.b[c.i] <= '9' {
		n = n*10 + int64(c.b[c.i]-'0')
		c.i++
	}
	if digits := c.i - start; digits == 0 || digits > 18 || digits > 1 && c.b[start] == '0' {
		c.ok = false
	}
	return n
}

// plain reads a string without escapes.
func (c *cursor) plain() []byte {
	start := c.i
	c.value()
	if !c.ok || c.b[start] != '"' {
		c.ok = false
		return nil
	}
	s := c.b[start+1 : c.i-1]
	if bytes.IndexByte(s, '\\') >= 0 {
		c.ok = false
	}
	return s
}

func (c *cursor) value() []byte {
	start := c.i
	if !c.ok {
		return nil
	}
	c.i, c.ok = skipValue(c.b, c.i)
	return c.b[start:c.i]
}

// wire is an event as any tool may have written it.
type wire struct {
	Index   json.RawMessage `json:"index"`
	Time    json.RawMessage `json:"time"`
	Due     json.RawMessage `json:"due"`
	Process json.RawMessage `json:"process"`
	Type    json.RawMessage `json:"type"`
	F       json.RawMessage `json:"f"`
	Node    json.RawMessage `json:"node"`
	Value   json.RawMessage `json:"value"`
	Error   json.RawMessage `json:"error"`
}

func (d *decoder) foreign(b []byte) (e Event, h has, perr *ParseError) {
	var w wire
	if err := json.Unmarshal(b, &w); err != nil {
		return e, h, jsonError(b, err)
	}
	field := func(name string, err error) *ParseError {
		col := 1
		if i := bytes.Index(b, []byte(`"`+name+`"`)); i >= 0 {
			col = i + 1
		}
		return &ParseError{Col: col, Msg: name + ": " + err.Error()}
	}
	var err error
	if !isNull(w.Index) {
		n, err := number(w.Index)
		if err != nil {
			return e, h, field("index", err)
		}
		e.Index, h.index = int(n), true
	}
	if !isNull(w.Time) {
		n, err := number(w.Time)
		if err != nil {
			return e, h, field("time", fmt.Errorf("%w (nanoseconds since the start)", err))
		}
		e.Time, h.time = time.Duration(n), true
	}
	if !isNull(w.Due) {
		n, err := number(w.Due)
		if err != nil {
			return e, h, field("due", fmt.Errorf("%w (nanoseconds since the start)", err))
		}
		e.Due = time.Duration(n)
	}
	if e.Process, err = process(w.Process); err != nil {
		return e, h, field("process", err)
	}
	if err := e.Kind.UnmarshalText([]byte(text(w.Type))); err != nil {
		return e, h, &ParseError{Col: field("type", err).Col, Msg: err.Error()}
	}
	if e.F = d.intern([]byte(strings.TrimPrefix(text(w.F), ":"))); e.F == "" {
		return e, h, field("f", errors.New(`missing, want the operation's name, e.g. "f":"read"`))
	}
	e.Node, e.Err = d.intern([]byte(text(w.Node))), d.intern([]byte(text(w.Error)))
	e.Value = jsonNull
	if !isNull(w.Value) {
		var buf bytes.Buffer
		if err := json.Compact(&buf, w.Value); err != nil {
			return e, h, field("value", err)
		}
		e.Value = d.keep(buf.Bytes())
	}
	return e, h, nil
}

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// text is a JSON string's content, and any other value's JSON.
func text(raw json.RawMessage) string {
	if isNull(raw) {
		return ""
	}
	if raw[0] == '"' && raw[len(raw)-1] == '"' && bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var buf bytes.Buffer
	if json.Compact(&buf, raw) != nil {
		return string(raw)
	}
	return buf.String()
}

// number reads a natural number, also one written as 1e9 or "12".
func number(raw json.RawMessage) (int64, error) {
	c := cursor{b: raw, ok: true}
	if n := c.integer(); c.ok && c.i == len(raw) {
		return n, nil
	}
	s := text(raw)
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		f, ferr := strconv.ParseFloat(s, 64)
		if ferr != nil || f != math.Trunc(f) || math.Abs(f) > 1<<62 {
			return 0, fmt.Errorf("got %.40s, want a whole number", raw)
		}
		n = int64(f)
	}
	if n < 0 {
		return 0, fmt.Errorf("got %d, want a number that is not negative", n)
	}
	return n, nil
}

func process(raw json.RawMessage) (int, error) {
	c := cursor{b: raw, ok: true}
	if n := c.integer(); c.ok && c.i == len(raw) && n <= math.MaxInt32 {
		return int(n), nil
	}
	name := strings.TrimPrefix(text(raw), ":")
	switch name {
	case "":
		return 0, errors.New(`missing, want a number or "nemesis"`)
	case "nemesis", "-1":
		return Nemesis, nil
	}
	n, err := number(json.RawMessage(name))
	if err != nil || n > math.MaxInt32 {
		return 0, fmt.Errorf(`got %.40s, want a number below 2^31 or "nemesis"`, raw)
	}
	return int(n), nil
}

// jsonError puts encoding/json's error where it happened.
func jsonError(b []byte, err error) *ParseError {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return &ParseError{Col: int(max(syntax.Offset, 1)), Msg: "not JSON: " + err.Error()}
	case errors.As(err, &kind) && kind.Field == "":
		return &ParseError{Col: 1, Msg: fmt.Sprintf("got a JSON %s, want an object with type, process, f and value", kind.Value)}
	}
	return &ParseError{Col: 1, Msg: fmt.Sprintf("%v in %.60q", err, b)}
}
