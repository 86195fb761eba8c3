package history

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Recorder takes the events of a run as they happen.
type Recorder interface {
	// Append records an event and sets its index. A worker appends an
	// invocation before it makes the call and the completion after the call
	// has returned, so that at equal times the order is real.
	Append(Event) error
	// Flush returns when everything appended before is safe from a crash of
	// the process.
	Flush() error
}

const (
	flushEvery = 100 * time.Millisecond
	flushSize  = 1 << 20  // wakes the writer
	blockSize  = 64 << 20 // makes Append wait for the disk
)

// ErrClosed is returned by a journal that was closed.
var ErrClosed = errors.New("journal is closed")

// Journal streams events to a file of JSON lines. A crash at any moment leaves
// a readable prefix of it that lacks no more than the last 100 ms. All methods
// may be called from several goroutines.
type Journal struct {
	path string
	file *os.File

	mu       sync.Mutex // guards what follows
	buf      []byte
	n        int
	last     time.Duration
	unsorted bool
	err      error
	closed   bool

	writing sync.Mutex // held while writing; taken before mu
	spare   []byte     // guarded by writing

	wake chan struct{}
	quit chan struct{}
	done chan struct{}
}

// Create makes a new file, which must not exist, and starts its writer.
func Create(path string) (*Journal, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("create journal: %w", err)
	}
	j := &Journal{
		path: path, file: f,
		wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
	}
	go j.run()
	return j, nil
}

func (j *Journal) run() {
	defer close(j.done)
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-j.wake:
		case <-j.quit:
			return
		}
		_ = j.write() // remembered in j.err
	}
}

// Append records an event; its Index is set to its position. It does no I/O
// unless the disk is far behind. The error may stem from an earlier write.
func (j *Journal) Append(e Event) error {
	size, err := j.buffer(e)
	switch {
	case err != nil:
		return err
	case size > blockSize:
		return j.write()
	case size > flushSize:
		select {
		case j.wake <- struct{}{}:
		default:
		}
	}
	return nil
}

func (j *Journal) buffer(e Event) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return 0, j.err
	}
	if j.closed {
		return 0, ErrClosed
	}
	e.Index = j.n
	b, err := AppendJSON(j.buf, e)
	if err != nil {
		j.err = fmt.Errorf("append to journal: %w", err)
		return 0, j.err
	}
	j.buf = append(b, '\n')
	j.unsorted = j.unsorted || e.Time < j.last
	j.last = max(j.last, e.Time)
	j.n++
	return len(j.buf), nil
}

// Len is the number of events appended so far.
func (j *Journal) Len() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.n
}

// Flush writes everything appended so far to the file.
func (j *Journal) Flush() error { return j.write() }

func (j *Journal) write() error {
	j.writing.Lock()
	defer j.writing.Unlock()
	j.mu.Lock()
	b, err := j.buf, j.err
	j.buf = j.spare[:0]
	j.mu.Unlock()
	if err == nil && len(b) > 0 {
		if _, err = j.file.Write(b); err != nil {
			err = fmt.Errorf("write journal: %w", err)
		}
	}
	j.spare = b
	if err != nil {
		j.mu.Lock()
		j.err = err
		j.mu.Unlock()
	}
	return err
}

// Close writes what is left, brings the file into order of time if it is not
// (renumbering the indexes), and syncs it to the disk. A second Close returns
// ErrClosed.
func (j *Journal) Close() error {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return ErrClosed
	}
	j.closed = true
	j.mu.Unlock()
	close(j.quit)
	<-j.done
	err := j.write()
	if err == nil {
		if err = j.file.Sync(); err != nil {
			err = fmt.Errorf("sync journal: %w", err)
		}
	}
	if cerr := j.file.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("close journal: %w", cerr)
	}
	if err == nil && j.unsorted {
		err = j.reorder()
	}
	return err
}

// reorder replaces the file by one in order of time, atomically.
func (j *Journal) reorder() error {
	f, err := os.Open(j.path)
	if err != nil {
		return fmt.Errorf("sort journal: %w", err)
	}
	defer f.Close()
	h := &History{}
	for e, err := range Scan(f) {
		if err != nil {
			return fmt.Errorf("sort journal: %w", err)
		}
		h.Events = append(h.Events, e)
	}
	h.Sort()
	for i := range h.Events {
		h.Events[i].Index = i
	}
	if err := WriteFile(j.path, h); err != nil {
		return fmt.Errorf("sort journal: %w", err)
	}
	return nil
}

// Write writes the history as JSON lines.
func Write(w io.Writer, h *History) error {
	out := bufio.NewWriterSize(w, 256<<10)
	var b []byte
	for _, e := range h.Events {
		var err error
		if b, err = AppendJSON(b[:0], e); err != nil {
			return err
		}
		if _, err := out.Write(append(b, '\n')); err != nil {
			return fmt.Errorf("write history: %w", err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write history: %w", err)
	}
	return nil
}

// WriteFile writes the history as JSON lines to path, which it replaces as a
// whole or not at all.
func WriteFile(path string, h *History) (err error) {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("write history: %w", err)
	}
	err = Write(f, h)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		os.Remove(tmp)
		return fmt.Errorf("write history %s: %w", path, err)
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a rename in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync folder %s: %w", dir, err)
	}
	return nil
}

// Memory is a Recorder that keeps the events, for tests and short runs. Its
// zero value is ready to use from several goroutines.
type Memory struct {
	mu     sync.Mutex
	events []Event
}

// Append keeps the event; its Index is set to its position.
func (m *Memory) Append(e Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	e.Index = len(m.events)
	m.events = append(m.events, e)
	return nil
}

// Flush does nothing.
func (m *Memory) Flush() error { return nil }

// History is what was appended so far, in order of time and numbered from 0.
func (m *Memory) History() *History {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := &History{Events: append([]Event(nil), m.events...)}
	h.Sort()
	for i := range h.Events {
		h.Events[i].Index = i
	}
	return h
}
