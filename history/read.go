package history

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"time"
)

// MaxLine is the longest line that Read accepts.
const MaxLine = 64 << 20

// ErrTruncated is what a ParseError is if the file ends within an event, as it
// does after a crash: what was read before is a good prefix.
var ErrTruncated = errors.New("history is cut off")

// ParseError says where a history file is wrong, and what would be right.
type ParseError struct {
	File      string // empty if unknown
	Line, Col int    // from 1; Col counts bytes
	Msg       string
	// Truncated is true if the input ends in the middle of an event.
	Truncated bool
}

// Error is FILE:LINE:COL: MESSAGE.
func (e *ParseError) Error() string {
	file := e.File
	if file == "" {
		file = "history"
	}
	if e.Line == 0 {
		return file + ": " + e.Msg
	}
	return fmt.Sprintf("%s:%d:%d: %s", file, e.Line, e.Col, e.Msg)
}

// Is makes errors.Is(err, ErrTruncated) work.
func (e *ParseError) Is(target error) bool { return target == ErrTruncated && e.Truncated }

// ReadFile reads a file of JSON lines; see Read.
func ReadFile(path string) (*History, error) {
	f, err := os.Open(path)
	if err != nil {
		return &History{}, fmt.Errorf("read history: %w", err)
	}
	defer f.Close()
	h, err := readSized(f, sizeOf(f))
	return h, inFile(path, err)
}

func inFile(path string, err error) error {
	var p *ParseError
	if errors.As(err, &p) && p.File == "" {
		p.File = path
	}
	return err
}

// Read reads JSON lines, one event a line, as the journal and other tools
// write them. On an error the history holds what was read before it; a
// *ParseError tells the line.
//
// Without any times an event's time is its position, so that the order is
// kept; an event that lacks only its own takes its predecessor's. The order of
// the events is that of their indexes if all have one, else that of the file,
// else that of their times: the first in which calls pair up. Times that go
// back against it are pulled along.
func Read(r io.Reader) (*History, error) { return readSized(r, 0) }

func readSized(r io.Reader, size int64) (*History, error) {
	s := settler{size: size}
	var err error
	for ev, e := range scan(&counted{r, &s.read}) {
		if e != nil {
			err = e
			break
		}
		s.add(ev.Event, ev.has)
	}
	return s.history(), err
}

// sizeOf is the file's size, 0 if unknown.
func sizeOf(f *os.File) int64 {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return 0
	}
	return info.Size()
}

// counted counts what was read.
type counted struct {
	r io.Reader
	n *int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	*c.n += int64(n)
	return n, err
}

// Scan reads JSON lines one by one and keeps nothing. It yields at most one
// error, as the last thing. Missing indexes are the position; missing times
// are 0.
func Scan(r io.Reader) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for ev, err := range scan(r) {
			if !yield(ev.Event, err) {
				return
			}
		}
	}
}

type scanned struct {
	Event
	has has
}

func scan(r io.Reader) iter.Seq2[scanned, error] {
	return func(yield func(scanned, error) bool) {
		var d decoder
		in := lines{r: bufio.NewReaderSize(r, 256<<10)}
		for n := 0; ; {
			b, err := in.next()
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(scanned{}, err)
				return
			}
			e, has, perr := d.line(b)
			if perr != nil {
				perr.Line = in.line
				perr.Col += in.indent
				if in.last {
					perr.Truncated = true
					perr.Msg = "the last line is cut off: " + perr.Msg
				}
				yield(scanned{}, perr)
				return
			}
			if !has.index {
				e.Index = n
			}
			n++
			if !yield(scanned{e, has}, nil) {
				return
			}
		}
	}
}

// lines gives the lines that are not blank.
type lines struct {
	r      *bufio.Reader
	long   []byte
	line   int  // the number of the line given last
	indent int  // how many bytes were trimmed from its left
	last   bool // it has no newline
}

func (l *lines) next() ([]byte, error) {
	for {
		b, err := l.raw()
		if err != nil {
			return nil, err
		}
		if l.line == 1 {
			b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
		}
		trimmed := bytes.TrimLeft(b, " \t\r\n")
		l.indent = len(b) - len(trimmed)
		if trimmed = bytes.TrimRight(trimmed, " \t\r\n"); len(trimmed) > 0 {
			return trimmed, nil
		}
	}
}

func (l *lines) raw() ([]byte, error) {
	l.long = l.long[:0]
	l.line++
	for {
		b, err := l.r.ReadSlice('\n')
		switch {
		case err == nil && len(l.long) == 0:
			return b, nil
		case err != nil && err != bufio.ErrBufferFull && err != io.EOF:
			return nil, fmt.Errorf("read history, line %d: %w", l.line, err)
		case len(l.long)+len(b) > MaxLine:
			return nil, &ParseError{Line: l.line, Col: MaxLine, Msg: fmt.Sprintf("the line is longer than %d MiB, want one event a line", MaxLine>>20)}
		}
		l.long = append(l.long, b...)
		switch {
		case err == io.EOF && len(l.long) == 0:
			return nil, io.EOF
		case err == io.EOF:
			l.last = true
			return l.long, nil
		case err == nil:
			return l.long, nil
		}
	}
}

// settler collects events and gives those without a time one.
type settler struct {
	events  []Event
	indexed int   // how many had an index
	timed   int   // how many had a time
	holes   []int // which had none, if any had
	size    int64 // of the input, 0 if unknown
	read    int64 // of that so far
}

// reserveAt is how many events it takes to guess how many there will be.
const reserveAt = 1 << 14

func (s *settler) add(e Event, h has) {
	if h.index {
		s.indexed++
	}
	if h.time {
		s.timed++
	} else {
		s.holes = append(s.holes, len(s.events))
	}
	if len(s.events) == reserveAt && s.size > s.read && s.read > 0 {
		n := float64(reserveAt) * float64(s.size) / float64(s.read) * 1.02
		s.events = append(make([]Event, 0, min(int(n), 1<<26)), s.events...)
	}
	s.events = append(s.events, e)
}

// history settles the order. That of the file is the order of a history, as
// in Jepsen, whose times need not agree with it: they are stamped elsewhere.
// Where every event has an index of its own, the indexes are the order. Times
// that go back are pulled along. An order in which calls do not pair up is
// not taken if there is one in which they do, at last that of the times.
func (s *settler) history() *History {
	for _, i := range s.holes {
		if i > 0 {
			s.events[i].Time = s.events[i-1].Time
		}
	}
	h := &History{Events: s.events}
	if s.indexed == len(s.events) {
		h.reorder(func(a, b Event) int { return cmp.Compare(a.Index, b.Index) })
	}
	if s.timed == 0 {
		for i := range h.Events {
			h.Events[i].Time = time.Duration(i)
		}
	}
	if !slices.IsSortedFunc(h.Events, byTime) {
		if _, err := Pairs(h); err != nil {
			h.reorder(byTime)
		}
		for i := 1; i < len(h.Events); i++ {
			h.Events[i].Time = max(h.Events[i].Time, h.Events[i-1].Time)
		}
	}
	h.number()
	return h
}

// number gives the events new indexes, in their order, if two of them have the
// same: an index names one event.
func (h *History) number() {
	ascending := true
	for i := 1; i < len(h.Events) && ascending; i++ {
		ascending = h.Events[i-1].Index < h.Events[i].Index
	}
	if ascending {
		return
	}
	seen := make(map[int]bool, len(h.Events))
	for i := range h.Events {
		if seen[h.Events[i].Index] {
			for j := range h.Events {
				h.Events[j].Index = j
			}
			return
		}
		seen[h.Events[i].Index] = true
	}
}

// reorder sorts the events, unless they are sorted already or calls would no
// longer pair up.
func (h *History) reorder(by func(a, b Event) int) {
	if slices.IsSortedFunc(h.Events, by) {
		return
	}
	sorted := &History{Events: slices.Clone(h.Events)}
	slices.SortStableFunc(sorted.Events, by)
	if _, err := Pairs(sorted); err == nil {
		h.Events = sorted.Events
	}
}

func byTime(a, b Event) int { return cmp.Compare(a.Time, b.Time) }

// Sort brings the events into order of time. At equal times their order
// stays. The events of one process stay in their order too: one that is
// earlier than its predecessor gets the predecessor's time, so that a call
// cannot end before it began. Indexes are not changed.
func (h *History) Sort() {
	if slices.IsSortedFunc(h.Events, byTime) {
		return
	}
	latest := map[int]time.Duration{}
	for i := range h.Events {
		e := &h.Events[i]
		if t, ok := latest[e.Process]; ok && t > e.Time {
			e.Time = t
		}
		latest[e.Process] = e.Time
	}
	slices.SortStableFunc(h.Events, byTime)
}
