package host

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
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
	atEntries   = 88 // where each function begins, in 2 bytes
	atCode      = 96
	jumpSize    = 5
)

const magic = "capstan1"

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
	if at := v.place(); at >= 0 && string(v.image[at:at+len(magic)]) == magic {
		v.block = at
		for i := range functions {
			v.entry = append(v.entry, int(binary.LittleEndian.Uint16(v.image[at+atEntries+2*i:])))
		}
		return nil
	}
	v.block = -1
	return v.findFunctions()
}

// findFunctions reads the library as it was made by the kernel.
func (v *vdso) findFunctions() error {
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
		i := slices.IndexFunc(symbols, func(s elf.Symbol) bool { return s.Name == want.name })
		if i < 0 || int(symbols[i].Value)+8 > min(len(v.image), 1<<16) {
			return fmt.Errorf("its vDSO has no %s", want.name)
		}
		v.entry = append(v.entry, int(symbols[i].Value))
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
		binary.LittleEndian.PutUint16(b[atEntries+2*i:], uint16(entry))
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
