package lossy

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// node is a file or folder. What it does not do itself is passed through.
type node struct {
	*fs.LoopbackNode
	fs *FS
}

var (
	_ fs.NodeWrapChilder    = (*node)(nil)
	_ fs.NodeStatfser       = (*node)(nil)
	_ fs.NodeCreater        = (*node)(nil)
	_ fs.NodeOpener         = (*node)(nil)
	_ fs.NodeFsyncer        = (*node)(nil)
	_ fs.NodeMkdirer        = (*node)(nil)
	_ fs.NodeMknoder        = (*node)(nil)
	_ fs.NodeSymlinker      = (*node)(nil)
	_ fs.NodeLinker         = (*node)(nil)
	_ fs.NodeUnlinker       = (*node)(nil)
	_ fs.NodeRmdirer        = (*node)(nil)
	_ fs.NodeRenamer        = (*node)(nil)
	_ fs.NodeSetattrer      = (*node)(nil)
	_ fs.NodeTmpfiler       = (*node)(nil)
	_ fs.NodeCopyFileRanger = (*node)(nil)
	_ fs.NodeSetxattrer     = (*node)(nil)
	_ fs.NodeRemovexattrer  = (*node)(nil)
)

// WrapChild implements fs.NodeWrapChilder.
func (n *node) WrapChild(_ context.Context, child fs.InodeEmbedder) fs.InodeEmbedder {
	loop, ok := child.(*fs.LoopbackNode)
	if !ok {
		return child
	}
	return &node{LoopbackNode: loop, fs: n.fs}
}

// path behind the mount.
func (n *node) path() string { return filepath.Join(n.fs.data, n.Path(n.Root())) }

func (n *node) child(name string) string { return filepath.Join(n.path(), name) }

// Statfs implements fs.NodeStatfser.
func (n *node) Statfs(ctx context.Context, out *fuse.StatfsOut) syscall.Errno {
	errno := n.LoopbackNode.Statfs(ctx, out)
	if n.fs.now().Full {
		out.Bfree, out.Bavail = 0, 0
	}
	return errno
}

// make does something that makes a name, which a crash removes.
func (n *node) make(name string, do func() syscall.Errno) syscall.Errno {
	if errno := n.fs.mayGrow(); errno != 0 {
		return errno
	}
	path := n.child(name)
	var errno syscall.Errno
	err := n.fs.log.name(func(string) (func() error, error) {
		if errno = do(); errno != 0 {
			return nil, errno
		}
		return func() error { return os.RemoveAll(path) }, nil
	})
	return errnoOf(errno, err)
}

// remove moves a name to where a crash finds it again.
func (n *node) remove(name string, check func(path string) syscall.Errno) syscall.Errno {
	if errno := n.fs.mayChange(); errno != 0 {
		return errno
	}
	path := n.child(name)
	err := n.fs.log.name(func(grave string) (func() error, error) {
		if errno := check(path); errno != 0 {
			return nil, errno
		}
		if err := syscall.Rename(path, grave); err != nil {
			return nil, err
		}
		return func() error { return os.Rename(grave, path) }, nil
	})
	return fs.ToErrno(err)
}

func errnoOf(errno syscall.Errno, err error) syscall.Errno {
	if errno != 0 {
		return errno
	}
	return fs.ToErrno(err)
}

// Create implements fs.NodeCreater.
func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (inode *fs.Inode, h fs.FileHandle, _ uint32, errno syscall.Errno) {
	errno = n.make(name, func() (errno syscall.Errno) {
		inode, h, _, errno = n.LoopbackNode.Create(ctx, name, readable(flags)|syscall.O_EXCL, mode, out)
		return errno
	})
	if errno != 0 {
		return nil, nil, 0, errno
	}
	// The handle has no descriptor to be asked for; the log needs one.
	f, err := os.OpenFile(n.child(name), os.O_RDWR, 0)
	if err != nil {
		return nil, nil, 0, fs.ToErrno(err)
	}
	h.(fs.FileReleaser).Release(ctx)
	return inode, newFile(n.fs, f), 0, 0
}

// readable are flags with which a file is opened behind: what is overwritten
// must be read first, and whatever else they do is done by the kernel above.
func readable(flags uint32) uint32 {
	flags &^= syscall.O_APPEND | syscall.O_TRUNC | syscall.O_DIRECT | syscall.O_SYNC | syscall.O_DSYNC | fuse.FMODE_EXEC
	if flags&syscall.O_ACCMODE == syscall.O_WRONLY {
		flags = flags&^syscall.O_ACCMODE | syscall.O_RDWR
	}
	return flags
}

// Open implements fs.NodeOpener.
func (n *node) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if flags&syscall.O_ACCMODE != syscall.O_RDONLY {
		if errno := n.fs.mayChange(); errno != 0 {
			return nil, 0, errno
		}
	}
	f, err := os.OpenFile(n.path(), int(readable(flags))|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, 0, fs.ToErrno(err)
	}
	h := newFile(n.fs, f)
	if flags&syscall.O_TRUNC != 0 {
		if errno := h.truncate(0); errno != 0 {
			f.Close()
			return nil, 0, errno
		}
	}
	return h, fuse.FOPEN_KEEP_CACHE, 0
}

// Fsync implements fs.NodeFsyncer, for folders as well.
func (n *node) Fsync(ctx context.Context, h fs.FileHandle, flags uint32) syscall.Errno {
	if f, ok := h.(*file); ok {
		return f.Fsync(ctx, flags)
	}
	n.fs.pause()
	if n.fs.fails(n.fs.now().SyncErrors) {
		return syscall.EIO
	}
	return fs.ToErrno(n.fs.log.commit())
}

// Mkdir implements fs.NodeMkdirer.
func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (inode *fs.Inode, errno syscall.Errno) {
	errno = n.make(name, func() (errno syscall.Errno) {
		inode, errno = n.LoopbackNode.Mkdir(ctx, name, mode, out)
		return errno
	})
	return inode, errno
}

// Mknod implements fs.NodeMknoder.
func (n *node) Mknod(ctx context.Context, name string, mode, dev uint32, out *fuse.EntryOut) (inode *fs.Inode, errno syscall.Errno) {
	errno = n.make(name, func() (errno syscall.Errno) {
		inode, errno = n.LoopbackNode.Mknod(ctx, name, mode, dev, out)
		return errno
	})
	return inode, errno
}

// Symlink implements fs.NodeSymlinker.
func (n *node) Symlink(ctx context.Context, target, name string, out *fuse.EntryOut) (inode *fs.Inode, errno syscall.Errno) {
	errno = n.make(name, func() (errno syscall.Errno) {
		inode, errno = n.LoopbackNode.Symlink(ctx, target, name, out)
		return errno
	})
	return inode, errno
}

// Link implements fs.NodeLinker.
func (n *node) Link(ctx context.Context, target fs.InodeEmbedder, name string, out *fuse.EntryOut) (inode *fs.Inode, errno syscall.Errno) {
	t, ok := target.(*node)
	if !ok {
		return nil, syscall.EXDEV
	}
	errno = n.make(name, func() (errno syscall.Errno) {
		inode, errno = n.LoopbackNode.Link(ctx, t.LoopbackNode, name, out)
		return errno
	})
	return inode, errno
}

// Unlink implements fs.NodeUnlinker.
func (n *node) Unlink(_ context.Context, name string) syscall.Errno {
	return n.remove(name, func(string) syscall.Errno { return 0 })
}

// Rmdir implements fs.NodeRmdirer.
func (n *node) Rmdir(_ context.Context, name string) syscall.Errno {
	return n.remove(name, func(path string) syscall.Errno {
		entries, err := os.ReadDir(path)
		if err == nil && len(entries) > 0 {
			return syscall.ENOTEMPTY
		}
		return fs.ToErrno(err)
	})
}

// Rename implements fs.NodeRenamer. What it replaces comes back in a crash.
func (n *node) Rename(_ context.Context, name string, parent fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	to, ok := parent.(*node)
	if !ok {
		return syscall.EXDEV
	}
	if errno := n.fs.mayChange(); errno != 0 {
		return errno
	}
	from, target := n.child(name), to.child(newName)
	err := n.fs.log.name(func(grave string) (func() error, error) {
		if flags != 0 {
			return renameWith(from, target, uint(flags))
		}
		return replace(from, target, grave)
	})
	return fs.ToErrno(err)
}

func renameWith(from, to string, flags uint) (func() error, error) {
	if flags != unix.RENAME_NOREPLACE && flags != unix.RENAME_EXCHANGE {
		return nil, syscall.EINVAL
	}
	do := func(a, b string) error { return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, flags) }
	return func() error { return do(to, from) }, do(from, to)
}

func replace(from, to, grave string) (func() error, error) {
	st, err := os.Lstat(to)
	had := err == nil
	switch {
	case had && st.IsDir():
		// Removed first: that fails if it is not empty.
		if err := syscall.Rmdir(to); err != nil {
			return nil, err
		}
		if err := os.Mkdir(grave, st.Mode().Perm()); err != nil {
			return nil, err
		}
	case had:
		// With a second name it is kept and still replaced in one step.
		if err := os.Link(to, grave); err != nil {
			return nil, err
		}
	}
	if err := syscall.Rename(from, to); err != nil {
		return nil, errors.Join(err, os.RemoveAll(grave))
	}
	return func() error {
		if err := os.Rename(to, from); err != nil || !had {
			return err
		}
		return os.Rename(grave, to)
	}, nil
}

// Setattr implements fs.NodeSetattrer. Content that is cut off comes back in a
// crash.
func (n *node) Setattr(ctx context.Context, h fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if errno := n.fs.mayChange(); errno != 0 {
		return errno
	}
	if size, ok := in.GetSize(); ok {
		if errno := n.resize(h, int64(size)); errno != 0 {
			return errno
		}
	}
	var inner fs.FileHandle
	if f, ok := h.(*file); ok {
		inner = f.LoopbackFile
	}
	return n.LoopbackNode.Setattr(ctx, inner, in, out)
}

func (n *node) resize(h fs.FileHandle, size int64) syscall.Errno {
	if f, ok := h.(*file); ok {
		return f.truncate(size)
	}
	f, err := os.OpenFile(n.path(), os.O_RDWR|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return fs.ToErrno(err)
	}
	defer f.Close()
	return newFile(n.fs, f).truncate(size)
}

// Setxattr implements fs.NodeSetxattrer.
func (n *node) Setxattr(ctx context.Context, attr string, data []byte, flags uint32) syscall.Errno {
	if errno := n.fs.mayChange(); errno != 0 {
		return errno
	}
	return n.LoopbackNode.Setxattr(ctx, attr, data, flags)
}

// Removexattr implements fs.NodeRemovexattrer.
func (n *node) Removexattr(ctx context.Context, attr string) syscall.Errno {
	if errno := n.fs.mayChange(); errno != 0 {
		return errno
	}
	return n.LoopbackNode.Removexattr(ctx, attr)
}

// Tmpfile implements fs.NodeTmpfiler: programs do without.
func (n *node) Tmpfile(context.Context, uint32, uint32, *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	return nil, nil, 0, syscall.EOPNOTSUPP
}

// CopyFileRange implements fs.NodeCopyFileRanger: the kernel reads and writes
// instead.
func (n *node) CopyFileRange(context.Context, fs.FileHandle, uint64, *fs.Inode, fs.FileHandle, uint64, uint64, uint64) (uint32, syscall.Errno) {
	return 0, syscall.EOPNOTSUPP
}

// OpendirHandle implements fs.NodeOpendirHandler: a folder is synced here, too.
func (n *node) OpendirHandle(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	h, out, errno := n.LoopbackNode.OpendirHandle(ctx, flags)
	if errno != 0 {
		return nil, 0, errno
	}
	return &folder{dirHandle: h.(dirHandle), n: n}, out, 0
}

// folder is an open folder.
type folder struct {
	dirHandle
	n *node
}

type dirHandle interface {
	fs.FileReaddirenter
	fs.FileSeekdirer
	fs.FileReleasedirer
}

// Fsyncdir implements fs.FileFsyncdirer.
func (h *folder) Fsyncdir(ctx context.Context, flags uint32) syscall.Errno {
	return h.n.Fsync(ctx, nil, flags)
}
