package nemesis

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/capstan-dev/capstan/plan"
)

// Step of a schedule: the fault begins At, counted from the start of the run,
// or On a trigger, and is healed For later.
type Step struct {
	At, For time.Duration
	On      plan.Trigger
	Fault   Fault
}

// String is like "isolate:primary 5s @12s"; ParseStep reads it.
func (s Step) String() string {
	when := s.At.String()
	if s.On != (plan.Trigger{}) {
		when = s.On.String()
	}
	return fmt.Sprintf("%s %v @%s", s.Fault.Name(), s.For, when)
}

// ParseStep reads FAULT FOR @WHEN, see plan.ParseFault.
func ParseStep(kinds []Kind, text string) (Step, error) {
	e, err := plan.ParseFault(text)
	if err != nil {
		return Step{}, err
	}
	if !e.Once && e.On == (plan.Trigger{}) || e.For == 0 {
		return Step{}, errors.New("want how long and when, like partition 5s @12s")
	}
	f, err := Parse(kinds, e.Name)
	return Step{At: e.At, For: e.For, On: e.On, Fault: f}, err
}

// Schedule is a list of steps in order of time, those with triggers last. They
// may overlap: the faults come together then.
type Schedule []Step

// String is the steps, one a line.
func (s Schedule) String() string {
	var b strings.Builder
	for _, st := range s {
		fmt.Fprintln(&b, st)
	}
	return b.String()
}

// Rhythm says when faults recur.
type Rhythm struct {
	// Every is the mean time from one start to the next, For the mean length.
	Every, For time.Duration
	// Jitter is the share by which starts and lengths vary.
	Jitter float64
	// From and Until bound it.
	From, Until time.Duration
}

// Periodic plans windows in a rhythm, each with one of the faults in turn. The
// first begins after the quiet part of a period, and every window has quiet
// time behind it. It draws only from rng; what a mix comes to, too.
func Periodic(rng *rand.Rand, faults []Fault, r Rhythm) Schedule {
	var s Schedule
	if len(faults) == 0 || r.Every <= 0 || r.For <= 0 || r.For >= r.Every {
		return nil
	}
	vary := func(d time.Duration) time.Duration {
		share := (1 - r.Jitter) + 2*r.Jitter*rng.Float64()
		return max(time.Millisecond, time.Duration(float64(d)*share).Round(time.Millisecond))
	}
	quiet := r.Every - r.For
	at := r.From + vary(quiet)
	for i := 0; ; i++ {
		length := vary(r.For)
		if at+length+quiet/2 > r.Until {
			return s
		}
		s = append(s, Step{At: at, For: length, Fault: Resolve(faults[i%len(faults)], rng)})
		at += length + vary(quiet)
	}
}

// Sort brings the steps into the order of time.
func (s Schedule) Sort() {
	slices.SortStableFunc(s, func(a, b Step) int {
		return cmp.Or(compareBools(a.On != plan.Trigger{}, b.On != plan.Trigger{}), cmp.Compare(a.At, b.At))
	})
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}
