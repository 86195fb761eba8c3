package nemesis

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Step of a schedule: the fault begins At, counted from the start of the run,
// and is healed For later.
type Step struct {
	At, For time.Duration
	Fault   Fault
}

// String is like "partition:primary 5s @12s".
func (s Step) String() string { return fmt.Sprintf("%s %v @%v", s.Fault.Name(), s.For, s.At) }

// Schedule is a list of steps in order of time that do not overlap.
type Schedule []Step

// String is the steps, one a line.
func (s Schedule) String() string {
	var b strings.Builder
	for _, st := range s {
		fmt.Fprintln(&b, st)
	}
	return b.String()
}

// Periodic plans windows of length on every period over a run of length
// limit, each with one of the faults in turn. The first begins after the
// quiet half of a period, and every window has quiet time behind it. Starts
// and lengths vary by up to a fifth. It draws only from rng.
func Periodic(rng *rand.Rand, faults []Fault, every, on, limit time.Duration) Schedule {
	var s Schedule
	if len(faults) == 0 || every <= 0 {
		return nil
	}
	jitter := func(d time.Duration) time.Duration {
		return time.Duration(float64(d) * (0.8 + 0.4*rng.Float64())).Round(time.Millisecond)
	}
	quiet := every - on
	at := jitter(quiet)
	for i := 0; ; i++ {
		length := jitter(on)
		if at+length+quiet/2 > limit {
			return s
		}
		s = append(s, Step{At: at, For: length, Fault: faults[i%len(faults)]})
		at += length + jitter(quiet)
	}
}

// Sort brings the steps into the order of time.
func (s Schedule) Sort() {
	slices.SortStableFunc(s, func(a, b Step) int { return cmp.Compare(a.At, b.At) })
}

// Check says whether the steps are in order and apart from each other.
func (s Schedule) Check() error {
	for i := 1; i < len(s); i++ {
		if end := s[i-1].At + s[i-1].For; s[i].At < end {
			return fmt.Errorf("faults overlap: %q lasts until %v, %q begins before; "+
				"faults are injected one at a time", s[i-1], end, s[i])
		}
	}
	return nil
}
