package host

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// canPatch says that clocks can be shifted on this kind of processor.
const canPatch = true

// The kernel maps into every process a small library, the vDSO, through which
// programs read clocks without a system call. Its functions for the wall clock
// are replaced, in the memory of one process, by jumps to our own, which make
// the system call and then compute. They lie in the same mapping, behind the
// library's own content. The page is private to the process from the first
// write on, and is copied to its children; the file behind it is never
// changed, nor any other process.
//
// The block of ours, all numbers little-endian:
const (
	atMagic     = 0
	atIndex     = 8  // distance of the rule in force from the first one
	atRules     = 16 // two rules of 24 bytes: base, offset, rate
	ruleSize    = 24
	atOriginals = 64 // the first 8 bytes of each function, as they were
	atCode      = 96
	jumpSize    = 5
)

const magic = "capstan1"

// functions are the library's and where ours are in the block.
var functions = []struct {
	name string
	at   int
}{
	{"__vdso_clock_gettime", 0x60},
	{"__vdso_gettimeofday", 0xc0},
	{"__vdso_time", 0x100},
}

// code is position-independent and begins at atCode.
var code = []byte{
	// clock_gettime(clock edi, timespec rsi):
	0xb8, 0xe4, 0x00, 0x00, 0x00, // mov eax, 228
	0x0f, 0x05, // syscall
	0x85, 0xc0, // test eax, eax
	0x75, 0x4b, // jnz done
	0x85, 0xff, // test edi, edi            CLOCK_REALTIME
	0x74, 0x05, // jz wall
	0x83, 0xff, 0x05, // cmp edi, 5         CLOCK_REALTIME_COARSE
	0x75, 0x42, // jne done
	// wall:
	0x4c, 0x8d, 0x05, 0x95, 0xff, 0xff, 0xff, // lea r8, [rip + rules]
	0x4c, 0x03, 0x05, 0x86, 0xff, 0xff, 0xff, // add r8, [rip + index]
	0x48, 0x69, 0x06, 0x00, 0xca, 0x9a, 0x3b, // imul rax, [rsi], 1000000000
	0x48, 0x03, 0x46, 0x08, // add rax, [rsi+8]
	0x48, 0x89, 0xc1, // mov rcx, rax       t
	0x49, 0x2b, 0x00, // sub rax, [r8]      t - base
	0x49, 0xf7, 0x68, 0x10, // imul qword [r8+16]
	0x48, 0x0f, 0xac, 0xd0, 0x20, // shrd rax, rdx, 32
	0x48, 0x01, 0xc8, // add rax, rcx
	0x49, 0x03, 0x40, 0x08, // add rax, [r8+8]
	0x31, 0xd2, // xor edx, edx
	0xb9, 0x00, 0xca, 0x9a, 0x3b, // mov ecx, 1000000000
	0x48, 0xf7, 0xf1, // div rcx
	0x48, 0x89, 0x06, // mov [rsi], rax
	0x48, 0x89, 0x56, 0x08, // mov [rsi+8], rdx
	0x31, 0xc0, // xor eax, eax
	// done:
	0xc3,                                                 // ret
	0x66, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00, // nop

	// gettimeofday(timeval rdi, timezone rsi):
	0xb8, 0x60, 0x00, 0x00, 0x00, // mov eax, 96
	0x48, 0x85, 0xff, // test rdi, rdi
	0x74, 0x31, // jz plain
	0x48, 0x85, 0xf6, // test rsi, rsi
	0x74, 0x06, // jz wall
	0x0f, 0x05, // syscall                  for the time zone
	0x85, 0xc0, // test eax, eax
	0x75, 0x28, // jnz done
	// wall:
	0x57,                   // push rdi
	0x48, 0x83, 0xec, 0x10, // sub rsp, 16
	0x31, 0xff, // xor edi, edi
	0x48, 0x89, 0xe6, // mov rsi, rsp
	0xe8, 0x7c, 0xff, 0xff, 0xff, // call clock_gettime
	0x59,             // pop rcx
	0x58,             // pop rax
	0x5f,             // pop rdi
	0x48, 0x89, 0x0f, // mov [rdi], rcx
	0x31, 0xd2, // xor edx, edx
	0xb9, 0xe8, 0x03, 0x00, 0x00, // mov ecx, 1000
	0x48, 0xf7, 0xf1, // div rcx
	0x48, 0x89, 0x47, 0x08, // mov [rdi+8], rax
	0x31, 0xc0, // xor eax, eax
	0xc3, // ret
	// plain:
	0x0f, 0x05, // syscall
	// done:
	0xc3,       // ret
	0x66, 0x90, // nop

	// time(time_t *rdi):
	0x57,                   // push rdi
	0x48, 0x83, 0xec, 0x10, // sub rsp, 16
	0x31, 0xff, // xor edi, edi
	0x48, 0x89, 0xe6, // mov rsi, rsp
	0xe8, 0x51, 0xff, 0xff, 0xff, // call clock_gettime
	0x58,             // pop rax
	0x59,             // pop rcx
	0x5f,             // pop rdi
	0x48, 0x85, 0xff, // test rdi, rdi
	0x74, 0x03, // jz done
	0x48, 0x89, 0x07, // mov [rdi], rax
	// done:
	0xc3, // ret
}

// vdso is the library as it is in one process.
type vdso struct {
	pid   int
	mem   *os.File
	start int64
	image []byte
	block int   // of ours, in the image; -1 if there is none
	entry []int // of the functions, in the order of functions
}

var errNoVDSO = errors.New("process has no vDSO")

func openVDSO(pid int) (*vdso, error) {
	start, end, err := findVDSO(pid)
	if err != nil {
		return nil, err
	}
	mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open its memory: %w", err)
	}
	v := &vdso{pid: pid, mem: mem, start: start, image: make([]byte, end-start)}
	if err := v.load(); err != nil {
		return nil, errors.Join(err, mem.Close())
	}
	return v, nil
}

func findVDSO(pid int) (start, end int64, err error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return 0, 0, fmt.Errorf("read its mappings: %w", err)
	}
	for line := range strings.Lines(string(maps)) {
		if strings.HasSuffix(strings.TrimSpace(line), "[vdso]") {
			if _, err := fmt.Sscanf(line, "%x-%x", &start, &end); err != nil {
				return 0, 0, fmt.Errorf("read mapping %q: %w", line, err)
			}
			return start, end, nil
		}
	}
	return 0, 0, errNoVDSO
}

func (v *vdso) close() error { return v.mem.Close() }

func (v *vdso) load() error {
	if _, err := v.mem.ReadAt(v.image, v.start); err != nil {
		return fmt.Errorf("read its vDSO: %w", err)
	}
	f, err := elf.NewFile(bytes.NewReader(v.image))
	if err != nil {
		return fmt.Errorf("read its vDSO: %w", err)
	}
	if f.Machine != elf.EM_X86_64 {
		return fmt.Errorf("its vDSO is for %v", f.Machine)
	}
	symbols, err := f.DynamicSymbols()
	if err != nil {
		return fmt.Errorf("read its vDSO: %w", err)
	}
	for _, want := range functions {
		at := -1
		for _, s := range symbols {
			if s.Name == want.name {
				at = int(s.Value)
			}
		}
		if at < 0 || at+8 > len(v.image) {
			return fmt.Errorf("its vDSO has no %s", want.name)
		}
		v.entry = append(v.entry, at)
	}
	v.block = -1
	if at := v.place(); at >= 0 && string(v.image[at:at+len(magic)]) == magic {
		v.block = at
	}
	return nil
}

// place is where the block goes: behind everything in the file, or else over
// the section headers, which nothing needs at run time. -1 if there is no room.
func (v *vdso) place() int {
	headers := binary.LittleEndian.Uint64(v.image[0x28:])
	count := int(binary.LittleEndian.Uint16(v.image[0x3c:]))
	if headers == 0 || headers > uint64(len(v.image)) {
		return -1
	}
	size := atCode + len(code)
	for _, at := range []int{int(headers) + 64*count, int(headers)} {
		if at = (at + 63) &^ 63; at+size <= len(v.image) {
			return at
		}
	}
	return -1
}

func (v *vdso) patched() bool {
	if v.block < 0 {
		return false
	}
	for i := range functions {
		if !bytes.Equal(v.image[v.entry[i]:v.entry[i]+jumpSize], v.jump(i)) {
			return false
		}
	}
	return true
}

// jump is the instruction at a function's entry.
func (v *vdso) jump(i int) []byte {
	distance := v.block + functions[i].at - (v.entry[i] + jumpSize)
	return binary.LittleEndian.AppendUint32([]byte{0xe9}, uint32(int32(distance)))
}

func (v *vdso) rule() rule {
	at := v.block + atRules + int(binary.LittleEndian.Uint64(v.image[v.block+atIndex:]))
	n := func(i int) int64 { return int64(binary.LittleEndian.Uint64(v.image[at+8*i:])) }
	return rule{base: n(0), offset: n(1), rate: n(2)}
}

func (r rule) encode() []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(r.base))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.offset))
	return binary.LittleEndian.AppendUint64(b, uint64(r.rate))
}

func (v *vdso) write(at int, b []byte) error {
	if _, err := v.mem.WriteAt(b, v.start+int64(at)); err != nil {
		return fmt.Errorf("write to its vDSO: %w", err)
	}
	copy(v.image[at:], b)
	return nil
}

// setRule writes the rule that is not in force and then puts it in force, with
// one write of one word.
func (v *vdso) setRule(r rule) error {
	index := binary.LittleEndian.Uint64(v.image[v.block+atIndex:])
	index = ruleSize - index
	if err := v.write(v.block+atRules+int(index), r.encode()); err != nil {
		return err
	}
	return v.write(v.block+atIndex, binary.LittleEndian.AppendUint64(nil, index))
}

// install writes the block and then the jumps.
func (v *vdso) install(r rule) error {
	at := v.place()
	if at < 0 {
		return errors.New("its vDSO has no room")
	}
	b := make([]byte, atCode, atCode+len(code))
	copy(b, magic)
	copy(b[atRules:], r.encode())
	for i, entry := range v.entry {
		copy(b[atOriginals+8*i:], v.image[entry:entry+8])
	}
	if err := v.write(at, append(b, code...)); err != nil {
		return err
	}
	v.block = at
	return v.atRest(v.writeJumps)
}

// uninstall makes the functions be as they were. The block stays, for who is
// in it, without a rule; it is found and used again.
func (v *vdso) uninstall() error {
	if err := v.setRule(rule{}); err != nil {
		return err
	}
	return v.atRest(func() error {
		var errs []error
		for i, entry := range v.entry {
			o := v.block + atOriginals + 8*i
			errs = append(errs, v.write(entry, v.image[o:o+jumpSize]))
		}
		return errors.Join(errs...)
	})
}

// reinstall puts the jumps back to a block that is there.
func (v *vdso) reinstall(r rule) error {
	if err := v.setRule(r); err != nil {
		return err
	}
	return v.atRest(v.writeJumps)
}

func (v *vdso) writeJumps() error {
	var errs []error
	for i, entry := range v.entry {
		errs = append(errs, v.write(entry, v.jump(i)))
	}
	return errors.Join(errs...)
}

// setClock gives one process a clock, and says whether it had another one, and
// where its block lies.
func setClock(pid int, want rule) (at int64, changed bool, err error) {
	v, err := openVDSO(pid)
	if errors.Is(err, errNoVDSO) {
		return 0, false, nil // a kernel thread, or one that is about to run something
	}
	if err != nil {
		return 0, false, err
	}
	defer v.close()
	changed = true
	switch patched := v.patched(); {
	case want.isTrue() && !patched:
		changed = false
	case want.isTrue():
		err = v.uninstall()
	case patched && v.rule() == want:
		changed = false
	case patched:
		err = v.setRule(want)
	case v.block >= 0:
		err = v.reinstall(want)
	default:
		err = v.install(want)
	}
	if err != nil {
		return 0, false, fmt.Errorf("set the clock of process %d: %w", pid, err)
	}
	return v.start + int64(v.block), changed, nil
}

// hasClock says whether a process has a clock, by the block that it had at an
// address. Without one, or with another program, it has not.
func hasClock(pid int, at int64, want rule) bool {
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return false
	}
	defer mem.Close()
	b := make([]byte, atOriginals)
	if _, err := mem.ReadAt(b, at); err != nil || string(b[:len(magic)]) != magic {
		return false
	}
	rule := b[atRules+binary.LittleEndian.Uint64(b[atIndex:])%(2*ruleSize):]
	return len(rule) >= ruleSize && bytes.Equal(rule[:ruleSize], want.encode())
}

const (
	restTimeout = time.Second
	restTrials  = 20
)

// atRest runs f while no thread of the process is within the few bytes that
// are overwritten: it is stopped for that, for less than a millisecond as a
// rule.
func (v *vdso) atRest(f func() error) error {
	for range restTrials {
		done, err := v.tryAtRest(f)
		if done || err != nil {
			return err
		}
	}
	return errors.New("its threads never leave the vDSO's first instructions")
}

func (v *vdso) tryAtRest(f func() error) (done bool, err error) {
	s, err := statOf(v.pid)
	if err != nil {
		return false, err
	}
	if s.state != 'T' && s.state != 't' {
		if err := syscall.Kill(v.pid, syscall.SIGSTOP); err != nil {
			return false, fmt.Errorf("stop it: %w", err)
		}
		defer func() { err = errors.Join(err, syscall.Kill(v.pid, syscall.SIGCONT)) }()
	}
	threads, err := v.resting()
	if err != nil {
		return false, err
	}
	for _, tid := range threads {
		if v.inTheWay(tid) {
			return false, nil
		}
	}
	return true, f()
}

// resting waits until all threads have stopped, or are where no signal reaches
// them: frozen, or deep in the kernel.
func (v *vdso) resting() (threads []string, err error) {
	dir := fmt.Sprintf("/proc/%d/task", v.pid)
	for end := time.Now().Add(restTimeout); ; time.Sleep(50 * time.Microsecond) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, fmt.Errorf("list its threads: %w", err)
		}
		threads = threads[:0]
		moving := ""
		for _, e := range entries {
			s, err := readStat(dir + "/" + e.Name() + "/stat")
			if err != nil {
				continue
			}
			threads = append(threads, e.Name())
			if !strings.ContainsRune("TtDZX", rune(s.state)) {
				moving = e.Name()
			}
		}
		if moving == "" {
			return threads, nil
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("its thread %s does not stop", moving)
		}
	}
}

// inTheWay says whether a thread would go on in the middle of a jump.
func (v *vdso) inTheWay(tid string) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/syscall", v.pid, tid))
	if err != nil {
		return false // it ended, or the kernel does not tell
	}
	fields := strings.Fields(string(b))
	pc, err := strconv.ParseInt(fields[len(fields)-1], 0, 64)
	if err != nil {
		return false // "running": in the kernel
	}
	for _, entry := range v.entry {
		if at := pc - v.start - int64(entry); at > 0 && at < jumpSize {
			return true
		}
	}
	return false
}

// call runs machine code with two arguments, by the C calling convention. The
// code must need little stack and return.
func call(code, a, b uintptr) int32

// readClock copies the vDSO of a process and runs what it runs. True says that
// its functions are the kernel's own, which only work in their place and know
// no other than the true time.
func readClock(pid int) (offset int64, isTrue bool, err error) {
	v, err := openVDSO(pid)
	if err != nil {
		return 0, false, err
	}
	defer v.close()
	if !v.patched() {
		return 0, true, nil
	}
	c, err := v.copy()
	if err != nil {
		return 0, false, err
	}
	defer c.free()
	before, err := trueTime()
	if err != nil {
		return 0, false, err
	}
	shifted, err := c.clockGettime(unix.CLOCK_REALTIME)
	if err != nil {
		return 0, false, err
	}
	after, err := trueTime()
	return shifted - before - (after-before)/2, false, err
}

// vdsoCopy is a patched vDSO that runs in this process. Behind the code is room
// for answers: a goroutine's stack may move.
type vdsoCopy struct {
	page  []byte
	entry []int
	out   int
}

const answerSize = 16

func (v *vdso) copy() (*vdsoCopy, error) {
	page, err := unix.Mmap(-1, 0, len(v.image)+answerSize, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("make room for its code: %w", err)
	}
	copy(page, v.image)
	return &vdsoCopy{page: page, entry: v.entry, out: len(v.image)}, nil
}

func (c *vdsoCopy) free() { _ = unix.Munmap(c.page) }

func (c *vdsoCopy) pointer(at int) uintptr { return uintptr(unsafe.Pointer(&c.page[at])) }

// answer is the two numbers that a function has stored.
func (c *vdsoCopy) answer() (int64, int64) {
	b := c.page[c.out:]
	return int64(binary.LittleEndian.Uint64(b)), int64(binary.LittleEndian.Uint64(b[8:]))
}

func (c *vdsoCopy) clockGettime(clock uintptr) (nanos int64, err error) {
	if r := call(c.pointer(c.entry[0]), clock, c.pointer(c.out)); r != 0 {
		return 0, fmt.Errorf("clock_gettime returned %d", r)
	}
	sec, nsec := c.answer()
	return sec*1e9 + nsec, nil
}
