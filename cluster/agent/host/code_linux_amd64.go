package host

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

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
