package host

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// watchEvery is how often new processes of skewed containers are looked for:
// a fork has its parent's clock, but who calls exec gets the true one.
const watchEvery = 50 * time.Millisecond

// settleRounds bounds how often the processes of a container are listed anew
// because it forked meanwhile.
const settleRounds = 20

// rule is how a process computes its wall clock from the true one: with all in
// nanoseconds, t + offset + (t - base) * rate / 2^32.
type rule struct{ base, offset, rate int64 }

// at is the distance from the true time at that time.
func (r rule) at(t int64) int64 {
	return r.offset + int64(float64(t-r.base)*float64(r.rate)/(1<<32))
}

func (r rule) isTrue() bool { return r.offset == 0 && r.rate == 0 }

// clocks keeps the clocks of containers as they were told to be.
type clocks struct {
	mu       sync.Mutex // held while clocks are changed
	want     map[string]rule
	watching bool
}

func newClocks() *clocks { return &clocks{want: map[string]rule{}} }

func trueTime() (int64, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_REALTIME, &ts); err != nil {
		return 0, fmt.Errorf("read the clock: %w", err)
	}
	return ts.Nano(), nil
}

func (c *clocks) skew(_ context.Context, s Skew) (Skewed, error) {
	now, err := trueTime()
	if err != nil {
		return Skewed{}, err
	}
	r := rule{base: now, offset: s.Offset, rate: int64(math.Round(s.Drift * (1 << 32)))}
	if err := r.check(now); err != nil {
		return Skewed{}, err
	}
	if !canPatch {
		return Skewed{}, errors.New("clocks cannot be shifted on this kind of processor")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.want[s.Container] = r
	n, err := c.apply()
	if r.isTrue() && err == nil {
		delete(c.want, s.Container)
	}
	if len(c.want) > 0 && !c.watching {
		c.watching = true
		go c.watch()
	}
	return Skewed{n[s.Container]}, err
}

// check keeps the shifted time between 1970 and 2262 for a day, where it can be
// computed.
func (r rule) check(now int64) error {
	const day = int64(24 * time.Hour)
	for _, t := range []int64{now, now + day} {
		if at := float64(t) + float64(r.offset) + float64(t-r.base)*float64(r.rate)/(1<<32); at < 0 || at > math.MaxInt64 {
			return fmt.Errorf("the clock would leave the years 1970 to 2262")
		}
	}
	return nil
}

// apply gives all processes of the containers the clocks that are wanted, and
// says how many each has. The caller holds c.mu.
func (c *clocks) apply() (map[string]int, error) {
	var containers []string
	for id := range c.want {
		containers = append(containers, id)
	}
	for range settleRounds {
		found, err := running(containers)
		if err != nil {
			return nil, err
		}
		count, changed := map[string]int{}, 0
		var errs []error
		for id, pids := range found {
			for _, pid := range pids {
				did, err := setClock(pid, c.want[id])
				if err != nil && ended(pid) {
					continue
				}
				if did {
					changed++
				}
				count[id]++
				errs = append(errs, err)
			}
		}
		if err := errors.Join(errs...); err != nil || changed == 0 {
			return count, err
		}
		// Who forked in the meantime may have done so before its own change.
	}
	return nil, fmt.Errorf("processes are made faster than their clocks are changed")
}

// ended says whether a process is no more, or has no program any more.
func ended(pid int) bool {
	s, err := statOf(pid)
	return err != nil || s.state == 'Z' || s.state == 'X'
}

// watch gives new processes the clocks of their containers.
func (c *clocks) watch() {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for range tick.C {
		c.mu.Lock()
		if len(c.want) == 0 {
			c.watching = false
			c.mu.Unlock()
			return
		}
		if _, err := c.apply(); err != nil {
			fmt.Fprintf(os.Stderr, "clocks: %v\n", err)
		}
		c.mu.Unlock()
	}
}

// heal makes all clocks true.
func (c *clocks) heal() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id := range c.want {
		c.want[id] = rule{}
	}
	if len(c.want) == 0 {
		return nil
	}
	_, err := c.apply()
	if err == nil {
		clear(c.want)
	}
	return err
}

// read runs the very instructions that the container's server process runs to
// read its clock.
func (c *clocks) read(_ context.Context, id Container) (Clock, error) {
	s, err := server(id.Container)
	if err != nil {
		return Clock{}, err
	}
	if s.pid == 0 {
		return Clock{}, fmt.Errorf("container %.12s has no process", id.Container)
	}
	offset, isTrue, err := readClock(s.pid)
	if err != nil {
		return Clock{}, fmt.Errorf("read the clock of process %d (%s): %w", s.pid, s.name, err)
	}
	return Clock{Process: describe(s), Offset: offset, True: isTrue}, nil
}
