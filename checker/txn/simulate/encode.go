package simulate

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// Writer writes events as lines.
type Writer struct {
	out      *bufio.Writer
	buf      []byte
	line     func([]byte, *Event, Workload) []byte
	workload Workload
}

// NewWriter writes a workload's events in a format: edn, as Jepsen's
// history.edn, or jsonl, the same as JSON lines, as elle-cli reads them.
func NewWriter(w io.Writer, format string, workload Workload) (*Writer, error) {
	out := &Writer{out: bufio.NewWriterSize(w, 1<<20), workload: workload}
	switch format {
	case "edn":
		out.line = appendEDN
	case "jsonl":
		out.line = appendJSON
	default:
		return nil, fmt.Errorf("unknown format %q; there are: edn, jsonl", format)
	}
	return out, nil
}

// Write writes an event.
func (w *Writer) Write(e *Event) error {
	w.buf = w.line(w.buf[:0], e, w.workload)
	_, err := w.out.Write(w.buf)
	return err
}

// Close writes what is left. It does not close what is below.
func (w *Writer) Close() error { return w.out.Flush() }

func appendEDN(b []byte, e *Event, w Workload) []byte {
	b = append(b, "{:index "...)
	b = strconv.AppendInt(b, int64(e.Index), 10)
	b = append(b, ", :time "...)
	b = strconv.AppendInt(b, int64(e.Time), 10)
	b = append(b, ", :type :"...)
	b = append(b, e.Type.String()...)
	b = append(b, ", :process "...)
	b = strconv.AppendInt(b, int64(e.Process), 10)
	b = append(b, ", :f :txn, :value ["...)
	b = appendMops(b, e, w, ednText)
	return append(b, "]}\n"...)
}

func appendJSON(b []byte, e *Event, w Workload) []byte {
	b = append(b, `{"index":`...)
	b = strconv.AppendInt(b, int64(e.Index), 10)
	b = append(b, `,"time":`...)
	b = strconv.AppendInt(b, int64(e.Time), 10)
	b = append(b, `,"type":"`...)
	b = append(b, e.Type.String()...)
	b = append(b, `","process":`...)
	b = strconv.AppendInt(b, int64(e.Process), 10)
	b = append(b, `,"f":"txn","value":[`...)
	b = appendMops(b, e, w, jsonText)
	return append(b, "]}\n"...)
}

// text is what the formats have different.
type text struct{ write, open, close string }

// texts are those of the workloads in one format.
type texts struct {
	read, sep, null string
	of              [3]text
}

var (
	ednText  = texts{"[:r ", " ", "nil", [...]text{ListAppend: {"[:append ", "[", "]"}, RWRegister: {write: "[:w "}, SetAdd: {"[:add ", "#{", "}"}}}
	jsonText = texts{`["r",`, ",", "null", [...]text{ListAppend: {`["append",`, "[", "]"}, RWRegister: {write: `["w",`}, SetAdd: {`["add",`, "[", "]"}}}
)

func appendMops(b []byte, e *Event, w Workload, t texts) []byte {
	for i := range e.Mops {
		m := &e.Mops[i]
		if i > 0 {
			b = append(b, t.sep...)
		}
		if m.Write {
			b = append(b, t.of[w].write...)
		} else {
			b = append(b, t.read...)
		}
		b = strconv.AppendInt(b, int64(m.Key), 10)
		b = append(b, t.sep...)
		switch {
		case m.Write, e.Type == OK && w == RWRegister && m.Value != 0:
			b = strconv.AppendInt(b, int64(m.Value), 10)
		case e.Type != OK || w == RWRegister:
			b = append(b, t.null...)
		default:
			b = append(b, t.of[w].open...)
			b = appendList(b, m.List, w, t.sep)
			b = append(b, t.of[w].close...)
		}
		b = append(b, ']')
	}
	return b
}

// appendList writes elements, those of a set sorted: nothing is to be told of
// the order of adds.
func appendList(b []byte, list []int32, w Workload, sep string) []byte {
	if w == SetAdd {
		list = slices.Sorted(slices.Values(list))
	}
	for i, v := range list {
		if i > 0 {
			b = append(b, sep...)
		}
		b = strconv.AppendInt(b, int64(v), 10)
	}
	return b
}

// JSON is the event's micro-operations as JSON.
func (e *Event) JSON(w Workload) []byte {
	return append(appendMops([]byte{'['}, e, w, jsonText), ']')
}
