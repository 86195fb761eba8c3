package lossy

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// blockSize is the unit in which content is kept.
const blockSize = 4096

// inode names a file behind, whatever its path.
type inode struct{ dev, ino uint64 }

// undoLog knows how everything was at the last sync.
type undoLog struct {
	folder string // for what may have to come back
	next   atomic.Int64

	mu    sync.Mutex // may be held when one takes a content's lock, never the other way round
	files map[inode]*content
	names []change // in order
}

// change of a name: how to take it back, and what is to be forgotten once it
// need not be.
type change struct {
	undo  func() error
	grave string
}

// content is what one file held at its last sync, as far as it was changed.
type content struct {
	mu    sync.Mutex
	file  *os.File // read and write
	saved *os.File // the blocks as they were, in their places; nil until needed
	have  map[int64]bool
	size  int64
	clean bool // nothing was changed since the sync
}

func newLog(folder string) (*undoLog, error) {
	if err := os.RemoveAll(folder); err != nil {
		return nil, fmt.Errorf("forget an old undo log: %w", err)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("make the undo log: %w", err)
	}
	return &undoLog{folder: folder, files: map[inode]*content{}}, nil
}

// place is a new path for something that may have to come back.
func (l *undoLog) place() string {
	return filepath.Join(l.folder, strconv.FormatInt(l.next.Add(1), 10))
}

// lock finds the content of an open file and locks it, for a change or a sync.
func (l *undoLog) lock(fd int) (*content, error) {
	for {
		c, err := l.content(fd)
		if err != nil {
			return nil, err
		}
		c.mu.Lock()
		if c.file != nil {
			return c, nil
		}
		c.mu.Unlock() // shut in the meantime
	}
}

func (l *undoLog) content(fd int) (*content, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	id := inode{st.Dev, st.Ino}
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.files[id]; c != nil {
		return c, nil
	}
	// Held open, the file can be restored wherever its name goes; and its
	// number is given to no other.
	f, err := os.OpenFile("/proc/self/fd/"+strconv.Itoa(fd), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	c := &content{file: f, have: map[int64]bool{}, clean: true}
	l.files[id] = c
	return c, nil
}

// keep saves what the file holds between two offsets before it is changed. The
// caller holds c.mu.
func (l *undoLog) keep(c *content, from, to int64) error {
	if c.clean {
		st, err := c.file.Stat()
		if err != nil {
			return err
		}
		c.size, c.clean = st.Size(), false
	}
	to = min(to, c.size)
	buf := make([]byte, blockSize)
	for b := from / blockSize; b*blockSize < to; b++ {
		if c.have[b] {
			continue
		}
		n, err := c.file.ReadAt(buf, b*blockSize)
		if n == 0 && err != nil {
			break // beyond the end that the file has now: nothing there to be kept
		}
		if err := l.save(c, buf[:n], b*blockSize); err != nil {
			return err
		}
		c.have[b] = true
	}
	return nil
}

func (l *undoLog) save(c *content, b []byte, at int64) error {
	if c.saved == nil {
		name := l.place()
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		if err := os.Remove(name); err != nil {
			return errors.Join(err, f.Close())
		}
		c.saved = f
	}
	_, err := c.saved.WriteAt(b, at)
	return err
}

// synced forgets how the file was. The caller holds c.mu.
func (c *content) synced() error {
	clear(c.have)
	c.clean = true
	if c.saved == nil {
		return nil
	}
	err := c.saved.Close()
	c.saved = nil
	return err
}

// restore makes the file be as it was.
func (c *content) restore() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.clean {
		return nil
	}
	if err := c.file.Truncate(c.size); err != nil {
		return err
	}
	buf := make([]byte, blockSize)
	for b := range c.have {
		at := b * blockSize
		n := min(blockSize, c.size-at)
		if _, err := c.saved.ReadAt(buf[:n], at); err != nil {
			return err
		}
		if _, err := c.file.WriteAt(buf[:n], at); err != nil {
			return err
		}
	}
	return c.synced()
}

// names does one change of names and remembers how to take it back. do gets a
// place to put away what would be lost.
func (l *undoLog) name(do func(grave string) (undo func() error, err error)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	grave := l.place()
	undo, err := do(grave)
	if err == nil {
		l.names = append(l.names, change{undo: undo, grave: grave})
	}
	return err
}

// commit makes the names stay as they are now.
func (l *undoLog) commit() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	names := l.names
	l.names = nil
	var errs []error
	for _, n := range names {
		errs = append(errs, l.bury(n.grave))
	}
	if len(l.files) >= maxOpen {
		l.shut()
	}
	return errors.Join(errs...)
}

// bury removes what nobody will want back, and does not hold it open. The
// caller holds l.mu.
func (l *undoLog) bury(grave string) error {
	var st unix.Stat_t
	if err := unix.Lstat(grave, &st); err != nil {
		return nil // nothing was put there
	}
	id := inode{st.Dev, st.Ino}
	if c := l.files[id]; c != nil && st.Nlink == 1 && c.mu.TryLock() {
		// Whoever has it open still may write on, and begins anew.
		l.drop(id, c)
		c.mu.Unlock()
	}
	return os.RemoveAll(grave)
}

// shut closes files that are clean and not in use. The caller holds l.mu.
func (l *undoLog) shut() {
	for id, c := range l.files {
		if !c.mu.TryLock() {
			continue
		}
		if c.clean {
			l.drop(id, c)
		}
		c.mu.Unlock()
	}
}

// drop forgets a file. The caller holds both locks.
func (l *undoLog) drop(id inode, c *content) {
	// All was written; what may fail here is of no use any more.
	_, _ = c.file.Close(), c.synced()
	c.file = nil
	delete(l.files, id)
}

// maxOpen is how many files are held open before those that are clean are
// closed.
const maxOpen = 4096

// rollback takes back everything since the last sync: first the content, which
// does not depend on names, then the names from the last to the first.
func (l *undoLog) rollback() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, c := range l.files {
		errs = append(errs, c.restore())
	}
	for i := len(l.names) - 1; i >= 0; i-- {
		errs = append(errs, l.names[i].undo())
	}
	for _, c := range l.files {
		errs = append(errs, c.file.Close())
	}
	l.names, l.files = nil, map[inode]*content{}
	return errors.Join(errs...)
}
