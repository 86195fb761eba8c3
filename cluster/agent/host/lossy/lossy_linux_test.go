package lossy_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/cluster/agent/host/lossy"
	"github.com/capstan-dev/capstan/internal/require"
)

type mounted struct {
	*lossy.FS
	dir, back string
}

// mount needs root and FUSE, or skips the test.
func mount(t testing.TB) mounted {
	t.Helper()
	m := mounted{dir: t.TempDir(), back: t.TempDir()}
	if f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0); err != nil {
		require.Skip(t, "fuse", err)
	} else {
		f.Close()
	}
	var err error
	if m.FS, err = lossy.Mount(m.dir, m.back); err != nil {
		if errors.Is(err, syscall.EPERM) {
			require.Skip(t, "fuse", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func (m mounted) path(name string) string { return filepath.Join(m.dir, name) }

func (m mounted) write(t testing.TB, name, content string, sync bool) {
	t.Helper()
	f, err := os.OpenFile(m.path(name), os.O_RDWR|os.O_CREATE, 0o644)
	must(t, err)
	defer f.Close()
	_, err = f.WriteAt([]byte(content), 0)
	must(t, err)
	if sync {
		must(t, f.Sync())
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tree is all paths with their contents.
func (m mounted) tree(t testing.TB) string {
	t.Helper()
	var all []string
	must(t, filepath.WalkDir(m.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || path == m.dir {
			return err
		}
		line := strings.TrimPrefix(path, m.dir+"/")
		switch {
		case d.IsDir():
			line += "/"
		case d.Type() == 0:
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += "=" + string(b)
		}
		all = append(all, line)
		return nil
	}))
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestCrashLosesWhatWasNotSynced(t *testing.T) {
	m := mount(t)
	m.write(t, "synced", "old", true)
	m.write(t, "gone", "x", true)
	must(t, os.Mkdir(m.path("dir"), 0o755))
	m.write(t, "dir/a", "a", true) // and with it everything before
	before := m.tree(t)

	m.write(t, "synced", "NEW CONTENT, LONGER", false)
	m.write(t, "new", "new", false)
	must(t, os.Remove(m.path("gone")))
	must(t, os.Truncate(m.path("dir/a"), 0))
	must(t, os.Rename(m.path("dir"), m.path("moved")))
	must(t, os.Rename(m.path("new"), m.path("synced")))
	must(t, os.Symlink("moved", m.path("link")))
	must(t, os.Mkdir(m.path("dir"), 0o755))
	must(t, os.Remove(m.path("moved/a")))
	must(t, os.Remove(m.path("moved")))
	must(t, m.Crash())
	if got := m.tree(t); got != before {
		t.Errorf("after the crash: %s\nwant %s", got, before)
	}

	// The way databases replace files.
	m.write(t, "tmp", "replaced", true)
	must(t, os.Rename(m.path("tmp"), m.path("synced")))
	d, err := os.Open(m.dir)
	must(t, err)
	must(t, d.Sync())
	d.Close()
	after := m.tree(t)
	must(t, m.Crash())
	if got := m.tree(t); got != after || !strings.Contains(got, "synced=replaced") {
		t.Errorf("after a crash with all synced: %s\nwant %s", got, after)
	}
}

// TestRandomCrashes compares with a model: contents as of the last sync.
func TestRandomCrashes(t *testing.T) {
	m := mount(t)
	rng := rand.New(rand.NewPCG(1, 1))
	const files = 5
	now, durable := make([][]byte, files), make([][]byte, files)
	for i := range files {
		m.write(t, fmt.Sprint(i), "", true)
	}
	d, err := os.Open(m.dir)
	must(t, err)
	must(t, d.Sync())
	d.Close()
	for round := range 25 {
		for range 60 {
			i := rng.IntN(files)
			f, err := os.OpenFile(m.path(fmt.Sprint(i)), os.O_RDWR, 0)
			must(t, err)
			switch rng.IntN(6) {
			case 0:
				must(t, f.Sync())
				durable[i] = slices.Clone(now[i])
			case 1:
				size := rng.IntN(20000)
				must(t, f.Truncate(int64(size)))
				now[i] = grow(now[i], size)[:size]
			default:
				at, data := rng.IntN(16000), bytes.Repeat([]byte{byte('a' + rng.IntN(26))}, 1+rng.IntN(9000))
				_, err := f.WriteAt(data, int64(at))
				must(t, err)
				now[i] = grow(now[i], at+len(data))
				copy(now[i][at:], data)
			}
			f.Close()
		}
		for i := range files {
			if got, err := os.ReadFile(m.path(fmt.Sprint(i))); err != nil || !bytes.Equal(got, now[i]) {
				t.Fatalf("round %d: file %d differs before the crash: %v", round, i, err)
			}
		}
		must(t, m.Crash())
		for i := range files {
			if got, err := os.ReadFile(m.path(fmt.Sprint(i))); err != nil || !bytes.Equal(got, durable[i]) {
				t.Fatalf("round %d: file %d differs after the crash: %d bytes, want %d, %v", round, i, len(got), len(durable[i]), err)
			}
			now[i] = slices.Clone(durable[i])
		}
	}
}

func grow(b []byte, size int) []byte {
	if size > len(b) {
		b = append(b, make([]byte, size-len(b))...)
	}
	return b
}

// TestRemovedFilesLeaveTheDisk: a removal that is synced gives the space back,
// also of a file with content that was not.
func TestRemovedFilesLeaveTheDisk(t *testing.T) {
	m := mount(t)
	m.write(t, "other", "x", true)
	for range 3 {
		must(t, os.WriteFile(m.path("big"), make([]byte, 1<<20), 0o644))
		must(t, os.Remove(m.path("big")))
		m.write(t, "other", "y", true)
	}
	open, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	for _, fd := range open {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(to, m.back) && strings.Contains(to, "deleted") {
			t.Errorf("still open: %s", to)
		}
	}
	if left, err := os.ReadDir(filepath.Join(m.back, "undo")); err != nil || len(left) > 0 {
		t.Errorf("still there: %v, %v", left, err)
	}
}

func TestFaults(t *testing.T) {
	m := mount(t)
	m.write(t, "f", strings.Repeat("x", 8192), true)
	f, err := os.OpenFile(m.path("f"), os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	write := func(off int64) error { _, err := f.WriteAt([]byte("y"), off); return err }
	read := func() error { _, err := f.ReadAt(make([]byte, 10), 0); return err }
	create := func() error { return os.WriteFile(m.path("g"), nil, 0o644) }
	for _, tt := range []struct {
		name   string
		faults lossy.Faults
		do     func() error
		want   error
	}{
		{"full: append", lossy.Faults{Full: true}, func() error { return write(8192) }, syscall.ENOSPC},
		{"full: overwrite", lossy.Faults{Full: true}, func() error { return write(0) }, nil},
		{"full: create", lossy.Faults{Full: true}, create, syscall.ENOSPC},
		{"read-only: write", lossy.Faults{ReadOnly: true}, func() error { return write(0) }, syscall.EROFS},
		{"read-only: create", lossy.Faults{ReadOnly: true}, create, syscall.EROFS},
		{"read-only: remove", lossy.Faults{ReadOnly: true}, func() error { return os.Remove(m.path("f")) }, syscall.EROFS},
		{"read-only: read", lossy.Faults{ReadOnly: true}, read, nil},
		{"read errors", lossy.Faults{ReadErrors: 1}, read, syscall.EIO},
		{"write errors", lossy.Faults{WriteErrors: 1}, func() error { return write(0) }, syscall.EIO},
		{"sync errors", lossy.Faults{SyncErrors: 1}, f.Sync, syscall.EIO},
		{"sound", lossy.Faults{}, func() error { return errors.Join(write(8192), read(), f.Sync(), create()) }, nil},
	} {
		m.Set(tt.faults)
		if err := tt.do(); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	m.Set(lossy.Faults{Delay: 30 * time.Millisecond})
	start := time.Now()
	must(t, write(0))
	if took := time.Since(start); took < 30*time.Millisecond {
		t.Errorf("a write on a slow disk took %v", took)
	}
	m.Set(lossy.Faults{})
}

func BenchmarkSyncedWrites(b *testing.B) {
	m := mount(b)
	for _, dir := range []string{m.back, m.dir} {
		b.Run(map[string]string{m.back: "behind", m.dir: "mount"}[dir], func(b *testing.B) {
			f, err := os.Create(filepath.Join(dir, "bench"))
			must(b, err)
			defer f.Close()
			buf := make([]byte, 4096)
			for i := range b.N {
				_, err := f.WriteAt(buf, int64(i%1000)*4096)
				must(b, err)
				must(b, f.Sync())
			}
		})
	}
}
