package nemesis

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"time"

	"github.com/capstan-dev/capstan/cluster"
)

// Clock is the fault kind that shifts the wall clock of nodes.
func Clock() Kind {
	return Kind{Name: "clock",
		Doc:    "shift the wall clock of nodes, by an offset or, without one, by 0.1 s to 100 s either way, small shifts as likely as large ones",
		Params: []Param{nodesParam("of", ""), signedParam("offset", "")},
		make: func(name string, v values) (Fault, error) {
			offset := v.duration("offset")
			return clock{name: name, spec: v.nodes("of"), skew: func(rng *rand.Rand) cluster.Skew {
				if offset != 0 {
					return cluster.Skew{Offset: offset}
				}
				return cluster.Skew{Offset: drawOffset(rng)}
			}}, nil
		}}
}

// drawOffset is log-uniform between 0.1 s and 100 s, with either sign.
func drawOffset(rng *rand.Rand) time.Duration {
	s := math.Pow(10, 3*rng.Float64()-1)
	if rng.IntN(2) == 0 {
		s = -s
	}
	return time.Duration(s * float64(time.Second)).Round(time.Millisecond)
}

// clock is a fault of wall clocks: each node draws its skew, and a script may
// change them then.
type clock struct {
	name string
	spec nodeSpec
	skew func(*rand.Rand) cluster.Skew
	// settle is how long it takes until a drift can be told from the truth.
	settle time.Duration
	play   func(nodes []string, skews map[string]cluster.Skew) func(context.Context, *Stage) error
}

func (f clock) Name() string { return f.name }

func (f clock) Applicable(c *cluster.Cluster) error {
	if c.Clocks == nil {
		return lacks(c, "Clocks", "cannot shift its nodes' clocks")
	}
	return f.spec.check(c)
}

// Draw implements Fault.
func (f clock) Draw(ctx context.Context, c *cluster.Cluster, rng *rand.Rand, before []string) (Action, error) {
	nodes, err := f.spec.pick(ctx, c, rng, before)
	if err != nil {
		return Action{}, err
	}
	skews := map[string]cluster.Skew{}
	for _, n := range nodes {
		skews[n] = f.skew(rng)
	}
	a := Action{Fault: f.name, Nodes: nodes, Want: Want{Clocks: skews}, Settle: f.settle}
	if f.play != nil {
		a.Play = f.play(nodes, skews)
	}
	return a, nil
}

// Jump is the fault kind that lets wall clocks jump again and again.
func Jump() Kind {
	return Kind{Name: "jump", Doc: "let the wall clock of nodes jump, either way, again and again; how far is exponentially distributed around a mean, as is the time between",
		Params: []Param{nodesParam("of", ""), durationParam("mean", "1s"), durationParam("every", "1s")},
		make: func(name string, v values) (Fault, error) {
			mean, every := v.duration("mean"), v.duration("every")
			if mean < time.Millisecond || every < time.Millisecond {
				return nil, errors.New("mean and every: want at least 1ms")
			}
			draw := func(rng *rand.Rand) cluster.Skew {
				d := meanwhile(rng, mean)
				if rng.IntN(2) == 0 {
					d = -d
				}
				return cluster.Skew{Offset: d}
			}
			return clock{name: name, spec: v.nodes("of"), skew: draw, play: jump(draw, every)}, nil
		}}
}

func jump(draw func(*rand.Rand) cluster.Skew, every time.Duration) func([]string, map[string]cluster.Skew) func(context.Context, *Stage) error {
	return func(nodes []string, skews map[string]cluster.Skew) func(context.Context, *Stage) error {
		return func(ctx context.Context, s *Stage) error {
			for {
				if err := s.Sleep(ctx, meanwhile(s.Rand, every)); err != nil {
					return err
				}
				next := map[string]cluster.Skew{}
				for _, n := range nodes {
					next[n] = mergeSkew(skews[n], draw(s.Rand))
				}
				skews = next
				if err := s.change(ctx, Want{Clocks: skews}); err != nil {
					return err
				}
			}
		}
	}
}

// Strobe is the fault kind that lets wall clocks flip to and fro.
func Strobe() Kind {
	return Kind{Name: "strobe", Doc: "flip the wall clock of nodes between an offset and the truth, once in every",
		Params: []Param{nodesParam("of", ""), signedParam("offset", "200ms"), durationParam("every", "50ms")},
		make: func(name string, v values) (Fault, error) {
			offset, every := v.duration("offset"), v.duration("every")
			if every < time.Millisecond || offset == 0 {
				return nil, errors.New("want an offset, and every at least 1ms")
			}
			fixed := func(*rand.Rand) cluster.Skew { return cluster.Skew{Offset: offset} }
			return clock{name: name, spec: v.nodes("of"), skew: fixed, play: strobe(every)}, nil
		}}
}

// proveStrobe is how long a strobe goes on between two measurements, which
// take longer than a flip.
const proveStrobe = time.Second

func strobe(every time.Duration) func([]string, map[string]cluster.Skew) func(context.Context, *Stage) error {
	return func(nodes []string, skews map[string]cluster.Skew) func(context.Context, *Stage) error {
		return func(ctx context.Context, s *Stage) error {
			var since time.Duration
			for flip := 1; ; flip++ {
				if err := s.Sleep(ctx, every); err != nil {
					return err
				}
				next := Want{}
				if flip%2 == 0 {
					next.Clocks = skews
				}
				if err := s.Set(ctx, next); err != nil {
					return err
				}
				if since += every; since >= proveStrobe && flip%2 == 0 {
					since = 0
					if err := s.Prove(ctx); err != nil {
						return err
					}
				}
			}
		}
	}
}

// Drift is the fault kind that lets wall clocks go too fast or too slow.
func Drift() Kind {
	return Kind{Name: "drift", Doc: "let the wall clock of nodes gain so many seconds in each second, or lose them",
		Params: []Param{nodesParam("of", ""), numberParam("rate", "0.1", -0.9, 100)},
		make: func(name string, v values) (Fault, error) {
			rate := v.number("rate")
			if rate == 0 {
				return nil, errors.New("rate: want more or less than 0")
			}
			visible := time.Duration(float64(3*widestClock) / math.Abs(rate))
			return clock{name: name, spec: v.nodes("of"), settle: min(visible, longestSettle),
				skew: func(*rand.Rand) cluster.Skew { return cluster.Skew{Drift: rate} }}, nil
		}}
}

// longestSettle bounds how long the start of a drift waits; a slower one is
// not proven.
const longestSettle = 5 * time.Second
