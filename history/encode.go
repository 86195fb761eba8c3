package history

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// AppendJSON appends the event to b as one JSON object without a newline, with
// its fields in a fixed order: the same event always gives the same bytes. It
// fails only for a value that is not JSON and for a kind that does not exist.
func AppendJSON(b []byte, e Event) ([]byte, error) {
	if int(e.Kind) >= len(kindNames) {
		return b, fmt.Errorf("encode event %d: no such kind: %d", e.Index, uint8(e.Kind))
	}
	b = append(b, `{"index":`...)
	b = strconv.AppendInt(b, int64(e.Index), 10)
	b = append(b, `,"time":`...)
	b = strconv.AppendInt(b, int64(e.Time), 10)
	if e.Due > 0 {
		b = append(b, `,"due":`...)
		b = strconv.AppendInt(b, int64(e.Due), 10)
	}
	b = append(b, `,"process":`...)
	if e.Process == Nemesis {
		b = append(b, `"nemesis"`...)
	} else {
		b = strconv.AppendInt(b, int64(e.Process), 10)
	}
	b = append(b, `,"type":"`...)
	b = append(b, kindNames[e.Kind]...)
	b = append(b, `","f":`...)
	b = appendString(b, e.F)
	if e.Node != "" {
		b = append(b, `,"node":`...)
		b = appendString(b, e.Node)
	}
	b = append(b, `,"value":`...)
	b, err := appendValue(b, e.Value)
	if err != nil {
		return b, fmt.Errorf("encode event %d (%s %s): %w", e.Index, e.Kind, e.F, err)
	}
	if e.Err != "" {
		b = append(b, `,"error":`...)
		b = appendString(b, e.Err)
	}
	return append(b, '}'), nil
}

// MarshalJSON gives the same bytes as AppendJSON.
func (e Event) MarshalJSON() ([]byte, error) { return AppendJSON(nil, e) }

// UnmarshalJSON reads what MarshalJSON writes, and what other tools write for
// an event. A missing index or time is 0.
func (e *Event) UnmarshalJSON(b []byte) error {
	var d decoder
	got, has, perr := d.line(bytes.TrimSpace(b))
	if perr != nil {
		return perr
	}
	if !has.index {
		got.Index = 0
	}
	*e = got
	return nil
}

func appendValue(b []byte, v json.RawMessage) ([]byte, error) {
	if len(v) == 0 {
		return append(b, "null"...), nil
	}
	if end, ok := skipValue(v, 0); !ok || end != len(v) {
		if !json.Valid(v) {
			return b, fmt.Errorf("value is not JSON: %.60q", v)
		}
		var buf bytes.Buffer
		if err := json.Compact(&buf, v); err != nil {
			return b, fmt.Errorf("compact value: %w", err)
		}
		v = buf.Bytes()
	}
	return append(b, v...), nil
}

const hexDigits = "0123456789abcdef"

// appendString quotes s as JSON. Bytes that are not UTF-8 become U+FFFD.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r)
			i += n
			continue
		}
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c < 0x20 || c == 0x7f:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			b = append(b, c)
		}
		i++
	}
	return append(b, '"')
}

// appendQuoted is appendString without the detour for what needs no escapes.
func appendQuoted(b, s []byte) []byte {
	for _, c := range s {
		if c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			return appendString(b, string(s))
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
