package host_test

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/cluster/agent/host"
	"github.com/capstan-dev/capstan/internal/require"
)

// childEnv makes TestClockChild answer questions for the time.
const childEnv = "CAPSTAN_TEST_CLOCK_CHILD"

// TestClockChild is run by others, as a process of its own. While it answers
// its threads do nothing but read clocks.
func TestClockChild(t *testing.T) {
	if os.Getenv(childEnv) == "" {
		t.Skip("runs as a child of the other tests only")
	}
	for range 4 {
		go func() {
			for !time.Now().IsZero() {
			}
		}()
	}
	start := time.Now()
	lines := bufio.NewScanner(os.Stdin)
	fmt.Println("hello")
	for lines.Scan() {
		now := time.Now()
		fmt.Println("time", now.UnixNano(), int64(now.Sub(start)))
	}
	os.Exit(0)
}

// child is a process whose clock may be shifted.
type child struct {
	pid int
	ask func() (wall time.Time, monotonic time.Duration)
}

func clockChild(t *testing.T) child {
	t.Helper()
	if !host.CanPatch {
		require.Skip(t, "clocks", errors.New("not on this processor"))
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestClockChild$", "-test.v")
	cmd.Env = append(os.Environ(), childEnv+"=1", "GOMAXPROCS=2")
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "hello" {
	}
	return child{pid: cmd.Process.Pid, ask: func() (time.Time, time.Duration) {
		t.Helper()
		if _, err := fmt.Fprintln(in); err != nil {
			t.Fatalf("ask the child: %v", err)
		}
		var wall, mono int64
		if !lines.Scan() {
			t.Fatalf("the child is dead: %v", cmd.Wait())
		}
		if _, err := fmt.Sscanf(lines.Text(), "time %d %d", &wall, &mono); err != nil {
			t.Fatalf("the child said %q", lines.Text())
		}
		return time.Unix(0, wall), time.Duration(mono)
	}}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// skewed is a clock that was set between two moments.
type skewed struct {
	offset        time.Duration
	drift         float64
	before, after time.Time
}

// at is how far off the clock is at some moment between two.
func (s skewed) at(from, to time.Time) (least, most time.Duration) {
	gain := func(d time.Duration) time.Duration { return time.Duration(float64(d) * s.drift) }
	a, b := s.offset+gain(from.Sub(s.after)), s.offset+gain(to.Sub(s.before))
	return min(a, b), max(a, b)
}

// set changes a clock, or skips the test where that is not allowed.
func set(t *testing.T, pid int, offset time.Duration, drift float64) skewed {
	t.Helper()
	s := skewed{offset: offset, drift: drift, before: time.Now()}
	_, err := host.SetClock(pid, offset, drift)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EIO) {
		require.Skip(t, "ptrace", err)
	}
	must(t, err)
	s.after = time.Now()
	t.Logf("clock set to %v and %v in %v", offset, drift, s.after.Sub(s.before))
	return s
}

// want asks the process for its time, and reads its clock. However slow the
// machine is, both lie between the moments before and after.
func (s skewed) want(t *testing.T, c child) {
	t.Helper()
	const rounding = time.Millisecond
	from := time.Now()
	wall, _ := c.ask()
	to := time.Now()
	least, most := s.at(from, to)
	if wall.Before(from.Add(least-rounding)) || wall.After(to.Add(most+rounding)) {
		t.Errorf("the process is %v to %v off, want %v to %v", wall.Sub(to), wall.Sub(from), least, most)
	}
	from = time.Now()
	got, _, err := host.ReadClock(c.pid)
	to = time.Now()
	least, most = s.at(from, to)
	if slack := to.Sub(from) + rounding; err != nil || got < least-slack || got > most+slack {
		t.Errorf("its clock is read to be %v off, %v, want %v to %v", got, err, least, most)
	}
}

func TestSkewOfOneProcess(t *testing.T) {
	c, other := clockChild(t), clockChild(t)
	began := time.Now()
	_, first := c.ask()
	asked := time.Now()
	for _, offset := range []time.Duration{100 * time.Second, -time.Hour, 1500 * time.Millisecond, -20 * 365 * 24 * time.Hour} {
		set(t, c.pid, offset, 0).want(t, c)
		skewed{}.want(t, other)
	}
	again := time.Now()
	_, last := c.ask()
	if passed := last - first; passed < again.Sub(asked) || passed > time.Since(began) {
		t.Errorf("by the monotonic clock %v passed, in truth %v to %v", passed, again.Sub(asked), time.Since(began))
	}
	set(t, c.pid, 0, 0).want(t, c)
	if _, isTrue, err := host.ReadClock(c.pid); err != nil || !isTrue {
		t.Errorf("after the heal the process has the kernel's own clock: %t, %v", isTrue, err)
	}
	set(t, c.pid, time.Minute, 0).want(t, c)
}

func TestDrift(t *testing.T) {
	c := clockChild(t)
	fast := set(t, c.pid, time.Second, 2)
	for range 5 {
		time.Sleep(100 * time.Millisecond)
		fast.want(t, c)
	}
	slow := set(t, c.pid, 0, -0.5)
	time.Sleep(300 * time.Millisecond)
	slow.want(t, c)
}

// TestBusyProcesses patches processes whose threads are in the vDSO all the
// time.
func TestBusyProcesses(t *testing.T) {
	var children []child
	for range 6 {
		children = append(children, clockChild(t))
	}
	for i := range 20 {
		var wg sync.WaitGroup
		for _, c := range children {
			wg.Go(func() {
				_, err := host.SetClock(c.pid, time.Duration(i%2)*time.Minute, 0)
				if errors.Is(err, fs.ErrPermission) {
					return
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, c := range children {
			c.ask()
		}
	}
}

// TestOtherLibraries asks programs that read the clock by other functions.
func TestOtherLibraries(t *testing.T) {
	perl, err := exec.LookPath("perl")
	if err != nil || !host.CanPatch {
		require.Skip(t, "perl", err)
	}
	cmd := exec.Command(perl, "-e", `$| = 1; while (<STDIN>) { print time, "\n" }`)
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	defer func() {
		_ = in.Close()
		_ = cmd.Wait()
	}()
	answers := bufio.NewReader(out)
	ask := func() string {
		_, err := fmt.Fprintln(in)
		must(t, err)
		line, err := answers.ReadString('\n')
		must(t, err)
		return line
	}
	ask() // it runs
	set(t, cmd.Process.Pid, 1000*time.Second, 0)
	line := ask()
	var sec int64
	_, err = fmt.Sscan(strings.TrimSpace(line), &sec)
	if off := time.Until(time.Unix(sec, 0)); err != nil || off < 998*time.Second || off > 1001*time.Second {
		t.Errorf("perl's time is %v off, %v", off, err)
	}
}
