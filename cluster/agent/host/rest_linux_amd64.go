package host

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

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
