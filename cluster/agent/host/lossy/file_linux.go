package lossy

import (
	"context"
	"os"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// file is an open file. Locks, seeks and attributes are passed through.
type file struct {
	*fs.LoopbackFile
	fs *FS
	f  *os.File
}

func newFile(f *FS, of *os.File) *file {
	return &file{LoopbackFile: fs.NewLoopbackFileFromOS(of), fs: f, f: of}
}

func (h *file) fd() int { return int(h.f.Fd()) }

// PassthroughFd would let the kernel go to the file behind, past everything
// here.
func (h *file) PassthroughFd() (int, bool) { return 0, false }

// pause is what each operation takes longer.
func (f *FS) pause() {
	if d := f.now().Delay; d > 0 {
		time.Sleep(d)
	}
}

// Read implements fs.FileReader.
func (h *file) Read(ctx context.Context, buf []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	h.fs.pause()
	if h.fs.fails(h.fs.now().ReadErrors) {
		return nil, syscall.EIO
	}
	return h.LoopbackFile.Read(ctx, buf, off)
}

// Write implements fs.FileWriter.
func (h *file) Write(ctx context.Context, data []byte, off int64) (n uint32, errno syscall.Errno) {
	h.fs.pause()
	now := h.fs.now()
	switch {
	case now.ReadOnly:
		return 0, syscall.EROFS
	case h.fs.fails(now.WriteErrors):
		return 0, syscall.EIO
	case now.Full && h.needsSpace(off, int64(len(data))):
		return 0, syscall.ENOSPC
	}
	err := h.change(off, off+int64(len(data)), func() error {
		n, errno = h.LoopbackFile.Write(ctx, data, off)
		return nil
	})
	return n, errnoOf(errno, err)
}

// needsSpace says whether a range is not all there yet: beyond the end, or a
// hole.
func (h *file) needsSpace(off, length int64) bool {
	hole, err := unix.Seek(h.fd(), off, unix.SEEK_HOLE)
	return err != nil || hole < off+length
}

// change keeps a range of the file as it is, and then lets it be changed.
func (h *file) change(from, to int64, do func() error) error {
	c, err := h.fs.log.lock(h.fd())
	if err != nil {
		return err
	}
	defer c.mu.Unlock()
	if err := h.fs.log.keep(c, from, to); err != nil {
		return err
	}
	return do()
}

const farAway = int64(1) << 62

func (h *file) truncate(size int64) syscall.Errno {
	return fs.ToErrno(h.change(size, farAway, func() error { return unix.Ftruncate(h.fd(), size) }))
}

// Fsync implements fs.FileFsyncer.
func (h *file) Fsync(ctx context.Context, flags uint32) syscall.Errno {
	h.fs.pause()
	now := h.fs.now()
	if h.fs.fails(now.SyncErrors) {
		return syscall.EIO
	}
	c, err := h.fs.log.lock(h.fd())
	if err != nil {
		return fs.ToErrno(err)
	}
	errno := h.sync(ctx, c, flags, now.ReadOnly)
	c.mu.Unlock()
	if errno != 0 {
		return errno
	}
	return fs.ToErrno(h.fs.log.commit())
}

func (h *file) sync(ctx context.Context, c *content, flags uint32, readOnly bool) syscall.Errno {
	if readOnly && !c.clean {
		return syscall.EROFS
	}
	if errno := h.LoopbackFile.Fsync(ctx, flags); errno != 0 {
		return errno
	}
	return fs.ToErrno(c.synced())
}

// Allocate implements fs.FileAllocater.
func (h *file) Allocate(ctx context.Context, off, size uint64, mode uint32) (errno syscall.Errno) {
	now := h.fs.now()
	punch := mode&unix.FALLOC_FL_PUNCH_HOLE != 0
	switch {
	case mode&^(unix.FALLOC_FL_KEEP_SIZE|unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_ZERO_RANGE) != 0:
		return syscall.EOPNOTSUPP
	case now.ReadOnly:
		return syscall.EROFS
	case now.Full && !punch && h.needsSpace(int64(off), int64(size)):
		return syscall.ENOSPC
	}
	err := h.change(int64(off), int64(off+size), func() error {
		errno = h.LoopbackFile.Allocate(ctx, off, size, mode)
		return nil
	})
	return errnoOf(errno, err)
}
