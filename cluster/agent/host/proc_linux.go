package host

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// wrappers are programs that start the server and wait for it.
var wrappers = []string{"sh", "bash", "dash", "ash", "busybox", "tini", "docker-init", "dumb-init", "catatonit", "s6-svscan", "su", "gosu", "su-exec"}

// stat is what the kernel says of a process.
type stat struct {
	pid, parent int
	name        string
	state       byte
	start       uint64 // in ticks since the boot
}

func readStat(path string) (stat, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return stat{}, err
	}
	return parseStat(string(b))
}

// parseStat reads a line of /proc/PID/stat. The name may hold anything.
func parseStat(line string) (s stat, err error) {
	open, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return s, fmt.Errorf("process status %q has no name", line)
	}
	fields := strings.Fields(line[end+1:])
	if len(fields) < 20 {
		return s, fmt.Errorf("process status %q is short", line)
	}
	s.name, s.state = line[open+1:end], fields[0][0]
	s.pid, _ = strconv.Atoi(strings.TrimSpace(line[:open]))
	s.parent, _ = strconv.Atoi(fields[1])
	s.start, err = strconv.ParseUint(fields[19], 10, 64)
	return s, err
}

func statOf(pid int) (stat, error) { return readStat(fmt.Sprintf("/proc/%d/stat", pid)) }

// running lists the processes of a container.
func running(container string) (pids []int, err error) {
	all, err := everybody()
	for _, pid := range all {
		if belongs(pid, container) {
			pids = append(pids, pid)
		}
	}
	return pids, err
}

func everybody() (pids []int, err error) {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	defer proc.Close()
	names, err := proc.Readdirnames(0)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// belongs tells whose a process is by the control group that the engine puts
// it in.
func belongs(pid int, container string) bool {
	groups, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	return err == nil && bytes.Contains(groups, []byte(container))
}

// server finds the server process of a container; the zero value if there is
// none.
func server(container string) (stat, error) {
	if len(container) < 12 {
		return stat{}, fmt.Errorf("%q is no id of a container", container)
	}
	pids, err := running(container)
	if err != nil {
		return stat{}, err
	}
	var all []stat
	for _, pid := range pids {
		if s, err := statOf(pid); err == nil && s.state != 'Z' {
			all = append(all, s)
		}
	}
	now, err := uptime()
	return serverOf(all, now), err
}

// settled is how old a wrapper's child is at least that is taken for the
// server, in ticks: what a script calls on its way is not.
const settled = ticks / 2

// ticks of the kernel's times in a second, on every architecture.
const ticks = 100

// uptime is the time since the boot, in ticks.
func uptime() (uint64, error) {
	b, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return 0, fmt.Errorf("read the uptime: %w", err)
	}
	var seconds float64
	if _, err := fmt.Sscan(string(b), &seconds); err != nil {
		return 0, fmt.Errorf("read the uptime %q: %w", b, err)
	}
	return uint64(seconds * ticks), nil
}

// serverOf chooses the oldest process, and goes on to the oldest child as long
// as that is a wrapper.
func serverOf(all []stat, now uint64) stat {
	if len(all) == 0 {
		return stat{}
	}
	slices.SortFunc(all, func(a, b stat) int {
		if a.start != b.start {
			return int(a.start) - int(b.start)
		}
		return a.pid - b.pid
	})
	s := all[0]
	for slices.Contains(wrappers, s.name) {
		i := slices.IndexFunc(all, func(c stat) bool { return c.parent == s.pid && c.start+settled <= now })
		if i < 0 {
			break
		}
		s = all[i]
	}
	return s
}

func describe(s stat) Process {
	return Process{PID: s.pid, Name: s.name, Stopped: s.state == 'T' || s.state == 't'}
}

func (h *Host) process(_ context.Context, c Container) (Process, error) {
	s, err := server(c.Container)
	return describe(s), err
}

// suspend stops the server process and waits until it has stopped.
func (h *Host) suspend(ctx context.Context, c Container) (Process, error) {
	p, err := h.signal(ctx, c, syscall.SIGSTOP, true)
	if err == nil {
		h.mu.Lock()
		h.suspended[c.Container] = true
		h.mu.Unlock()
	}
	return p, err
}

func (h *Host) resume(ctx context.Context, c Container) (Process, error) {
	h.mu.Lock()
	delete(h.suspended, c.Container)
	h.mu.Unlock()
	return h.signal(ctx, c, syscall.SIGCONT, false)
}

const signalTimeout = 2 * time.Second

// signal sends a signal to the server process, and waits for what it does.
func (h *Host) signal(ctx context.Context, c Container, sig syscall.Signal, stopped bool) (Process, error) {
	// Who changes a clock stops the process for a moment.
	h.clocks.mu.Lock()
	defer h.clocks.mu.Unlock()
	s, err := server(c.Container)
	if err != nil {
		return Process{}, err
	}
	if s.pid == 0 {
		if !stopped {
			return Process{}, nil // nothing to go on
		}
		return Process{}, fmt.Errorf("container %.12s has no process", c.Container)
	}
	if err := syscall.Kill(s.pid, sig); err != nil && err != syscall.ESRCH {
		return describe(s), fmt.Errorf("signal process %d: %w", s.pid, err)
	}
	for end := time.Now().Add(signalTimeout); ; {
		now, err := statOf(s.pid)
		if err != nil {
			return Process{}, nil // it ended
		}
		if p := describe(now); p.Stopped == stopped {
			return p, nil
		} else if time.Now().After(end) || ctx.Err() != nil {
			return p, fmt.Errorf("process %d (%s) is still %c after %v of %v", p.PID, p.Name, now.state, signalTimeout, sig)
		}
		time.Sleep(time.Millisecond)
	}
}
