package host

import (
	"os"
	"time"
)

// SetClock gives one process a clock that is off and drifts; zero makes it
// true.
func SetClock(pid int, offset time.Duration, drift float64) (bool, error) {
	now, err := trueTime()
	if err != nil {
		return false, err
	}
	r := rule{base: now, offset: int64(offset), rate: int64(drift * (1 << 32))}
	if offset == 0 && drift == 0 {
		r = rule{}
	}
	_, changed, err := setClock(pid, r)
	return changed, err
}

// ReadClock is the offset of a process' clock, and whether it is the kernel's.
func ReadClock(pid int) (time.Duration, bool, error) {
	offset, isTrue, err := readClock(pid)
	return time.Duration(offset), isTrue, err
}

// CanPatch says whether clocks can be shifted here.
const CanPatch = canPatch

// ServerOf names the server process of a list of /proc/PID/stat lines, at a
// time since the boot in hundredths of a second.
func ServerOf(now uint64, lines ...string) (int, string, error) {
	var all []stat
	for _, l := range lines {
		s, err := parseStat(l)
		if err != nil {
			return 0, "", err
		}
		all = append(all, s)
	}
	s := serverOf(all, now)
	return s.pid, s.name, nil
}

// Matches says whether a file's path matches a pattern.
func Matches(pattern, name string) (bool, error) { return matches(pattern, name) }

// Watcher looks after the clocks of a container that has no process.
func Watcher(id string) (look func() error) {
	c := newClocks()
	c.want[id] = rule{offset: 1}
	return func() error {
		_, err := c.apply(false)
		return err
	}
}

// LookAtClock sees that a process has no clock of ours, by the short way and by
// the long one.
func LookAtClock(short bool) error {
	if short {
		_ = hasClock(os.Getpid(), 1<<40, rule{})
		return nil
	}
	_, _, err := setClock(os.Getpid(), rule{})
	return err
}
