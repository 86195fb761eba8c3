package reports

import (
	"bytes"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/capstan-dev/capstan/history"
)

// operation is a call as reports show it.
type operation struct {
	Invoke, Complete int // event indexes; -1 if there is none
	Process          int
	Node, F          string
	In, Out, Err     string
	Outcome          history.Kind
	Start, End       time.Duration
	// Open is true if nobody knows when, or whether, the call ended.
	Open bool
}

// operations pairs the client events of a history, in order of invocation. It
// is lenient: what does not pair up stands alone, since a report is written
// for every history, also for a malformed one.
func operations(h *history.History) []operation {
	var ops []operation
	open := map[int]int{} // process to position in ops
	end := lastTime(h)
	for _, e := range h.Events {
		if e.Process < 0 {
			continue
		}
		if e.Kind == history.Invoke {
			open[e.Process] = len(ops)
			ops = append(ops, operation{
				Invoke: e.Index, Complete: -1, Process: e.Process, Node: clean(e.Node), F: clean(e.F),
				In: show(e.Value), Outcome: history.Info, Start: e.Time, End: end, Open: true,
			})
			continue
		}
		i, ok := open[e.Process]
		if !ok {
			i = len(ops)
			ops = append(ops, operation{Invoke: -1, Process: e.Process, Node: clean(e.Node), F: clean(e.F), In: show(e.Value), Start: e.Time})
		}
		delete(open, e.Process)
		o := &ops[i]
		o.Complete, o.Outcome, o.Err = e.Index, e.Kind, clean(e.Err)
		if e.Kind != history.Info {
			o.End, o.Open = e.Time, false
		}
		if e.Kind == history.OK && show(e.Value) != o.In {
			o.Out = show(e.Value)
		}
	}
	return ops
}

func lastTime(h *history.History) time.Duration {
	var last time.Duration
	for _, e := range h.Events {
		last = max(last, e.Time)
	}
	return last
}

// latency is how long the call took; false if that is not known.
func (o operation) latency() (time.Duration, bool) {
	return o.End - o.Start, o.Invoke >= 0 && !o.Open
}

// Label is like `write [3,17]` or `read [3,null] → [3,16]`.
func (o operation) Label() string {
	s := o.F
	if o.In != "" && o.In != "null" {
		s += " " + o.In
	}
	if o.Out != "" {
		s += " → " + o.Out
	}
	return s
}

// Who is like `process 3 on n2`.
func (o operation) Who() string {
	if o.Node == "" {
		return fmt.Sprintf("process %d", o.Process)
	}
	return fmt.Sprintf("process %d on %s", o.Process, o.Node)
}

// maxShown bounds the length of a value in a report.
const maxShown = 200

// show is a value as text, shortened.
func show(b []byte) string {
	b = bytes.TrimSpace(b)
	if len(b) > maxShown {
		cut := maxShown
		for !utf8.RuneStart(b[cut]) {
			cut--
		}
		return clean(string(b[:cut])) + fmt.Sprintf("… (%d bytes)", len(b))
	}
	return clean(string(b))
}

// clean makes control characters and invalid UTF-8 visible, so that text from
// outside can neither drive a terminal nor break XML.
func clean(s string) string {
	ok := utf8.ValidString(s) && !strings.ContainsFunc(s, control)
	if ok {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case control(r):
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}

// control is true for all that is neither printable nor a line break.
func control(r rune) bool {
	return r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 || r == 0xfffe || r == 0xffff ||
		r == 0x200e || r == 0x200f || r == 0x061c || // direction marks
		r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// seconds is a time as reports show it.
func seconds(d time.Duration) string { return fmt.Sprintf("%.3f s", d.Seconds()) }

// short is a duration with three digits.
func short(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= time.Millisecond:
		return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%d µs", d.Microseconds())
}
