package host

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// shutdown is FS_IOC_SHUTDOWN, and noLogFlush its mode in which not even
	// the journal is written any more.
	shutdown   = 0x8004587d
	noLogFlush = 2

	loopMajor   = 7
	loopTrials  = 10
	leaveWait   = 10 * time.Second
	ballastStep = 100 * time.Millisecond
)

// loop is a volume on an ext4 of its own. The server sees a folder of it, so
// that what is beside stays out of its sight.
type loop struct {
	dir   string // where the server's folder is mounted
	image string // the file that holds the file system
	root  string // where all of it is mounted, for us

	mu     sync.Mutex
	device *os.File      // held open: the kernel detaches it with its last user
	full   chan struct{} // closed to end the filling; nil while it is not full
}

func openLoop(dir, back, name string, size int64) (backing, error) {
	l := &loop{dir: dir, image: filepath.Join(back, "disk.img"), root: filepath.Join("/run/capstan", name)}
	if err := os.MkdirAll(l.root, 0o755); err != nil {
		return nil, fmt.Errorf("make a place to mount: %w", err)
	}
	if device := mountedLoop(dir); device >= 0 {
		return l, l.adopt(device)
	}
	if _, err := os.Stat(l.image); errors.Is(err, os.ErrNotExist) {
		if err := l.format(size); err != nil {
			return nil, err
		}
	}
	return l, l.mount()
}

// mountedLoop is the number of the loop device whose file system is mounted on
// a folder; -1 if there is none.
func mountedLoop(dir string) int {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return -1
	}
	device := -1
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		major, minor := 0, 0
		if _, err := fmt.Sscanf(f[2], "%d:%d", &major, &minor); err == nil && f[4] == dir && major == loopMajor {
			device = minor
		}
	}
	return device
}

// adopt takes over what is mounted. A second mount of the same device is the
// same file system.
func (l *loop) adopt(n int) error {
	device, err := openDevice(n)
	if err != nil {
		return err
	}
	l.device = device
	if err := unix.Mount(device.Name(), l.root, "ext4", unix.MS_NOATIME, "errors=remount-ro"); err != nil {
		return fmt.Errorf("mount %s: %w", device.Name(), err)
	}
	return l.set(Disk{})
}

func (l *loop) format(size int64) error {
	f, err := os.OpenFile(l.image, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("make the image: %w", err)
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		return fmt.Errorf("make the image: %w", err)
	}
	// No reserved blocks: full is full for everybody.
	out, err := exec.Command("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", l.image).CombinedOutput()
	if err != nil {
		return fmt.Errorf("make a file system: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// mount attaches the image, and replays its journal if it needs that.
func (l *loop) mount() error {
	device, err := attach(l.image)
	if err != nil {
		return err
	}
	l.device = device
	if err := unix.Mount(device.Name(), l.root, "ext4", unix.MS_NOATIME, "errors=remount-ro"); err != nil {
		return fmt.Errorf("mount %s: %w", device.Name(), err)
	}
	data := filepath.Join(l.root, "data")
	if err := os.MkdirAll(data, 0o755); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	if err := unix.Mount(data, l.dir, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount the data folder: %w", err)
	}
	return nil
}

// attach gives an image a free loop device, which goes with its last user.
func attach(image string) (*os.File, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("ask for a loop device: %w", err)
	}
	defer control.Close()
	file, err := os.OpenFile(image, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open the image: %w", err)
	}
	defer file.Close()
	for trial := 1; ; trial++ {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("ask for a loop device: %w", err)
		}
		device, err := configure(n, int(file.Fd()))
		if err == nil || trial == loopTrials || !errors.Is(err, unix.EBUSY) {
			return device, err
		}
	}
}

func configure(n, file int) (*os.File, error) {
	device, err := openDevice(n)
	if err != nil {
		return nil, err
	}
	config := unix.LoopConfig{Fd: uint32(file)}
	config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR
	if err := unix.IoctlLoopConfigure(int(device.Fd()), &config); err != nil {
		device.Close()
		return nil, fmt.Errorf("attach %s: %w", device.Name(), err)
	}
	return device, nil
}

func openDevice(n int) (*os.File, error) {
	path := fmt.Sprintf("/dev/loop%d", n)
	if err := unix.Mknod(path, unix.S_IFBLK|0o600, int(unix.Mkdev(loopMajor, uint32(n)))); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, fmt.Errorf("make %s: %w", path, err)
	}
	device, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open loop device: %w", err)
	}
	return device, nil
}

// crash shuts the file system down without another word to the disk, and
// mounts what is there.
func (l *loop) crash() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopFilling()
	if err := l.shutdown(); err != nil {
		return err
	}
	if err := l.leave(); err != nil {
		return err
	}
	return l.mount()
}

func (l *loop) shutdown() error {
	root, err := os.Open(l.root)
	if err != nil {
		return fmt.Errorf("open the file system: %w", err)
	}
	defer root.Close()
	if err := unix.IoctlSetPointerInt(int(root.Fd()), shutdown, noLogFlush); err != nil {
		return fmt.Errorf("shut the file system down: %w", err)
	}
	return nil
}

// leave unmounts and waits until the kernel has forgotten the file system: a
// mount before that would give the dead one again.
func (l *loop) leave() error {
	for _, dir := range []string{l.dir, l.root} {
		if err := unmountAll(dir); err != nil {
			return err
		}
	}
	state := filepath.Join("/sys/fs/ext4", filepath.Base(l.device.Name()))
	for end := time.Now().Add(leaveWait); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(state); errors.Is(err, os.ErrNotExist) {
			break
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s is still in use after %v", l.device.Name(), leaveWait)
		}
	}
	return l.device.Close()
}

// commit is nothing: whoever wipes goes on by writing, and syncs that.
func (l *loop) commit() error { return nil }

func (l *loop) set(d Disk) error {
	if d.ReadOnly || d.Delay != 0 || d.ReadErrors+d.WriteErrors+d.SyncErrors != 0 {
		return errors.New("a disk on a loop device can be full and can crash, no more")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !d.Full {
		l.stopFilling()
		if err := os.Remove(l.ballast()); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("free the disk: %w", err)
		}
		return nil
	}
	if l.full != nil {
		return nil
	}
	if err := l.fill(); err != nil {
		return fmt.Errorf("fill the disk: %w", err)
	}
	l.full = make(chan struct{})
	go l.keepFull(l.full)
	return nil
}

func (l *loop) ballast() string { return filepath.Join(l.root, "ballast") }

// fill takes all free blocks, in ever smaller pieces.
func (l *loop) fill() error {
	f, err := os.OpenFile(l.ballast(), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	size := st.Size()
	for piece := int64(1 << 30); piece >= 4096; {
		switch err := unix.Fallocate(int(f.Fd()), 0, size, piece); err {
		case nil:
			size += piece
		case unix.ENOSPC:
			if st, err := f.Stat(); err == nil {
				size = max(size, st.Size())
			}
			piece /= 2
		default:
			return err
		}
	}
	return nil
}

// keepFull takes what others free.
func (l *loop) keepFull(end chan struct{}) {
	tick := time.NewTicker(ballastStep)
	defer tick.Stop()
	for {
		select {
		case <-end:
			return
		case <-tick.C:
			l.mu.Lock()
			if l.full == end {
				_ = l.fill() // the next one tries again
			}
			l.mu.Unlock()
		}
	}
}

func (l *loop) stopFilling() {
	if l.full != nil {
		close(l.full)
		l.full = nil
	}
}
