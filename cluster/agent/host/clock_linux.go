package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
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

func (r rule) isTrue() bool { return r.offset == 0 && r.rate == 0 }

// clocks keeps the clocks of containers as they were told to be.
type clocks struct {
	mu       sync.Mutex // held while clocks are changed
	want     map[string]rule
	people   census
	watching bool
}

func newClocks() *clocks { return &clocks{want: map[string]rule{}, people: census{}} }

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
	r := rule{base: s.Base, offset: s.Offset, rate: int64(math.Round(s.Drift * (1 << 32)))}
	if err := r.check(now); err != nil {
		return Skewed{}, err
	}
	if !canPatch {
		return Skewed{}, errors.New("clocks cannot be shifted on this kind of processor")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.want[s.Container] = r
	n, err := c.apply(true)
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
			return errors.New("the clock would leave the years 1970 to 2262")
		}
	}
	return nil
}

// apply gives all processes of the containers the clocks that are wanted, and
// says how many each has. The caller holds c.mu.
func (c *clocks) apply(thorough bool) (map[string]int, error) {
	containers := slices.Collect(maps.Keys(c.want))
	for range settleRounds {
		if err := c.people.take(containers, time.Now(), thorough); err != nil {
			return nil, err
		}
		count, changed := map[string]int{}, false
		var errs []error
		for pid, p := range c.people {
			if p.container == "" {
				continue
			}
			did, err := c.adjust(pid, p)
			if err != nil && ended(pid) {
				continue
			}
			changed = changed || did
			count[p.container]++
			errs = append(errs, err)
		}
		if err := errors.Join(errs...); err != nil || !changed {
			return count, err
		}
		// Who forked in the meantime may have done so before its own change.
	}
	return nil, errors.New("processes are made faster than their clocks are changed")
}

// adjust changes the clock of one process, if it has to be. The number may
// have gone to a stranger meanwhile, who must not be touched.
func (c *clocks) adjust(pid int, p *citizen) (changed bool, err error) {
	want := c.want[p.container]
	if p.clock != 0 && !want.isTrue() && hasClock(pid, p.clock, want) {
		return false, nil
	}
	if !belongs(pid, p.container) {
		p.container = ""
		return false, nil
	}
	p.clock, changed, err = setClock(pid, want)
	return changed, err
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
		if _, err := c.apply(false); err != nil {
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
	_, err := c.apply(true)
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
