package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// probeFile is ours, in the data folder.
const probeFile = ".capstan-probe"

// target is a file that damage may be done to.
type target struct {
	path string // below the data folder
	size int64
}

// damage flips bits and cuts ends off, and makes sure that it is on the disk.
func (d *disks) damage(_ context.Context, w Damage) ([]string, error) {
	dir := dataDir(w.Volume)
	files, err := targets(dir, w.Files)
	if err != nil {
		return nil, fmt.Errorf("look for files of volume %s: %w", w.Volume, err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("volume %s has no file with content that %q matches", w.Volume, w.Files)
	}
	rng := rand.New(rand.NewPCG(w.Seed, 0))
	var did []string
	var errs []error
	for range w.Flips {
		text, err := flip(dir, files, rng)
		did, errs = append(did, text), append(errs, err)
	}
	if w.Truncate > 0 {
		text, err := truncate(dir, files[rng.IntN(len(files))], w.Truncate)
		did, errs = append(did, text), append(errs, err)
	}
	return did, errors.Join(errs...)
}

// targets lists the files that match, in order, without empty ones.
func targets(dir, pattern string) (files []target, err error) {
	err = filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it was removed meanwhile
		}
		if err != nil || !e.Type().IsRegular() || e.Name() == probeFile {
			return err
		}
		below, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		ok, err := matches(pattern, below)
		if err != nil || !ok {
			return err
		}
		if info, err := e.Info(); err == nil && info.Size() > 0 {
			files = append(files, target{below, info.Size()})
		}
		return nil
	})
	return files, err
}

func matches(pattern, name string) (bool, error) {
	if pattern == "" {
		return true, nil
	}
	whole, err := path.Match(pattern, name)
	if err != nil || whole {
		return whole, err
	}
	return path.Match(pattern, path.Base(name))
}

// flip changes one bit, each of all files as likely as any other.
func flip(dir string, files []target, rng *rand.Rand) (string, error) {
	var all int64
	for _, f := range files {
		all += f.size
	}
	at := rng.Int64N(all)
	i := 0
	for ; at >= files[i].size; i++ {
		at -= files[i].size
	}
	bit := rng.IntN(8)
	f, err := os.OpenFile(filepath.Join(dir, files[i].path), os.O_RDWR, 0)
	if err != nil {
		return "", fmt.Errorf("damage file: %w", err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		return "", fmt.Errorf("damage file: %w", err)
	}
	b[0] ^= 1 << bit
	if _, err := f.WriteAt(b, at); err != nil {
		return "", fmt.Errorf("damage file: %w", err)
	}
	return fmt.Sprintf("%s: bit %d of byte %d flipped", files[i].path, bit, at), f.Sync()
}

func truncate(dir string, t target, bytes int64) (string, error) {
	name := filepath.Join(dir, t.path)
	size := max(0, t.size-bytes)
	if err := os.Truncate(name, size); err != nil {
		return "", fmt.Errorf("damage file: %w", err)
	}
	f, err := os.Open(name)
	if err != nil {
		return "", fmt.Errorf("damage file: %w", err)
	}
	defer f.Close()
	return fmt.Sprintf("%s: cut from %d to %d bytes", t.path, t.size, size), f.Sync()
}

// probe makes a small write, a sync and a read where the server makes its own.
func (d *disks) probe(_ context.Context, p Probe) (Probed, error) {
	dir := dataDir(p.Volume)
	if p.Container != "" {
		s, err := server(p.Container)
		if err != nil {
			return Probed{}, err
		}
		if s.pid != 0 {
			dir = filepath.Join(fmt.Sprintf("/proc/%d/root", s.pid), p.Target)
		}
	}
	var r Probed
	if err := r.measure(filepath.Join(dir, probeFile)); err != nil {
		r.Err = err.Error()
	}
	return r, nil
}

// measure uses the system calls themselves: the poller of package os would ask
// the file system questions of its own.
func (r *Probed) measure(name string) error {
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_CREAT|unix.O_TRUNC|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer unix.Close(fd)
	defer unix.Unlink(name)
	content := []byte("capstan was here")
	if err := timed(&r.Write, func() error { _, err := unix.Pwrite(fd, content, 0); return err }); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if err := timed(&r.Sync, func() error { return unix.Fsync(fd) }); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	// The read shall come to the disk.
	if err := unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED); err != nil {
		return fmt.Errorf("forget what was written: %w", err)
	}
	got := make([]byte, len(content))
	if err := timed(&r.Read, func() error { _, err := unix.Pread(fd, got, 0); return err }); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	if string(got) != string(content) {
		return fmt.Errorf("read: %q, which is not what was written", got)
	}
	return nil
}

func timed(took *int64, do func() error) error {
	start := time.Now()
	err := do()
	*took = int64(time.Since(start))
	return err
}
