package log

import (
	"bytes"
	"io"
	"math"
	"slices"
	"time"
)

// part reads the operations of one stretch of a file.
type part struct {
	b                     *builder
	procs                 index
	states                []process
	events                int32
	firstIndex, lastIndex int32
	// first are the transactions whose processes have no event before, so that
	// their invocations are in an earlier part, or nowhere.
	first   []orphan
	nemesis []disturbance
	// loose says that there is a completion without an invocation besides.
	loose, invoked, indexed, unindexed bool
}

// process is what a part knows of a process.
type process struct {
	number  int32
	opened  bool // its first event here is an invocation
	pending bool
	call    call
}

// call is an event, and the text of its value.
type call struct {
	time       time.Duration
	pos, index int32
	node       int32
	value      []byte
}

// orphan is a transaction whose invocation is not in the part.
type orphan struct {
	txn, process int32
	bare         bool // its completion has no value
}

// event is an operation as it is read.
type event struct {
	call
	kind    kind
	process int32
	parsed  bool // the value has been read
}

type kind uint8

const (
	unknown kind = iota
	invoke
	ok
	info
	fail
)

func kindOf(w []byte) kind {
	switch string(w) {
	case "invoke":
		return invoke
	case "ok":
		return ok
	case "info":
		return info
	case "fail":
		return fail
	}
	return unknown
}

func (k kind) outcome() Outcome {
	return [...]Outcome{Info, Info, OK, Info, Fail}[k]
}

// chunk is how much is read at once.
const chunk = 1 << 17

// read reads the operations between two places of a file that are boundaries.
// room is how many bytes of operations the arrays are to have room for.
func (p *part) read(f io.ReaderAt, from, to, room int64) error {
	buf, have := make([]byte, chunk), 0
	begin := from
	for {
		want := min(int64(len(buf)-have), to-from)
		n, err := f.ReadAt(buf[have:have+int(want)], from)
		if err != nil && err != io.EOF || n == 0 && want > 0 {
			return errOdd
		}
		from += int64(n)
		have += n
		whole := have
		if from < to {
			whole = lastBoundary(buf[:have])
		}
		if err := p.operations(&scanner{b: buf[:whole]}); err != nil {
			return err
		}
		if begin == from-int64(n) && n > 0 {
			p.b.reserve(float64(room) / float64(n))
		}
		if from >= to {
			return nil
		}
		have = copy(buf, buf[whole:have])
		if have == len(buf) {
			buf = append(buf, make([]byte, len(buf))...)
		}
	}
}

// reserve makes room for so many times what there is, and a little more.
func (b *builder) reserve(times float64) {
	const spare = 1.05
	b.log.Txns = slices.Grow(b.log.Txns, int(float64(len(b.log.Txns))*times*spare))
	b.log.Mops = slices.Grow(b.log.Mops, int(float64(len(b.log.Mops))*times*spare))
}

// boundary is the place of the first operation that begins a line after from;
// the length of b if there is none.
func boundary(b []byte, from int) int {
	for i := from; ; {
		at := bytes.IndexByte(b[i:], '\n')
		if at < 0 {
			return len(b)
		}
		i += at + 1
		if begins(b[i:]) {
			return i
		}
	}
}

func lastBoundary(b []byte) int {
	for i := len(b); ; {
		i = bytes.LastIndexByte(b[:i], '\n')
		if i < 0 {
			return 0
		}
		if begins(b[i+1:]) {
			return i + 1
		}
	}
}

// begins says whether a line begins with an operation.
func begins(b []byte) bool {
	s := scanner{b: b[:min(len(b), 64)]}
	c := s.gap()
	return c == '{' || c == '#'
}

func (p *part) operations(s *scanner) error {
	for {
		switch c := s.gap(); c {
		case 0:
			if s.i < len(s.b) {
				return errOdd // not the end, but a byte that is 0
			}
			return nil
		case '[', ']', '(', ')':
			s.i++
			continue
		case '#':
			if !s.tag() || s.gap() != '{' {
				return errOdd
			}
		case '{':
		default:
			return errOdd
		}
		if err := p.operation(s); err != nil {
			return err
		}
	}
}

// operation reads one operation and takes it in.
func (p *part) operation(s *scanner) error {
	e := event{process: math.MinInt32}
	e.index = Never
	before, begin := int32(len(p.b.log.Mops)), s.i
	s.i++
	for s.gap() != '}' {
		name, named := s.field()
		if !named {
			return errOdd
		}
		if err := p.field(s, &e, string(name)); err != nil {
			return err
		}
	}
	s.i++
	if e.kind == unknown || e.process == math.MinInt32 || !p.ordered(&e) {
		return errOdd
	}
	e.pos = p.events
	if p.events++; p.events == math.MaxInt32 {
		return errOdd
	}
	if e.process < 0 {
		p.b.log.Mops = p.b.log.Mops[:before]
		p.nemesis = append(p.nemesis, disturbance{e.pos, bytes.Clone(s.b[begin:s.i])})
		return nil
	}
	return p.take(&e, before)
}

// ordered says whether the indexes so far ascend, or there are none.
func (p *part) ordered(e *event) bool {
	if e.index == Never {
		p.unindexed = true
	} else {
		p.indexed = true
		if p.events == 0 {
			p.firstIndex = e.index
		} else if e.index <= p.lastIndex {
			return false
		}
		p.lastIndex = e.index
	}
	return !p.indexed || !p.unindexed
}

func (p *part) field(s *scanner, e *event, name string) error {
	switch name {
	case "type":
		w, there := s.word()
		if e.kind = kindOf(w); !there {
			return errOdd
		}
	case "process":
		return e.readProcess(s)
	case "time":
		n, there := s.integer()
		if !there {
			return errOdd
		}
		e.time = time.Duration(n)
	case "index":
		n, there := s.integer()
		if !there || n > math.MaxInt32 {
			return errOdd
		}
		e.index = int32(n)
	case "node":
		w, there := s.word()
		if !there {
			return errOdd
		}
		if string(w) != "null" && string(w) != "nil" {
			e.node = p.b.node(string(w))
		}
	case "value":
		if e.kind == ok {
			e.parsed = true
			return p.b.mops(s, true)
		}
		fallthrough
	default:
		form, there := s.skip()
		if !there {
			return errOdd
		}
		if name == "value" && string(form) != "nil" && string(form) != "null" {
			e.value = form
		}
	}
	return nil
}

func (e *event) readProcess(s *scanner) error {
	if n, there := s.integer(); there && n <= math.MaxInt32 {
		e.process = int32(n)
		return nil
	}
	w, there := s.word()
	if !there || string(w) != "nemesis" && string(w) != "-1" {
		return errOdd
	}
	e.process = -1
	return nil
}

// take makes a transaction of a completion, or remembers an invocation.
func (p *part) take(e *event, before int32) error {
	at, known := p.procs.get(int64(e.process))
	if !known {
		at = int32(len(p.states))
		p.procs.set(int64(e.process), at)
		p.states = append(p.states, process{number: e.process, opened: e.kind == invoke})
	}
	st := &p.states[at]
	if e.kind == invoke {
		if st.pending {
			return errOdd
		}
		p.invoked, st.pending = true, true
		value := append(st.call.value[:0], e.value...)
		st.call = e.call
		st.call.value = value
		return nil
	}
	t := e.txn()
	bare := !e.parsed && e.value == nil
	switch {
	case st.pending:
		t.invokedAt(&st.call)
		st.pending = false
		if bare {
			e.value = st.call.value
		}
	case !known:
		p.first = append(p.first, orphan{int32(len(p.b.log.Txns)), e.process, bare})
	default:
		p.loose = true
	}
	if err := p.values(e, bare); err != nil {
		return err
	}
	t.First, t.Last = before, int32(len(p.b.log.Mops))
	p.b.log.Txns = append(p.b.log.Txns, t)
	return nil
}

// values reads the micro-operations that have not been read.
func (p *part) values(e *event, bare bool) error {
	switch {
	case e.parsed:
		return nil
	case e.kind == ok && bare:
		return errOdd
	case len(e.value) == 0:
		return nil
	}
	return p.b.mops(&scanner{b: e.value}, e.kind == ok)
}

func (e *event) txn() Txn {
	return Txn{
		Start: e.time, End: e.time, Invoke: Never, InvokeIndex: Never, Complete: e.pos, CompleteIndex: e.index,
		Process: e.process, Node: e.node, Outcome: e.kind.outcome(),
	}
}

// invokedAt adds the invocation.
func (t *Txn) invokedAt(c *call) {
	t.Start, t.Invoke, t.InvokeIndex = c.time, c.pos, c.index
	if t.Node == 0 {
		t.Node = c.node
	}
}
