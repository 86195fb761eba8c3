package history

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
)

// Format is how a history file is written.
type Format uint8

// The formats that Open tells apart.
const (
	UnknownFormat Format = iota
	JSONLines
	JSONArray
	EDN
)

// String is the format's name.
func (f Format) String() string {
	return [...]string{"unknown format", "JSON lines", "JSON array", "EDN"}[min(int(f), 3)]
}

// Open reads a history: a file of JSON lines, a JSON array of events, Jepsen's
// EDN, or a run directory that holds a history.jsonl (or, as Jepsen's do, a
// history.edn). The content tells the format, not the name. With an error come
// the events before it, see Read.
func Open(path string) (*History, Format, error) {
	path, err := historyIn(path)
	if err != nil {
		return &History{}, UnknownFormat, err
	}
	f, err := os.Open(path)
	if err != nil {
		return &History{}, UnknownFormat, fmt.Errorf("open history: %w", err)
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 64<<10)
	start, err := in.Peek(in.Size())
	if err != nil && err != io.EOF {
		return &History{}, UnknownFormat, fmt.Errorf("open history: %w", err)
	}
	format := sniff(start)
	var h *History
	switch format {
	case JSONLines:
		h, err = readSized(in, sizeOf(f))
	case JSONArray:
		h, err = readArray(in)
	case EDN:
		h, err = readEDNSized(in, sizeOf(f))
	default:
		return &History{}, format, &ParseError{File: path, Line: 1, Col: 1, Msg: fmt.Sprintf("not a history: it begins with %.20q, want JSON lines, a JSON array or Jepsen's EDN", start)}
	}
	return h, format, inFile(path, err)
}

func historyIn(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("open history: %w", err)
	}
	if !info.IsDir() {
		return path, nil
	}
	for _, name := range []string{"history.jsonl", "history.edn"} {
		file := filepath.Join(path, name)
		if _, err := os.Stat(file); err == nil {
			return file, nil
		}
	}
	return "", fmt.Errorf("open history: folder %s holds no history.jsonl or history.edn", path)
}

// sniff tells the format from the first bytes of a file.
func sniff(b []byte) Format {
	b = blank(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")))
	if len(b) == 0 {
		return JSONLines
	}
	array := b[0] == '['
	if array {
		if b = blank(b[1:]); len(b) == 0 || b[0] == ']' {
			return JSONArray
		}
	}
	switch b[0] {
	case '(', ';', '#', '^', ',', '\'':
		return EDN
	case '{':
	default:
		return UnknownFormat
	}
	json := JSONLines
	if array {
		json = JSONArray
	}
	switch b = blank(b[1:]); {
	case len(b) == 0 || b[0] == '}':
		return json
	case b[0] != '"':
		return EDN
	}
	if end, ok := skipString(b, 0); ok {
		if rest := blank(b[end:]); len(rest) > 0 && (rest[0] != ':' || isKeyword(rest)) {
			return EDN
		}
	}
	return json
}

// isKeyword tells {"type" :ok} from {"type":null}.
func isKeyword(b []byte) bool {
	if len(b) < 2 || b[1] < 'a' || b[1] > 'z' {
		return false
	}
	_, ok := skipValue(b, 1)
	return !ok
}

func blank(b []byte) []byte { return bytes.TrimLeft(b, " \t\r\n") }

// readArray reads a JSON array of events.
func readArray(r io.Reader) (*History, error) {
	var s settler
	err := arrayEvents(r, &s)
	return s.history(), err
}

func arrayEvents(r io.Reader, s *settler) error {
	in := &newlines{r: r}
	dec := json.NewDecoder(in)
	wrong := func(offset int64, err error) error {
		p := &ParseError{Msg: err.Error()}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			p.Msg, p.Truncated = "the input ends inside the array of events", true
		}
		p.Line, p.Col = in.position(offset)
		return p
	}
	if _, err := dec.Token(); err != nil {
		return wrong(dec.InputOffset(), err)
	}
	var d decoder
	for n := 0; dec.More(); n++ {
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return wrong(dec.InputOffset(), err)
		}
		e, h, perr := d.line(raw)
		if perr != nil {
			perr.Line, perr.Col = in.position(dec.InputOffset() - int64(len(raw)) + int64(perr.Col-1))
			return perr
		}
		if !h.index {
			e.Index = n
		}
		s.add(e, h)
	}
	if _, err := dec.Token(); err != nil {
		return wrong(dec.InputOffset(), err)
	}
	return nil
}

// newlines notes where the lines of what is read begin.
type newlines struct {
	r      io.Reader
	n      int64
	starts []int64 // of the second line and on
}

func (l *newlines) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	for i, c := range p[:n] {
		if c == '\n' {
			l.starts = append(l.starts, l.n+int64(i)+1)
		}
	}
	l.n += int64(n)
	return n, err
}

func (l *newlines) position(offset int64) (line, col int) {
	i := sort.Search(len(l.starts), func(i int) bool { return l.starts[i] > offset })
	start := int64(0)
	if i > 0 {
		start = l.starts[i-1]
	}
	return i + 1, int(offset-start) + 1
}
