package nemesis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/capstan-dev/capstan/cluster"
)

// Mix is the fault kind that is one of several, another one each time.
func Mix() Kind {
	return Kind{Name: "mix", Doc: "one of several faults, drawn anew each time",
		list: func(name string, faults []Fault) Fault { return mix{name, faults} }}
}

type mix struct {
	name   string
	faults []Fault
}

func (m mix) Name() string { return m.name }

// Applicable implements Fault: any of them may be drawn.
func (m mix) Applicable(c *cluster.Cluster) error {
	var errs []error
	for _, f := range m.faults {
		if err := f.Applicable(c); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f.Name(), err))
		}
	}
	return errors.Join(errs...)
}

// Draw implements Fault.
func (m mix) Draw(ctx context.Context, c *cluster.Cluster, rng *rand.Rand, before []string) (Action, error) {
	return Resolve(m, rng).Draw(ctx, c, rng, before)
}

// Resolve draws which fault of a mix it is, as often as mixes are nested; any
// other fault is itself.
func Resolve(f Fault, rng *rand.Rand) Fault {
	for {
		m, ok := f.(mix)
		if !ok {
			return f
		}
		f = m.faults[rng.IntN(len(m.faults))]
	}
}

// sequence is a fault of several steps, each of which joins those before.
type sequence []Part

func (s sequence) Name() string {
	var b strings.Builder
	for i, p := range s {
		if i > 0 {
			b.WriteString(" + ")
			if p.After > 0 {
				b.WriteString(p.After.String() + " ")
			}
		}
		b.WriteString(p.Fault.Name())
	}
	return b.String()
}

// Applicable implements Fault.
func (s sequence) Applicable(c *cluster.Cluster) error {
	var errs []error
	for _, p := range s {
		if err := p.Fault.Applicable(c); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", p.Fault.Name(), err))
		}
	}
	return errors.Join(errs...)
}

// Draw implements Fault. A sequence is drawn step by step, see flatten.
func (s sequence) Draw(context.Context, *cluster.Cluster, *rand.Rand, []string) (Action, error) {
	return Action{}, errors.New("a fault of several steps is drawn step by step")
}
