package host

import (
	"os"

	"golang.org/x/sys/unix"
)

// Functions runs all that the patch replaces, with this process' own vDSO
// copied and patched in the copy: the times in nanoseconds by clock_gettime,
// clock_gettime of the coarse clock, gettimeofday and time, and the monotonic
// time.
func Functions(base, offset, rate int64) (times []int64, monotonic int64, err error) {
	v, err := openVDSO(os.Getpid())
	if err != nil {
		return nil, 0, err
	}
	defer v.close()
	v.block = v.place()
	b := make([]byte, atCode, atCode+len(code))
	r := rule{base: base, offset: offset, rate: rate}
	copy(b[atRules:], r.encode())
	copy(v.image[v.block:], append(b, code...))
	for i, entry := range v.entry {
		copy(v.image[entry:], v.jump(i))
	}
	c, err := v.copy()
	if err != nil {
		return nil, 0, err
	}
	defer c.free()
	fine, err := c.clockGettime(unix.CLOCK_REALTIME)
	if err != nil {
		return nil, 0, err
	}
	coarse, err := c.clockGettime(unix.CLOCK_REALTIME_COARSE)
	if err != nil {
		return nil, 0, err
	}
	call(c.pointer(c.entry[1]), c.pointer(c.out), 0)
	sec, usec := c.answer()
	call(c.pointer(c.entry[1]), c.pointer(c.out), c.pointer(c.out+answerSize-8))
	call(c.pointer(c.entry[1]), 0, 0)
	call(c.pointer(c.entry[2]), c.pointer(c.out), 0)
	whole, _ := c.answer()
	if returned := call(c.pointer(c.entry[2]), 0, 0); int64(returned) > whole+1 || int64(returned) < whole {
		whole = -1
	}
	monotonic, err = c.clockGettime(unix.CLOCK_MONOTONIC)
	return []int64{fine, coarse, sec*1e9 + usec*1e3, whole * 1e9}, monotonic, err
}

// Place is where the block would go in this process' vDSO if that had only so
// many bytes to spare behind the end of its file.
func Place(spare int) (at, end int, err error) {
	v, err := openVDSO(os.Getpid())
	if err != nil {
		return 0, 0, err
	}
	defer v.close()
	headers := int(v.image[0x28]) | int(v.image[0x29])<<8
	end = headers + 64*int(v.image[0x3c])
	v.image = v.image[:end+spare]
	return v.place(), end, nil
}

// BlockSize is what the block takes.
var BlockSize = atCode + len(code)
