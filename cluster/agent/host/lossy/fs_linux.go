package lossy

import (
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// leaveTimeout bounds how long a crash waits for those who still use the
// mount, such as the namespace of a container that has just died.
const leaveTimeout = 10 * time.Second

// Faults is what is wrong with the disk. The zero value is a sound one.
type Faults struct {
	ReadOnly, Full                      bool
	Delay                               time.Duration
	ReadErrors, WriteErrors, SyncErrors float64
}

// FS is a mounted file system. Its methods may be called from any goroutine.
type FS struct {
	dir, data string
	log       *undoLog

	mu     sync.Mutex // guards what follows
	faults Faults
	rng    *rand.Rand
	server *fuse.Server
	root   *node
}

// Mount puts the file system on dir. Its files are in back/data; what may have
// to come back is in back/undo. Needs root and /dev/fuse.
func Mount(dir, back string) (*FS, error) {
	f := &FS{dir: dir, data: filepath.Join(back, "data"), rng: rand.New(rand.NewPCG(1, 2))}
	if err := os.MkdirAll(f.data, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder behind: %w", err)
	}
	var err error
	if f.log, err = newLog(filepath.Join(back, "undo")); err != nil {
		return nil, err
	}
	return f, f.mount()
}

func (f *FS) mount() error {
	var st unix.Stat_t
	if err := unix.Stat(f.data, &st); err != nil {
		return fmt.Errorf("look at the folder behind: %w", err)
	}
	root := &node{LoopbackNode: &fs.LoopbackNode{RootData: &fs.LoopbackRoot{Path: f.data, Dev: st.Dev}}, fs: f}
	root.RootData.RootNode = root
	// Nobody else changes the folder behind, so what the kernel knows stays
	// true.
	long := time.Hour
	server, err := fs.Mount(f.dir, root, &fs.Options{
		EntryTimeout: &long, AttrTimeout: &long,
		MountOptions: fuse.MountOptions{
			AllowOther: true, DirectMountStrict: true, Name: "capstan", FsName: "capstan",
			Options: []string{"default_permissions"}, MaxWrite: 1 << 20,
			Logger: log.New(io.Discard, "", 0),
		},
	})
	if err != nil {
		return fmt.Errorf("mount on %s: %w", f.dir, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.server, f.root = server, root
	return nil
}

// Set changes what is wrong with the disk. The kernel forgets what it has read
// before, so that reads come to the disk.
func (f *FS) Set(want Faults) {
	f.mu.Lock()
	f.faults = want
	root := f.root
	f.mu.Unlock()
	forget(root.EmbeddedInode())
}

// forget drops what the kernel has cached of files. An error is that it has
// nothing.
func forget(n *fs.Inode) {
	for _, child := range n.Children() {
		if child.IsDir() {
			forget(child)
		} else {
			_ = child.NotifyContent(0, 0)
		}
	}
}

// Crash takes back all that was not synced. Nobody may use the mount any more;
// it is another one afterwards.
func (f *FS) Crash() error {
	if err := f.leave(); err != nil {
		return err
	}
	if err := f.log.rollback(); err != nil {
		return errors.Join(fmt.Errorf("take back what was not synced: %w", err), f.mount())
	}
	return f.mount()
}

// Commit makes everything stay as it is now.
func (f *FS) Commit() error {
	f.log.mu.Lock()
	var errs []error
	for _, c := range f.log.files {
		c.mu.Lock()
		errs = append(errs, c.synced())
		c.mu.Unlock()
	}
	f.log.mu.Unlock()
	return errors.Join(append(errs, f.log.commit())...)
}

// Close ends the mount and keeps everything as it is.
func (f *FS) Close() error { return errors.Join(f.leave(), f.Commit()) }

func (f *FS) leave() error {
	if err := unix.Unmount(f.dir, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount %s: %w", f.dir, err)
	}
	f.mu.Lock()
	server := f.server
	f.mu.Unlock()
	gone := make(chan struct{})
	go func() {
		server.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-time.After(leaveTimeout):
		return fmt.Errorf("unmount %s: it is still in use after %v", f.dir, leaveTimeout)
	}
}

// now is what is wrong at this moment.
func (f *FS) now() Faults {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.faults
}

// fails draws whether an operation fails.
func (f *FS) fails(probability float64) bool {
	if probability <= 0 {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rng.Float64() < probability
}

// mayChange says what stops a change of names or attributes.
func (f *FS) mayChange() syscall.Errno {
	if f.now().ReadOnly {
		return syscall.EROFS
	}
	return 0
}

// mayGrow says what stops a change that needs space.
func (f *FS) mayGrow() syscall.Errno {
	now := f.now()
	switch {
	case now.ReadOnly:
		return syscall.EROFS
	case now.Full:
		return syscall.ENOSPC
	}
	return 0
}
