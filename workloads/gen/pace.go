package gen

import (
	"math/rand/v2"
	"time"

	"github.com/capstan-dev/capstan/history"
)

// Stagger spaces src's operations by uniform random gaps in [0, 2*mean), over
// all workers together. It does not catch up: a source that fell behind goes
// on at the same pace.
func Stagger(mean time.Duration, rng *rand.Rand, src Source) Source {
	return &pace{Source: src, gap: func() time.Duration {
		return time.Duration(rng.Float64() * 2 * float64(mean))
	}}
}

// Rate is an open loop of perSecond operations a second: each is due a uniform
// random gap after the one before was due, whether or not a worker is free.
// If none is it starts late, Step.Due tells when it was to start, and the source
// catches up. Otherwise a stall would hide how long everybody had to wait
// ("coordinated omission").
func Rate(perSecond float64, rng *rand.Rand, src Source) Source {
	mean := float64(time.Second) / perSecond
	return &pace{Source: src, catchUp: true, gap: func() time.Duration {
		return time.Duration(rng.Float64() * 2 * mean)
	}}
}

// Delay starts src's operations d apart, counted from when each was due: if
// workers were busy it catches up.
func Delay(d time.Duration, src Source) Source {
	return &pace{Source: src, gap: func() time.Duration { return d }, catchUp: true}
}

type pace struct {
	Source
	gap     func() time.Duration
	catchUp bool
	begun   bool
	due     time.Duration
}

func (p *pace) Next(v View) (Step, Status) {
	if !p.begun {
		p.begun, p.due = true, v.Now
	}
	if v.Now < p.due {
		return Step{At: p.due}, Wait
	}
	step, st := p.Source.Next(v)
	if st == Ready {
		if p.catchUp {
			step.Due = p.due
		} else {
			p.due = v.Now
		}
		p.due += p.gap()
	}
	return step, st
}

// Pause is a source without operations that ends d after it was first asked.
func Pause(d time.Duration) Source { return TimeLimit(d, idle{}) }

type idle struct{}

func (idle) Next(View) (Step, Status)   { return wait() }
func (idle) Observe(int, history.Event) {}
